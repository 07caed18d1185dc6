#!/bin/sh
# deps.sh [--test] [--list] - installs the Debian packages that are missing; says nothing when none is. The only list
# of them.
#   without options: to build, and to run `make run` and the lines that it prints
#   --test:          also what `make test` and `make check` need, and a Postfix and a Dovecot unpacked in build/:
#                    installed, they would take the place of this machine's mail servers
#   --list:          only prints the names
set -eu

# Compiler and tools.
build='gcc libc6-dev make pkg-config'
# Libraries, each behind its door: TLS; hashes; SQLite; configuration; system call filters; foreign scripts in domains,
# and in passwords; DNS; hashes of other servers, and of NTLM.
build="$build libssl-dev libsodium-dev libsqlite3-dev libconfig-dev libseccomp-dev libidn2-dev libunistring-dev libunbound-dev"
build="$build libcrypt-dev nettle-dev"
# The demonstration: a certificate, role users, and two mail clients (swaks needs Net::SSLeay for TLS).
run='openssl passwd curl swaks libnet-ssleay-perl'
# Units, real clients and servers, sanitizers, the second compiler, the intruder's and the transcripts' drivers.
test='libcriterion-dev python3 gss-ntlmssp python3-gssapi gsasl msmtp mpop fetchmail getmail6 clang valgrind procps git git-email libmailtools-perl'
# The browser in which pages are looked at.
test="$test chromium fonts-dejavu-core"

list="$build $run"
only_list=no peers=no
for option; do
    case $option in
    --test) list="$list $test" peers=yes ;;
    --list) only_list=yes ;;
    *) echo "deps.sh: unknown option $option" >&2; exit 2 ;;
    esac
done
if [ "$only_list" = yes ]; then
    printf '%s\n' $list
    exit 0
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "This is not Debian: what these packages hold must be there: $list" >&2
    exit 0
fi

# pkg-config is provided by pkgconf in newer releases, so a package counts when it or a provider of it is installed.
installed() {
    case $(dpkg-query -W -f='${Status}\n' "$1" 2>/dev/null) in *'ok installed'*) return 0 ;; esac
    dpkg-query -W -f='${Status} ${Provides},\n' 2>/dev/null | grep -q "^install ok installed.*[ ,]$1[ ,]"
}

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1
}

# fetch_peer NAME PROBE PACKAGE... - unpacks a server in build/NAME, where tests start it, unless PROBE is there or
# installed. Without it its tests are skipped, so nothing here is a reason to stop. Its libraries may be installed.
fetch_peer() {
    name=$1 probe=$2 there=$(dirname "$0")/../build/$1
    shift 2
    if [ -e "$there$probe" ] || [ -e "$probe" ] || [ -e "$there/tried" ]; then return 0; fi
    mkdir -p "$there" || return 0
    # shellcheck disable=SC2015 # both may fail
    if ! (cd "$there" && { apt-get -q download "$@" || { apt update && apt-get -q download "$@"; }; }) >"$log" 2>&1; then
        echo "$name could not be fetched; its tests will be skipped (rm -r build/$name to try again): $(tail -1 "$log")" >&2
        : >"$there/tried"
        return 0
    fi
    libraries=
    for library in $peer_libraries $(for package in "$there"/*.deb; do dpkg-deb -f "$package" Depends; done | tr ',' '\n' |
        sed -n 's/^ *\(lib[^ (|]*\).*/\1/p' | grep -v '^libpam-runtime$'); do
        installed "$library" || libraries="$libraries $library"
    done
    # shellcheck disable=SC2086 # words
    [ -z "$libraries" ] || apt install --no-install-recommends $libraries ||
        echo "What $name needs could not be installed; its tests will be skipped:$libraries" >&2
    for package in "$there"/*.deb; do dpkg-deb -x "$package" "$there" && rm -f "$package"; done
}

# Thunderbird's own reader of autoconfig files lies in one archive of its package; nothing else of it is wanted.
fetch_thunderbird() {
    there=$(dirname "$0")/../build/thunderbird
    if [ -n "$(find "$there" /usr/share/thunderbird -name omni.ja 2>/dev/null)" ] || [ -e "$there/tried" ]; then return 0; fi
    mkdir -p "$there" || return 0
    if ! (cd "$there" && { apt-get -q download thunderbird || { apt update && apt-get -q download thunderbird; }; } &&
        dpkg-deb --fsys-tarfile thunderbird_*.deb | tar -x ./usr/share/thunderbird/omni.ja) >"$log" 2>&1; then
        echo "thunderbird could not be fetched; its tests will be skipped (rm -r build/thunderbird to try again): $(tail -1 "$log")" >&2
        : >"$there/tried"
    fi
    rm -f "$there"/*.deb
}

fetch_peers() {
    fetch_thunderbird
    peer_libraries=libsasl2-modules fetch_peer postfix /usr/lib/postfix/sbin/smtpd postfix
    peer_libraries='' fetch_peer dovecot /usr/lib/dovecot/pop3-login dovecot-core dovecot-lmtpd dovecot-pop3d dovecot-sqlite
    peer_libraries='' fetch_peer tcpserver /usr/bin/tcpserver ucspi-tcp
    peer_libraries='' fetch_peer fail2ban /usr/bin/fail2ban-regex fail2ban # its log reader alone, nothing is started
}

missing=
for package in $list; do installed "$package" || missing="$missing $package"; done
if [ -z "$missing" ]; then
    [ "$peers" = no ] || fetch_peers
    exit 0
fi

if [ -n "$as_root" ] && ! command -v sudo >/dev/null; then
    echo "These Debian packages are missing; as root: apt-get install$missing" >&2
    exit 1
fi

echo "Installing Debian packages:$missing" >&2
# The lists may be missing or old: an update first, but its failure is only told when the installation fails too.
apt update || true
if ! apt install --no-install-recommends $missing; then
    cat "$log" >&2
    echo "apt-get could not install:$missing" >&2
    exit 1
fi
[ "$peers" = no ] || fetch_peers

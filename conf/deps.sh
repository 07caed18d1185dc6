#!/bin/sh
# deps.sh [--test] [--list] - installs the Debian packages that are missing; says nothing when none is. The only list
# of them.
#   without options: to build, and to run `make run` and the lines that it prints
#   --test:          also what `make test` and `make check` need, and a Postfix unpacked in build/postfix: installed, it
#                    would take the place of this machine's mail server
#   --list:          only prints the names
set -eu

# Compiler and tools.
build='gcc libc6-dev make pkg-config'
# Libraries, each behind its door: TLS; hashes; SQLite; configuration; system call filters; foreign scripts; DNS.
build="$build libssl-dev libsodium-dev libsqlite3-dev libconfig-dev libseccomp-dev libidn2-dev libunbound-dev"
# The demonstration: a certificate, role users, and two mail clients (swaks needs Net::SSLeay for TLS).
run='openssl passwd curl swaks libnet-ssleay-perl'
# Units, real clients and servers, sanitizers, the second compiler, the intruder's and the transcripts' drivers.
test='libcriterion-dev python3 msmtp clang valgrind procps git'

list="$build $run"
only_list=no postfix=no
for option; do
    case $option in
    --test) list="$list $test" postfix=yes ;;
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

# Without it its test is skipped, so nothing here is a reason to stop. Its libraries and SASL's mechanisms may be
# installed.
fetch_postfix() {
    there=$(dirname "$0")/../build/postfix
    if [ -e "$there/usr/lib/postfix/sbin/smtpd" ] || [ -e /usr/lib/postfix/sbin/smtpd ] || [ -e "$there/tried" ]; then return 0; fi
    mkdir -p "$there" || return 0
    if ! (cd "$there" && { apt-get -q download postfix || { apt update && apt-get -q download postfix; }; }) >"$log" 2>&1; then
        echo "Postfix could not be fetched; its test will be skipped (rm -r build/postfix to try again): $(tail -1 "$log")" >&2
        : >"$there/tried"
        return 0
    fi
    libraries=libsasl2-modules
    for library in $(dpkg-deb -f "$there"/postfix_*.deb Depends | tr ',' '\n' | sed -n 's/^ *\(lib[^ (|]*\).*/\1/p'); do
        installed "$library" || libraries="$libraries $library"
    done
    installed libsasl2-modules && [ "$libraries" = libsasl2-modules ] || apt install --no-install-recommends $libraries ||
        echo "What Postfix needs could not be installed; its test will be skipped: $libraries" >&2
    dpkg-deb -x "$there"/postfix_*.deb "$there" && rm -f "$there"/postfix_*.deb
}

missing=
for package in $list; do installed "$package" || missing="$missing $package"; done
if [ -z "$missing" ]; then
    [ "$postfix" = no ] || fetch_postfix
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
[ "$postfix" = no ] || fetch_postfix

#!/bin/sh
# doors.sh [BUILD] - who may include whom, one door per library, what each program links, and the lengths of files,
# functions and lines. Prints a table; exit code 1 on a breach.
set -u
cd "$(dirname "$0")/.."
build=${1:-${BUILD:-build}}
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
: >"$here/breaches"
file_limit=420 function_limit=70 column_limit=118

breach() { echo "BREACH $*" >>"$here/breaches"; }

rooms='store auth conf server'
# shellcheck disable=SC2086
find $rooms -name '*.c' -o -name '*.h' | sort >"$here/sources"

# ---- directions between rooms: FILE INCLUDED
xargs grep -Hn '^ *# *include *"' <"$here/sources" | sed 's/:[0-9]*: *# *include *"/ /; s/".*//' >"$here/includes"
while read -r file included; do
    from=${file%%/*} to=${included%%/*}
    case $file in server/process/*) from=server/process ;; esac
    case "$from>$to" in
    'store>store' | 'auth>auth' | 'auth>store' | 'conf>conf' | 'conf>store') ;;
    'server>server' | 'server>auth' | 'server>store') ;;
    'server/process>server' | 'server/process>auth' | 'server/process>store' | 'server/process>conf') ;;
    *) breach "$file includes \"$included\": $from may not use $to" ;;
    esac
    [ "$included" != conf/conf_reader.h ] || [ "$from" = conf ] || breach "$file includes $included, which is the reader's own"
    [ -e "$included" ] || breach "$file includes \"$included\", which is not a path from the top of the tree"
done <"$here/includes"

# ---- one door per library: HEADER and the files that may include it
door() {
    header=$1 name=$2
    shift 2
    xargs grep -l "# *include *<$header" <"$here/sources" | while read -r file; do
        for allowed; do
            # shellcheck disable=SC2254 # patterns
            case $file in $allowed) continue 2 ;; esac
        done
        echo "BREACH $file includes <$header: $name has its doors in $*"
    done >>"$here/breaches"
    printf '  %-12s %s\n' "$name" "$(xargs grep -l "# *include *<$header" <"$here/sources" | tr '\n' ' ')" >>"$here/doors"
}
door openssl/ OpenSSL 'server/inbound/tls*.[ch]' 'server/outbound/tls_client*.[ch]' 'auth/keys*.[ch]'
door sodium.h libsodium 'auth/password*.[ch]' 'auth/scram_hash.[ch]' 'auth/verifier*.[ch]' 'auth/seal*.[ch]' 'auth/nt_hash.[ch]' 'store/record*.[ch]' 'store/journal*.[ch]' 'server/process/backup.c'
door crypt.h libxcrypt 'auth/password_foreign.c'
door sqlite3.h SQLite 'store/database*.[ch]'
door libconfig.h libconfig 'conf/conf*.[ch]'
door unbound.h libunbound 'server/outbound/dns*.[ch]'
door seccomp.h libseccomp 'server/process/sandbox*.[ch]'
door nettle/ nettle 'auth/password_foreign.c' 'auth/password_apr1.c' 'auth/nt_hash.[ch]' 'auth/ntlm_proof.[ch]'
door 'uni\(case\|ctype\|gbrk\|norm\|str\)\.h' libunistring 'auth/prepare.[ch]' 'auth/utf16.[ch]'
door idn2.h libidn2 'auth/domain_idn.[ch]' 'conf/conf_domain.[ch]'

# ---- what each program links
: >"$here/links"
links() {
    program=$1 allowed=$2
    path=$build/gatepost-$program
    if [ "$program" = gatepost ]; then
        path=$build/gatepost
        [ "$build" = build ] && path=gatepost
    fi
    if [ ! -e "$path" ]; then
        printf '  %-10s %s\n' "$program" 'not built' >>"$here/links"
        breach "$path is not built"
        return
    fi
    needed=$(readelf -dW "$path" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    names=
    for library in $needed; do
        case $library in
        libc.so.* | ld-linux*) continue ;;
        libasan.* | libubsan.* | libm.so.* | libgcc_s.*)
            case $build in *sanitize*) continue ;; esac ;;
        esac
        short=${library%%.so*}
        names="$names $short"
        case " $allowed " in *" $short "*) ;; *) breach "$path links $library" ;; esac
    done
    [ -n "$names" ] || names=' nothing but the C library'
    if [ "$program" = session ] || [ "$program" = pop3 ]; then
        case $build in
        *sanitize*) ;;
        *)
            names=' static-pie, no library'
            [ -z "$needed" ] || breach "$path is linked dynamically: $needed"
            readelf -hW "$path" | grep -q 'Type: *DYN' || breach "$path is not position independent"
            ;;
        esac
    else
        readelf -hW "$path" | grep -q 'Type: *DYN' || breach "$path is not position independent"
    fi
    readelf -lW "$path" | grep -q 'GNU_RELRO' || breach "$path has no RELRO"
    readelf -lW "$path" | grep 'GNU_STACK' | grep -q 'RWE' && breach "$path has an executable stack"
    printf '  %-10s%s\n' "$program" "$names" >>"$here/links"
}
ssl=
case $build in *sanitize*) ssl='libssl libcrypto' ;; esac
links gatepost 'libconfig libseccomp libsodium libidn2 libunistring libnettle'
links session "$ssl"
links pop3 "$ssl"
links auth 'libsqlite3 libidn2'
links verifier 'libsodium libunistring libcrypt libnettle'
links keys 'libcrypto'
links queue 'libsodium'
links delivery ''
links outbound 'libssl libcrypto'
links resolver 'libunbound'
links policy ''
links pop3-login ''
links log ''

# ---- head comments
while read -r file; do
    name=${file##*/}
    head -1 "$file" | grep -qF "/* $name - " || breach "$file does not begin with /* $name - ..."
    case $file in
    *.c)
        for word in 'Runs in:' 'Trusts:' 'Never:'; do
            head -12 "$file" | grep -qF "$word" || breach "$file has no $word in its head comment"
        done
        ;;
    esac
done <"$here/sources"

# ---- lengths
while read -r file; do
    n=$(wc -l <"$file")
    [ "$n" -le $file_limit ] || breach "$file has $n lines (at most about 400)"
done <"$here/sources"
xargs awk -v most=$column_limit 'length($0) > most { print "BREACH " FILENAME ":" FNR " has " length($0) " columns" }' \
    <"$here/sources" >>"$here/breaches"
grep '\.c$' "$here/sources" | xargs awk '
    FNR == 1 { open = 0; start = 0 }
    open && /^}/ { print FNR - open + 1, FILENAME, name; open = 0; start = 0; next }
    open { next }
    /^[A-Za-z_]/ && /\(/ && !/[;=]/ { start = FNR; name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
    start && /\{$/ && !/=/ { open = start; next }
    /;$/ { start = 0 }
' | sort -n >"$here/functions"
while read -r n file name; do
    [ "$n" -le $function_limit ] || breach "$file: $name() has $n lines (at most $function_limit)"
done <"$here/functions"

# ---- words that do not belong here
xargs grep -nE '\<(strcpy|strcat|sprintf|vsprintf|atoi|atol|strtok|gets|alloca)\(' <"$here/sources" |
    sed 's/^/BREACH /' >>"$here/breaches"

echo 'Includes between rooms:'
awk '{ split($1, a, "/"); split($2, b, "/"); print "  " a[1] " -> " b[1] }' "$here/includes" | sort | uniq -c |
    awk '{ printf "  %-8s -> %-8s %4d\n", $2, $4, $1 }'
echo 'Doors of libraries:'
cat "$here/doors"
echo 'Programs link:'
cat "$here/links"
printf 'Files: %d, of at most %d lines. Functions: %d, median %d, longest %d lines.\n' \
    "$(wc -l <"$here/sources")" \
    "$(while read -r file; do wc -l <"$file"; done <"$here/sources" | sort -n | tail -1)" "$(wc -l <"$here/functions")" \
    "$(awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }' "$here/functions")" \
    "$(tail -1 "$here/functions" | cut -d' ' -f1)"
cat "$here/breaches"
[ ! -s "$here/breaches" ]

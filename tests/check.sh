#!/bin/sh
# check.sh - what `make check` runs. Prints a line per part and at the end "N passed, N failed"; exit code 1 when one
# failed.
#   planted    faults planted on purpose: a leak and a write out of bounds in units, a write out of bounds in a server;
#              each must turn the parts below red by its report, and without a fault they must be green; syncs left
#              out of the queue and of Maildirs, and marks dropped, must turn the walk of faults red
#   clang      programs, units and intruder by clang without a warning, and what it built passes units and transcripts
#   release    all of tests/run.sh on the release build, kill -9 under load apart
#   sanitize   all of tests/run.sh under the address and undefined behaviour sanitizers
#   valgrind   the units under valgrind
#   fault      every point at which the disk can fail, the process be cut, or the power (minutes)
#   kill       kill -9 under load at length
#   lmtp       10,000 messages to a Dovecot, one of three recipients failing; 1,000 domains with a server each
#   timing     nobody against somebody: 2,000 timings of each kind of login, on a quiet machine; that logins without the
#              work for nobody, or without the fixed time of a refusal, are found
#   long       kill -9 under mixed load on a disk that is filled and freed (root only); half an hour of it is
#              `tests/crash/long.py 1800 10`
# Any report in the tools' own files fails, whatever the exit codes say.
#   PARTS="planted sanitize"                 only these
#   CHECK_MESSAGES=20000                     for kill
#   CHECK_TIMINGS=2000                       for timing
#   CHECK_LONG="60 2"                        for long: seconds, and how often the disk is filled
#   CHECK_ONLY="units dialog relay ..."      parts of tests/run.sh for release and sanitize
#   CHECK_UNITS="buf wire ..."               units for valgrind
#   CHECK_JOBS=2                             units under valgrind at a time
set -u
cd "$(dirname "$0")/.."
unset BUILD MAKEFLAGS MFLAGS MAKELEVEL
here=$(mktemp -d /var/tmp/gatepost-check-XXXXXX)
chmod 755 "$here"
trap 'rm -rf "$here"' EXIT
trap 'exit 130' HUP INT TERM
cc=${CC:-cc}
clang=${CLANG:-clang}
all_parts='dialog faults session relay outside clients pop3 mechanisms timing explain life sendmail restore dsn smarthost lmtp intruder fault'

# ---- reports

# A fresh directory for the sanitizers' reports, writable by every user of the tests.
reports() {
    REPORTS=$here/reports
    rm -rf "$REPORTS"
    mkdir "$REPORTS"
    chmod 1777 "$REPORTS"
    ASAN_OPTIONS=log_path=$REPORTS/asan:detect_leaks=1:detect_stack_use_after_return=1
    UBSAN_OPTIONS=log_path=$REPORTS/ubsan:print_stacktrace=1
    export REPORTS ASAN_OPTIONS UBSAN_OPTIONS
}

# False, and prints them, when one of the files holds anything.
nothing_in() {
    clean=0
    for file; do
        [ -s "$file" ] || continue
        clean=1
        echo "  report ${file##*/}:"
        head -"${REPORT_LINES:-30}" "$file" | sed 's/^/    /'
    done
    return $clean
}

# ---- the two ways to find faults: each is false by a failed test or by a report

# under_sanitizers BUILD PARTS
under_sanitizers() {
    reports
    [ -z "${HALT:-}" ] || ASAN_OPTIONS=$ASAN_OPTIONS:halt_on_error=$HALT
    verdict=0
    BUILD=$1 ONLY=$2 MESSAGES=${SANITIZED_MESSAGES:-500} sh tests/run.sh || verdict=1
    nothing_in "$REPORTS"/* || verdict=1
    unset ASAN_OPTIONS UBSAN_OPTIONS
    return $verdict
}

# Criterion runs each test in a process of its own, which is traced too; with --quiet a log holds lines that begin with
# ==PID== only when there is something to report. Signals that end a process are the tests' own.
under_valgrind() {
    GROUND=$here/valgrind
    rm -rf "$GROUND"
    mkdir "$GROUND"
    # GATEPOST_THIN: units that try thousands of combinations, each in a new process, try one in so many.
    export GROUND GATEPOST_THIN=7
    # shellcheck disable=SC2016 # expanded by the inner shell
    printf '%s\n' "$@" | xargs -P "${CHECK_JOBS:-2}" -n 1 sh -c '
        name=${1##*/} begin=$(date +%s)
        timeout 900 sh -c '\''echo $$ >"$1"; shift; exec "$@"'\'' sh "$GROUND/$name.pid" \
            valgrind --quiet --vgdb=no --trace-children=yes --leak-check=full --show-leak-kinds=definite \
            --errors-for-leak-kinds=definite --log-file="$GROUND/log.$name.%p" \
            "$1" --jobs 1 --timeout 600 --color=never >"$GROUND/out.$name" 2>&1
        code=$?
        took=$(($(date +%s) - begin))
        [ "$took" -lt 60 ] || echo "  $name took $took s"
        [ "$code" -ne 0 ] || grep -q "Synthesis: Tested: *[1-9]" "$GROUND/out.$name" || code=no-result
        pid=$(cat "$GROUND/$name.pid")
        rm -rf "/tmp/criterion_$pid.sock" "/tmp/gatepost-unit-$pid"-*
        [ "$code" = 0 ] || { echo "  $name: $code"; tail -15 "$GROUND/out.$name" | sed "s/^/    /"; exit 1; }' sh
    verdict=$?
    for log in "$GROUND"/log.*; do
        grep '^==[0-9]*== ' "$log" >"$GROUND/report.${log#*/log.}" 2>/dev/null
    done
    nothing_in "$GROUND"/report.* || verdict=1
    return $verdict
}

# ---- parts

plant_unit() { # FAULT: the same unit for both tools
    mkdir -p "$here/plant$1/sanitize/tests/unit" "$here/plant$1/plain"
    $cc -std=c17 -O1 -g -DPLANT="$1" -fsanitize=address,undefined tests/check_planted.c -lcriterion \
        -o "$here/plant$1/sanitize/tests/unit/test_planted" &&
        $cc -std=c17 -O1 -g -DPLANT="$1" tests/check_planted.c -lcriterion -o "$here/plant$1/plain/test_planted"
}

# The sanitizers' build with a queue that writes out of bounds and goes on: only the report can tell.
plant_server() {
    planted=$here/sanitize-planted
    mkdir "$planted" && cp build/sanitize/gatepost* "$planted" &&
        $cc -std=c17 -O1 -g -fPIE -fsanitize=address -fsanitize-recover=address -c tests/check_planted_server.c \
            -o "$here/planted.o" &&
        $cc -pie -fsanitize=address,undefined -Wl,--wrap=role_ready -o "$planted/gatepost-queue" "$here/planted.o" \
            build/sanitize/server/process/main_queue.o build/sanitize/libgatepost.a -lsodium
}

part_planted() {
    right=0
    for fault in 0 1 2; do
        plant_unit $fault || return 1
        under_sanitizers "$here/plant$fault/sanitize" units >"$here/said" 2>&1
        by_sanitizer=$?
        under_valgrind "$here/plant$fault/plain/test_planted" >>"$here/said" 2>&1
        by_valgrind=$?
        case $fault:$by_sanitizer:$by_valgrind in
        0:0:0 | 1:1:1 | 2:1:1) ;;
        *)
            right=1
            echo "  unit with fault $fault: sanitizers $by_sanitizer, valgrind $by_valgrind (0 green, 1 red)"
            sed 's/^/    /' "$here/said"
            ;;
        esac
    done
    make --no-print-directory -s -j2 SANITIZE=1 all && plant_server || return 1
    if HALT=0 under_sanitizers "$here/sanitize-planted" relay >"$here/said" 2>&1 ||
        ! grep -q 'report server\.' "$here/said" || ! grep -q 'gatepost-queue+0x' "$here/said"; then
        right=1
        echo "  a server's fault is not seen:"
        head -60 "$here/said" | sed 's/^/    /'
    fi
    make --no-print-directory -s -j2 build/tests/fault/fault && build/tests/fault/fault --planted || right=1
    [ $right -ne 0 ] || echo "  red by a leak, by writes out of bounds in a unit and in a server; green without"
    return $right
}

part_clang() {
    command -v "$clang" >/dev/null || return 2
    make --no-print-directory -s -j2 CC="$clang" BUILD=build/clang all units >"$here/said" 2>&1
    code=$?
    # The linker's notes on libcrypto.a apart.
    grep -v 'in statically linked applications requires at runtime\|: in function `' "$here/said" && return 1
    [ $code -eq 0 ] && BUILD=build/clang ONLY='units dialog' sh tests/run.sh
}

part_release() {
    make --no-print-directory -s -j2 all units && ONLY="${CHECK_ONLY:-units $all_parts}" sh tests/run.sh
}

part_sanitize() {
    make --no-print-directory -s -j2 SANITIZE=1 all units && make --no-print-directory -s SANITIZE=1 doors >/dev/null &&
        under_sanitizers build/sanitize "${CHECK_ONLY:-units $all_parts crash}"
}

part_valgrind() {
    make --no-print-directory -s -j2 all units || return 1
    set --
    for unit in build/tests/unit/test_*; do
        # Under valgrind filters cannot be installed, and the limit of descriptors is its own.
        case $unit in *.o | *.d | *test_sandbox | *test_confine | *test_family | *test_files) continue ;; esac
        case " ${CHECK_UNITS:-${unit##*/test_}} " in *" ${unit##*/test_} "*) set -- "$@" "$unit" ;; esac
    done
    echo "  $# unit programs"
    under_valgrind "$@"
}

part_fault() {
    make --no-print-directory -s -j2 build/tests/fault/fault && timeout 7200 build/tests/fault/fault
}

part_kill() {
    make --no-print-directory -s -j2 all && timeout 7200 python3 tests/crash/kill.py "${CHECK_MESSAGES:-20000}"
}

part_lmtp() {
    make --no-print-directory -s -j2 all &&
        LMTP_MESSAGES=10000 LMTP_DOMAINS=1000 timeout 3600 python3 tests/client/lmtp.py 'many '
}

# The build with a fault in one program. FAULT PROGRAM WRAPPED LIBRARIES
plant_login() {
    planted=$here/login$1
    # shellcheck disable=SC2086 # several words
    mkdir "$planted" && cp gatepost build/gatepost-* "$planted" &&
        $cc -std=c17 -O2 -g -fPIE -D_GNU_SOURCE -I. -DPLANT="$1" -c tests/check_planted_login.c -o "$planted/planted.o" &&
        $cc -pie $3 -o "$planted/gatepost-$2" "$planted/planted.o" "build/server/process/main_$2.o" \
            build/libgatepost.a $4
}

# Red where it should be, and surely? FAULT WORK-CASE TIMES-CASE
found_by_clock() {
    BUILD=$here/login$1 python3 tests/client/timing.py --timings=100 "$2" "$3" >"$here/said" 2>&1
    if grep -q "^FAILED $2" "$here/said" && grep "^    $3[,:] .*: DIFFERENT$" "$here/said"; then return 0; fi
    echo "  fault $1 of logins is not seen"
    tail -40 "$here/said" | sed 's/^/    /'
    return 1
}

part_timing() {
    make --no-print-directory -s -j2 all &&
        plant_login 1 verifier '-Wl,--wrap=password_hash -Wl,--wrap=password_check' '-lsodium -lunistring -lcrypt -lnettle' &&
        plant_login 2 auth -Wl,--wrap=login_delay_failure '-lsqlite3 -lidn2' &&
        cp -r "$here/login1" "$here/login3" && cp "$here/login2/gatepost-auth" "$here/login3" &&
        found_by_clock 1 'work: PLAIN' 'behind PLAIN, a wrong password' &&
        found_by_clock 2 'work: NTLM' 'NTLM, a wrong password' &&
        found_by_clock 3 'work: LOGIN' 'LOGIN, a wrong password' || return 1
    echo '  red by nobody without a hash, without the fixed time, and without both'
    timeout 3600 python3 tests/client/timing.py --timings="${CHECK_TIMINGS:-2000}"
}

part_long() {
    [ "$(id -u)" -eq 0 ] || return 2
    # shellcheck disable=SC2086 # two words
    make --no-print-directory -s -j2 all && timeout 7200 python3 tests/crash/long.py ${CHECK_LONG:-60 2}
}

passed=0 failed=0
: >"$here/summary"
for part in planted clang release sanitize valgrind fault kill lmtp timing long; do
    case " ${PARTS:-$part} " in *" $part "*) ;; *) continue ;; esac
    echo "== $part"
    begin=$(date +%s)
    ( "part_$part" )
    code=$?
    word=FAILED
    case $code in
    0) word=passed passed=$((passed + 1)) ;;
    2) word='skipped (no such tool, or not root)' ;;
    *) failed=$((failed + 1)) ;;
    esac
    printf '%-10s %s (%d s)\n' "$part" "$word" $(($(date +%s) - begin)) | tee -a "$here/summary"
done
echo "== check"
cat "$here/summary"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

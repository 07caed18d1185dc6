#!/bin/sh
# run.sh - what `make test` runs once everything is built: the units, then each system test program.
#   BUILD=build/sanitize   the programs of another build
#   ONLY="dialog units"    only these parts
# Prints failures and what was skipped, and at the end one line "N passed, N failed"; exit code 1 when one failed or
# nothing ran.
set -u
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
export BUILD
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
trap 'exit 130' HUP INT TERM
passed=0 failed=0 skipped=0

wanted() { case " ${ONLY:-$1} " in *" $1 "*) return 0 ;; *) return 1 ;; esac }

# Adds up the line that begins "[====] Synthesis: Tested: N | Passing: N | Failing: N | Crashing: N".
run_unit() {
    name=${1##*/}
    # shellcheck disable=SC2016 # expanded by the inner shell
    timeout 180 sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$here/pid" "$1" --jobs 2 --color=never >"$here/out" 2>&1
    code=$?
    pid=$(cat "$here/pid")
    rm -rf "/tmp/criterion_$pid.sock" "/tmp/gatepost-unit-$pid"-* # left when it was ended
    counts=$(sed -n 's/.*Synthesis: Tested: *\([0-9]*\) *| Passing: *\([0-9]*\) *| Failing: *\([0-9]*\) *| Crashing: *\([0-9]*\).*/\1 \2 \3 \4/p' "$here/out")
    if [ -z "$counts" ]; then
        failed=$((failed + 1))
        echo "FAILED $name: no result, exit code $code"
        tail -5 "$here/out" | sed 's/^/    /'
        return
    fi
    # shellcheck disable=SC2086 # four words
    set -- $counts
    passed=$((passed + $2)) failed=$((failed + $3 + $4))
    if [ "$2" -eq 0 ] || [ $(($2 + $3 + $4)) -lt "$1" ] || { [ "$code" -ne 0 ] && [ $(($3 + $4)) -eq 0 ]; }; then
        failed=$((failed + 1))
        echo "FAILED $name: exit code $code, $2 of $1 passed"
    fi
    if [ "$code" -ne 0 ]; then grep -v '^\[\(RUN\|PASS\|====\)' "$here/out" | sed "s/^/    $name: /" | head -40; fi
}

# A program that ends with "N passed, N failed"; its other lines are shown.
run_program() {
    name=$1
    shift
    wanted "$name" || return 0
    begin=$(date +%s)
    timeout 900 "$@" >"$here/out" 2>&1
    code=$?
    counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$here/out" | tail -1)
    sed '/^[0-9]* passed, [0-9]* failed$/d' "$here/out"
    if [ -z "$counts" ]; then
        failed=$((failed + 1))
        echo "FAILED $name: ended with $code and no count"
        return
    fi
    passed=$((passed + ${counts% *})) failed=$((failed + ${counts#* }))
    skipped=$((skipped + $(grep -c '^skipped ' "$here/out")))
    if [ "$code" -ne 0 ] && [ "${counts#* }" -eq 0 ]; then
        failed=$((failed + 1))
        echo "FAILED $name: exit code $code"
    fi
    echo "$name: ${counts% *} passed, ${counts#* } failed ($(($(date +%s) - begin)) s)"
}

if wanted units; then
    before=$passed before_failed=$failed
    for unit in "$BUILD"/tests/unit/test_*; do
        case $unit in *.o | *.d | *'*') continue ;; esac
        [ -x "$unit" ] && run_unit "$unit"
    done
    echo "units: $((passed - before)) passed, $((failed - before_failed)) failed"
fi
run_program dialog python3 tests/dialog/run.py
run_program session python3 tests/dialog/test_session_alone.py
run_program relay python3 tests/client/relay.py
run_program outside python3 tests/client/outside.py
run_program clients python3 tests/client/clients.py
run_program pop3 python3 tests/client/pop3.py
run_program mechanisms python3 tests/client/mechanisms.py
run_program guessing python3 tests/client/guessing.py
run_program timing python3 tests/client/timing.py
run_program explain python3 tests/client/explain.py
run_program import python3 tests/client/import.py
run_program life python3 tests/client/life.py
run_program credentials python3 tests/client/credentials.py
run_program sendmail python3 tests/client/sendmail.py
run_program quota python3 tests/client/quota.py
run_program grants python3 tests/client/grants.py
run_program queue python3 tests/client/queue_commands.py
run_program restore python3 tests/client/restore.py
run_program hooks python3 tests/client/hooks.py
run_program dsn python3 tests/client/dsn.py
run_program mailbox python3 tests/client/mailbox.py
[ ! -e tests/client/smarthost.py ] || run_program smarthost python3 tests/client/smarthost.py
run_program lmtp python3 tests/client/lmtp.py
[ ! -e tests/intruder/run.py ] || run_program intruder python3 tests/intruder/run.py
run_program intruder-pop3 python3 tests/intruder/pop3.py
run_program fault "$BUILD/tests/fault/fault" --quick
run_program crash python3 tests/crash/kill.py "${MESSAGES:-5000}"

[ "$skipped" -eq 0 ] || echo "$skipped skipped, for the reasons above"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

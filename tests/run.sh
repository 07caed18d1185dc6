#!/bin/sh
# run.sh - what `make test` runs once everything is built: the units, then each system test program.
#   BUILD=build/sanitize   the programs of another build
#   ONLY="dialog units"    only these parts
#   LANES=1                system test programs at once; two
# Prints failures and what was skipped, and at the end one line "N passed, N failed"; exit code 1 when one failed or
# nothing ran.
set -u
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
export BUILD
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
trap 'kill $lanes 2>/dev/null; exit 130' HUP INT TERM
passed=0 failed=0 skipped=0 lanes=

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

# A program that ends with "N passed, N failed"; its other lines are shown, all at once when it ends.
run_program() {
    name=$1
    shift
    begin=$(date +%s)
    timeout 900 "$@" >"$here/$name" 2>&1 </dev/null &
    program=$!
    trap 'kill $program; exit 130' TERM
    wait $program
    code=$?
    counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$here/$name" | tail -1)
    more=
    [ -n "$counts" ] || { counts='0 1' more="ended with $code and no count"; }
    [ "$code" -eq 0 ] || [ "${counts#* }" -ne 0 ] || { counts="${counts% *} 1" more="exit code $code"; }
    {
        sed '/^[0-9]* passed, [0-9]* failed$/d' "$here/$name"
        [ -z "$more" ] || echo "FAILED $name: $more"
        echo "$name: ${counts% *} passed, ${counts#* } failed ($(($(date +%s) - begin)) s)"
    } >"$here/$name.said"
    cat "$here/$name.said" # one write, so that two lanes' lines do not mix
    echo "$counts $(grep -c '^skipped ' "$here/$name")" >"$here/$name.counts"
}

# Takes the next of the programs that are left until none is. Making a directory is what only one lane can.
run_lane() {
    while read -r name command; do
        # shellcheck disable=SC2086 # words
        if wanted "$name" && mkdir "$here/$name.taken" 2>/dev/null; then run_program "$name" $command; fi
    done
}

if wanted units; then
    before=$passed before_failed=$failed
    for unit in "$BUILD"/tests/unit/test_*; do
        case $unit in *.o | *.d | *'*') continue ;; esac
        [ -x "$unit" ] && run_unit "$unit"
    done
    echo "units: $((passed - before)) passed, $((failed - before_failed)) failed"
fi
# The longest first. What waits most of its time shares the machine; what measures or loads it does not.
cat >"$here/list" <<END
life python3 tests/client/life.py
smarthost python3 tests/client/smarthost.py
fault $BUILD/tests/fault/fault --quick
dialog python3 tests/dialog/run.py
outside python3 tests/client/outside.py
pop3 python3 tests/client/pop3.py
import python3 tests/client/import.py
quota python3 tests/client/quota.py
lmtp python3 tests/client/lmtp.py
hooks python3 tests/client/hooks.py
mechanisms python3 tests/client/mechanisms.py
faults python3 tests/client/faults.py
grants python3 tests/client/grants.py
autoconfig python3 tests/client/autoconfig.py
check-dns python3 tests/client/check_dns.py
session python3 tests/dialog/test_session_alone.py
credentials python3 tests/client/credentials.py
explain python3 tests/client/explain.py
sendmail python3 tests/client/sendmail.py
dsn python3 tests/client/dsn.py
clients python3 tests/client/clients.py
mailbox python3 tests/client/mailbox.py
restore python3 tests/client/restore.py
queue python3 tests/client/queue_commands.py
relay python3 tests/client/relay.py
intruder-pop3 python3 tests/intruder/pop3.py
intruder python3 tests/intruder/run.py
END
for _ in $(seq "${LANES:-2}"); do
    run_lane <"$here/list" &
    lanes="$lanes $!"
done
# shellcheck disable=SC2086 # words
wait $lanes
run_lane <<END &
guessing python3 tests/client/guessing.py
timing python3 tests/client/timing.py
crash python3 tests/crash/kill.py ${MESSAGES:-5000}
END
lanes=$!
wait $lanes
for counts in "$here"/*.counts; do
    [ -e "$counts" ] || continue
    read -r p f k <"$counts"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + k))
done

[ "$skipped" -eq 0 ] || echo "$skipped skipped, for the reasons above"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

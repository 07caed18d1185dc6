#!/bin/sh
# run.sh - each fuzzer of build/fuzz for FUZZ_SECONDS (20), from the seeds under tests/fuzz/corpus/NAME.
#   ONLY="auth queue"    these alone
#   FUZZ_RUNS=N          inputs for each in place of seconds
#   CORPUS=DIR           keeps what was found in DIR/NAME, and begins from it too
# Stops at nothing; an input that breaks one is left in build/fuzz. Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.."
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
passed=0 failed=0
for fuzzer in build/fuzz/fuzz_*; do
    case $fuzzer in *.o | *.d | *'*') continue ;; esac
    name=${fuzzer##*/fuzz_}
    case " ${ONLY:-$name} " in *" $name "*) ;; *) continue ;; esac
    grown=${CORPUS:-$here}/$name
    mkdir -p "$grown"
    seeds=$PWD/tests/fuzz/corpus/$name
    [ -d "$seeds" ] || seeds=
    limit=-max_total_time=${FUZZ_SECONDS:-20}
    [ -z "${FUZZ_RUNS:-}" ] || limit=-runs=$FUZZ_RUNS
    # shellcheck disable=SC2086 # no seeds, no word
    if "$fuzzer" "$limit" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$PWD/build/fuzz/$name-" \
        -dict="$PWD"/tests/fuzz/smtp.dict -verbosity=1 "$grown" $seeds >"$here/out" 2>&1; then
        passed=$((passed + 1))
        awk -v name="$name" '
            /cov: / { for (i = 1; i < NF; i++) if ($i == "cov:" && $(i + 1) + 0 > edges) { edges = $(i + 1); last = substr($1, 2) } }
            /^Done / { inputs = $2; seconds = $5 }
            END { printf "%s: %d inputs in %d s, %d edges, the last new one at input %d\n", name, inputs, seconds, edges, last }
        ' "$here/out"
    else
        failed=$((failed + 1))
        echo "FAILED $name"
        grep -v '^#' "$here/out" | grep -v '^INFO' | head -40 | sed 's/^/    /'
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

#!/bin/sh
# check.sh - what `make check` runs: units and system tests under the address and undefined behaviour sanitizers, the
# units under valgrind, and kill -9 under load at length. Any report in the tools' own files fails, whatever the exit
# codes say; faults planted on purpose show that it does.
#   PARTS="planted sanitize valgrind kill"   only these
#   CHECK_MESSAGES=20000                     for kill -9
#   CHECK_ONLY="units dialog relay ..."      parts of tests/run.sh under the sanitizers
set -u
cd "$(dirname "$0")/.."
unset BUILD
here=$(mktemp -d /var/tmp/gatepost-check-XXXXXX)
chmod 755 "$here"
trap 'rm -rf "$here"' EXIT
parts=${PARTS:-planted sanitize valgrind kill}
failed=0

wanted() { case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac }
fail() {
    failed=$((failed + 1))
    echo "FAILED $*"
}

# A fresh directory for reports, writable by every user of the tests.
reports() {
    REPORTS=$here/reports
    rm -rf "$REPORTS"
    mkdir "$REPORTS"
    chmod 1777 "$REPORTS"
    ASAN_OPTIONS=log_path=$REPORTS/asan:detect_leaks=1:detect_stack_use_after_return=1
    UBSAN_OPTIONS=log_path=$REPORTS/ubsan:print_stacktrace=1
    LSAN_OPTIONS=suppressions=$here/leaks:print_suppressions=0
    export REPORTS ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS
}

# False, and prints, when there is a report.
no_reports() {
    clean=0
    for file in "$REPORTS"/*; do
        [ -s "$file" ] || continue
        clean=1
        echo "  report ${file##*/}:"
        head -${REPORT_LINES:-30} "$file" | sed 's/^/    /'
    done
    return $clean
}

# Units under valgrind: Criterion runs each test in a process of its own, which is traced too.
grind() {
    rm -rf "$here/valgrind"
    mkdir "$here/valgrind"
    ground=0
    for unit; do
        timeout 1800 valgrind --quiet --trace-children=yes --leak-check=full --show-leak-kinds=definite \
            --errors-for-leak-kinds=definite --log-file="$here/valgrind/${unit##*/}.%p" \
            "$unit" --jobs 1 --timeout 600 >"$here/out" 2>&1
        code=$?
        [ "$code" -eq 0 ] || { tail -15 "$here/out" | sed "s/^/    ${unit##*/}: /"; ground=1; }
    done
    # With --quiet a log holds something only when there is something to report.
    grep -lE 'Invalid (read|write|free)|uninitialised|definitely lost|points to|overlap|Mismatched' "$here/valgrind"/* \
        >"$here/bad" 2>/dev/null
    if [ -s "$here/bad" ]; then
        while read -r file; do
            echo "  valgrind ${file##*/}:"
            head -${REPORT_LINES:-30} "$file" | sed 's/^/    /'
        done <"$here/bad"
        return 1
    fi
    return $ground
}

: >"$here/leaks"
cc=${CC:-cc}

if wanted planted; then
    for plant in 0 1 2; do
        sane="$here/sane$plant" plain="$here/plain$plant"
        $cc -std=c17 -O1 -g -DPLANT=$plant -fsanitize=address,undefined -o "$sane" tests/check_planted.c -lcriterion &&
            $cc -std=c17 -O1 -g -DPLANT=$plant -o "$plain" tests/check_planted.c -lcriterion || { fail "planted: does not compile"; continue; }
        reports
        "$sane" >/dev/null 2>&1
        no_reports >/dev/null
        by_sanitizer=$?
        grind "$plain" >/dev/null
        by_valgrind=$?
        case $plant:$by_sanitizer:$by_valgrind in
        0:0:0 | 1:1:1 | 2:1:1) ;;
        *) fail "planted fault $plant: sanitizer says $by_sanitizer, valgrind says $by_valgrind (0 clean, 1 report)" ;;
        esac
    done
    echo "planted: a leak and a write out of bounds are seen by both tools, their absence too"
fi

if wanted sanitize; then
    if make --no-print-directory -s -j2 SANITIZE=1 all units; then
        reports
        BUILD=build/sanitize MESSAGES=${SANITIZED_MESSAGES:-500} ONLY=${CHECK_ONLY:-} sh tests/run.sh || fail "tests under the sanitizers"
        no_reports || fail "reports of the sanitizers"
    else
        fail "the build with sanitizers"
    fi
fi

if wanted valgrind; then
    if make --no-print-directory -s -j2 all units; then
        unset ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS
        set --
        for unit in build/tests/unit/test_*; do
            # Filters can neither be made nor installed under valgrind.
            case $unit in *.o | *.d | *test_confine | *test_family) continue ;; esac
            set -- "$@" "$unit"
        done
        if grind "$@"; then echo "valgrind: $# unit programs clean"; else fail "units under valgrind"; fi
    else
        fail "the build"
    fi
fi

if wanted kill; then
    make --no-print-directory -s -j2 all || fail "the build"
    timeout 7200 python3 tests/crash/kill.py "${CHECK_MESSAGES:-20000}" || fail "kill -9 under load"
fi

if [ "$failed" -eq 0 ]; then echo "check: clean"; else echo "check: $failed failed"; fi
[ "$failed" -eq 0 ]

#!/bin/sh
# run.sh - our side of a small measurement: prints numbers, asserts nothing.
#   MESSAGES=5000 THREADS=20 ROUNDS=3
set -eu
cd "$(dirname "$0")/../.."
exec python3 tests/bench/measure.py "${MESSAGES:-5000}" "${THREADS:-20}" "${ROUNDS:-3}"

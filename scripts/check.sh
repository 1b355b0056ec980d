#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every check on a build directory, the last line being the sum: N passed, N failed, N skipped.
# usage: scripts/check.sh BUILD
set -u
build=$(cd "$1" && pwd) || exit 2
cd "$(dirname "$0")/.." || exit 2
results=$build/results
rm -rf "$results"
mkdir -p "$results"

# The quarantine of freed memory is kept small: what a page fault costs on a virtual machine makes it half of the time otherwise.
export ASAN_OPTIONS="detect_leaks=1:strict_string_checks=1:exitcode=99:quarantine_size_mb=2:thread_local_quarantine_size_kb=64"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:exitcode=99"
export LSAN_OPTIONS="suppressions=$PWD/scripts/lsan.supp:print_suppressions=0"
export OUTPOST="$build/src/cli/outpost"

# The stores of the tests are made in memory where there is room: what a test shows does not depend on the disk, but its time does.
room=$(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1)
if [ "${room:-0}" -gt 4000000 ] && TMPDIR=$(mktemp -d /dev/shm/outpost-check-XXXXXX); then
	chmod 755 "$TMPDIR"
	export TMPDIR
	trap 'rm -rf "$TMPDIR"' EXIT
else
	unset TMPDIR
fi

for script in check-headers.sh check-words.sh check-docs.py; do
	check=${script%.*}
	if scripts/$script "$OUTPOST" >"$results/$check.out" 2>&1; then
		echo pass >"$results/$check.sh-result"
	else
		cat "$results/$check.out"
		echo fail >"$results/$check.sh-result"
	fi
done

# The exit codes are not trusted alone: check-results.py reads what was run, and misses what was not.
meson test -C "$build" --no-rebuild --print-errorlogs -t 10 </dev/null
workers=$(($(nproc) + 1)) # tests wait, too
/usr/bin/python3 -m pytest -q -n "$workers" --junitxml="$results/pytest.xml" --durations=10 tests/system tests/seed ${PYTEST_OPTIONS:-} </dev/null

/usr/bin/python3 scripts/check-results.py "$build"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target of a build directory for some seconds. usage: scripts/fuzz.sh BUILD SECONDS
set -eu
# Undefined behaviour ends a target like any other crash; seeds that show it are kept in fuzz/seeds.
export ASAN_OPTIONS="detect_leaks=1:strict_string_checks=1:allocator_may_return_null=1"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1"
found=0
for target in "$1"/fuzz/fuzz-*; do
	[ -f "$target" ] && [ -x "$target" ] || continue
	found=1
	seeds=fuzz/seeds/$(basename "$target")
	work="$1"/corpus/$(basename "$target")
	mkdir -p "$work"
	[ -d "$seeds" ] || seeds=
	echo "$(basename "$target"): $2 seconds"
	"$target" -max_total_time="$2" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$1/" "$work" $seeds
done
if [ $found = 0 ]; then
	echo "fuzz.sh: no fuzz target in $1/fuzz" >&2
	exit 1
fi

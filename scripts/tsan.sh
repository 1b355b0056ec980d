#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs what has threads under ThreadSanitizer: the writer of a synchronisation, watch, search index, server.
# usage: scripts/tsan.sh BUILD
set -eu
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

cc -shared -fPIC -o "$build/tsan-glib.so" tests/lib/tsan-glib.c $(pkg-config --cflags --libs glib-2.0) -ldl
preload="$(cc -print-file-name=libtsan.so) $build/tsan-glib.so"
# GLib hands freed slices from thread to thread without a lock that the sanitizer sees.
export G_SLICE=always-malloc
export TSAN_OPTIONS="exitcode=99:halt_on_error=1:suppressions=$PWD/scripts/tsan.supp"

for test in sync/test-moved sync/test-pushes sync/test-guard sync/test-watch search/test-search; do
	echo "tsan: $test"
	if ! LD_PRELOAD=$preload "$build/tests/unit/$test" >"$build/tsan.log" 2>&1; then
		tail -n 60 "$build/tsan.log"
		echo "tsan: $test failed" >&2
		exit 1
	fi
done

mkdir -p "$build/tsan/cli" "$build/tsan/outpostd"
for program in cli/outpost outpostd/outpostd outpostd/outpostctl; do
	cat >"$build/tsan/$program" <<END
#!/bin/sh
LD_PRELOAD="$preload" G_SLICE=always-malloc TSAN_OPTIONS="$TSAN_OPTIONS" exec "$build/src/$program" "\$@"
END
	chmod 755 "$build/tsan/$program"
done
OUTPOST=$build/tsan/cli/outpost /usr/bin/python3 -m pytest -q tests/system/test_tunnel.py tests/system/test_serve.py tests/system/test_cli.py \
	-k "deflated or one_of_its or watch or idle or sessions or hold_nobody or interrupt"
OUTPOST=$build/tsan/cli/outpost /usr/bin/python3 -m pytest -q tests/system/test_control.py tests/system/test_limits.py tests/system/test_purge.py

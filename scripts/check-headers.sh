#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every header must compile alone, in C as the program is built. Prints one line a header that does not.
set -eu
cd "$(dirname "$0")/.."

flags=$(pkg-config --cflags glib-2.0 gnutls sqlite3 libzstd jansson libgsasl)
includes=
for folder in $(find src -type d | sort); do
	includes="$includes -I$folder"
done
failed=0
for header in $(find src -name '*.h' | sort); do
	if ! echo "#include \"$(basename "$header")\"" | gcc -std=gnu17 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Werror \
		-Wno-unused-parameter -I"$(dirname "$header")" $includes $flags -x c - 2>/dev/null; then
		echo "header does not compile alone: $header"
		failed=1
	fi
done
exit $failed

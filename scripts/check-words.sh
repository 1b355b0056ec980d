#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What must not be in the sources: includes that climb, functions that cannot be used safely, promises in place of code.
set -eu
cd "$(dirname "$0")/.."
failed=0

refuse () {
	# grep exits with 1 when it finds nothing, which is the good case here.
	if grep -rnE --include='*.[ch]' "$2" src tests/unit fuzz; then
		echo "not allowed: $1"
		failed=1
	fi
}
refuse "an include that climbs out of its folder" '^#[[:space:]]*include[[:space:]]*"[^"]*\.\./'
refuse "an unbounded or stateful C function" '(^|[^A-Za-z0-9_])(strcpy|strcat|sprintf|vsprintf|gets|strtok|tmpnam|mktemp)[[:space:]]*\('
refuse "a note instead of code" '(^|[^A-Za-z])(TO''DO|FIX''ME|XX''X|HA''CK)([^A-Za-z]|$)'
exit $failed

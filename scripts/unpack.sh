#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Debian's cyrus-imapd conflicts with dovecot-imapd, and the tests need both; its postfix with the mail transfer agent of the machine. So they are unpacked
# into a cache directory, from where tests/lib runs them on high ports. Prints the directory; exit 77 when the packages cannot be had.
# usage: scripts/unpack.sh NAME PROGRAM PACKAGE...    PROGRAM: a path below / that must be there then
set -eu

name=$1
program=$2
shift 2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/outpost/$name
if [ -f "$cache/complete" ]; then
	echo "$cache"
	exit 0
fi
mkdir -p "$cache/debs" "$cache/root"
exec 9>"$cache/lock" # several test processes may ask at once
flock 9
if [ -f "$cache/complete" ]; then
	echo "$cache"
	exit 0
fi
cd "$cache/debs"

libraries=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
	--no-enhances "$@" 2>/dev/null | grep '^lib' | sort -u)
wanted="$*"
for package in $libraries; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	# Perl modules and debconf's helpers are for the administration tools, which the tests do not use.
	case $package in *-perl) continue ;; esac
	[ "$status" = installed ] || wanted="$wanted $package"
done
if ! apt-get download -q $wanted >"$cache/download.log" 2>&1; then
	echo "unpack.sh: apt-get download failed, see $cache/download.log; is there a network, and has apt-get update been run?" >&2
	exit 77
fi
for package in *.deb; do
	dpkg -x "$package" "$cache/root"
done
if ! [ -x "$cache/root/$program" ]; then
	echo "unpack.sh: the packages hold no $program" >&2
	exit 77
fi
: >"$cache/complete"
echo "$cache"

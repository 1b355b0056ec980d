#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Debian's cyrus-imapd conflicts with dovecot-imapd, and the tests need both. So Cyrus is unpacked into a cache directory, from where
# tests/lib/cyrus.py runs it on a high port. Prints the directory; exit 77 when the packages cannot be had.
set -eu

cache=${XDG_CACHE_HOME:-$HOME/.cache}/outpost/cyrus
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
	--no-enhances cyrus-imapd cyrus-common 2>/dev/null | grep '^lib' | sort -u)
wanted="cyrus-imapd cyrus-common"
for package in $libraries; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	# Perl modules and debconf's helpers are for the administration tools, which the tests do not use.
	case $package in *-perl) continue ;; esac
	[ "$status" = installed ] || wanted="$wanted $package"
done
if ! apt-get download -q $wanted >"$cache/download.log" 2>&1; then
	echo "cyrus.sh: apt-get download failed, see $cache/download.log; is there a network, and has apt-get update been run?" >&2
	exit 77
fi
for package in *.deb; do
	dpkg -x "$package" "$cache/root"
done
if ! [ -x "$cache/root/usr/lib/cyrus/bin/imapd" ] || ! [ -x "$cache/root/usr/sbin/cyrmaster" ]; then
	echo "cyrus.sh: the packages hold no imapd" >&2
	exit 77
fi
: >"$cache/complete"
echo "$cache"

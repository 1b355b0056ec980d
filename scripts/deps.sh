#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that building, testing and the demo need. Does nothing, and needs no root, when all are there.
# usage: scripts/deps.sh [build|all|tidy]
set -eu

build="gcc libc6-dev make pkg-config meson ninja-build libglib2.0-dev libgnutls28-dev libgsasl-dev
libsqlite3-dev libzstd-dev zlib1g-dev libjansson-dev libsecret-1-dev libcurl4-gnutls-dev libseccomp-dev libcmocka-dev"
tests="python3 python3-pytest python3-pytest-xdist dovecot-imapd isync libsasl2-modules mutt clang clang-format libclang-rt-14-dev zstd tar gnutls-bin zsh
dbus systemd gnome-keyring swaks libnet-ssleay-perl curl python3-cryptography spin offlineimap3 nodejs"
command -v npm >/dev/null 2>&1 || tests="$tests npm" # other packages of nodejs than Debian's bring it along, and conflict with Debian's npm

case ${1:-all} in
build) wanted=$build ;;
all) wanted="$build $tests" ;;
tidy) wanted="$build clang-tidy" ;;
*) echo "usage: scripts/deps.sh [build|all|tidy]" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "deps.sh: this is no Debian system; install the equivalents of:" $wanted >&2
	exit 1
fi

missing=
for package in $wanted; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$status" = installed ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
	echo "deps: all packages are installed"
	exit 0
fi
echo "deps: installing$missing"

as_root=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "deps.sh: neither root nor sudo; as root, run: apt-get install -y --no-install-recommends$missing" >&2
		exit 1
	fi
	as_root=sudo
fi
install_missing () {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
		-o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 $missing </dev/null
}
# A package list that is there but old makes downloads fail, so the list is refreshed first; offline, the cache may still do.
$as_root apt-get update -q -o DPkg::Lock::Timeout=120 </dev/null ||
	echo "deps: apt-get update failed, trying with the lists at hand" >&2
if ! install_missing; then
	echo "deps.sh: apt-get could not install:$missing" >&2
	echo "deps.sh: look at its message above; a network or a mirror in /etc/apt/sources.list is the usual cause" >&2
	exit 1
fi

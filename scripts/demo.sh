#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Shows the program on a mailbox of generated mail, served by a private Dovecot in a temporary directory.
# usage: scripts/demo.sh [MESSAGES]
set -eu
cd "$(dirname "$0")/.."
messages=${1:-3000}

[ -f build/build.ninja ] || meson setup build --buildtype=debugoptimized >/dev/null
ninja -C build >/dev/null
outpost=$PWD/build/src/cli/outpost

directory=$(mktemp -d)
lab=
watch=
finish () {
	[ -z "$watch" ] || kill "$watch" 2>/dev/null || true
	[ -z "$lab" ] || kill "$lab" 2>/dev/null || true
	[ -z "$lab" ] || wait "$lab" 2>/dev/null || true
	rm -rf "$directory"
}
trap finish EXIT
trap 'exit 130' INT TERM

say () {
	printf '\n== %s\n' "$1"
}
run () {
	printf '$ outpost'
	printf ' %s' "$@"
	printf '\n'
	"$outpost" "$@"
}

export XDG_CONFIG_HOME="$directory/config" XDG_DATA_HOME="$directory/data" XDG_STATE_HOME="$directory/state"
say "A mail server with $messages generated messages starts on loopback"
/usr/bin/python3 scripts/demo-lab.py serve "$directory" "$messages" &
lab=$!
tries=0
while [ ! -s "$directory/port" ]; do
	tries=$((tries + 1))
	if [ $tries -gt 600 ] || ! kill -0 "$lab" 2>/dev/null; then
		echo "demo: the mail server did not start" >&2
		exit 1
	fi
	sleep 0.1
done
port=$(cat "$directory/port")
ask () {
	/usr/bin/python3 scripts/demo-lab.py "$1" "$port"
}

say "Log on, and copy the whole mailbox here"
run logon alice@mail.example.org --server "imap://127.0.0.1:$port" --user alice --password-command "printf wonderland"
run folders

say "What was done, and where things stand"
run log -n 5
run status

say "A search needs no server"
run search 'subject:budget' | head -n 8

say "A change made without the server ..."
message=$("$outpost" list INBOX --json | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')
ask flagged
run flag "$message" '\Flagged' demo
say "... is pushed by the next sync; the server itself is asked"
run sync
ask flagged

say "Mail that arrives while watching is here at once"
"$outpost" sync --watch >"$directory/watch.log" 2>&1 &
watch=$!
before=$("$outpost" list INBOX --json | /usr/bin/python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')
sleep 2
ask deliver
tries=0
while [ "$("$outpost" list INBOX --json | /usr/bin/python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" = "$before" ]; do
	tries=$((tries + 1))
	if [ $tries -gt 100 ]; then
		echo "demo: the message did not arrive" >&2
		cat "$directory/watch.log" >&2
		exit 1
	fi
	sleep 0.1
done
echo "INBOX had $before messages and has one more now"
run status
kill "$watch" && wait "$watch" 2>/dev/null || true
watch=

say "With an account of one's own"
cat <<END
  $outpost logon you@example.org
  $outpost sync --watch
  $outpost search 'from:ada invoice'
END

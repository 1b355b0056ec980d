#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Shows the programs on a mailbox of generated mail, which a server in a temporary directory serves: outpostd, or Dovecot.
# usage: scripts/demo.sh [--dovecot] [MESSAGES]
set -eu
cd "$(dirname "$0")/.."
server=outpostd
if [ "${1:-}" = --dovecot ]; then
	server=dovecot
	shift
fi
messages=${1:-3000}

[ -f build/build.ninja ] || meson setup build --buildtype=debugoptimized >/dev/null
ninja -C build >/dev/null
outpost=$PWD/build/src/cli/outpost
programs=$PWD/build/src/outpostd

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
show () {
	printf '$'
	printf ' %s' "$@"
	printf '\n'
}
run () {
	show outpost "$@"
	"$outpost" "$@"
}
fail () {
	echo "demo: $1" >&2
	shift
	cat "$@" >&2
	exit 1
}
ask () {
	/usr/bin/python3 scripts/demo-lab.py "$@"
}
# Calls a command ten times a second until it succeeds, for half a minute at most.
await () {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || return 1
		sleep 0.1
	done
}
newest () {
	"$outpost" list INBOX --json | /usr/bin/python3 -c 'import json, sys; m = json.load(sys.stdin); print(len(m), *(m[0][k] for k in sys.argv[1:]))' "$@"
}

export XDG_CONFIG_HOME="$directory/config" XDG_DATA_HOME="$directory/data" XDG_STATE_HOME="$directory/state"

serve_outpostd () {
	home=$directory/mail
	say "A mailbox server of one's own, and a mailbox"
	show outpostd init --dir "$home" --domain example.org
	"$programs/outpostd" init --dir "$home" --domain example.org --name localhost
	set -- $(ask ports "$home")
	port=$1
	account="--server imaps://localhost:$2 --tls-ca $home/tls/certificate.pem"
	address=alice@example.org
	door=$home/lmtp.sock
	show outpostctl --dir "$home" mailbox create $address --password-command "printf wonderland"
	"$programs/outpostctl" --dir "$home" mailbox create $address --password-command "printf wonderland"
	show outpostd --dir "$home" '&'
	"$programs/outpostd" --dir "$home" 2>"$directory/server.log" &
	lab=$!
	await test -S "$home/control.sock" || fail "the mail server did not start" "$directory/server.log"
	say "Mail comes: $messages generated messages in several languages, with attachments"
	ask fill "$door" "$port" "$messages"
	show outpostctl --dir "$home" status
	"$programs/outpostctl" --dir "$home" status
}

serve_dovecot () {
	say "Dovecot with $messages generated messages starts on loopback"
	ask dovecot "$directory" "$messages" &
	lab=$!
	await test -s "$directory/port" || fail "the mail server did not start"
	port=$(cat "$directory/port")
	account="--server imap://127.0.0.1:$port --user alice"
	address=alice@mail.example.org
	door=$port
}

serve_$server

say "Log on, and copy the whole mailbox here"
run logon $address $account --password-command "printf wonderland"
run folders

say "What was done, and where things stand"
run log -n 5
run status

say "A search needs no server"
run search 'subject:budget' | head -n 8

say "A change made without the server ..."
message=$(newest id | cut -d ' ' -f 2)
ask flagged "$port"
run flag "$message" '\Flagged' demo
say "... is pushed by the next sync; the server itself is asked"
run sync
ask flagged "$port"

say "Mail that arrives while watching is here at once"
"$outpost" sync --watch >"$directory/watch.log" 2>&1 &
watch=$!
before=$(newest)
sleep 2
ask deliver "$door"
has_more () {
	[ "$(newest)" != "$before" ]
}
await has_more || fail "the message did not arrive" "$directory/watch.log"
echo "INBOX had $before messages and has one more now"

say "So is what another mail program does at the server"
ask mutt "$port" "$directory"
is_flagged () {
	newest subject flags | grep -q 'Just arrived.*Flagged'
}
await is_flagged || fail "the flag did not arrive" "$directory/watch.log"
run list INBOX -n 1
run status
kill "$watch" && wait "$watch" 2>/dev/null || true
watch=
if [ $server = outpostd ]; then
	say "The server's side of it"
	tail -n 4 "$directory/server.log"
fi

say "With an account of one's own"
cat <<END
  $outpost logon you@example.org
  $outpost sync --watch
  $outpost search 'from:ada invoice'

And a server of one's own: README.md, "A mail server in five minutes"
END

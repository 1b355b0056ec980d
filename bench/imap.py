#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What mail programs wait for, outpostd beside Dovecot (sdbox), both with fsync, on the same disk, one after the other in one run.

The load comes from bench/imapload.c, a thread for each session; the last column says what part of the machine's processors it took itself during the run
against outpostd. Figures are medians; "first" is the first one after a restart of the server, when nobody has looked at the folder yet. Before
outpostd is measured, its search index is up."""
import argparse
import contextlib
import glob
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "lib"))

from dovecot import Dovecot  # noqa: E402
from genmail import Generator  # noqa: E402
from outpostd import BUILD, Server  # noqa: E402

LOAD = os.path.join(os.path.dirname(BUILD), "bench", "imapload")
USERS = [f"user{i}@example.org" for i in range(5)]
BIG = "big@example.org"
BATCH = 100  # messages of a MULTIAPPEND
MIXED = [  # what a session of a mail program says
    "NOOP", "UID FETCH # (FLAGS)", "FETCH # (BODY.PEEK[])", "FETCH # (ENVELOPE BODYSTRUCTURE INTERNALDATE)", "STATUS Drafts (MESSAGES UNSEEN UIDNEXT)",
    "FETCH # (BODY.PEEK[HEADER])", "STORE # +FLAGS (\\Seen)", "FETCH 1:50 (UID FLAGS)", "UID SEARCH UNSEEN", "FETCH # (BODY.PEEK[1])",
    "STORE # -FLAGS (\\Seen)", "LIST \"\" *", "FETCH # (UID RFC822.SIZE)", "APPEND Drafts (\\Draft) ^", "COPY # Archive", "FETCH # (BODY.PEEK[])",
    "SELECT INBOX", "FETCH # (ENVELOPE)", "CHECK", "UID SEARCH FROM ada"]
# what, command, the target in ms, how it is ended
ASKED = [("SEARCH BODY, a word of many", "SEARCH BODY budget", 100), ("SEARCH TEXT, a word of many", "SEARCH TEXT meeting", 100),
         ("SEARCH TEXT, a word of none", "SEARCH TEXT nosuchword", 100), ("SORT (REVERSE DATE)", "SORT (REVERSE DATE) UTF-8 ALL", 200),
         ("SORT (SUBJECT)", "SORT (SUBJECT) UTF-8 ALL", 200), ("SORT (FROM)", "SORT (FROM) UTF-8 ALL", 200),
         ("THREAD REFERENCES", "THREAD REFERENCES UTF-8 ALL", 200), ("THREAD ORDEREDSUBJECT", "THREAD ORDEREDSUBJECT UTF-8 ALL", 200)]


def write_pack(path, count):
    """The messages as imapload reads them; the octets of one on average."""
    generator, size = Generator(7), 0
    with open(path, "wb") as pack:
        for _ in range(count):
            octets = generator.message()[0]
            pack.write(b"%d\n" % len(octets) + octets)
            size += len(octets)
    return size // count


class Peer:
    """A server under load; @restart makes it forget what is in memory."""

    def __init__(self, port, restart, pack, options):
        self.port, self.restart, self.pack, self.options = port, restart, pack, options

    def load(self, *words, user=BIG):
        with_messages = ["-m", self.pack] if any("^" in str(word) for word in words) else []
        done = subprocess.run([LOAD, "-u", user, "-p", "wonderland", *with_messages, *map(str, words), str(self.port)], stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit("the load was refused: see above")
        return json.loads(done.stdout)

    def fill(self, user, count):
        append = "APPEND INBOX " + " ".join(["(\\Seen) ^", "(\\Seen) ^", "(\\Seen \\Answered) ^", "^", "(\\Seen) ^"] * (BATCH // 5))
        self.load("-n", count // BATCH, "-l", append, user=user)

    def measure(self):
        """{what: (number, the generator's share of the processors)}"""
        o, rows = self.options, {}

        def keep(what, number, run=None):
            rows[what] = (number, run and run["cpu"] / run["seconds"] / os.cpu_count())
            print(".", end="", flush=True, file=sys.stderr)

        def rate(what, run, per=1):
            keep(what, run["commands"] * per / run["seconds"], run)
        self.restart()
        for what, n in (("SELECT, first, ms", 1), ("SELECT, ms", 20)):
            keep(what, statistics.median(self.load("-R", "-n", n, "-l", "SELECT INBOX")["ms"]))
        self.restart()
        for what, items in (("FETCH of everything, MB/s", "UID FLAGS INTERNALDATE BODY.PEEK[]"), ("FETCH 1:* (FLAGS), MB/s", "FLAGS"),
                            ("FETCH 1:* (ENVELOPE), MB/s", "ENVELOPE")):
            run = self.load("-b", "SELECT INBOX", "-l", f"FETCH 1:* ({items})")
            keep(what, run["octets"] / run["seconds"] / 1e6, run)
        for what, command, _ in ASKED:
            ms = self.load("-b", "SELECT INBOX", "-n", o.repeat + 1, "-l", command)["ms"]
            keep(what + ", first, ms", ms[0])
            keep(what + ", ms", statistics.median(ms[1:]))
        several = ("-U", len(USERS))
        run = self.load("-R", "-c", 8, "-t", o.seconds, *several, "-l", "SELECT INBOX", user="user%@example.org")
        keep("log-on, SELECT, LOGOUT, 1/s", run["commands"] / 3 / run["seconds"], run)
        rate("mixed, 20 sessions, commands/s", self.load("-c", 20, "-t", o.seconds, "-r", o.folder // 2, *several, "-b", "SELECT INBOX",
                                                        *[word for command in MIXED for word in ("-l", command)], user="user%@example.org"))
        for what, sessions, users in (("APPEND, 1 session, 1/s", 1, 1), ("APPEND, 8 sessions, 1/s", 8, len(USERS)), ("APPEND, 8 sessions, one mailbox, 1/s", 8, 1)):
            rate(what, self.load("-c", sessions, "-t", o.seconds, "-U", users, "-l", "APPEND Drafts ^", user="user%@example.org"))
        rate(f"MULTIAPPEND of {BATCH}, messages/s", self.load("-t", o.seconds, "-l", "APPEND Drafts " + " ".join(["^"] * BATCH), user=USERS[0]), BATCH)
        return rows


def wait_for_index(folder):
    for path in glob.glob(os.path.join(folder, "mail", "*")):
        if path.endswith(("-wal", "-shm", ".lock")):
            continue
        with contextlib.closing(sqlite3.connect(path)) as store:
            while store.execute("SELECT EXISTS (SELECT 1 FROM message WHERE id > (SELECT indexed_message FROM meta))").fetchone()[0]:
                time.sleep(0.2)


def of_outpostd(folder, pack, options):
    server = Server(folder)
    for user in (*USERS, BIG):
        server.create(user, "wonderland")
    with server:
        peer = Peer(server.imap, server.restart, pack, options)
        for user in USERS:
            peer.fill(user, options.folder)
        peer.fill(BIG, options.messages)
        wait_for_index(folder)
        return peer.measure()


def of_dovecot(folder, pack, options):
    os.makedirs(folder)
    how = "mail_location = sdbox:~/store\nmail_max_userip_connections = 1000\nmail_fsync = "
    folders = "namespace inbox {\n" + "".join(f"mailbox {name} {{\n  auto = create\n}}\n" for name in ("Drafts", "Archive")) + "}\n"
    server = Dovecot(folder, extra=how + "never\n" + folders, users=(*USERS, BIG))
    server.start()

    def restart():
        server.stop()
        server.start()
    try:
        peer = Peer(server.port, restart, pack, options)
        for user in USERS:
            peer.fill(user, options.folder)
        peer.fill(BIG, options.messages)
        server.extra = how + "always\n" + folders
        return peer.measure()
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-n", "--messages", type=int, default=100000, help="in the big folder")
    parser.add_argument("--folder", type=int, default=2000, help="messages in the folders of the mixed load")
    parser.add_argument("--seconds", type=float, default=10, help="of each load that has no end of its own")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--no-dovecot", action="store_true")
    parser.add_argument("--directory", help="where the mail is written: a disk, not memory (default: the current one)")
    options = parser.parse_args()
    top = os.path.abspath(tempfile.mkdtemp(prefix="imap-bench-", dir=options.directory or "."))
    os.chmod(top, 0o755)
    try:
        pack = os.path.join(top, "messages")
        size = write_pack(pack, options.messages)
        ours = of_outpostd(os.path.join(top, "o"), pack, options)
        theirs = {} if options.no_dovecot else of_dovecot(os.path.join(top, "d"), pack, options)
    finally:
        shutil.rmtree(top)
    print(f"\n{options.messages} messages in the big folder, {size} octets on average; {len(USERS)} mailboxes of {options.folder}\n")
    print("| | outpostd | Dovecot sdbox | better by | load's CPU |\n|---|---:|---:|---:|---:|")
    for what, (number, share) in ours.items():
        other = theirs.get(what, (0,))[0]
        better = (other / number if what.endswith(" ms") else number / other) if number and other else 0
        print(f"| {what} | {number:.1f} | {other:.1f} | {better:.2f} | {f'{share:.0%}' if share else ''} |")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Sessions racing on one folder. Each keeps a model of what it was told, and every answer is held against it: numbers map, UIDs ascend, modseqs
rise, nothing is expunged where that may not be told. In the end all see the same, and so does the store."""
import hashlib
import random
import re
import threading

import pytest
from genmail import Generator
from imapclient import ImapClient, ImapError
from outpost import flag_set, listed_flags
from serving import Serving

SILENT = ("FETCH", "STORE", "SEARCH", "COPY")


class Racer(threading.Thread):
    def __init__(self, port, password, seed, steps, qresync):
        super().__init__()
        self.client = ImapClient(port, password=password)
        self.random, self.steps, self.qresync = random.Random(seed), steps, qresync
        self.uids = []  # by number; None: not told yet
        self.flags, self.modseqs = {}, {}
        self.failure = None
        if qresync:
            self.client.command("ENABLE QRESYNC")
        self.ask("SELECT INBOX")

    def ask(self, command):
        word = command.split()[1 if command.startswith("UID ") else 0]
        silent = word in SILENT and not command.startswith("UID ")
        try:
            answers = self.client.command(command, lambda pieces: self.take(pieces, silent))
            return answers[-1][0].decode()
        except ImapError as error:
            if "EXPUNGEISSUED" in str(error):
                return "gone"
            raise

    def take(self, pieces, silent):
        line = b" ".join(pieces[::2]).decode(errors="replace")
        match = re.match(r"\* (\d+) (EXISTS|EXPUNGE|FETCH)(.*)", line)
        if line.startswith("* VANISHED "):
            assert self.qresync and not silent, line
            for uid in self.numbers(line.split()[-1]):
                if "EARLIER" not in line:
                    self.uids.pop(self.place(uid, line))
        elif match:
            getattr(self, "take_" + match.group(2).lower())(int(match.group(1)), match.group(3), silent)

    def place(self, uid, line):
        """Where @uid is; one that was never told lies between those that were."""
        if uid in self.uids:
            return self.uids.index(uid)
        fits = [i for i, u in enumerate(self.uids) if u is None and all(v < uid for v in self.uids[:i] if v) and
                all(v > uid for v in self.uids[i:] if v)]
        assert fits, f"{uid} vanished, but was never there: {line}"
        return fits[0]

    @staticmethod
    def numbers(text):
        for part in text.split(","):
            lo, _, hi = part.partition(":")
            yield from range(int(lo), int(hi or lo) + 1)

    def take_exists(self, n, rest, silent):
        assert n >= len(self.uids), f"EXISTS went from {len(self.uids)} to {n}"
        self.uids += [None] * (n - len(self.uids))

    def take_expunge(self, n, rest, silent):
        assert not silent and not self.qresync, "EXPUNGE where it must not be told"
        assert 1 <= n <= len(self.uids), f"EXPUNGE {n} of {len(self.uids)}"
        self.uids.pop(n - 1)

    def take_fetch(self, n, rest, silent):
        assert 1 <= n <= len(self.uids), f"FETCH {n} of {len(self.uids)}"
        uid = re.search(r"\bUID (\d+)", rest)
        if not uid:
            return
        uid = int(uid.group(1))
        assert self.uids[n - 1] in (None, uid), f"number {n} was {self.uids[n - 1]} and is {uid}"
        self.uids[n - 1] = uid
        known = [u for u in self.uids if u]
        assert known == sorted(set(known)), f"UIDs don't ascend: {known}"
        flags, modseq = re.search(r"FLAGS \(([^)]*)\)", rest), re.search(r"MODSEQ \((\d+)\)", rest)
        if flags:
            self.flags[uid] = frozenset(flags.group(1).split())
        if modseq:
            assert int(modseq.group(1)) >= self.modseqs.get(uid, 0), f"MODSEQ of {uid} fell"
            self.modseqs[uid] = int(modseq.group(1))

    def step(self):
        r, n = self.random, len(self.uids)
        pick = r.randint(1, max(n, 1))
        uid = r.choice([u for u in self.uids if u] or [1])
        how = r.choice(["append", "flag", "uidflag", "delete", "expunge", "fetch", "uidfetch", "search", "copy", "move", "noop", "body"])
        if how == "append":
            self.client.append_many("INBOX", Generator(r.random()).messages(1))  # its untagged answers are told again by none: look
            self.ask("NOOP")
        elif how == "flag" and n:
            self.ask(f"STORE {pick} +FLAGS (k{r.randint(1, 5)})")
        elif how == "uidflag":
            self.ask(f"UID STORE {uid} -FLAGS.SILENT (k{r.randint(1, 5)} \\Seen)")
        elif how == "delete" and n > 5:
            self.ask(f"STORE {pick} +FLAGS (\\Deleted)")
        elif how == "expunge" and r.random() < 0.5:
            self.ask("EXPUNGE")
        elif how == "fetch" and n:
            self.ask(f"FETCH {pick}:* (UID FLAGS)")
        elif how == "uidfetch":
            self.ask("UID FETCH 1:* (FLAGS)")
        elif how == "search":
            self.ask("SEARCH UNDELETED")
        elif how == "copy" and n and n < 60:
            self.ask(f"COPY {pick} INBOX")
        elif how == "move" and n > 10:
            self.ask(f"UID MOVE {uid} other")
        elif how == "body" and n:
            self.ask(f"FETCH {pick} (UID BODY[])")
        else:
            self.ask("NOOP")

    def run(self):
        try:
            for _ in range(self.steps):
                self.step()
        except Exception as error:  # told by the main thread
            self.failure = error


class Watching(Racer):
    """append_many reads its answers itself, so that what is told there would be lost: here it is looked at."""

    def __init__(self, *how):
        super().__init__(*how)
        plain = self.client.wait
        self.client.wait = lambda tag, each=None, text="": plain(tag, each or (lambda pieces: self.take(pieces, False)), text)


@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_sessions_race_and_agree(server, program, seed):
    with ImapClient(server.port) as client:
        client.append_many("INBOX", Generator(seed).messages(20))
        client.create("other")
    program.logon(server.url)
    program.sync()
    with Serving(program) as serving:
        racers = [Watching(serving.port, serving.password, seed * 100 + i, 30, i % 3 == 0) for i in range(20)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(300)
            assert not racer.is_alive(), "a session waits for ever"
            if racer.failure:
                raise racer.failure
        for racer in racers:
            racer.ask("NOOP")
            racer.ask("UID FETCH 1:* (FLAGS)")
        with ImapClient(serving.port, password=serving.password) as fresh:
            here = {m.uid: m.flags for m in fresh.read_folder("INBOX")}
        assert sorted(map(flag_set, here.values()), key=sorted) == sorted(map(listed_flags, program.list("INBOX")), key=sorted)
        for racer in racers:
            assert racer.uids == sorted(here)
            assert {uid: racer.flags[uid] for uid in here} == here
            racer.client.close()
    program.ok("store", "check", "--deep")
    if program.run("sync")[0] == 4:  # so many removals are asked about
        program.ok("resolve", "--all", "apply")
        program.sync()
    with ImapClient(server.port) as client:
        assert sorted(m.sha256 for m in client.read_folder("INBOX")) == sorted(m for m in digests(program))


def digests(program):
    return [hashlib.sha256(program.save(item["id"])).hexdigest() for item in program.list("INBOX")]

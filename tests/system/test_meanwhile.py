# SPDX-License-Identifier: Apache-2.0
"""Somebody works in the mailbox, quicker than its watcher can send what they do: in the end both sides have what they made of it."""
import json
import os
import random
import signal

import pytest
from dovecot import Dovecot
from imapclient import ImapClient
from outpost import Outpost, differences
from proxy import Proxy

FOLDERS = ("INBOX", "Work", "Archive")
EDITS = 45
UNGUARDED = ("--guard-all", "1000", "--guard-messages", "1000")  # folders are small, and much of them goes


def octets(name):
    return f"Subject: {name}\r\nMessage-ID: <{name}@example.org>\r\n\r\n{name}\r\n".encode()


class Person:
    """Moves, copies, deletes, restores, flags and adds, and keeps a model: the subjects in each folder."""

    def __init__(self, program, seed):
        self.program, self.random, self.added = program, random.Random(seed), 0
        self.holds = self.listed()

    def listed(self):
        return {folder: sorted(item["subject"] for item in self.program.list(folder)) for folder in FOLDERS}

    def expected(self):
        return {folder: sorted(subjects) for folder, subjects in self.holds.items()}

    def edit(self):
        folder = self.random.choice([folder for folder in FOLDERS if self.holds[folder]])
        other = self.random.choice([f for f in FOLDERS if f != folder])
        item = self.random.choice(self.program.list(folder))
        what = self.random.choice(["move"] * 8 + ["delete"] * 4 + ["flag"] * 4 + ["copy"] * 2 + ["add"] * 2 + ["restore"])
        getattr(self, what)(str(item["id"]), item["subject"], folder, other)

    def move(self, message, subject, folder, other):
        self.program.ok("move", message, other)
        self.holds[folder].remove(subject)
        self.holds[other].append(subject)

    def copy(self, message, subject, folder, other):
        self.program.ok("copy", message, other)
        self.holds[other].append(subject)

    def delete(self, message, subject, folder, other):
        self.program.ok("delete", message)
        self.holds[folder].remove(subject)

    def restore(self, message, subject, folder, other):
        self.program.ok("delete", message)
        removed = json.loads(self.program.ok("undelete", "--list", "--json"))
        self.program.ok("undelete", str(next(r["id"] for r in removed if r["subject"] == subject)))

    def flag(self, message, subject, folder, other):
        self.program.ok(*self.random.choice((("flag", message, "\\Flagged"), ("unflag", message, "\\Seen"), ("flag", message, "todo"))))

    def add(self, message, subject, folder, other):
        self.added += 1
        path = os.path.join(self.program.home, "new.eml")
        with open(path, "wb") as file:
            file.write(octets(f"new{self.added}"))
        self.program.ok("add", other, path)
        self.holds[other].append(f"new{self.added}")


@pytest.mark.parametrize("seed", range(int(os.environ.get("OUTPOST_STORM", "1"))))
@pytest.mark.parametrize("without", [(), ("MOVE",), ("UIDPLUS", "MOVE")])
def test_who_works_quicker_than_the_watcher_loses_and_doubles_nothing(without, seed):
    with Dovecot(without=without) as server, Proxy(server.port, delay=0.04) as slow, Outpost() as program:
        with ImapClient(server.port) as client:
            for folder in FOLDERS[1:]:
                client.create(folder)
            client.append_many("INBOX", [(octets(f"n{n}"), ("\\Seen",) if n % 2 else (), 1700000000 + n) for n in range(40)])
        program.logon(f"imap://127.0.0.1:{slow.port}", sync=True)
        person = Person(program, seed)
        watcher = program.start("sync", "--watch", *UNGUARDED)
        try:
            for _ in range(EDITS):
                person.edit()
            assert person.listed() == person.expected()
        finally:
            watcher.send_signal(signal.SIGTERM)
            watcher.communicate(timeout=60)
        for _ in range(3):
            program.sync(*UNGUARDED)
        assert person.listed() == person.expected()
        with ImapClient(server.port) as client:
            assert differences(program, client.dump()) == []
        program.ok("store", "check")

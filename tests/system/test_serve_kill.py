# SPDX-License-Identifier: Apache-2.0
"""What outpost serve has answered with OK is there after kill -9 at any moment, and what it has not is there whole or not at all."""
import imaplib
import random
import re
import threading

import pytest
from outpost import listed_flags
from serving import Serving

ROUNDS = 12


class Model:
    """number -> (folder, flags) of what was answered; what the open command would make of one of them: (number, state or None)."""

    def __init__(self):
        self.known, self.open, self.next, self.answered = {}, None, 0, 0

    def command(self, number, state, run):
        self.open = (number, state)
        run()
        self.take(number, state)
        self.answered += 1

    def take(self, number, state):
        self.open = None
        if state is None:
            self.known.pop(number, None)
        else:
            self.known[number] = state


def need_ok(answer):
    if answer[0] != "OK":
        raise AssertionError(answer)
    return answer[1]


def uid_of(client, folder, number):
    need_ok(client.select(folder))
    found = need_ok(client.uid("SEARCH", "HEADER", "Subject", f'"number {number} "'))[0].split()
    assert len(found) == 1, (folder, number, found)
    return found[0].decode()


def change(client, model, chance):
    what = chance.choice(("append", "append", "flag", "move", "remove")) if model.known else "append"
    if what == "append":
        number, model.next = model.next, model.next + 1
        octets = f"Subject: number {number} end\r\n\r\n".encode() + b"x" * chance.choice((10, 5000, 300000))
        model.command(number, ("INBOX", frozenset(["seen"])), lambda: need_ok(client.append("INBOX", "(\\Seen)", None, octets)))
        return
    number = chance.choice(sorted(model.known))
    folder, flags = model.known[number]
    uid = uid_of(client, folder, number)
    if what == "flag":
        model.command(number, (folder, flags | {"flagged"}), lambda: need_ok(client.uid("STORE", uid, "+FLAGS", "(\\Flagged)")))
    elif what == "move":
        to = "Archive" if folder == "INBOX" else "INBOX"
        model.command(number, (to, flags), lambda: need_ok(client.uid("MOVE", uid, to)))
    else:
        model.command(number, (folder, flags | {"deleted"}), lambda: need_ok(client.uid("STORE", uid, "+FLAGS", "(\\Deleted)")))
        model.command(number, None, lambda: need_ok(client.uid("EXPUNGE", uid)))


def state_of(program):
    found = {}
    for folder in ("INBOX", "Archive"):
        for item in program.list(folder):
            number = int(re.match(r"number (\d+) ", item["subject"]).group(1))
            assert number not in found, f"number {number} is there twice"
            found[number] = (folder, listed_flags(item))
    return found


def compare(program, model):
    found = state_of(program)
    if model.open:
        number, state = model.open
        before = model.known.get(number)
        assert found.get(number) in (before, state), (number, before, state, found.get(number))
        model.take(number, found.get(number))
    assert found == model.known


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_answered_survives_a_kill(seed, server, program):
    chance, model = random.Random(seed), Model()
    program.logon(server.url)
    program.sync()
    program.ok("folder", "create", "Archive")
    imaplib.Commands.setdefault("MOVE", ("SELECTED",))
    for _ in range(ROUNDS):
        serving = Serving(program)
        client = imaplib.IMAP4("127.0.0.1", serving.port)
        client.login(program.ADDRESS, serving.password)
        killer = threading.Timer(chance.uniform(0.05, 0.8), serving.process.kill)
        killer.start()
        with pytest.raises((imaplib.IMAP4.abort, OSError)):
            while True:
                change(client, model, chance)
        serving.process.wait(20)
        killer.join()
        client.shutdown()
        compare(program, model)
    assert model.answered > ROUNDS
    program.ok("store", "check", "--deep")
    program.sync()
    assert program.json("status")["pending"] == {"new": 0, "flags": 0, "removed": 0, "marked": 0, "folders": 0}

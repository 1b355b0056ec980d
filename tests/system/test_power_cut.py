# SPDX-License-Identifier: Apache-2.0
"""What outpostd has answered is there after the power failed at any moment: APPEND, STORE, MOVE and EXPUNGE, deliveries, mail that is taken to be sent. The
record of a run (power.c) is cut after each step, and what was not made durable is lost: all, nothing or some sectors of it. OUTPOST_POWER=all looks at
each step, else at one in so many."""
import collections
import copy
import os
import random
import re
import shutil
import sqlite3
import smtplib
import ssl
import subprocess
import threading

import power
from dovecot import free_port, wait_for_port
from outpostd import BUILD

FLAGS = {"\\Seen": 1, "\\Flagged": 4, "\\Deleted": 8}
SESSIONS, CHANGES, DELIVERIES, MOMENTS = 3, 40, 25, 150
State = collections.namedtuple("State", "folder uid flags")


class Session(threading.Thread):
    """One that changes its two folders; timeline: (tag, number of the message, what it is then)."""

    def __init__(self, made, n):
        super().__init__()
        self.client = made.log_on("alice", "wonderland")
        self.folders = [f"s{n}", f"s{n}x"]
        self.chance, self.timeline, self.known, self.error = random.Random(n), [], {}, None

    def command(self, number, state_of, run):
        entry = [f"{self.client.tagpre.decode()}{self.client.tagnum}", number, None]
        self.timeline.append(entry)
        answer = run()
        assert answer[0] == "OK", answer
        entry[2] = self.known[number] = state_of(answer)
        if entry[2] is None:
            del self.known[number]

    def change(self, n):
        what = self.chance.choice(("append", "append", "flag", "move", "remove")) if self.known else "append"
        c = self.client
        if what == "append":
            folder = self.chance.choice(self.folders)
            octets = f"Subject: {self.folders[0]} number {n}\r\n\r\n".encode() + b"x" * self.chance.choice((10, 5000, 100000))
            self.command(n, lambda a: State(folder, int(re.search(rb"APPENDUID \d+ (\d+)", a[1][0])[1]), 1), lambda: c.append(folder, "(\\Seen)", None, octets))
            return
        number = self.chance.choice(sorted(self.known))
        at = self.known[number]
        assert c.select(at.folder)[0] == "OK"
        if what == "flag":
            flag = self.chance.choice(sorted(FLAGS))
            self.command(number, lambda a: at._replace(flags=at.flags ^ FLAGS[flag]),
                         lambda: c.uid("STORE", str(at.uid), ("-" if at.flags & FLAGS[flag] else "+") + "FLAGS.SILENT", f"({flag})"))
        elif what == "move":
            to = self.folders[at.folder == self.folders[0]]
            self.command(number, lambda a: State(to, int(c.response("COPYUID")[1][-1].split()[-1]), at.flags), lambda: c.uid("MOVE", str(at.uid), to))
        else:
            self.command(number, lambda a: at._replace(flags=at.flags | 8), lambda: c.uid("STORE", str(at.uid), "+FLAGS.SILENT", "(\\Deleted)"))
            self.command(number, lambda a: None, lambda: c.uid("EXPUNGE", str(at.uid)))

    def run(self):
        try:
            for n in range(CHANGES):
                self.change(n)
        except Exception as error:  # for the thread that waits
            self.error = error


class Delivering(threading.Thread):
    def __init__(self, made, mailbox):
        super().__init__()
        self.lmtp, self.mailbox, self.error = made.lmtp(), mailbox, None

    def run(self):
        try:
            for n in range(DELIVERIES):
                self.lmtp.sendmail("a@elsewhere.example", [f"{self.mailbox}+d{n}@example.org"], f"Subject: d{n}\r\n\r\n" + "y" * 3000 + "\r\n")
        except Exception as error:
            self.error = error


class Sending(threading.Thread):
    def __init__(self, made, port):
        super().__init__()
        self.client, self.error = smtplib.SMTP("localhost", port, timeout=30), None
        self.client.starttls(context=ssl.create_default_context(cafile=made.folder + "/tls/certificate.pem"))
        self.client.login("alice", "wonderland")

    def run(self):
        try:
            for n in range(DELIVERIES):
                self.client.sendmail("alice@example.org", [f"you{n}@far.example"], f"From: alice@example.org\r\nSubject: out {n}\r\n\r\n.\r\n")
        except Exception as error:
            self.error = error


def stores_of(folder):
    """{mailbox: name of its store}."""
    base = sqlite3.connect(f"file:{folder}/directory.db?mode=ro", uri=True)
    found = {address.split("@")[0]: name for address, name in base.execute("SELECT address, id FROM mailbox")}
    base.close()
    return found


def found_in(store):
    """{subject: [State]}, {folder: UIDNEXT} of a store, which is sound."""
    base = sqlite3.connect(store)
    assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    messages = collections.defaultdict(list)
    for subject, folder, uid, flags in base.execute("SELECT m.subject, f.name, p.uid, p.flags FROM placement p JOIN folder f ON f.id = p.folder "
                                                    "JOIN message m ON m.id = p.message"):
        messages[subject].append(State(folder, uid, flags))
    following = dict(base.execute("SELECT name, uidnext FROM folder"))
    base.close()
    return messages, following


class Answers:
    """What had been told to clients until a step."""

    def __init__(self):
        self.tags, self.delivered, self.queued = set(), set(), set()

    def take(self, data):
        self.tags |= {tag.decode() for tag in re.findall(rb"(?m)^([A-P]{4}\d+) OK ", data)}
        self.delivered |= {(mailbox.decode(), n.decode()) for mailbox, n in re.findall(rb"250 2\.0\.0 <(\w+)\+(d\d+)@example\.org> delivered", data)}
        self.queued |= {name.decode() for name in re.findall(rb"250 2\.0\.0 queued as (\w+)", data)}


def check_session(session, answers, messages, following):
    known, open_one = {}, None
    for tag, number, state in session.timeline:
        if tag not in answers.tags:
            open_one = (number, state)
            break
        known[number] = state
        if state:
            assert following[state.folder] > state.uid, (state, following)
    for number in {number for _, number, _ in session.timeline}:
        states = [known.get(number)] + ([open_one[1]] if open_one and open_one[0] == number else [])
        found = messages.get(f"{session.folders[0]} number {number}", [])
        assert len(found) <= 1 and (found[0] if found else None) in states, (session.folders[0], number, states, found)


def check(folder, mail, sessions, answers):
    messages, following = found_in(os.path.join(folder, "mail", mail["alice"]))
    for session in sessions:
        check_session(session, answers, messages, following)
    others, _ = found_in(os.path.join(folder, "mail", mail["carol"]))
    for mailbox, there in (("alice", messages), ("carol", others)):
        lost = [n for n in (f"d{n}" for n in range(DELIVERIES)) if (mailbox, n) in answers.delivered and len(there.get(n, [])) != 1]
        assert not lost, (mailbox, lost)
    if answers.queued:
        base = sqlite3.connect(os.path.join(folder, "queue.db"))
        assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        there = {name for (name,) in base.execute("SELECT name FROM message JOIN recipient ON recipient.message = message.id")}
        base.close()
        assert answers.queued <= there


def start_again(made, folder):
    """The server itself, on what the disk held: it serves all that is there, and takes more."""
    again = copy.copy(made)
    again.folder, again.environment = folder, dict(os.environ)
    with again:
        client = again.log_on("alice", "wonderland")
        for line in client.list()[1]:
            name = re.match(rb'\(.*?\) "." "?([^"]*)"?', line)[1].decode()
            assert client.select(f'"{name}"')[0] == "OK"
            assert client.fetch("1:*", "(UID FLAGS BODY.PEEK[])")[0] == "OK" or client.search(None, "ALL")[1] == [b""]
        assert client.append("INBOX", None, None, b"Subject: after\r\n\r\n")[0] == "OK"
        client.logout()


def run_and_record(made, folder, library, log):
    """The sessions that changed mailboxes in a run of which all is recorded in @log."""
    port = free_port()
    made.configure("#listen = 0.0.0.0:587", f"listen = 127.0.0.1:{port}\nrelay = smtp://127.0.0.1:{free_port()}\nretry-first = 3600")
    made.create("carol@example.org", "looking-glass")
    with made:
        client = made.log_on("alice", "wonderland")
        for n in range(SESSIONS):
            assert [client.create(name)[0] for name in (f"s{n}", f"s{n}x")] == ["OK", "OK"]
        client.logout()
    shutil.copytree(made.folder, os.path.join(folder, "base"), ignore=lambda where, names: [name for name in names if name.endswith(".sock")])
    with open(os.path.join(folder, "log"), "ab") as errors:
        process = subprocess.Popen([os.path.join(BUILD, "outpostd", "outpostd"), "--dir", made.folder], stderr=errors,
                                   env=power.environment(library, log, made.folder))
    try:
        assert wait_for_port(made.imap, lambda: process.poll() is None), open(errors.name).read()
        sessions = [Session(made, n) for n in range(SESSIONS)]
        workers = [*sessions, Delivering(made, "alice"), Delivering(made, "carol"), Sending(made, port)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        process.kill()
        process.wait()
    assert [worker.error for worker in workers] == [None] * len(workers)
    return sessions


def test_what_was_answered_survives_a_power_cut(made):
    folder = os.path.dirname(made.folder)
    log, image = os.path.join(folder, "power.log"), os.path.join(folder, "image")
    sessions = run_and_record(made, folder, power.build(folder), log)
    mail, steps = stores_of(made.folder), power.read(log)
    disk, answers, chance, looked = power.Disk(made.folder, os.path.join(folder, "base")), Answers(), random.Random(7), 0
    share = 1 if os.environ.get("OUTPOST_POWER") == "all" else min(1, MOMENTS / len(steps))
    for n, (kind, path, at, data) in enumerate(steps):
        if kind == "A":
            answers.take(data)
        else:
            disk.step(kind, path, at, data)
        if chance.random() >= share:
            continue
        disk.write(image, chance, chance.choice((0, 0, 0.3, 0.7, 1)))
        check(image, mail, sessions, answers)
        looked += 1
        if looked % (MOMENTS // 5) == 0:
            start_again(made, image)
    assert looked > MOMENTS // 2 and len(answers.queued) == DELIVERIES and len(answers.delivered) == 2 * DELIVERIES
    assert all(tag in answers.tags for session in sessions for tag, _, _ in session.timeline)

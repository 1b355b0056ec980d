# SPDX-License-Identifier: Apache-2.0
"""Move Mailbox between two servers that share a directory: while it is used, and with the mover dying anywhere."""
import imaplib
import json
import os
import re
import shutil
import smtplib
import sqlite3
import subprocess
import threading
import time
from random import Random

import pytest

from dovecot import free_port
from imapclient import ImapClient, ImapError
from outpostd import BUILD, wait_until

ALICE = "alice@example.org"


def letter(n):
    return b"From: a@elsewhere.example\r\nSubject: letter %d\r\nMessage-ID: <%d@elsewhere.example>\r\n\r\n%s" % (n, n, b"%d bottles\r\n" % n * 200)


def deliver(server, numbers):
    with server.lmtp() as lmtp:
        for n in numbers:
            lmtp.sendmail("a@elsewhere.example", [ALICE], letter(n))


def see(server, validity=1, modseq=1):
    """All that a client with QRESYNC sees of the mailbox, as it comes."""
    with ImapClient(server.imap, ALICE) as client:
        heard = []
        client.command("ENABLE QRESYNC")
        for text in (f"SELECT INBOX (QRESYNC ({validity} {modseq}))", "UID FETCH 1:* (FLAGS MODSEQ INTERNALDATE RFC822.SIZE EMAILID THREADID BODY.PEEK[])",
                     "STATUS Archive (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ MAILBOXID)", 'LIST "" * RETURN (SUBSCRIBED SPECIAL-USE)'):
            client.command(text, heard.append)
        return heard


def number(heard, word):
    return int(re.search(word + r" (\d+)", repr(heard)).group(1))


def move(of, to, *words, code=0):
    return of.ctl("mailbox", "move", ALICE, "--to-server", to, *words, code=code)


def homes(*servers):
    """Those that let alice in, and take a change from her."""
    found = []
    for server in servers:
        try:
            with ImapClient(server.imap, ALICE) as client:
                client.command("SELECT INBOX")
                client.command("UID STORE 1 +FLAGS (probe)")
                client.command("UID STORE 1 -FLAGS (probe)")
                found.append(server)
        except ImapError as error:
            assert "UNAVAILABLE" in str(error), error
    return found


@pytest.fixture
def used(organised, second):
    """Both run; alice's mailbox is at ex1, and has a past. No session is passed on (test_proxy.py has that), so that it is seen who serves her."""
    for server in (organised, second):
        server.configure("#elsewhere = proxy", "elsewhere = refer")
    with organised, second:
        deliver(organised, range(1, 61))
        with ImapClient(organised.imap, ALICE) as client:
            client.command("SELECT INBOX")
            client.command("UID STORE 3:9 +FLAGS (\\Seen kept)")
            client.command("UID MOVE 20:25 Archive")
            client.command("UID STORE 30:33 +FLAGS (\\Deleted)")
            client.command("UID EXPUNGE 30:33")
        yield organised, second


def test_a_moved_mailbox_is_the_same_and_the_old_place_does_not_look_empty(used):
    old, new = used
    first = see(old)
    before = see(old, number(first, "UIDVALIDITY"), 20)
    assert "VANISHED (EARLIER)" in repr(before)
    idle = imaplib.IMAP4("127.0.0.1", old.imap)
    idle.login(ALICE, "wonderland")
    idle.select("INBOX")
    assert "would be moved from ex1 (site Berlin) to ex2 (site Oslo); nothing was changed" in move(old, "ex2", "--dry-run")
    told = move(old, "ex2")
    assert re.search(r"copying\n(.*\n)*catching up\nfenced\ncommitted\ndone\nThe mailbox alice@example.org is at home at the new place: .*, sum of both sides [0-9a-f]{16};", told), told
    assert see(new, number(first, "UIDVALIDITY"), 20) == before
    assert homes(old, new) == [new]
    with pytest.raises((imaplib.IMAP4.abort, imaplib.IMAP4.error)):  # its connection ends, and nothing was written
        for _ in range(20):
            idle.noop()
            time.sleep(0.1)
    with pytest.raises(ImapError, match=r"\[UNAVAILABLE\] the mailbox alice@example.org is at home at ex2, imaps://ex2.example.org:993, not here"):
        ImapClient(old.imap, ALICE)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        deliver(old, [99])
    assert refused.value.recipients[ALICE][0] == 451
    deliver(new, [99])
    with ImapClient(new.imap, ALICE) as client:
        assert len(client.read_folder("INBOX", False)) == 51
    move(new, "ex1")
    assert homes(old, new) == [old]
    left = [name.split(".", 1)[1] for name in os.listdir(os.path.join(new.folder, "mail")) if "." in name and not name.endswith(("-wal", "-shm"))]
    assert left == ["moved-2"], left  # kept like what was deleted: for 30 days
    new.ctl("purge")
    assert any("moved-2" in name for name in os.listdir(os.path.join(new.folder, "mail")))
    with sqlite3.connect(os.path.join(old.folder, "directory.db"), timeout=30) as db:
        db.execute("UPDATE move SET ended = 1 WHERE number = 2")
    db.close()
    new.ctl("purge")
    assert not any("moved" in name for name in os.listdir(os.path.join(new.folder, "mail")))
    assert any("moved-1" in name for name in os.listdir(os.path.join(old.folder, "mail"))) and homes(old, new) == [old]
    assert "already" in move(old, "ex1", code=1) and "no server ex9" in move(old, "ex9", code=3)


def mail(server):
    """Folder: UID, flags and octets of all its messages; and the numbers that must not change."""
    with ImapClient(server.imap, ALICE) as client:
        heard = []
        client.command("STATUS INBOX (UIDVALIDITY UIDNEXT MAILBOXID)", heard.append)
        return repr(heard), client.dump()


def open_moves(server):
    return [line.split()[0] for line in server.ctl("move", "list").splitlines() if not re.search(r"  (done|cancelled)(:.*)?$", line)]


def test_whoever_dies_anywhere_leaves_one_home_with_everything(used):
    here, there = used
    names = {used[0]: "ex1", used[1]: "ex2"}
    before, died, moved = mail(here), 0, 0
    while True:
        environment = dict(here.environment, OUTPOST_MOVE_DIE_AT=str(died + 1))
        done = subprocess.run([os.path.join(BUILD, "outpostd", "outpostctl"), "mailbox", "move", ALICE, "--to-server", names[there], "--dir", here.folder],
                              capture_output=True, text=True, env=environment, timeout=120)
        if done.returncode == 0:
            break
        assert done.returncode == 137, done.stderr
        died += 1
        assert len(homes(here, there)) <= 1
        for server in used:  # each looks after what was interrupted, at its start and each minute
            server.restart()
        home = homes(here, there)
        assert len(home) == 1 and mail(home[0]) == before, died
        for left in open_moves(here):
            here.ctl("move", "resume" if died % 2 else "cancel", left)
        home = homes(here, there)
        assert len(home) == 1 and mail(home[0]) == before and open_moves(here) == [], died
        if home[0] is there:
            here, there = there, here
            moved += 1
    assert died > 15 and moved > 5, (died, moved)
    assert homes(here, there) == [there] and mail(there) == before


class Load:
    """Letters arrive and flags are set all the time, at whichever server takes them; every one that was acknowledged is kept in mind."""

    def __init__(self, servers):
        self.servers, self.taken, self.flagged, self.faults, self.stopping = servers, [], 0, [], threading.Event()
        self.keywords = {uid: [] for uid in range(1, 16)}  # what each may have: the last that was acknowledged, and what was tried since
        self.number, self.lock, self.doubtful = 1000, threading.Lock(), set()  # doubtful: of a server that was killed, there or not

    def next(self):
        with self.lock:
            self.number += 1
            return self.number

    def send(self):
        while not self.stopping.is_set():
            n = self.next()
            for server in self.servers:
                try:
                    deliver(server, [n])
                    self.taken.append(n)
                    break
                except smtplib.SMTPRecipientsRefused as refused:
                    if refused.recipients[ALICE][0] // 100 != 4:
                        self.faults.append(refused)
                except smtplib.SMTPResponseException as error:
                    if error.smtp_code // 100 != 4 and error.smtp_code > 0:
                        self.faults.append(error)
                    self.doubtful.add(n)
                    break
                except (smtplib.SMTPServerDisconnected, OSError):
                    self.doubtful.add(n)
                    break

    def flag(self):
        n = 0
        while not self.stopping.is_set():
            for server in self.servers:
                try:
                    with ImapClient(server.imap, ALICE) as client:
                        client.command("SELECT INBOX")
                        for _ in range(20):
                            n += 1
                            keywords = self.keywords[1 + n % 15]
                            keywords.append(f"f{n % 200}")
                            client.command(f"UID STORE {1 + n % 15} FLAGS ({keywords[-1]})")
                            del keywords[:-1]
                            self.flagged += 1
                except (ImapError, OSError):
                    pass  # was not said to be done

    def __enter__(self):
        self.threads = [threading.Thread(target=work) for work in (self.send, self.send, self.flag)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *what):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def check(self, home):
        """All that was acknowledged is there, each once."""
        assert self.faults == [] and len(self.taken) > 30 and self.flagged > 30, (self.faults, len(self.taken), self.flagged)
        with ImapClient(home.imap, ALICE) as client:
            octets = {}
            messages = client.read_folder("INBOX", keep=octets)
        numbers = [int(re.search(rb"Message-ID: <(\d+)@", octets[m.sha256]).group(1)) for m in messages]
        assert sorted(n for n in numbers if n > 1000 and n not in self.doubtful) == sorted(self.taken)
        assert len(numbers) == len(set(numbers))
        flags = {m.uid: set(m.flags) for m in messages}
        assert [(uid, may, flags[uid]) for uid, may in self.keywords.items() if may and not (len(flags[uid]) == 1 and flags[uid] <= set(may))] == []


def test_what_was_acknowledged_while_it_was_moved_is_there_once(used):
    fences = []
    with Load(used) as load:
        for _ in range(5):
            fences += [float(re.search(r"for ([\d.]+) ms nobody", move(used[0], to)).group(1)) for to in ("ex2", "ex1")]
    assert homes(*used) == [used[0]]
    load.check(used[0])
    assert max(fences) < 5000, fences  # a bound for slow machines; what it is on a quiet one stands in docs/moves.md


def test_killed_moves_lose_nothing_that_was_acknowledged(used):
    """The mover dies at a random step, now and then a server, too; the move is then resumed or cancelled. OUTPOST_MOVES=1000 has so many."""
    random, died = Random(os.environ.get("OUTPOST_SEED", "7")), 0
    with Load(used) as load:
        for _ in range(int(os.environ.get("OUTPOST_MOVES", "12"))):
            with sqlite3.connect(os.path.join(used[0].folder, "directory.db"), timeout=30) as db:
                home = db.execute("SELECT s.name FROM mailbox m JOIN server s ON s.id = m.server WHERE m.address = ?", (ALICE,)).fetchone()[0]
            db.close()
            to = "ex2" if home == "ex1" else "ex1"
            environment = dict(used[0].environment, OUTPOST_MOVE_DIE_AT=str(random.randint(1, 24)))
            done = subprocess.run([os.path.join(BUILD, "outpostd", "outpostctl"), "mailbox", "move", ALICE, "--to-server", to, "--dir", used[0].folder],
                                  capture_output=True, text=True, env=environment, timeout=120)
            died += done.returncode == 137
            assert done.returncode in (0, 137), done.stderr
            if random.random() < 0.3:
                killed = random.choice(used)
                killed.process.kill()
                killed.process.wait()
                killed.log.close()
                killed.__enter__()
            for left in open_moves(used[0]):
                words = subprocess.run([os.path.join(BUILD, "outpostd", "outpostctl"), "move", random.choice(("resume", "cancel")), left, "--dir", used[0].folder],
                                       capture_output=True, text=True, env=used[0].environment, timeout=120)
                if words.returncode:  # it was switched, or a server ends it at this moment
                    used[0].run("outpostctl", "move", "resume", left) if "move it back" in words.stderr else wait_until(lambda: open_moves(used[0]) == [], 90)
            assert open_moves(used[0]) == []
    assert died >= 3, died
    home, = homes(*used)
    load.check(home)


@pytest.fixture
def client(used, program):
    """Of alice, with her mail; the servers have a certificate that it knows, and are known by where they are."""
    old, new = used
    for name in ("key.pem", "certificate.pem"):
        shutil.copy(os.path.join(old.folder, "tls", name), os.path.join(new.folder, "tls", name))
    new.ctl("reload")
    for name, server in (("ex1", old), ("ex2", new)):
        server.ctl("server", "move", name, "--at", f"imaps://localhost:{server.imaps}")
    program.ADDRESS = ALICE
    program.ok("logon", ALICE, "--server", f"imaps://localhost:{old.imaps}", "--user", ALICE, "--password-command", "printf wonderland", "--tls-ca",
               old.folder + "/tls/certificate.pem")
    return program


def runs(client, n):
    return [json.loads(line) for line in client.ok("log", "--runs", str(n), "--json").splitlines()]


def test_our_client_goes_along_and_fetches_nothing(used, client):
    old, new = used
    count = len(client.list("INBOX"))
    client.ok("flag", str(client.list("INBOX")[0]["id"]), "pendingflag")
    move(old, "ex2")
    client.sync()
    place = client.json("profile", "show")
    assert (place["server"], place["earlier"]) == (f"imaps://localhost:{new.imaps}", f"imaps://localhost:{old.imaps}")
    lines = [line["text"] for run in runs(client, 3) for line in run["lines"]]
    assert f"The mailbox is at home at another server now: the profile follows it to imaps://localhost:{new.imaps} from imaps://localhost:{old.imaps}" in lines
    last = runs(client, 1)[0]
    assert (last["result"], last["facts"]["addedHere"], last["facts"]["relinked"], last["facts"]["removedHere"]) == ("done", 0, 0, 0), last
    assert len(client.list("INBOX")) == count and any("pendingflag" in m.flags for m in mail(new)[1]["INBOX"])
    move(old, "ex1")
    client.sync()
    assert client.json("profile", "show")["server"] == f"imaps://localhost:{old.imaps}" and runs(client, 1)[0]["facts"]["addedHere"] == 0


def test_a_watching_client_goes_along_with_a_mailbox(used, client):
    old, new = used
    watcher = client.start("sync", "--watch")
    wait_until(lambda: (client.json("status")["watcher"] or {}).get("state") == "waiting", 30)
    count = len(client.list("INBOX"))
    move(old, "ex2")
    deliver(new, [500])
    wait_until(lambda: len(client.list("INBOX")) == count + 1, 60)
    watcher.terminate()
    out, err = watcher.communicate(timeout=30)
    assert watcher.returncode == 0 and b"the profile follows it to" in err, err


def test_a_place_that_does_not_let_us_in_is_not_followed(used, client):
    old, new = used
    move(old, "ex2")
    new.ctl("server", "move", "ex2", "--at", f"imaps://localhost:{free_port()}")
    code, _, err = client.run("sync")
    assert code != 0 and "which does not let us in" in err and "is at home at ex2" in err, err
    assert client.json("profile", "show")["server"] == f"imaps://localhost:{old.imaps}" and len(client.list("INBOX")) == 50


def shown(server, n):
    return json.loads(server.ctl("move", "show", str(n), "--json"))


def test_a_move_waits_for_its_switch_is_watched_and_undone(used, tmp_path):
    old, new = used
    assert "The move 1 of alice@example.org is ready" in move(old, "ex2", "--suspend-when-ready")
    assert (shown(old, 1)["state"], shown(old, 1)["suspended"], homes(old, new)) == ("catching up", True, [old])
    deliver(old, [700])
    assert "The mailbox alice@example.org is at home at the new place" in old.ctl("move", "complete", "1")
    first = shown(old, 1)
    assert first["state"] == "done" and re.fullmatch("[0-9a-f]{16}", first["sum"]) and first["ended"] and first["copied"] == first["octets"] > 0
    assert homes(old, new) == [new]
    deliver(new, [701])
    before = mail(new)
    told = old.ctl("move", "watch", "1")
    assert re.match(r"done: .* of .*\n1 +\S+ +alice@example.org +ex1 -> ex2 +done\n", told) and f"sum of both sides {first['sum']}" in told
    assert "is done: it can't be suspended" in old.ctl("move", "suspend", "1", code=1)
    old.ctl("move", "undo", "1")
    assert homes(old, new) == [old] and mail(old) == before  # with what came since
    assert "was moved again since" in old.ctl("move", "undo", "1", code=1)
    batch = tmp_path / "batch"
    batch.write_text("# who goes to Oslo\nalice@example.org\nnobody@example.org\nbob@example.org\n")
    assert "nobody" in old.ctl("mailbox", "move", "--batch", str(batch), "--to-server", "ex2", code=1)
    assert [m["address"] for m in map(json.loads, old.ctl("move", "list", "--json").splitlines()) if m["to"] == "ex2" and m["state"] == "done"] == [
        ALICE, ALICE, "bob@example.org"]
    for wrong in (("--batch", str(batch), ALICE), ("--start", "25:00", ALICE), ()):
        old.ctl("mailbox", "move", "--to-server", "ex1", *wrong, code=2)


def test_a_move_that_copies_is_watched_and_suspended(used):
    old, new = used
    with old.lmtp() as lmtp:
        for n in range(12):
            lmtp.sendmail("a@elsewhere.example", [ALICE], b"Subject: big\r\n\r\n" + os.urandom(300_000).hex().encode())
    mover = subprocess.Popen([os.path.join(BUILD, "outpostd", "outpostctl"), "mailbox", "move", ALICE, "--to-server", "ex2", "--max-rate", "200k", "--dir", old.folder],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=old.environment)
    wait_until(lambda: open_moves(old) == ["1"] and shown(old, 1)["copied"] > 0, 30)
    watcher = subprocess.Popen([os.path.join(BUILD, "outpostd", "outpostctl"), "move", "watch", "1", "--dir", old.folder], stdout=subprocess.PIPE, text=True)
    time.sleep(2)
    old.ctl("move", "suspend", "1")
    assert "resume 1" in mover.communicate(timeout=30)[1] and mover.returncode == 1
    assert re.search(r"copying: .* of .*, .*/s, \d+ s left\n", watcher.communicate(timeout=30)[0])
    assert shown(old, 1)["state"] == "copying" and homes(old, new) == [old]
    old.ctl("move", "resume", "1")
    assert homes(old, new) == [new]

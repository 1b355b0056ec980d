# SPDX-License-Identifier: Apache-2.0
"""Backups of a mailbox server: made while it is used, interrupted anywhere, and restored elsewhere."""
import copy
import imaplib
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
import time

import pytest

from imapclient import ImapClient, ImapError
from outpostd import BUILD, wait_until

ALICE, BOB = "alice@example.org", "bob@example.org"
CTL = os.path.join(BUILD, "outpostd", "outpostctl")


def letter(n, size=2000):
    noise = random.Random(n).randbytes(size // 2).hex()  # what compresses to half at most
    return b"From: a@elsewhere.example\r\nSubject: letter %d\r\nMessage-ID: <%d@elsewhere.example>\r\n\r\n" % (n, n) + b"\r\n".join(
        noise[i:i + 70].encode() for i in range(0, size, 70)) + b"\r\n"


def deliver(server, numbers, size=2000):
    with server.lmtp() as lmtp:
        for n in numbers:
            lmtp.sendmail("a@elsewhere.example", [ALICE], letter(n, size))


def mail(server):
    with ImapClient(server.imap, ALICE) as client:
        return client.dump()


def saved(program):
    """The numbers of the letters that the client has, each compared octet for octet."""
    found = []
    for message in program.list("INBOX"):
        octets = program.save(message["id"])
        n = int(re.search(rb"Subject: letter (\d+)", octets).group(1))
        assert octets.endswith(letter(n))
        found.append(n)
    return sorted(found)


def hear(client, text):
    heard = []
    client.command(text, heard.append)
    return repr(heard)


def status(server, folder="INBOX"):
    with ImapClient(server.imap, ALICE) as client:
        text = hear(client, f"STATUS {folder} (UIDVALIDITY UIDNEXT HIGHESTMODSEQ MAILBOXID MESSAGES)")
    return {word: int(re.search(word + r" (\d+)", text).group(1)) for word in ("UIDVALIDITY", "UIDNEXT", "HIGHESTMODSEQ", "MESSAGES")}


def backup(server, to, *words, code=0):
    return server.ctl("backup", "--to", str(to), *words, code=code)


def check(server, to, code=0):
    return backup(server, to, "--check", code=code)


def elsewhere(server, folder):
    """The same server in another folder, once it is restored there."""
    other = copy.copy(server)
    other.folder = str(folder)
    return other


def restore(server, source, folder, *words, code=0):
    other = elsewhere(server, folder)
    return other, other.ctl("restore", "--from", str(source), *words, code=code)


def copies(to):
    return {name: open(os.path.join(to, "mail", name), "rb").read() for name in os.listdir(to / "mail")}


@pytest.fixture
def place():
    """A short path: sockets are below it."""
    import pathlib
    import tempfile
    folder = pathlib.Path(tempfile.mkdtemp(prefix="outpostd-"))
    yield folder
    shutil.rmtree(folder)


def test_a_backup_made_under_load_is_a_server_elsewhere(made, place):
    to, stop, sent = place / "backup", threading.Event(), []

    def load():
        while not stop.is_set():
            deliver(made, [len(sent)])
            sent.append(len(sent))
            if len(sent) % 7 == 0:
                with ImapClient(made.imap, ALICE) as client:
                    client.command("SELECT INBOX")
                    client.command(f"UID STORE {len(sent) - 3} +FLAGS (\\Seen kept)")
                    client.command(f"UID MOVE {len(sent) - 2} Archive")
                    client.command(f"UID STORE {len(sent) - 1} +FLAGS (\\Deleted)")
                    client.command(f"UID EXPUNGE {len(sent) - 1}")
    with made:
        thread = threading.Thread(target=load)
        thread.start()
        wait_until(lambda: len(sent) > 20, 30)
        for i in range(5):
            before = len(sent)
            assert ("whole" in backup(made, to)) == (i == 0)
            check(made, to)
            other, told = restore(made, to, place / f"at{i}")  # none of these is ever served
            with sqlite3.connect(os.path.join(other.folder, "mail", [n for n in os.listdir(to / "mail")][0])) as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            db.close()
            assert max(int(n) for n in re.findall(r"(\d+) messages\n", told)) >= before - before // 7 - 1  # all that was answered before it began
            wait_until(lambda: len(sent) > before + 10, 30)
        stop.set()
        thread.join()
        backup(made, to)
        was, numbers, archive = mail(made), status(made), status(made, "Archive")
    assert stat.S_IMODE(os.stat(to).st_mode) == 0o700
    assert not [name for name in os.listdir(to / "mail") if not re.fullmatch("[0-9a-f]{32}", name)]
    other, told = restore(made, to, place / "new")
    assert "starts it" in told
    assert "there is a server" in other.ctl("restore", "--from", str(to), code=1)
    shutil.rmtree(made.folder)  # and nothing of the old one is needed
    with other:
        assert mail(other) == was and any(was.values())
        for then, now in ((numbers, status(other)), (archive, status(other, "Archive"))):
            assert now["UIDVALIDITY"] == then["UIDVALIDITY"] and now["UIDNEXT"] >= then["UIDNEXT"] + 2 ** 20 and now["HIGHESTMODSEQ"] > then["HIGHESTMODSEQ"] + 2 ** 20
        other.log_on(ALICE, "wonderland").logout()  # with the certificate, too
        deliver(other, [10 ** 6])
        assert status(other)["MESSAGES"] == numbers["MESSAGES"] + 1
        with ImapClient(other.imap, ALICE) as client:  # the index came along, and goes on
            client.command("SELECT INBOX")
            for word in (b"letter 1000000", b"letter %d" % sent[-1]):
                assert re.search(r"SEARCH \d+", hear(client, f'UID SEARCH TEXT "{word.decode()}"')), word
        backup(other, to)
        check(other, to)


def test_another_run_writes_what_changed_and_no_more(made, place):
    to = place / "backup"

    def told():
        return int(re.search(r"\((\d+) bytes\) were written|^(\d+) bytes were written", re.sub(r"(?<=\d),(?=\d)", "", backup(made, to)), re.M).group(1) or 0)
    with made:
        deliver(made, range(60), 200000)
        whole = told()
        assert whole > 60 * 100000
        first = copies(to)
        assert told() < 50000 and copies(to) == first
        deliver(made, [1000])
        assert told() < 1500000
        second = copies(to)
        pages = sum(first[name][at:at + 16384] != text[at:at + 16384] for name, text in second.items() for at in range(0, len(text), 16384))
        assert 0 < pages < 60, pages  # of some 600


def test_who_is_killed_at_any_moment_leaves_a_backup_that_can_be_restored(made, place):
    to, delay, killed = place / "backup", 0.0, 0
    with made:
        deliver(made, range(30), 20000)
        backup(made, to)
        least = 30
        while True:
            deliver(made, [100 + killed], 20000)
            if killed % 3 == 2:  # this time the whole of it is copied
                for name in filter(re.compile("[0-9a-f]{32}").fullmatch, os.listdir(to / "mail")):
                    with sqlite3.connect(to / "mail" / name) as db:
                        db.execute("DROP TABLE backup" if killed % 2 else "PRAGMA user_version = 6")
                    db.close()
            process = subprocess.Popen([CTL, "--dir", made.folder, "backup", "--to", str(to)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=made.environment)
            try:
                process.wait(delay)
                assert process.returncode == 0, process.stderr.read()
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            finally:
                process.stderr.close()
            killed += 1
            delay += 0.004
            if killed % 3 == 0:
                backup(made, to)  # what was spoiled above
                least = 30 + killed
            check(made, to)
            other, told = restore(made, to, place / "new")
            assert max(int(n) for n in re.findall(r"(\d+) messages\n", told)) >= least
            shutil.rmtree(other.folder)
        assert killed >= 3
        check(made, to)
        assert not [name for name in os.listdir(to / "mail") if not re.fullmatch("[0-9a-f]{32}", name)]


def test_a_full_disk_is_told_and_leaves_the_earlier_backup(made, place):
    to = place / "backup"

    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (700000, 700000))
    with made:
        deliver(made, range(5))
        backup(made, to)
        deliver(made, range(100, 140), 100000)
        done = subprocess.run([CTL, "--dir", made.folder, "backup", "--to", str(to)], capture_output=True, text=True, preexec_fn=small, env=made.environment)
        assert done.returncode == 1 and "the backup was not finished; what was there before can be restored: the disk is full" in done.stderr, done.stderr
        assert str(to) in done.stderr and "make room" in done.stderr
        check(made, to)
        assert "5 messages" in restore(made, to, place / "new")[1]
        backup(made, to)
        full = subprocess.run([CTL, "--dir", str(place / "small"), "restore", "--from", str(to)], capture_output=True, text=True, preexec_fn=small, env=made.environment)
        assert full.returncode == 1 and "full" in full.stderr, full.stderr
        assert not os.path.exists(place / "small" / "outpostd.conf")  # no server yet: the same command goes on
        restore(made, to, place / "small")


def test_damage_to_a_backup_is_found(made, place):
    to = place / "backup"
    with made:
        deliver(made, range(50))
        assert "leave the addresses out" in backup(made, to, ALICE, code=3)
        backup(made, to)
    assert check(made, to).count("sound") == 2
    name = max(os.listdir(to / "mail"), key=lambda n: os.path.getsize(to / "mail" / n))
    whole = open(to / "mail" / name, "rb").read()
    found, tried = 0, 0
    for at in range(2 * 16384 - 300, len(whole), 16384):
        with open(to / "mail" / name, "r+b") as file:
            file.seek(at)
            file.write(bytes(octet ^ 0xff for octet in whole[at:at + 64]))
        if whole[at:at + 64].strip(b"\0"):  # else it may be a page that nothing is in
            tried += 1
            done = subprocess.run([CTL, "--dir", made.folder, "backup", "--check", "--to", str(to)], capture_output=True, text=True, env=made.environment)
            assert done.returncode in (0, 1), done.stderr
            found += done.returncode
        with open(to / "mail" / name, "wb") as file:
            file.write(whole)
    assert tried > 10 and found > tried * 2 / 3, (found, tried)
    with sqlite3.connect(to / "mail" / name) as db:  # what no page, no digest and no count tells
        db.execute("UPDATE placement SET flags = flags | 4 WHERE uid = 7")
    db.close()
    assert "its sum is not what it was" in check(made, to, code=1)
    other, told = restore(made, to, place / "new", code=1)
    assert "1 mailbox could not be restored; all else is done" in told and "its sum is not what it was" in told
    os.unlink(to / "backup.info")
    assert "is no finished backup" in restore(made, to, place / "other", code=3)[1]
    assert "is no backup" in restore(made, place / "nothing", place / "other", code=3)[1]


def test_one_mailbox_goes_back_while_others_and_itself_are_used(made, place):
    to = place / "backup"
    with made:
        deliver(made, range(20))
        backup(made, to)
        with ImapClient(made.imap, ALICE) as client:
            client.command("SELECT INBOX")
            client.command("UID STORE 3 +FLAGS (\\Deleted)")
            client.command("UID EXPUNGE 3")
            client.command("UID STORE 5 +FLAGS (\\Flagged)")
        deliver(made, range(100, 104))
        later = status(made)
        idle = imaplib.IMAP4("127.0.0.1", made.imap)
        idle.login(ALICE, "wonderland")
        idle.select("INBOX")
        told = made.ctl("restore", "--from", str(to), ALICE)
        kept = re.search(r"kept for 30 days: (\S+)", told).group(1)
        assert os.path.exists(kept) and "20 messages" in told
        with pytest.raises((imaplib.IMAP4.abort, imaplib.IMAP4.error)):
            for _ in range(50):
                idle.store("1", "+FLAGS", "\\Answered")
                time.sleep(0.1)
        now = status(made)
        assert now["UIDVALIDITY"] == later["UIDVALIDITY"] and now["UIDNEXT"] > later["UIDNEXT"] + 2 ** 20 and now["HIGHESTMODSEQ"] > later["HIGHESTMODSEQ"]
        with ImapClient(made.imap, ALICE) as client:  # one that knows the later state, and QRESYNC
            client.command("ENABLE QRESYNC")
            text = hear(client, f"SELECT INBOX (QRESYNC ({later['UIDVALIDITY']} {later['HIGHESTMODSEQ']}))")
            gone = set()
            for part in re.search(r"VANISHED \(EARLIER\) ([\d:,]+)", text).group(1).split(","):
                lo, _, hi = part.partition(":")
                gone |= set(range(int(lo), min(int(hi or lo), 30) + 1))
            assert {3, 21, 22, 23, 24} <= gone and not gone & ({*range(1, 21)} - {3}), gone
            fresh = [int(uid) for uid in re.findall(r"UID (\d+)", text) if int(uid) > 20]
            assert len(fresh) == 1 and fresh[0] >= later["UIDNEXT"]  # what was removed since has come back, as a new one
            assert len(re.findall(r"UID 5 FLAGS \(\)|FLAGS \(\) UID 5 |UID 5 [^']*FLAGS \(\)", text)) == 1, text
            found = []
            client.command(f"UID FETCH {fresh[0]} (BODY.PEEK[])", found.append)
            assert any(piece.endswith(letter(2)) for piece in found[0])
        deliver(made, [200])
        assert status(made)["MESSAGES"] == 21
        assert made.ctl("restore", "--from", str(to), "nobody@example.org", code=3)
        made.ctl("purge")
        assert os.path.exists(kept)
        for end in ("", "-wal", "-shm"):
            if os.path.exists(kept + end):
                os.rename(kept + end, re.sub(r"\d+$", str((int(time.time()) - 31 * 86400) * 10 ** 6), kept) + end)
        made.ctl("purge")
        assert not [name for name in os.listdir(os.path.join(made.folder, "mail")) if "replaced" in name]
        backup(made, to, ALICE)
        check(made, to)


def test_a_mailbox_whose_store_is_lost_or_damaged_or_forgotten_comes_back(made, place):
    to = place / "backup"
    with made:
        deliver(made, range(20))
        backup(made, to)
        was = mail(made)
    store = os.path.join(made.folder, "mail", max(os.listdir(to / "mail"), key=lambda n: os.path.getsize(to / "mail" / n)))
    for harm in ("lost", "damaged", "forgotten"):
        if harm == "damaged":
            open(store, "r+b").write(b"no database" * 1000)
        elif harm == "lost":
            os.unlink(store)
        else:
            made.ctl("mailbox", "delete", ALICE)
            assert "undelete" in made.ctl("restore", "--from", str(to), ALICE, code=1)
            with sqlite3.connect(os.path.join(made.folder, "directory.db")) as db:
                db.execute("UPDATE mailbox SET deleted = 1 WHERE deleted IS NOT NULL AND deleted > 0")
            db.close()
            made.ctl("purge")
            assert not os.path.exists(store)
        made.ctl("restore", "--from", str(to), ALICE)
        if harm == "forgotten":
            made.ctl("mailbox", "passwd", ALICE, "--password-command", "printf wonderland")
        with made:
            assert mail(made) == was


def test_a_restoration_that_is_killed_at_any_moment_is_done_by_saying_it_again(made, place):
    to, delay, killed, seen = place / "backup", 0.002, 0, set()
    with made:
        deliver(made, range(30), 20000)
        backup(made, to)
        was, last = mail(made), status(made)
        while True:
            process = subprocess.Popen([CTL, "--dir", made.folder, "restore", "--from", str(to), ALICE], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=made.environment)
            try:
                process.wait(delay)
                assert process.returncode == 0, process.stderr.read()
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            finally:
                process.stderr.close()
            killed += 1
            delay = delay * 1.1 + 0.001
            try:  # never empty, never half
                seen.add(status(made)["MESSAGES"])
            except ImapError as error:
                assert "UNAVAILABLE" in str(error), error
            made.ctl("restore", "--from", str(to), ALICE)
            now = status(made)
            assert now["UIDNEXT"] > last["UIDNEXT"] and now["HIGHESTMODSEQ"] > last["HIGHESTMODSEQ"] and now["UIDVALIDITY"] == last["UIDVALIDITY"]
            last = now
        assert killed > 3 and seen == {30} and {m.sha256 for m in mail(made)["INBOX"]} == {m.sha256 for m in was["INBOX"]}
        aside = [name for name in os.listdir(os.path.join(made.folder, "mail")) if re.search(r"replaced-\d+$", name)]
        assert len(aside) >= killed + 1  # each of them is kept
        backup(made, to)
        check(made, to)


def test_our_own_client_loses_nothing_when_the_server_is_restored(made, place, program):
    to = place / "backup"
    with made:
        deliver(made, range(40))
        backup(made, to)
        deliver(made, range(100, 105))
        program.logon(f"imap://127.0.0.1:{made.imap}", user=ALICE, sync=True)
        assert len(program.list("INBOX")) == 45
        with ImapClient(made.imap, ALICE) as client:  # seen by the client, and not in the backup
            client.command("SELECT INBOX")
            client.command("UID STORE 1:4 +FLAGS (\\Flagged)")
            client.command("UID STORE 9 +FLAGS (\\Deleted)")
            client.command("UID EXPUNGE 9")
        program.sync()
        there = {m["uid"]: m["id"] for m in program.list("INBOX")}
        program.ok("flag", str(there[20]), "answered")  # offline, on the way
        assert saved(program) == [*range(8), *range(9, 40), *range(100, 105)]
    other, _ = restore(made, to, place / "new")
    with other:
        deliver(other, range(200, 203))
        code, out, err = program.run("sync")
        assert code == 4, (code, out, err)
        assert b"jumped ahead, as after a restore" in program.ok("log") and b"5 item(s) of folder 'INBOX' are here, but not at the server" in program.ok("log")
        assert saved(program) == [*range(40), *range(100, 105), *range(200, 203)]  # what was removed is there again, and so it is here
        with ImapClient(other.imap, ALICE) as client:
            client.command("SELECT INBOX")
            flagged = re.findall(r"UID (\d+)[^']*Answered", hear(client, "UID FETCH 1:* (UID FLAGS)"))
            assert flagged == ["20"], flagged
        program.ok("resolve", "--all", "mine")
        program.sync()
        at_home = [m.sha256 for m in mail(other)["INBOX"]]
        assert len(at_home) == 48 == len(set(at_home)) and len(program.list("INBOX")) == 48


def test_servers_that_share_a_directory_are_restored_each_for_itself(organised, second, place):
    with organised, second:
        deliver(organised, range(5))
        backup(organised, place / "one")
        told = backup(second, place / "two")
        assert "carol@example.org" in told and ALICE not in told
        assert "backup of another server" in backup(second, place / "one", code=1)
        organised.create("dave@example.org", "x")
    shutil.rmtree(second.folder)
    restore(second, place / "two", second.folder)
    with organised, second:  # the directory is that of now
        assert "dave@example.org" in second.ctl("mailbox", "list")
        second.log_on("carol@example.org", "singer").logout()


def test_a_backup_can_be_on_a_medium_that_is_only_read_and_is_the_users(place):
    """As root, of a server whose user is another."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    from outpostd import Server
    os.chmod(place, 0o755)
    server = Server(place / "mail", "--domain", "example.org", "--user", "nobody")
    server.create(ALICE, "wonderland")
    assert "Permission denied" in backup(server, place / "backup", code=1)
    os.mkdir(place / "backup")
    shutil.chown(place / "backup", "nobody")
    with server:
        deliver(server, range(5))
        backup(server, place / "backup")
    was = {name: os.stat(place / "backup" / "mail" / name).st_mtime_ns for name in os.listdir(place / "backup" / "mail")}
    script = f"mount --bind {place}/backup {place}/backup && mount -o remount,ro,bind {place}/backup && ! touch {place}/backup/x 2>/dev/null && exec {CTL} --dir {place}/new restore --from {place}/backup"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, env=server.environment)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 0, done.stderr
    assert was == {name: os.stat(place / "backup" / "mail" / name).st_mtime_ns for name in os.listdir(place / "backup" / "mail")}
    shutil.rmtree(server.folder)
    os.rename(place / "new", server.folder)
    for folder, _, names in os.walk(server.folder):
        for name in (folder, *(os.path.join(folder, n) for n in names)):
            assert os.stat(name).st_uid == os.stat(place / "backup").st_uid, name
    with server:
        server.log_on(ALICE, "wonderland").logout()
        deliver(server, [7])
        assert status(server)["MESSAGES"] == 6

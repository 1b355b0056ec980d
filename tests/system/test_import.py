# SPDX-License-Identifier: Apache-2.0
"""A mailbox moves in from another server: a real Dovecot, whose clients are to notice nothing."""
import imaplib
import os
import re
import subprocess

import pytest

from dovecot import Dovecot
from imapclient import ImapClient, ImapError
from outpostd import BUILD

ALICE = "alice@example.org"


def letter(n, size=200):
    return b"From: a@elsewhere.example\r\nSubject: letter %d\r\nMessage-ID: <%d@elsewhere.example>\r\n\r\n%s" % (n, n, b"%d bottles\r\n" % n * size)


class Old:
    """What a user's mail program does at the old server."""

    def __init__(self, server):
        self.client = imaplib.IMAP4("127.0.0.1", server.port)
        self.client.login(server.user, server.password)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.client.logout()

    def add(self, folder, numbers, flags=""):
        for n in numbers:
            done, text = self.client.append(folder, f"({flags})", f'"{n % 28 + 1:02d}-Jan-2024 10:00:00 +0200"', letter(n))
            assert done == "OK", text

    def do(self, *commands):
        for command in commands:
            name, _, rest = command.partition(" ")
            if name == "SELECT":
                done, text = self.client.select(rest)
            elif name == "UID":
                done, text = self.client.uid(*rest.split(" ", 2))
            else:
                done, text = self.client._simple_command(name, rest)
            assert done == "OK", (command, text)


def see(port, user, password="wonderland"):
    """All that a client sees: {folder: (uidvalidity, uidnext, {uid: (flags, date, octets)})}."""
    client = imaplib.IMAP4("127.0.0.1", port)
    client.login(user, password)
    found = {}
    for line in client.list()[1]:
        flags, name = re.match(rb'\((.*?)\) (?:"."|NIL) (.*)', line).groups()
        if b"noselect" in flags.lower() or b"nonexistent" in flags.lower():
            continue
        name = name.decode().strip('"')
        done, count = client.select(f'"{name}"', readonly=True)
        assert done == "OK", count
        validity, following = (int(client.response(word)[1][0]) for word in ("UIDVALIDITY", "UIDNEXT"))
        messages = {}
        if int(count[0]):
            for part in client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]:
                if isinstance(part, tuple):
                    uid = int(re.search(rb"UID (\d+)", part[0]).group(1))
                    words = set(re.search(rb"FLAGS \((.*?)\)", part[0]).group(1).split()) - {rb"\Recent"}
                    messages[uid] = (words, imaplib.Internaldate2tuple(part[0]), part[1])
        found[name] = (validity, following, messages)
    client.logout()
    return found


def move_in(made, old, *words, code=0):
    return made.ctl("mailbox", "import", ALICE, "--from", old.url, "--user", old.user, "--password-command", f"printf %s {old.password}", *words, code=code)


@pytest.fixture
def old(server):
    with Old(server) as user:
        user.do('CREATE Work', 'CREATE "Work/2023"', 'CREATE Sent', 'CREATE "Entw&APw-rfe"', "SUBSCRIBE Work")
        user.add("INBOX", range(1, 41))
        user.add("Work/2023", range(100, 110), "\\Seen $Label1")
        user.add("Sent", range(200, 205), "\\Seen")
        user.add('"Entw&APw-rfe"', range(300, 303), "\\Draft")
        user.do("SELECT INBOX", "UID STORE 3:9 +FLAGS (\\Seen kept)", "UID STORE 5 +FLAGS (\\Flagged)", "UID STORE 20:25 +FLAGS (\\Deleted)", "EXPUNGE ")
    yield server


def test_a_mailbox_moves_in_with_its_numbers(old, made):
    before = see(old.port, old.user)
    text = move_in(made, old)
    with made:
        after = see(made.imap, ALICE)
    assert after["INBOX"] == before["INBOX"], text
    assert after["Work/2023"] == before["Work/2023"]
    assert after["Sent Items"] == before["Sent"]
    assert after["Drafts"] == before["Entw&APw-rfe"]
    assert set(after) == {"INBOX", "Work", "Work/2023", "Sent Items", "Drafts", "Deleted Items", "Junk", "Archive"}
    assert "52 messages added" in text


def test_a_second_run_brings_what_changed(old, made):
    move_in(made, old)
    with Old(old) as user:
        user.add("INBOX", range(50, 53))
        user.do("SELECT INBOX", "UID STORE 10 +FLAGS (\\Answered)", "UID STORE 3 -FLAGS (\\Seen)", "UID STORE 30:31 +FLAGS (\\Deleted)", "EXPUNGE ",
                "UID MOVE 33 Work", "RENAME Work/2023 Work/2022")
    before = see(old.port, old.user)
    text = move_in(made, old)
    with made:
        after = see(made.imap, ALICE)
        assert after["INBOX"] == before["INBOX"], text
        assert after["Work"] == before["Work"]
        assert after["Work/2022"] == before["Work/2022"] and "Work/2023" not in after
    assert "4 messages added, 2 updated, 3 removed" in text
    assert "0 messages added, 0 updated, 0 removed" in move_in(made, old)


def test_what_is_changed_here_stays(old, made):
    move_in(made, old)
    with made:
        with made.lmtp() as lmtp:
            lmtp.sendmail("a@elsewhere.example", [ALICE], letter(900))
        with ImapClient(made.imap, ALICE) as client:
            client.command("SELECT INBOX")
            client.command("UID STORE 1 +FLAGS (\\Flagged)")
            client.command("UID STORE 2 +FLAGS (\\Deleted)")
            client.command("UID EXPUNGE 2")
            client.command("UID MOVE 4 Archive")
        with Old(old) as user:
            user.add("INBOX", [901])
            user.do("SELECT INBOX", "UID STORE 1:4 +FLAGS (\\Answered)")
        text = move_in(made, old)
        here = see(made.imap, ALICE)["INBOX"]
    there = see(old.port, old.user)["INBOX"]
    assert here[0] == there[0]
    assert here[2][1][0] == {rb"\Flagged", rb"\Answered"} and here[2][3][0] == {rb"\Seen", rb"kept", rb"\Answered"}
    assert 2 not in here[2] and 4 not in here[2]
    late = [uid for uid, message in here[2].items() if message[2] == letter(901)]
    local = [uid for uid, message in here[2].items() if message[2].endswith(letter(900))]
    # a UID that a client has heard of at the old server never stands for another message here
    assert len(late) == 1 and len(local) == 1 and there[1] + 1000000 < local[0] < late[0], text


def test_an_unusual_removal_is_asked_about(old, made):
    move_in(made, old)
    with Old(old) as user:
        user.do("SELECT INBOX", "UID STORE 1:19,26:30 +FLAGS (\\Deleted)", "EXPUNGE ")
    assert "--accept-removals" in move_in(made, old, code=1)
    with made:
        assert len(see(made.imap, ALICE)["INBOX"][2]) == 34
        move_in(made, old, "--accept-removals")
        assert see(made.imap, ALICE)["INBOX"] == see(old.port, old.user)["INBOX"]


def test_mbsync_goes_on_with_its_store(old, made, tmp_path):
    def mbsync(port, user):
        (tmp_path / "rc").write_text(f"""IMAPAccount a
Host 127.0.0.1
Port {port}
User {user}
Pass wonderland
SSLType None
AuthMechs LOGIN

IMAPStore far
Account a

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns INBOX Work*
Create Near
Expunge Both
SyncState *
""")
        done = subprocess.run(["mbsync", "-V", "-c", str(tmp_path / "rc"), "all"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def files():
        return {os.path.join(where, name): os.stat(os.path.join(where, name)).st_ino for where, _, names in os.walk(tmp_path / "mail") for name in names if not name.startswith(".")}
    os.makedirs(tmp_path / "mail")
    mbsync(old.port, old.user)
    kept = files()
    assert len(kept) >= 44
    move_in(made, old)
    with made:
        text = mbsync(made.imap, ALICE)
    assert files() == kept, text


def test_a_run_that_was_killed_goes_on(old, made):
    command = [os.path.join(BUILD, "outpostd", "outpostctl"), "mailbox", "import", ALICE, "--dir", made.folder, "--from", old.url, "--user", old.user, "--password-command",
               f"printf %s {old.password}"]

    def run(**extra):
        return subprocess.run(command, env=dict(made.environment, **extra), capture_output=True, text=True, timeout=60)
    deaths = 0
    for what in ((), ("UID STORE 1:4 +FLAGS (\\Flagged)", "UID STORE 10 +FLAGS (\\Deleted)", "EXPUNGE "), ("UID MOVE 11:14 Work",)):
        with Old(old) as user:
            user.do("SELECT INBOX", *what)
            user.add("INBOX", range(60, 60 + 2 * len(what)))
        for at in range(1, 100):
            died = run(OUTPOST_DIE_AT=str(at))
            if died.returncode == 0:
                break
            assert died.returncode == 137, died.stderr
            deaths += 1
    assert deaths > 12
    before = see(old.port, old.user)
    with made:
        after = see(made.imap, ALICE)
    assert after["INBOX"] == before["INBOX"] and after["Sent Items"] == before["Sent"] and after["Work/2023"] == before["Work/2023"]


def test_who_has_a_folder_open_is_told_when_its_numbers_change(old, made):
    with made, ImapClient(made.imap, ALICE) as client:
        client.command("SELECT INBOX")
        move_in(made, old)
        with pytest.raises((ImapError, OSError)):
            for _ in range(3):
                client.command("NOOP")
        with ImapClient(made.imap, ALICE) as again:
            again.command("SELECT INBOX")
            heard = []
            again.command("UID SEARCH ALL", heard.append)
            assert len(re.findall(r"\d+", str(heard))) >= 34


def test_a_maildir_moves_in_from_disk(old, made):
    before = see(old.port, old.user)
    old.stop()

    def from_disk(code=0):
        return made.ctl("mailbox", "import", ALICE, "--from-maildir", old.maildir, code=code)

    def compare(there, text):
        with made:
            here = see(made.imap, ALICE)
        names = {"Sent": "Sent Items", "Entw&APw-rfe": "Drafts"}
        for name, folder in there.items():
            assert here[names.get(name, name)] == folder, (name, text)
    text = from_disk()
    assert "52 messages added" in text
    compare(before, text)
    old.start()
    with Old(old) as user:
        user.add("INBOX", range(50, 53))
        user.do("SELECT INBOX", "UID STORE 10 +FLAGS (\\Answered other)", "UID STORE 30:31 +FLAGS (\\Deleted)", "EXPUNGE ", "UID MOVE 33 Work")
    after = see(old.port, old.user)
    old.stop()
    text = from_disk()
    assert "4 messages added, 1 updated, 3 removed" in text
    compare(after, text)
    assert "0 messages added, 0 updated, 0 removed" in from_disk()
    with open(os.path.join(old.maildir, "new", "1700000000.M1P1.host"), "wb") as new:
        new.write(letter(77))
    assert "1 messages have no UID yet" in from_disk()
    os.unlink(os.path.join(old.maildir, ".Sent", "dovecot-uidlist"))
    assert "doveadm mailbox status" in from_disk(code=1)
    old.start()


def test_many_that_were_moved_at_the_old_server_are_not_held(old, made):
    move_in(made, old)
    with made, ImapClient(made.imap, ALICE) as client:
        client.command("SELECT INBOX")
        client.command("UID STORE 12 +FLAGS (\\Flagged)")
    with Old(old) as user:
        user.do("SELECT INBOX", "UID MOVE 1:19,26:32 Work")
    there = see(old.port, old.user)
    text = move_in(made, old)
    with made:
        here = see(made.imap, ALICE)
    assert here["INBOX"] == there["INBOX"], text
    flagged = [m for m in here["Work"][2].values() if rb"\Flagged" in m[0]]
    assert set(here["Work"][2]) == set(there["Work"][2]) and len(flagged) == 2
    assert letter(12) in [m[2] for m in flagged]


def test_what_fails_names_the_next_step(old, made):
    assert "--user and the password" in made.ctl("mailbox", "import", ALICE, "--from", old.url, "--user", old.user, "--password-command", "printf wrong", code=1)
    assert "imaps://HOST" in made.ctl("mailbox", "import", ALICE, code=2)
    assert "nothing was written" in move_in(made, old, "--dry-run")
    old.stop()
    assert "the same command goes on" in move_in(made, old, code=1)
    old.start()


def test_a_backup_is_brought_level_behind_an_import(old, made, tmp_path):
    made.ctl("backup", "--to", str(tmp_path / "backup"))
    move_in(made, old)
    assert " rows" in made.ctl("backup", "--to", str(tmp_path / "backup"))
    assert "sound" in made.ctl("backup", "--to", str(tmp_path / "backup"), "--check")


def test_a_batch_takes_users_by_their_names(old, made, tmp_path):
    (tmp_path / "batch").write_text(f"# two\n{ALICE} {old.user}\nnobody@example.org\n")
    text = made.ctl("mailbox", "import", "--batch", str(tmp_path / "batch"), "--from", old.url, "--password-command", f"test $OUTPOST_USER = {old.user} && printf %s {old.password}", code=1)
    assert "52 messages added" in text and "1 of 2 mailboxes" in text

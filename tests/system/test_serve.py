# SPDX-License-Identifier: Apache-2.0
"""The offline store served to mail programs: what they see is what the store has, and what they do is pushed."""
import imaplib
import os
import pty
import re
import select
import socket
import subprocess
import time

import pytest
from genmail import Generator
from imapclient import ImapClient, to_utf7
from outpost import Outpost, differences
from serving import Serving

BROKEN = [b"no header at all\r\n", b"Subject: bare LF\n\nbody\n", b"Subject: 8 bit \xff\xfe\r\n\r\n\xe4\xf6\xfc\r\n",
          b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nunfinished"]


def fill(server, n=60):
    with ImapClient(server.port) as client:
        client.append_many("INBOX", Generator(1).messages(n))
        client.append_many("INBOX", [(octets, [], 1600000000 + i) for i, octets in enumerate(BROKEN)])
        for name in ("Archive", "Archive/2026", "Müller & Söhne", "empty"):
            client.create(name)
            client.command(f'SUBSCRIBE "{name}"' if name.isascii() else "NOOP")
        client.append_many("Archive/2026", Generator(2).messages(n // 3))


def dump(port, password="wonderland"):
    with ImapClient(port, password=password) as client:
        return client.dump()


def as_content(there):
    """Folder -> what lies in it; UIDs are each store's own."""
    return {name: sorted((m.sha256, sorted(m.flags), m.received, m.size) for m in messages) for name, messages in there.items()}


@pytest.fixture
def mailbox(server, program):
    fill(server)
    program.logon(server.url)
    program.sync()
    return server


def expect(client, pattern):
    """The next line of the answer that holds @pattern; what comes before it is passed over."""
    while True:
        line = b" ".join(client.read_response())
        if pattern in line:
            return line


def test_everything_is_served_octet_for_octet(mailbox, program):
    with Serving(program) as serving:
        assert as_content(dump(serving.port, serving.password)) == as_content(dump(mailbox.port))


def threads_of(port, user, password, folder, algorithm):
    client = imaplib.IMAP4("127.0.0.1", port)
    client.login(user, password)
    client.select('"' + to_utf7(folder) + '"', readonly=True)
    answer = client.uid("THREAD", algorithm, "UTF-8", "ALL")[1][0]
    client.logout()
    return answer.decode()


@pytest.mark.parametrize("algorithm", ["REFERENCES", "ORDEREDSUBJECT"])
def test_threads_are_those_that_dovecot_makes(algorithm, mailbox, program):
    with Serving(program) as serving:
        seen = 0
        for folder in program.folders():
            number = {str(item["localUid"]): str(item["uid"]) for item in program.list(folder)}
            ours = threads_of(serving.port, program.ADDRESS, serving.password, folder, algorithm) if number else ""
            theirs = threads_of(mailbox.port, "alice", "wonderland", folder, algorithm) if number else ""
            assert re.sub(r"\d+", lambda uid: number[uid.group()], ours) == theirs
            seen += theirs.count(" ")
        assert seen > 0  # some are answers


def test_another_outpost_synchronises_with_it(mailbox, program, tmp_path):
    with Serving(program) as serving, Outpost(directory=str(tmp_path / "second")) as second:
        second.logon(serving.url, password=serving.password)
        second.sync()
        assert differences(second, dump(serving.port, serving.password)) == []
        message = second.list("INBOX")[0]
        second.ok("flag", str(message["id"]), "flagged", "receipts")
        second.ok("move", str(second.list("INBOX")[1]["id"]), "Archive")
        second.ok("delete", str(second.list("INBOX")[2]["id"]))
        second.ok("folder", "create", "made/there")
        second.sync()
        assert differences(second, dump(serving.port, serving.password)) == []
        # and on to the server behind
        program.sync()
        assert as_content(dump(mailbox.port)) == as_content(dump(serving.port, serving.password))
        with ImapClient(mailbox.port) as client:
            client.append_many("INBOX", Generator(7).messages(3))
        program.sync()
        second.sync()
        assert differences(second, dump(serving.port, serving.password)) == []
        assert as_content(dump(mailbox.port)) == as_content(dump(serving.port, serving.password))


def test_what_a_mail_program_changes_is_pushed(mailbox, program):
    with Serving(program) as serving:
        client = imaplib.IMAP4("127.0.0.1", serving.port)
        client.login("alice@mail.example.org", serving.password)
        assert len(client.list()[1]) == 5
        assert client.select("INBOX")[0] == "OK"
        assert client.store("1", "+FLAGS", "(\\Flagged receipts)")[0] == "OK"
        assert client.uid("STORE", "2", "FLAGS.SILENT", "()")[0] == "OK"
        assert client.copy("3:4", "empty")[0] == "OK"
        assert client.uid("MOVE", "5:6", "Archive")[0] == "OK"
        assert client.append("Archive", "(\\Seen)", imaplib.Time2Internaldate(1700000000), b"Subject: mine\r\n\r\nhello\r\n")[0] == "OK"
        assert client.store("1:2", "+FLAGS.SILENT", "\\Deleted")[0] == "OK"
        assert client.expunge()[0] == "OK"
        assert client.create("new/below")[0] == "OK"
        assert client.rename("Archive/2026", "new/2026")[0] == "OK"
        assert client.delete("empty")[0] == "OK"
        assert client.logout()[0] == "BYE"
        here = dump(serving.port, serving.password)
    program.sync()
    assert as_content(dump(mailbox.port)) == as_content(here)


def test_idle_tells_what_the_watcher_brings_and_what_is_done_goes_there(mailbox, program):
    with Serving(program) as serving:
        watcher = program.start("sync", "--watch")
        try:
            with ImapClient(serving.port, password=serving.password) as client, ImapClient(mailbox.port) as far:
                client.select("INBOX")
                client.send(b"i IDLE\r\n")
                expect(client, b"+ ")
                far.append_many("INBOX", Generator(9).messages(1))
                expect(client, b"EXISTS")
                far.select("INBOX")
                far.command("UID STORE 1 +FLAGS (\\Answered)")
                expect(client, b"\\Answered")
                far.command("UID STORE 2 +FLAGS (\\Deleted)")
                far.command("UID EXPUNGE 2")
                expect(client, b"EXPUNGE")
                client.send(b"DONE\r\n")
                client.wait("i")
                # the other way: the watcher is told and pushes at once
                far.send(b"j IDLE\r\n")
                expect(far, b"+ ")
                client.command("UID STORE 3 +FLAGS (urgent)")
                expect(far, b"urgent")
                far.send(b"DONE\r\n")
                far.wait("j")
        finally:
            watcher.terminate()
            assert watcher.wait(60) == 0
            watcher.stdout.close()
            watcher.stderr.close()


def test_a_watching_outpost_hears_of_every_folder(mailbox, program):
    with Serving(program) as serving, Outpost() as second:
        second.logon(serving.url, password=serving.password)
        second.sync()
        watcher = second.start("sync", "--watch")
        try:
            with ImapClient(serving.port, password=serving.password) as client:
                client.append_many("Archive/2026", Generator(11).messages(1))
                client.create("later")
                client.append_many("later", Generator(12).messages(2))
                wanted = client.dump()
            end = time.monotonic() + 45  # without NOTIFY it would look once a minute
            while differences(second, wanted, sample=1) and time.monotonic() < end:
                time.sleep(0.2)
            assert differences(second, wanted) == []
        finally:
            watcher.terminate()
            assert watcher.wait(60) == 0
            watcher.stdout.close()
            watcher.stderr.close()


def test_the_commands_of_the_program_are_told_too(mailbox, program):
    with Serving(program) as serving, ImapClient(serving.port, password=serving.password) as client:
        client.select("INBOX")
        client.send(b"i IDLE\r\n")
        expect(client, b"+ ")
        program.ok("flag", str(program.list("INBOX")[0]["id"]), "told")
        expect(client, b"told")
        program.ok("delete", str(program.list("INBOX")[0]["id"]))
        expect(client, b"EXPUNGE")
        client.send(b"DONE\r\n")
        client.wait("i")


def test_a_socket_needs_no_password(mailbox, program):
    path = os.path.join(program.home, "imap.sock")
    with Serving(program, socket=path):
        assert os.stat(path).st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(path)
            with s.makefile("rb") as lines:
                assert lines.readline().startswith(b"* PREAUTH ")
                s.sendall(b"a STATUS INBOX (MESSAGES)\r\n")
                assert lines.readline().startswith(b"* STATUS INBOX (MESSAGES 64)")
                assert lines.readline().startswith(b"a OK")


def test_the_wrong_password_and_other_addresses_are_refused(mailbox, program):
    code, _, err = program.run("serve", "--listen", "0.0.0.0:0")
    assert code == 2 and "only addresses of this machine" in err
    assert program.run("serve", "--listen", "here")[0] == 2
    with Serving(program) as serving:
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            imaplib.IMAP4("127.0.0.1", serving.port).login("alice", "guess")
        code, _, err = program.run("serve", "--listen", f"127.0.0.1:{serving.port}")
        assert code == 1 and "in use" in err
        where = os.path.join(program.home, "config", "outpost", "profiles")
        kept = [name for name in os.listdir(where) if name.endswith(".serve-password")]
        assert [os.stat(os.path.join(where, name)).st_mode & 0o777 for name in kept] == [0o600]
    program.ok("profile", "delete", program.json("profile", "show")["name"])
    assert not [name for name in os.listdir(where) if name.endswith(".serve-password")]


def test_many_sessions_at_once_see_the_same(mailbox, program):
    with Serving(program) as serving:
        clients = [ImapClient(serving.port, password=serving.password) for _ in range(20)]
        for client in clients:
            client.select("INBOX")
            client.send(b"i IDLE\r\n")
            expect(client, b"+ ")
        with ImapClient(serving.port, password=serving.password) as one:
            one.append_many("INBOX", Generator(3).messages(1))
        for client in clients:
            expect(client, b"65 EXISTS")
            client.send(b"DONE\r\n")
            client.wait("i")
            client.close()


def test_those_who_do_not_read_hold_nobody_up(mailbox, program):
    with ImapClient(mailbox.port) as far:
        far.append_many("INBOX", [(b"Subject: big\r\n\r\n" + b"x" * 78 + b"\r\n" * 40000, [], 1600000000 + i) for i in range(100)])
    program.sync()
    with Serving(program) as serving:
        deaf = []
        for _ in range(40):
            client = ImapClient(serving.port, password=serving.password, timeout=25)  # less than the deaf ones are waited for
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.select("INBOX")
            client.send(b"x FETCH 1:* (BODY.PEEK[])\r\n")
            deaf.append(client)
        with ImapClient(serving.port, password=serving.password, timeout=25) as client:
            for _ in range(20):
                client.select("INBOX")
        for client in deaf:
            client.socket.close()


def test_another_store_in_its_place_is_served_from_then_on(mailbox, program):
    with Serving(program) as serving:
        client = ImapClient(serving.port, password=serving.password)
        client.select("INBOX")
        program.ok("sync", "--stale-store=replace")
        assert as_content(dump(serving.port, serving.password)) == as_content(dump(mailbox.port))
        client.socket.close()


# ---- Mail programs ----

def test_mbsync_keeps_a_maildir_in_step(mailbox, program, tmp_path):
    with Serving(program) as serving:
        config, mail = tmp_path / "mbsyncrc", tmp_path / "mail"
        mail.mkdir()
        config.write_text(f"""FSync no
IMAPAccount a
Host 127.0.0.1
Port {serving.port}
User alice
Pass {serving.password}
SSLType None
AuthMechs LOGIN

IMAPStore far
Account a

MaildirStore near
Path {mail}/
Inbox {mail}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
CopyArrivalDate yes
SyncState *
""")

        def run():
            done = subprocess.run(["mbsync", "-c", str(config), "-a"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
            assert done.returncode == 0, done.stdout.decode(errors="replace")

        def files(folder):
            return [str(p) for sub in ("cur", "new") for p in (mail / folder / sub).iterdir()]
        run()
        assert len(files("INBOX")) == 63 and len(files("Archive/2026")) == 20  # it takes no message without a header
        new = mail / "INBOX" / "new" / "1.a"
        new.write_bytes(b"Subject: from the Maildir\n\nhello\n")
        victim = files("Archive/2026")[0]
        os.unlink(victim)
        run()
        with ImapClient(serving.port, password=serving.password) as client:
            assert len(client.read_folder("INBOX")) == 65
            assert len(client.read_folder("Archive/2026")) == 19
            client.select("INBOX")
            client.command("STORE 1:10 +FLAGS (\\Deleted)")
            client.command("EXPUNGE")
        run()
        assert len(files("INBOX")) == 54
        here = dump(serving.port, serving.password)
    program.sync()
    assert as_content(dump(mailbox.port)) == as_content(here)


def test_mutt_reads_flags_and_deletes(mailbox, program, tmp_path):
    """On a terminal of its own: opens INBOX, flags the first message, deletes the second, reads the third, saves and quits."""
    with Serving(program) as serving:
        rc = tmp_path / "muttrc"
        rc.write_text(f"""set folder="imap://alice@127.0.0.1:{serving.port}/"
set spoolfile="+INBOX"
set imap_pass="{serving.password}"
set ssl_starttls=no
set ssl_force_tls=no
set header_cache="{tmp_path}/cache"
set mark_old=no
set sort=mailbox-order
set quit=yes
set delete=yes
set wait_key=no
set pager_index_lines=0
set imap_idle=yes
push "<first-entry><flag-message><first-entry><next-undeleted><delete-message><quit>"
""")
        with ImapClient(serving.port, password=serving.password) as client:
            before = client.read_folder("INBOX")
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update({"TERM": "xterm", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "LINES": "40", "COLUMNS": "120"})
            os.execvp("mutt", ["mutt", "-n", "-F", str(rc)])
        said = b""
        try:
            end = time.monotonic() + 120
            while time.monotonic() < end:
                if select.select([terminal], [], [], 1)[0]:
                    try:
                        piece = os.read(terminal, 65536)
                    except OSError:
                        break
                    if not piece:
                        break
                    said += piece
        finally:
            os.close(terminal)
        _, status = os.waitpid(pid, 0)
        assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, said[-3000:]
        with ImapClient(serving.port, password=serving.password) as client:
            after = client.read_folder("INBOX")
        assert len(after) == len(before) - 1, said[-3000:]
        assert "\\Flagged" in after[0].flags and after[0].uid == before[0].uid

# SPDX-License-Identifier: Apache-2.0
"""Any server takes any log-on: whose mailbox is at home at another server is passed on there, and notices nothing."""
import imaplib
import threading
import time

import pytest

from imapclient import ImapClient, ImapError
from outpostd import wait_until
from scram import Scram

ALICE = "alice@example.org"
MESSAGE = b"From: a@elsewhere.example\r\nSubject: hello\r\nMessage-ID: <%d@elsewhere.example>\r\n\r\nbody\r\n"


def deliver(server, *numbers):
    with server.lmtp() as lmtp:
        for n in numbers:
            lmtp.sendmail("a@elsewhere.example", [ALICE], MESSAGE % n)


@pytest.fixture
def both(organised, second):
    """alice is at home at the first of them."""
    with organised, second:
        deliver(organised, 1, 2, 3)
        yield organised, second


def talk(server, *commands):
    """All that is heard, without tags that count."""
    with ImapClient(server.imap, ALICE) as client:
        heard = []
        for text in commands:
            client.command(text, heard.append)
        return heard


def test_a_session_that_is_passed_on_hears_what_the_home_says(both):
    home, other = both
    commands = ("CAPABILITY", "SELECT INBOX", "UID FETCH 1:* (FLAGS INTERNALDATE ENVELOPE BODY.PEEK[])", "STATUS Archive (MESSAGES)",
                'GETMETADATA "" /shared/vendor/outpost/server/name', "LIST \"\" *")
    assert talk(other, *commands) == talk(home, *commands)
    client = other.log_on("alice", "wonderland")
    assert "COMPRESS=DEFLATE" in client.capability()[1][0].decode()
    session = [s for s in home.lines("who") if s["protocol"] == "servers"]
    assert [(s["user"], s["address"]) for s in session] == [(ALICE, "127.0.0.1")]  # whom it is for, and from where he came
    client.append("Archive", None, None, b"Subject: big\r\n\r\n" + b"x" * 3_000_000)  # a literal that no buffer holds
    client.select("Archive")
    assert len(client.fetch("1", "(BODY.PEEK[])")[1][0][1]) > 3_000_000
    home.ctl("kick", ALICE)
    with pytest.raises((imaplib.IMAP4.abort, OSError), match="an administrator ended this session"):
        for _ in range(20):
            client.noop()
            time.sleep(0.1)


def test_what_a_mailbox_gets_is_told_through_the_other_server(both):
    home, other = both
    with ImapClient(other.imap, ALICE) as client:
        client.command("SELECT INBOX")
        client.socket.sendall(b"i IDLE\r\n")
        assert client.read_response()[0].startswith(b"+")
        deliver(home, 4)
        assert client.read_response() == [b"* 4 EXISTS"]
        client.socket.sendall(b"DONE\r\n")


def test_scram_proves_the_password_where_it_is_asked_for(both):
    _, other = both
    client = imaplib.IMAP4("127.0.0.1", other.imap)
    assert client.authenticate("SCRAM-SHA-256", Scram("SCRAM-SHA-256", "alice", "wonderland"))[0] == "OK"
    assert client.select("INBOX") == ("OK", [b"3"])
    client.logout()
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        other.log_on("alice", "wrong")


def test_the_limits_are_the_mailboxs_wherever_its_sessions_come_from(both):
    home, other = both
    home.configure("#connections-per-user = 50", "connections-per-user = 2")
    home.ctl("reload")
    kept = [other.log_on("alice", "wonderland"), home.log_on("alice", "wonderland")]
    with pytest.raises(imaplib.IMAP4.error, match=r"\[LIMIT\]"):
        other.log_on("alice", "wonderland")
    kept.pop(0).logout()
    wait_until(lambda: len(home.lines("who")) == 1)
    other.log_on("alice", "wonderland").logout()
    home.ctl("mailbox", "disable", "alice")
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        other.log_on("alice", "wonderland")


def test_a_client_that_follows_by_itself_is_told_where(both):
    home, other = both
    other.configure("#refer-clients =", "refer-clients = follower, another")
    other.restart()
    client = imaplib.IMAP4("127.0.0.1", other.imap)
    client.xatom("ID", '("name" "follower" "version" "1")')
    with pytest.raises(imaplib.IMAP4.error, match=rf"\[UNAVAILABLE\] the mailbox {ALICE} is at home at ex1, imaps://ex1.example.org:993, not here"):
        client.login(ALICE, "wonderland")
    assert client.response("REFERRAL") == ("REFERRAL", [b"imaps://ex1.example.org:993"])
    other.log_on("alice", "wonderland").logout()  # who says nothing of himself is passed on
    other.configure("#elsewhere = proxy", "elsewhere = refer")
    other.restart()
    with pytest.raises(imaplib.IMAP4.error, match=r"\[UNAVAILABLE\]"):
        other.log_on("alice", "wonderland")


def test_a_home_that_is_away_is_said_to_be_so_and_nothing_looks_empty(organised, second):
    with second:
        with pytest.raises(ImapError, match=r"\[UNAVAILABLE\] the mailbox alice@example.org is at home at ex1"):
            ImapClient(second.imap, ALICE)
    with organised, second:
        client = second.log_on("alice", "wonderland")
        client.select("INBOX")
        organised.restart()
        with pytest.raises((imaplib.IMAP4.abort, OSError)):
            for _ in range(20):
                client.noop()
                time.sleep(0.1)
        second.log_on("alice", "wonderland").logout()


def test_many_at_once_through_one_server(both):
    home, other = both
    faults = []

    def use():
        try:
            for _ in range(5):
                with ImapClient(other.imap, ALICE) as client:
                    client.command("SELECT INBOX")
                    assert len(client.read_folder("INBOX")) == 3
        except Exception as error:  # whatever it is
            faults.append(error)

    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    wait_until(lambda: home.lines("who") == [])


def test_nobody_but_a_server_is_taken_for_one(both):
    home, _ = both
    client = imaplib.IMAP4("127.0.0.1", home.imap)
    assert "EXTERNAL" not in client.capability()[1][0].decode()
    with pytest.raises(imaplib.IMAP4.error):
        client.authenticate("EXTERNAL", lambda _: ALICE.encode())
    client.xatom("ID", '("x-originating-ip" "192.0.2.9")')
    client.login(ALICE, "wonderland")
    assert [s["address"] for s in home.lines("who")] == ["127.0.0.1"]


def until(client, line):
    """It hears that, and nothing else but flags."""
    heard = client.read_response()[0]
    while heard != line:
        assert b" FETCH " in heard or heard.startswith((b"* FLAGS", b"* OK [PERMANENTFLAGS")), heard
        heard = client.read_response()[0]


def test_sessions_go_along_with_a_mailbox_and_notice_nothing(both):
    """One in IDLE, one that has selected a folder and numbers by which it knows messages, one that has not; there, back and there again."""
    home, other = both
    deliver(home, *range(4, 31))
    idle, selected, fresh = (ImapClient(home.imap, ALICE) for _ in range(3))
    for client in (idle, selected):
        client.command("ENABLE CONDSTORE")
        client.command("SELECT INBOX")
    selected.command("UID STORE 7 +FLAGS (\\Deleted kept)")
    idle.command("NOOP")
    idle.socket.sendall(b"i IDLE\r\n")
    assert idle.read_response()[0].startswith(b"+")
    selected.command("SEARCH RETURN (SAVE) 3:5")
    for n, (to, there) in enumerate((("ex2", other), ("ex1", home), ("ex2", other))):
        home.ctl("mailbox", "move", ALICE, "--to-server", to)
        wait_until(lambda: len([s for s in there.lines("who") if s["user"] == ALICE]) == 3)
        deliver(there, 100 + n)
        until(idle, b"* %d EXISTS" % (31 + n - (n > 0)))
        if n == 0:
            with ImapClient(home.imap, ALICE) as client:
                client.command("SELECT INBOX")
                client.command("UID EXPUNGE 7")
            until(idle, b"* 7 EXPUNGE")
    heard = []
    selected.command("FETCH $ (UID)", heard.append)
    assert heard[3][0].endswith(b" EXISTS") and [line[0] for line in heard[:3]] == [b"* 3 FETCH (UID 3)", b"* 4 FETCH (UID 4)", b"* 5 FETCH (UID 5)"], heard
    heard = []
    selected.command("NOOP", heard.append)
    assert heard == [[b"* 7 EXPUNGE"]], heard
    fresh.command("SELECT INBOX")
    assert len(fresh.read_folder("INBOX")) == 32
    idle.socket.sendall(b"DONE\r\n")
    assert idle.read_response()[0].startswith(b"i OK")
    idle.command("UID STORE 1 +FLAGS (stillhere)")

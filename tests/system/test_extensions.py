# SPDX-License-Identifier: Apache-2.0
"""Extensions of outpostd's IMAP as Python's imaplib and other peers use them."""
import imaplib
import os
import time

import pytest
from imapclient import ImapClient, ImapError
from serving import Serving

MESSAGE = b"Subject: hello\r\nFrom: a@elsewhere.example\r\n\r\nbody\r\n"


def test_rights_are_the_owners(made):
    with made:
        client = made.log_on("alice", "wonderland")
        assert {"ACL", "RIGHTS=texk", "LIST-MYRIGHTS"} <= set(client.capability()[1][0].decode().split())
        assert client.myrights("Archive") == ("OK", [b"Archive lrswipkxtecda"])
        assert client.getacl("Archive") == ("OK", [b"Archive alice@example.org lrswipkxtecda"])
        answer = client.setacl("Archive", "bob@example.org", "lr")
        assert answer[0] == "NO" and b"can't be shared" in answer[1][0]
        assert client.deleteacl("Archive", "bob@example.org")[0] == "OK"
        made.ctl("mailbox", "rename", "alice@example.org", "alicia@example.org")
        assert client.getacl("INBOX") == ("OK", [b"INBOX alicia@example.org lrswipktecda"])
        client.logout()


def test_the_offline_store_tells_them_too(server, program):
    program.logon(server.url)
    program.sync()
    with Serving(program) as serving:
        client = imaplib.IMAP4("127.0.0.1", serving.port)
        client.login("alice", serving.password)
        name, owner, rights = client.getacl("INBOX")[1][0].decode().split()
        assert (name, owner, rights) == ("INBOX", program.ADDRESS, "lrswipktecda")
        assert "QUOTA" not in client.capability()[1][0].decode() and "COMPRESS" not in client.capability()[1][0].decode()
        client.logout()


def test_the_day_of_a_copy_is_its_own(made):
    with made:
        client = made.log_on("alice", "wonderland")
        client.append("Drafts", None, '"01-Jan-2020 00:00:00 +0000"', MESSAGE)
        client.select("Drafts")
        line = client.fetch("1", "(INTERNALDATE SAVEDATE)")[1][0].decode()
        assert 'INTERNALDATE " 1-Jan-2020' in line and time.strftime("-%Y ", time.gmtime()) in line.split("SAVEDATE")[1]
        today = time.strftime("%d-%b-%Y", time.gmtime(time.time() - 60))
        assert client.search(None, "SAVEDSINCE", today)[1] == [b"1"] and client.search(None, "SINCE", today)[1] == [b""]
        client.logout()


def set_metadata(client, folder, name, value):
    client.count += 1
    client.send(f'a{client.count} SETMETADATA {folder} ({name} ~{{{len(value)}+}}\r\n'.encode() + value + b")\r\n")
    return client.wait(f"a{client.count}")


def test_metadata_are_kept_octet_for_octet_and_have_limits(made):
    value = bytes(range(256)) * 200
    with made:
        with ImapClient(made.imap) as client:
            set_metadata(client, "INBOX", "/private/vendor/test/octets", value)
            for n in range(99):
                set_metadata(client, "INBOX", f"/shared/n{n}", b"%d" % n)
            with pytest.raises(ImapError, match="METADATA TOOMANY"):
                set_metadata(client, "INBOX", "/shared/one-more", b"x")
            with pytest.raises(ImapError, match="METADATA MAXSIZE 65536"):
                set_metadata(client, "Drafts", "/shared/big", b"x" * 65537)
            set_metadata(client, "Drafts", "/shared/big", b"x" * 65536)
    with made, ImapClient(made.imap) as client:  # after a restart
        assert client.command("GETMETADATA INBOX /private/vendor/test/octets")[0][1] == value
        assert client.command("GETMETADATA (DEPTH 1) INBOX /shared")[0][0].count(b"/shared/n") == 99
        answer = client.command("GETMETADATA (MAXSIZE 100) INBOX /private/vendor/test/octets")
        assert len(answer) == 1 and b"[METADATA LONGENTRIES 51200]" in answer[0][0]
        client.command("DELETE Archive")
        client.command("CREATE Archive")
        assert b"NIL" in client.command("GETMETADATA Archive /private/comment")[0][0]


def test_a_connection_is_used_for_one_after_another(made):
    made.configure("#unauthenticate = no", "unauthenticate = maybe")
    assert "must be yes or no" in made.run("outpostd", code=2)
    made.configure("unauthenticate = maybe", "unauthenticate = yes")
    made.configure("#log-on-timeout = 60", "log-on-timeout = 2")
    imaplib.Commands.setdefault("UNAUTHENTICATE", ("AUTH", "SELECTED"))
    with made:
        client = made.log_on("alice", "wonderland")
        client.append("INBOX", None, None, MESSAGE)
        client.select("INBOX")
        time.sleep(2.5)  # longer than a log-on may take: that time begins anew
        assert client._simple_command("UNAUTHENTICATE")[0] == "OK"
        assert not made.lines("who")[0]["user"]
        client.state = "NONAUTH"
        client.login("bob", "builder")
        assert client.select("INBOX")[1] == [b"0"]
        assert [line["user"] for line in made.lines("who")] == ["bob@example.org"]
        assert client._simple_command("UNAUTHENTICATE")[0] == "OK"
        with pytest.raises((imaplib.IMAP4.error, OSError)):  # and it does end
            for _ in range(100):
                time.sleep(0.1)
                client.noop()


def test_messages_are_made_of_others_octet_for_octet(made):
    big = b"Subject: big\r\n\r\n" + os.urandom(2 << 20).replace(b"\0", b"1")
    with made, ImapClient(made.imap) as client:
        client.append_many("INBOX", [(big, [], 1577836800)])
        client.create("Ar & chiv")
        head = b"X-Made: of it\r\n"
        client.count += 1
        client.send(f'a{client.count} APPEND "Ar &- chiv" CATENATE (TEXT {{{len(head)}+}}\r\n'.encode() + head + b' URL "/INBOX/;UID=1" TEXT '
                    b"{%d+}\r\n" % len(big) + big + b" URL /INBOX/;UID=1/;PARTIAL=1000.1500000)\r\n")
        client.wait(f"a{client.count}")
        client.select("Ar & chiv", examine=True)
        made_of = client.command("FETCH 1 BODY.PEEK[]")[0][1]
        assert made_of == head + big + big + big[1000:1501000]
        client.command('APPEND Drafts CATENATE (URL "/Ar%20%26%20chiv/;UID=1/;SECTION=HEADER")')
    made.configure("#message-max = 67108864", "message-max = 3000000")
    with made, ImapClient(made.imap) as client:
        with pytest.raises(ImapError, match="TOOBIG"):
            client.command("APPEND Drafts CATENATE (URL /INBOX/;UID=1 URL /INBOX/;UID=1)")
        with pytest.raises(ImapError, match="TOOBIG"):
            client.command("APPEND Drafts CATENATE (URL /INBOX/;UID=1) CATENATE (URL /INBOX/;UID=1)")
        client.select("Drafts", examine=True)
        assert client.command("FETCH 1:* BODY.PEEK[]")[0][1] == b"X-Made: of it\r\nSubject: big\r\n\r\n"

# SPDX-License-Identifier: Apache-2.0
"""Extensions of outpostd's IMAP as Python's imaplib and other peers use them."""
import imaplib
import time

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

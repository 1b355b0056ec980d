# SPDX-License-Identifier: Apache-2.0
"""outpostd as an administrator meets it: made, mailboxes made, mail delivered by LMTP, read by IMAP with TLS, and synchronised by outpost."""
import contextlib
import glob
import imaplib
import os
import re
import smtplib
import sqlite3
import ssl
import threading
import time

import pytest

from dovecot import free_port
from imapclient import ImapClient
from outpostd import wait_until

MESSAGE = b"From: a@elsewhere.example\r\nSubject: hello\r\nMessage-ID: <1@elsewhere.example>\r\n\r\nbody\r\n.\r\n\xe4\r\n"


def octets(client):
    client.select("INBOX")
    numbers = client.search(None, "ALL")[1][0].split()
    return [client.fetch(n, "(BODY.PEEK[])")[1][0][1] for n in numbers]


def test_mail_goes_to_whom_the_directory_names_and_is_read_with_tls(made):
    made.ctl("alias", "add", "both@example.org", "alice@example.org")
    made.ctl("alias", "add", "both@example.org", "bob@example.org")
    with made, made.lmtp() as lmtp:
        lmtp.ehlo_or_helo_if_needed()
        lmtp.mail("a@elsewhere.example")
        assert [lmtp.rcpt(f"{name}@example.org")[0] for name in ("Alice+lists", "both", "nobody")] == [250, 250, 550]
        assert [lmtp.data(MESSAGE)[0], lmtp.getreply()[0]] == [250, 250]  # one for each that was taken
        for user, password in (("alice", "wonderland"), ("bob@example.org", "builder")):
            client = made.log_on(user, password)
            found = octets(client)
            assert len(found) == 1  # two addresses of one person are one message
            assert found[0].startswith(b"Return-Path: <a@elsewhere.example>\r\nReceived: ") and found[0].endswith(MESSAGE)
            assert [re.search(rb'"/" "?([^"]*)', line).group(1).decode() for line in client.list()[1]] == [
                "INBOX", "Archive", "Deleted Items", "Drafts", "Junk", "Sent Items"]
            client.logout()


def test_starttls_is_offered_and_works(made):
    with made:
        client = imaplib.IMAP4("localhost", made.imap)
        assert "STARTTLS" in client.capabilities
        client.starttls(ssl.create_default_context(cafile=made.folder + "/tls/certificate.pem"))
        assert "STARTTLS" not in client.capabilities
        client.login("alice", "wonderland")
        client.logout()


def test_a_session_that_waits_is_told_of_a_delivery(made):
    with made, made.lmtp() as lmtp:
        client = made.log_on("alice", "wonderland")
        client.select("INBOX")
        client.send(b"i IDLE\r\n")
        assert client.readline().startswith(b"+")
        lmtp.sendmail("a@elsewhere.example", ["alice@example.org"], MESSAGE)
        assert client.readline() == b"* 1 EXISTS\r\n"
        client.send(b"DONE\r\n")
        client.readline()
        client.shutdown()


def test_wrong_passwords_disabled_deleted_and_full_mailboxes(made):
    with made, made.lmtp() as lmtp:
        for user, password in (("alice", "wrong"), ("nobody", "wonderland"), ("bob", "wonderland")):
            with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
                made.log_on(user, password)
        made.ctl("mailbox", "disable", "alice@example.org")
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            made.log_on("alice", "wonderland")
        assert lmtp.sendmail("a@elsewhere.example", ["alice@example.org"], MESSAGE) == {}
        made.ctl("mailbox", "enable", "alice@example.org")
        made.ctl("mailbox", "rename", "alice@example.org", "alicia@example.org", "--keep-alias")
        assert lmtp.sendmail("a@elsewhere.example", ["alice@example.org"], MESSAGE) == {}
        assert len(octets(made.log_on("alicia", "wonderland"))) == 2
        assert lmtp.sendmail("a@elsewhere.example", ["bob@example.org"], MESSAGE + b"x" * 500 + b"\r\n") == {}
        with pytest.raises(smtplib.SMTPDataError) as full:
            lmtp.sendmail("a@elsewhere.example", ["bob@example.org"], MESSAGE + b"x" * 500 + b"\r\n")
        assert full.value.smtp_code == 452
        made.ctl("mailbox", "delete", "bob@example.org")
        with pytest.raises(smtplib.SMTPRecipientsRefused) as gone:
            lmtp.sendmail("a@elsewhere.example", ["bob@example.org"], MESSAGE)
        assert gone.value.recipients["bob@example.org"][0] == 550
        number = made.ctl("mailbox", "list", "--deleted").split()[3]
        made.ctl("mailbox", "undelete", number)
        assert len(octets(made.log_on("bob", "builder"))) == 1


def waiting(server, user, password):
    client = server.log_on(user, password)
    client.select("INBOX")
    client.send(b"i IDLE\r\n")
    assert client.readline().startswith(b"+")
    return client


def test_who_may_log_on_no_more_is_logged_off_at_once_and_nobody_else_is(made):
    changes = (("mailbox", "passwd", "alice@example.org", "--password-command", "printf looking-glass"),
               ("mailbox", "disable", "alice@example.org"), ("mailbox", "delete", "alice@example.org"))
    made.ctl("mailbox", "disable", "bob@example.org")  # no server runs
    made.ctl("mailbox", "enable", "bob@example.org")
    with made:
        other, password = waiting(made, "bob", "builder"), "wonderland"
        for change in changes:
            idle, quiet = waiting(made, "alice", password), made.log_on("alice", password)
            made.ctl(*change)
            for client in (idle, quiet):
                client.sock.settimeout(10)
                assert client.readline().startswith(b"* BYE ") and client.readline() == b""
            with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
                made.log_on("alice", password)
            password = "looking-glass"
            if "disable" in change:
                made.ctl("mailbox", "enable", "alice@example.org")
        other.send(b"DONE\r\n")
        assert other.readline().startswith(b"i OK")
        other.shutdown()


def test_words_are_found_by_the_index_that_the_server_keeps_up(made):
    """A search reads no more than 1,000 messages beyond the index: the first one of more is found by the index alone."""
    letters = [(b"Subject: %d\r\n\r\n%s\r\n" % (i, b"periwinkle" if i == 0 else b"plain"), [], 0) for i in range(1100)]

    def finds_the_first(client):
        return client.search(None, "TEXT", "periwinkle") == ("OK", [b"1"])
    with made:
        with ImapClient(made.imap, user="alice@example.org") as client:
            client.append_many("INBOX", letters)
        client = made.log_on("alice", "wonderland")
        client.select("INBOX")
        wait_until(lambda: finds_the_first(client))
    stores = glob.glob(os.path.join(made.folder, "mail", "*[0-9a-f]"))
    for store in stores:  # as a server that had no index left it
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            db.execute("INSERT INTO fts (fts) VALUES ('delete-all')")
            db.execute("UPDATE meta SET indexed_message = 0")

    def pending():
        count = 0
        for store in stores:
            with contextlib.closing(sqlite3.connect(store)) as db:
                count += db.execute("SELECT COUNT(*) FROM message WHERE id > (SELECT indexed_message FROM meta)").fetchone()[0]
        return count
    assert pending() == 1100
    with made, made.lmtp() as lmtp:  # though nobody logs on
        wait_until(lambda: pending() == 0)
        lmtp.sendmail("a@elsewhere.example", ["alice@example.org"], MESSAGE)
        wait_until(lambda: pending() == 0)
        client = made.log_on("alice", "wonderland")
        client.select("INBOX")
        assert finds_the_first(client)


def test_outpost_synchronises_with_it_both_ways(made, program):
    with made, made.lmtp() as lmtp:
        for _ in range(3):
            lmtp.sendmail("a@elsewhere.example", ["alice@example.org"], MESSAGE)
        program.ok("logon", "alice@example.org", "--server", f"imaps://localhost:{made.imaps}", "--tls-ca", made.folder + "/tls/certificate.pem",
                   "--password-command", "printf wonderland")
        messages = program.list("INBOX")
        assert len(messages) == 3
        program.ok("flag", str(messages[0]["id"]), "flagged")
        program.ok("move", str(messages[1]["id"]), "Archive")
        program.ok("delete", str(messages[2]["id"]))
        program.sync()
        client = made.log_on("alice", "wonderland")
        assert client.select("INBOX")[1] == [b"1"] and b"\\Flagged" in client.fetch("1", "(FLAGS)")[1][0]
        assert client.select("Archive")[1] == [b"1"]


def test_errors_name_the_thing_and_the_next_step(made):
    assert "there is a server in" in made.run("outpostd", "init", "--domain", "example.org", code=1)
    assert "is no address" in made.ctl("mailbox", "create", "alice", code=2)
    assert "there is a mailbox" in made.ctl("mailbox", "create", "alice@example.org", code=1)
    assert "outpostctl domain add" in made.ctl("mailbox", "create", "a@example.net", code=3)
    assert "outpostctl --help" in made.ctl("mailbox", "frobnicate", code=2)
    with open(os.path.join(made.folder, "outpostd.conf"), "a") as file:
        file.write("[imaps]\nlisen = 1\n")
    assert "section [imaps] knows no 'lisen'" in made.ctl("mailbox", "list", code=2)


@pytest.mark.parametrize("users", [1, 4])
def test_what_was_answered_is_there_once_though_the_server_is_killed_at_that_moment(made, users):
    """Letters for one mailbox that come at the same time are stored together."""
    names, answered, lock = [f"user{i}@example.org" for i in range(users)], [], threading.Lock()
    for name in names:
        made.create(name, "wonderland")

    def send(number):
        name = names[number % users]
        try:
            lmtp = made.lmtp()
            for i in range(1000):
                subject = f"letter {number}.{i}"
                lmtp.sendmail("a@elsewhere.example", [name], f"Subject: {subject}\r\n\r\n.\r\n")
                with lock:
                    answered.append((name, subject))
        except (OSError, smtplib.SMTPException):
            pass

    made.__enter__()
    senders = [threading.Thread(target=send, args=(i,)) for i in range(8)]
    for sender in senders:
        sender.start()
    while len(answered) < 150:
        time.sleep(0.01)
    made.process.kill()
    made.process.wait()
    for sender in senders:
        sender.join()
    with made:
        found = []
        for name in names:
            client = made.log_on(name, "wonderland")
            found += [(name, re.search(rb"Subject: (.*)\r\n", message).group(1).decode()) for message in octets(client)]
            client.logout()
    assert len(set(found)) == len(found) and set(answered) <= set(found)
    assert len(found) <= len(answered) + 8


def test_a_letter_that_can_not_be_stored_does_not_hold_up_those_beside_it(made):
    """One mailbox's file is damaged while letters come for it and for another one."""
    mail = os.path.join(made.folder, "mail")
    others = set(os.listdir(mail))
    made.create("broken@example.org", "wonderland")
    name = next(name for name in set(os.listdir(mail)) - others if len(name) == 32)
    with open(os.path.join(mail, name), "r+b") as store:
        store.write(b"no database" * 100)
    with made, made.lmtp() as lmtp:
        lmtp.ehlo_or_helo_if_needed()
        for _ in range(2):
            lmtp.mail("a@elsewhere.example")
            assert [lmtp.rcpt(name)[0] for name in ("broken@example.org", "alice@example.org")] == [250, 250]
            assert [lmtp.data(MESSAGE)[0], lmtp.getreply()[0]] == [451, 250]
        assert len(octets(made.log_on("alice", "wonderland"))) == 2


def test_a_protocol_is_served_at_several_addresses(made):
    other = free_port()
    made.configure(f"listen = 127.0.0.1:{made.imap}\n", f"listen = 127.0.0.1:{made.imap} , 127.0.0.1:{other}\n")
    with made:
        for port in (made.imap, other):
            client = imaplib.IMAP4("127.0.0.1", port)
            client.login("alice", "wonderland")
            client.logout()
        assert {f"imap 127.0.0.1:{made.imap}", f"imap 127.0.0.1:{other}"} <= set(made.lines("status")[0]["listening"])

# SPDX-License-Identifier: Apache-2.0
"""Logging on to outpostd by SCRAM: a client made from the RFC, mbsync, and outpost itself."""
import base64
import imaplib
import os
import re
import ssl
import subprocess
import time

import pytest
from outpostd import wait_until
from scram import Scram

PLAIN, PLUS = ["SCRAM-SHA-256", "SCRAM-SHA-1"], ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"]


def encrypted(made, version=ssl.TLSVersion.TLSv1_2):
    """TLS 1.2 has a binding that Python can tell."""
    context = ssl.create_default_context(cafile=made.folder + "/tls/certificate.pem")
    context.maximum_version = version
    return imaplib.IMAP4_SSL("localhost", made.imaps, ssl_context=context)


def offered(client):
    return [name[5:] for name in client.capabilities if name.startswith("AUTH=")]


def log_on(client, mechanism, *what, **how):
    scram = Scram(mechanism, *what, **how)
    client.authenticate(mechanism, scram)
    assert scram.proved
    assert client.select("INBOX")[0] == "OK"
    client.logout()


def log_of(made):
    return open(os.path.join(made.folder, "log")).read()


def test_a_client_made_from_the_rfc_logs_on_by_each_mechanism(made):
    with made:
        assert offered(imaplib.IMAP4("localhost", made.imap)) == PLAIN + ["PLAIN"]  # on this machine; nothing to bind to
        for mechanism in PLAIN:
            log_on(imaplib.IMAP4("localhost", made.imap), mechanism, "alice", "wonderland")
            log_on(encrypted(made), mechanism, "Alice@example.org", "wonderland", authzid="Alice@example.org")
        for mechanism in PLUS:
            client = encrypted(made)
            assert offered(client) == PLUS + PLAIN + ["PLAIN"]
            log_on(client, mechanism, "alice", "wonderland", binding=("tls-unique", client.sock.get_channel_binding("tls-unique")))
        client = imaplib.IMAP4("localhost", made.imap)
        client.starttls(ssl.create_default_context(cafile=made.folder + "/tls/certificate.pem"))
        assert offered(client) == PLUS + PLAIN + ["PLAIN"]
        log_on(client, "SCRAM-SHA-256", "alice", "wonderland")
    assert log_of(made).count("log-on: mailbox=alice@example.org from=127.0.0.1 by=SCRAM-SHA-1-PLUS") == 1


def test_what_is_wrong_logs_nobody_on_and_tells_nothing(made):
    made.ctl("mailbox", "create", "carol@example.org", "--password-command", "printf x")
    made.ctl("mailbox", "disable", "carol@example.org")
    with made:
        told, salts = set(), {}
        for user, password in (("alice", "wrong"), ("nobody", "wonderland"), ("carol", "x"), ("alice,=", "wonderland"), ("nobody", "other"), ("alice", "again")):
            client, scram = encrypted(made), Scram("SCRAM-SHA-256", user, password)
            with pytest.raises(imaplib.IMAP4.error) as refused:
                client.authenticate("SCRAM-SHA-256", scram)
            told.add(str(refused.value))
            salts.setdefault(user, set()).add((scram.salt, scram.rounds))
            client.shutdown()
        assert told == {"[AUTHENTICATIONFAILED] the name or the password is wrong"}
        assert [len(salts[user]) for user in ("alice", "nobody")] == [1, 1] and len({len(s) for all in salts.values() for s, _ in all}) == 1
        assert len({rounds for all in salts.values() for _, rounds in all}) == 1


def test_a_binding_that_is_wrong_or_was_hidden_logs_nobody_on(made):
    with made:
        client = encrypted(made)
        other = client.sock.get_channel_binding("tls-unique")  # somebody between has two connections
        for mechanism, how in (("SCRAM-SHA-256-PLUS", {"binding": ("tls-unique", other)}), ("SCRAM-SHA-256-PLUS", {"binding": ("tls-exporter", other)}),
                               ("SCRAM-SHA-256-PLUS", {"binding": ("tls-server-end-point", other)}), ("SCRAM-SHA-256-PLUS", {"flag": "n"}),
                               ("SCRAM-SHA-256", {"flag": "y"}), ("SCRAM-SHA-256", {"binding": ("tls-unique", other)}),
                               ("SCRAM-SHA-256", {"authzid": "bob"})):
            one = encrypted(made)
            with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED|is no message"):
                one.authenticate(mechanism, Scram(mechanism, "alice", "wonderland", **how))
            one.shutdown()
        client.shutdown()


def test_an_exchange_can_be_given_up_broken_and_begun_again(made):
    with made:
        client = imaplib.IMAP4("localhost", made.imap)
        first = base64.b64encode(b"n,,n=alice,r=abc").decode()

        def say(line):
            client.send(line.encode() + b"\r\n")
            return client.readline().decode().rstrip()

        for last in ("*", "no base64", "=", "YQ==", "A" * 20000):
            assert say(f"a AUTHENTICATE SCRAM-SHA-256 {first}").startswith("+ cj1hYm")
            assert re.match("a BAD ", say(last)), last
        assert say("b AUTHENTICATE SCRAM-SHA-512 " + first).startswith("b NO [CANNOT]")
        assert say("c AUTHENTICATE SCRAM-SHA-256-PLUS " + first).startswith("c NO [CANNOT]")
        assert say("d AUTHENTICATE SCRAM-SHA-256 =").startswith("d BAD")
        assert say("e AUTHENTICATE SCRAM-SHA-256 " + "A" * 4000).startswith("e ")
        log_on(client, "SCRAM-SHA-256", "alice", "wonderland")


def test_outpost_binds_to_the_channel(made, program):
    with made:
        program.ok("logon", "alice@example.org", "--server", f"imaps://localhost:{made.imaps}", "--tls-ca", made.folder + "/tls/certificate.pem",
                   "--password-command", "printf wonderland")
    assert "by=SCRAM-SHA-256-PLUS" in log_of(made) and "by=password" not in log_of(made)


def test_mbsync_logs_on_by_scram(made, tmp_path):
    with made:
        with made.lmtp() as lmtp:
            lmtp.sendmail("a@elsewhere.example", ["alice@example.org"], b"Subject: x\r\n\r\nbody\r\n")
        (tmp_path / "rc").write_text(f"""IMAPAccount a
Host localhost
Port {made.imaps}
User alice
Pass wonderland
SSLType IMAPS
CertificateFile {made.folder}/tls/certificate.pem
AuthMechs SCRAM-SHA-256

IMAPStore far
Account a

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX

Channel all
Far :far:
Near :near:
Create Near
SyncState *
""")
        (tmp_path / "mail").mkdir()
        subprocess.run(["mbsync", "-c", str(tmp_path / "rc"), "all"], check=True, timeout=60)
        assert len(list((tmp_path / "mail" / "INBOX" / "new").iterdir())) == 1
    assert "by=SCRAM-SHA-256" in log_of(made) and "by=password" not in log_of(made)


def test_what_a_client_sends_is_one_line_of_the_log(made):
    with made:
        client = imaplib.IMAP4("localhost", made.imap)
        name = b"x\r\nlog-on: mailbox=alice@example.org\x1b[2J"
        client.send(b"a LOGIN {%d+}\r\n%s x\r\n" % (len(name), name))
        assert client.readline().startswith(b"a NO [AUTHENTICATIONFAILED]")
        client.logout()
    assert re.search(r"(?m)^log-on: refused: .*x\?\?log-on: mailbox=alice@example.org\?\[2J", log_of(made)) and "\x1b" not in log_of(made)


def memory_of(process):
    """What the process can write to, as it is now."""
    with open(f"/proc/{process.pid}/maps") as maps, open(f"/proc/{process.pid}/mem", "rb") as memory:
        for line in maps:
            place, mode = line.split()[:2]
            start, end = (int(number, 16) for number in place.split("-"))
            if mode.startswith("rw") and end - start < 1 << 32:  # not the shadow of a sanitizer
                memory.seek(start)
                yield memory.read(end - start)


def plain(user, password):
    return base64.b64encode(f"\0{user}\0{password}".encode())


def say(client, *pieces):
    """Piece by piece, as a slow line brings them; the answer's last line."""
    for piece in pieces:
        client.send(piece)
        time.sleep(0.05)
    return client.readline()


def test_no_password_is_left_in_the_memory_of_the_server(made):
    secret, wrong = "sesame" + "-open" * 30, "sesame-shut" * 600  # longer than what the first buffers hold
    made.ctl("mailbox", "create", "dave@example.org", "--password-command", f"printf %s {secret}")
    with made:
        clients = [imaplib.IMAP4("localhost", made.imap) for _ in range(5)]
        line = plain("dave@example.org", secret)
        assert say(clients[0], b"a LOGIN dave@example.org ", b'"' + secret.encode() + b'"\r\n').startswith(b"a OK")
        assert say(clients[1], b"a LOGIN dave@example.org {%d+}\r\n" % len(secret), secret[:9].encode(), secret[9:].encode() + b"\r\n").startswith(b"a OK")
        assert say(clients[2], b"a AUTHENTICATE PLAIN ", line[:50], line[50:] + b"\r\n").startswith(b"a OK")
        assert say(clients[3], b"a AUTHENTICATE PLAIN\r\n").startswith(b"+")
        assert say(clients[3], line[:50], line[50:] + b"\r\n").startswith(b"a OK")
        long = plain("dave@example.org", wrong)
        assert say(clients[4], b"a AUTHENTICATE PLAIN ", long[:100], long[100:5000], long[5000:] + b"\r\n").startswith(b"a NO")
        assert say(clients[4], b"b NOOP\r\n").startswith(b"b OK")
        texts = (secret[9:50].encode(), b"shutsesame-shutsesame", line[60:100], long[60:100], long[6000:6040])
        wait_until(lambda: not any(text in there for there in memory_of(made.process) for text in texts))  # wiped behind the answer

# SPDX-License-Identifier: Apache-2.0
"""Mail that users send: taken with a log-on, kept on disk, handed to the next server or to mailboxes here, reported on when it can't be."""
import base64
import email
import email.policy
import re
import smtplib
import socket
import ssl
import subprocess
import threading
import time

import pytest

from dovecot import free_port
from outpostd import metrics, wait_until
from scram import Scram
from smtpserver import SmtpServer

MESSAGE = b"From: Alice <alice@example.org>\r\nTo: you@far.example\r\nSubject: hello\r\n\r\nbody\r\n"


class Sending:
    """The mailbox server of the fixture, with submission and @relay (None: none) and quick tries."""

    def __init__(self, made, relay=None, *lines):
        self.made, self.port, self.tls_port = made, free_port(), free_port()
        more = [f"relay = smtp://127.0.0.1:{relay}"] if relay else []
        made.configure("#listen = 0.0.0.0:587", "\n".join([f"listen = 127.0.0.1:{self.port}", "retry-first = 1", "retry-longest = 1", *more, *lines]))
        made.configure("#listen = 0.0.0.0:465", f"listen = 127.0.0.1:{self.tls_port}")
        self.context = ssl.create_default_context(cafile=made.folder + "/tls/certificate.pem")

    def connect(self, user="alice", password="wonderland"):
        client = smtplib.SMTP_SSL("localhost", self.tls_port, context=self.context, timeout=30)
        client.login(user, password)
        return client

    def send(self, to, message=MESSAGE, sender="alice@example.org", options=(), rcpt_options=()):
        client = self.connect()
        refused = client.sendmail(sender, to, message, mail_options=options, rcpt_options=rcpt_options)
        client.quit()
        return refused

    def inbox(self, user, password, folder="INBOX"):
        client = self.made.log_on(user, password)
        client.select(f'"{folder}"')
        found = [client.fetch(n, "(BODY.PEEK[])")[1][0][1] for n in client.search(None, "ALL")[1][0].split()]
        client.logout()
        return found

    def alice(self, folder="INBOX"):
        return self.inbox("alice", "wonderland", folder)

    def queue(self):
        return self.made.ctl("queue", "list")


def report_of(octets):
    """(text, fields of the recipient, third part) of a report."""
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "delivery-status"
    assert message["Auto-Submitted"] == "auto-replied"
    text, status, third = message.iter_parts()
    per_message, *recipients = status.get_payload()
    assert per_message["Reporting-MTA"] == "dns; localhost"
    return text.get_content(), recipients, third


def test_mail_goes_to_the_relay_and_to_mailboxes_here(made):
    with SmtpServer() as relay:
        sending = Sending(made, relay.port)
        with made:
            assert sending.send(["you@far.example", "bob@example.org"]) == {}
            wait_until(lambda: relay.messages and sending.inbox("bob", "builder"))
            sender, recipients, octets = relay.messages[0]
            assert sender.startswith("<alice@example.org> SIZE=") and recipients == ["<you@far.example>"]
            header, _, body = octets.partition(b"\r\n\r\n")
            # a Date and a Message-ID are added (RFC 6409 8.2, 8.3), and a Received field that names no recipient of several (RFC 5321 4.4)
            assert re.fullmatch(rb"Received: from \S+ \(\[127\.0\.0\.1\]\)\r\n\tby localhost with ESMTPSA id ([0-9a-f]{32});\r\n\t.*\r\nDate: .* \+0000\r\n"
                                rb"Message-ID: <\1@localhost>\r\nFrom: Alice <alice@example.org>\r\nTo: you@far.example\r\nSubject: hello", header)
            assert body == b"body\r\n"
            assert sending.inbox("bob", "builder") == [b"Return-Path: <alice@example.org>\r\n" + octets]
            wait_until(lambda: "The queue is empty." in sending.queue())


def test_starttls_and_every_mechanism(made):
    sending = Sending(made)
    with made:
        for mechanism in ("plain", "login"):
            client = smtplib.SMTP("localhost", sending.port, timeout=30)
            client.starttls(context=sending.context)
            client.ehlo()
            client.user, client.password = "alice@example.org", "wonderland"
            assert client.auth(mechanism, getattr(client, "auth_" + mechanism))[0] == 235
            client.sendmail("alice@example.org", ["bob@example.org"], MESSAGE)
            client.quit()
        with pytest.raises(smtplib.SMTPAuthenticationError):
            sending.connect(password="wrong")
        wait_until(lambda: len(sending.inbox("bob", "builder")) == 2)
        assert "by=password" in open(made.folder + "/log").read()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"])
def test_scram(made, mechanism):
    sending = Sending(made)
    sending.context.maximum_version = ssl.TLSVersion.TLSv1_2  # Python knows tls-unique only
    with made:
        client = smtplib.SMTP_SSL("localhost", sending.tls_port, context=sending.context, timeout=30)
        client.ehlo()
        assert mechanism in client.esmtp_features["auth"].split()
        binding = ("tls-unique", client.sock.get_channel_binding("tls-unique")) if mechanism.endswith("PLUS") else None
        scram = Scram(mechanism, "alice", "wonderland", binding)
        client.docmd("AUTH", mechanism)
        answer = (334, b"")
        while answer[0] == 334:
            answer = client.docmd(base64.b64encode(scram(base64.b64decode(answer[1]))).decode())
        assert answer[0] == 235 and scram.proved
        client.sendmail("alice@example.org", ["alice@example.org"], MESSAGE)
        client.quit()
        wait_until(lambda: sending.alice())
        assert f"by={mechanism}" in open(made.folder + "/log").read()


@pytest.mark.parametrize("line", ["smtp", "smtps"])
def test_curl(made, tmp_path, line):
    sending, message = Sending(made), tmp_path / "message"
    message.write_bytes(MESSAGE)
    port = sending.port if line == "smtp" else sending.tls_port
    with made:
        done = subprocess.run(["curl", "-sS", "--ssl-reqd", "--cacert", made.folder + "/tls/certificate.pem", f"{line}://localhost:{port}", "--mail-from",
                               "alice@example.org", "--mail-rcpt", "bob@example.org", "--user", "alice:wonderland", "--upload-file", str(message)],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: len(sending.inbox("bob", "builder")) == 1)


def test_swaks(made):
    sending = Sending(made)
    with made:
        for more in (["-tls", "-p", str(sending.port)], ["-tlsc", "-p", str(sending.tls_port)]):
            done = subprocess.run(["swaks", "-s", "localhost", *more, "-f", "alice@example.org", "-t", "alice@example.org", "-a", "PLAIN", "-au", "alice", "-ap",
                                   "wonderland", "--tls-ca-path", made.folder + "/tls/certificate.pem", "--tls-verify"], capture_output=True, text=True)
            assert done.returncode == 0 and "queued as" in done.stdout, done.stdout + done.stderr
        wait_until(lambda: len(sending.alice()) == 2)


def test_who_may_send_as_whom(made):
    """RFC 6409 section 6.1; the rule for From and Sender stands in docs/outpostd.md."""
    made.ctl("alias", "add", "info@example.org", "alice@example.org")
    made.ctl("alias", "add", "boss@example.org", "bob@example.org")
    sending = Sending(made)

    def answer(sender, header):
        client = sending.connect()
        code = client.mail(sender)[0]
        if code == 250:
            assert client.rcpt("alice@example.org")[0] == 250
            code = client.data(header + b"\r\nbody\r\n")[0]
        client.close()
        return code

    own, other = b"From: alice@example.org\r\n", b"From: bob@example.org\r\n"
    with made:
        for sender in ("bob@example.org", "boss@example.org", "alice@far.example", "nobody@example.org", ""):
            assert answer(sender, own) == 550, sender
        for sender in ("alice@example.org", "ALICE@Example.Org", "info@example.org", "alice+list@example.org"):
            assert answer(sender, own) == 250, sender
        for header in (other, b"From: alice@far.example\r\n", b"From: \r\n", b"From: alice@example.org, bob@example.org\r\n",
                       other + b"Sender: alice@example.org\r\n", own + b"Sender: bob@example.org\r\n",
                       b"From: alice@example.org <bob@example.org>\r\n", b'From: "alice@example.org" <bob@example.org>\r\n'):
            assert answer("alice@example.org", header) == 550, header
        for header in (b"From: Alice <info@example.org>\r\n", own + b"Sender: info@example.org\r\n",
                       b"From: bob@example.org, alice@example.org\r\nSender: alice@example.org\r\n"):
            assert answer("alice@example.org", header) == 250, header
        # two From fields, however they are hidden, and none
        for header in (own + other, other + own, own + b"X: y\rFrom: bob@example.org\r\n", own + b"X: y\nFrom: bob@example.org\r\n", b"Subject: x\r\n",
                       b"\r\n" + own, own + b"From : bob@example.org\r\n"):
            assert answer("alice@example.org", header) == 554, header


def test_mailboxes_at_home_at_another_server(organised, second):
    """Who has proved the password is told where they are; mail for them is the relay's."""
    second.create("carl@example.org", "builder")
    with SmtpServer() as relay:
        sending = Sending(second, relay.port)
        with second:
            with pytest.raises(smtplib.SMTPAuthenticationError) as elsewhere:
                sending.connect()
            assert elsewhere.value.smtp_code == 454 and b"alice@example.org is at home at ex1" in elsewhere.value.smtp_error
            with pytest.raises(smtplib.SMTPAuthenticationError) as wrong:
                sending.connect(password="wrong")
            assert wrong.value.smtp_code == 535
            client = sending.connect("carl", "builder")
            client.sendmail("carl@example.org", ["alice@example.org", "carl@example.org"], MESSAGE.replace(b"alice", b"carl"))
            client.quit()
            wait_until(lambda: relay.messages and "The queue is empty." in sending.queue())
            assert relay.messages[0][1] == ["<alice@example.org>"]
            assert len(sending.inbox("carl", "builder")) == 1


def test_limits(made):
    sending = Sending(made, None, "recipients = 3", "recipients-per-hour = 5")
    made.configure("#message-max = 67108864", "message-max = 2000")
    with made:
        client = sending.connect()
        assert client.mail("alice@example.org", ["SIZE=2001"])[0] == 552
        assert client.mail("alice@example.org")[0] == 250
        assert [client.rcpt("alice@example.org")[0] for _ in range(4)] == [250, 250, 250, 452]
        assert client.data(MESSAGE)[0] == 250
        client.mail("alice@example.org")
        assert [client.rcpt("alice@example.org")[0] for _ in range(3)] == [250] * 3
        assert client.data(MESSAGE)[0] == 450  # six in an hour
        client.mail("alice@example.org")
        assert [client.rcpt("alice@example.org")[0] for _ in range(2)] == [250] * 2
        assert client.data(MESSAGE)[0] == 250
        assert client.mail("alice@example.org")[0] == 450
        client.quit()


def test_who_sends_is_a_session_like_others(made):
    """outpostctl sees and ends it, and it counts among the sessions of its mailbox."""
    made.configure("#connections-per-user = 50", "\nconnections-per-user = 2")
    sending = Sending(made)
    with made:
        first, second = sending.connect(), sending.connect()
        with pytest.raises(smtplib.SMTPAuthenticationError) as limit:
            sending.connect()
        assert limit.value.smtp_code == 454 and b"too many connections" in limit.value.smtp_error
        second.quit()
        wait_until(lambda: [(one["protocol"], one["tls"]) for one in made.lines("who") if one.get("user") == "alice@example.org"] == [("submissions", True)])
        made.ctl("kick", "alice@example.org")
        assert first.getreply()[0] == 421


def test_mail_for_others_wants_a_relay_and_mail_for_nobody_is_refused(made):
    sending = Sending(made)
    with made:
        client = sending.connect()
        client.mail("alice@example.org")
        assert [client.rcpt(to)[0] for to in ("you@far.example", "nobody@example.org", "bob@example.org")] == [550, 550, 250]
        client.quit()


def test_what_is_smuggled_stays_one_message(made):
    """Line ends that are none, before dots, which another server could take for the end of a message (CVE-2023-51764)."""
    evil = b"MAIL FROM:<boss@example.org>\r\nRCPT TO:<you@far.example>\r\nDATA\r\nFrom: boss@example.org\r\n\r\nevil\r\n"
    ends = (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n\n.\n\n")
    with SmtpServer() as relay:
        sending = Sending(made, relay.port)
        with made:
            for end in ends:
                client = sending.connect()
                client.mail("alice@example.org")
                client.rcpt("you@far.example")
                client.putcmd("DATA")
                assert client.getreply()[0] == 354
                client.sock.sendall(MESSAGE + b"x" + end + evil + b"\r\n.\r\n")
                assert client.getreply()[0] == 250
                assert client.noop()[0] == 250
                client.quit()
            wait_until(lambda: len(relay.messages) == len(ends))
            time.sleep(0.5)
            assert len(relay.messages) == len(ends) and all(m[0].startswith("<alice@") and b"evil" in m[2] for m in relay.messages)
            for _, _, octets in relay.messages:
                assert b"\n" not in octets.replace(b"\r\n", b"") and b"\r" not in octets.replace(b"\r\n", b"")


def test_commands_behind_starttls_are_not_obeyed(made):
    """CVE-2011-0411."""
    sending = Sending(made)
    with made, socket.create_connection(("127.0.0.1", sending.port), timeout=10) as plain:
        plain.recv(1000)
        plain.sendall(b"EHLO x.example\r\n")
        while b"250 " not in plain.recv(1000):
            pass
        plain.sendall(b"STARTTLS\r\nEHLO evil.example\r\n")
        got = b""
        while more := plain.recv(1000):
            got += more
        assert got == b"220 2.0.0 go on with TLS\r\n"


def test_what_the_relay_refuses_comes_back(made):
    answers = {"no@far.example": "550 5.1.1 no such user", "later@far.example": "450 4.2.0 later"}
    with SmtpServer(answers) as relay:
        sending = Sending(made, relay.port)
        with made:
            sending.send(["no@far.example", "you@far.example", "later@far.example"])
            wait_until(lambda: sending.alice())
            assert relay.messages[0][1] == ["<you@far.example>"]
            text, (fields,), third = report_of(sending.alice()[0])
            assert "no@far.example" in text and third.get_content_type() == "text/rfc822-headers" and "Subject: hello" in third.get_content()
            assert [fields[name] for name in ("Final-Recipient", "Action", "Status", "Diagnostic-Code")] == [
                "rfc822; no@far.example", "failed", "5.1.1", "smtp; 550 5.1.1 no such user"]
            assert sending.alice()[0].startswith(b"Return-Path: <>\r\n")
            assert "450 4.2.0 later" in sending.queue()
            relay.answers.clear()
            wait_until(lambda: len(relay.messages) == 2)  # only for whom it is missing
            assert relay.messages[1][1] == ["<later@far.example>"]
            assert len(sending.alice()) == 1


def test_what_can_not_be_sent_for_too_long_comes_back_whole_if_asked_for(made):
    port = free_port()  # nobody is there
    sending = Sending(made, port, "give-up = 3")
    with made:
        sending.send(["you@far.example"], options=["RET=FULL", "ENVID=a+2Bb"], rcpt_options=["ORCPT=rfc822;you+40far.example", "NOTIFY=FAILURE"])
        wait_until(lambda: sending.alice(), 20)
        octets = sending.alice()[0]
        _, (fields,), third = report_of(octets)
        assert fields["Status"] == "4.4.7" and fields["Original-Recipient"] == "rfc822;you+40far.example" and b"Original-Envelope-Id: a+2Bb" in octets
        assert third.get_content_type() == "message/rfc822" and "body" in third.get_payload()[0].get_content()
        assert "The queue is empty." in sending.queue()


@pytest.mark.parametrize("extensions,action", [(("DSN",), None), ((), "relayed")])
def test_dsn_is_handed_on_or_answered_here(made, extensions, action):
    """RFC 3461 sections 4 and 5.2.2: who is next reports, unless it knows nothing of DSN."""
    with SmtpServer(extensions=extensions) as relay:
        sending = Sending(made, relay.port)
        with made:
            sending.send(["you@far.example"], options=["RET=HDRS", "ENVID=x"], rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;a@b.example"])
            wait_until(lambda: relay.messages)
            sender, recipients, _ = relay.messages[0]
            if not action:
                assert sender == "<alice@example.org> RET=HDRS ENVID=x" and recipients == ["<you@far.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b.example"]
                wait_until(lambda: "The queue is empty." in sending.queue())
                assert not sending.alice()
            else:
                assert (sender, recipients) == ("<alice@example.org>", ["<you@far.example>"])
                wait_until(lambda: sending.alice())
                assert report_of(sending.alice()[0])[1][0]["Action"] == action
            sending.send(["bob@example.org"], rcpt_options=["NOTIFY=SUCCESS"])
            wait_until(lambda: len(sending.alice()) == 1 + bool(action))
            assert report_of(sending.alice()[-1])[1][0]["Action"] == "delivered"


def test_names_in_utf8_need_a_relay_that_takes_them(made):
    for extensions in (("SMTPUTF8", "8BITMIME"), ()):
        with SmtpServer(extensions=extensions) as relay:
            sending = Sending(made, relay.port) if extensions else sending
            if not extensions:
                made.configure(old, f"relay = smtp://127.0.0.1:{relay.port}")
            old = f"relay = smtp://127.0.0.1:{relay.port}"
            with made:
                client = sending.connect()
                client.ehlo()
                client.command_encoding = "utf-8"
                client.mail("alice@example.org", ["SMTPUTF8", "BODY=8BITMIME"])
                assert client.rcpt("b\xe4r@far.example")[0] == 250
                assert client.data("From: alice@example.org\r\nSubject: \xe4\r\n\r\nb\xe4r\r\n".encode())[0] == 250
                client.quit()
                if extensions:
                    wait_until(lambda: relay.messages)
                    assert "SMTPUTF8" in relay.messages[0][0] and "BODY=8BITMIME" in relay.messages[0][0] and relay.messages[0][1] == ["<b\xe4r@far.example>"]
                else:
                    wait_until(lambda: sending.alice())
                    octets = sending.alice()[0]
                    assert b"message/global-delivery-status" in octets and "utf-8; b\xe4r@far.example".encode() in octets and b"Status: 5.6.7" in octets


@pytest.mark.parametrize("at_once", [False, True])
def test_a_relay_with_tls_and_a_password(made, at_once):
    pair = (made.folder + "/tls/certificate.pem", made.folder + "/tls/key.pem")
    with SmtpServer(tls=pair, password={"outpost": "s3cret"}, at_once=at_once) as relay:
        open(made.folder + "/relay.password", "w").write("wrong\n")
        sending = Sending(made, None, f"relay = smtp{'s' if at_once else ''}://localhost:{relay.port}", "relay-user = outpost", "relay-password-file = relay.password",
                          "relay-ca = tls/certificate.pem")
        with made:
            sending.send(["you@far.example"])
            wait_until(lambda: "535 5.7.8" in sending.queue())  # the mail waits for an administrator, it does not come back
            assert not relay.messages
            open(made.folder + "/relay.password", "w").write("s3cret\n")
            wait_until(lambda: relay.messages)
        assert "s3cret" not in open(made.folder + "/log").read()


def test_an_administrator_sees_and_changes_the_queue(made):
    port, counters = free_port(), free_port()
    sending = Sending(made, port, "#")
    made.configure("retry-first = 1\nretry-longest = 1", "retry-first = 3600")
    made.configure("#listen = 127.0.0.1:9143", f"listen = 127.0.0.1:{counters}")
    with made:
        assert "The queue is empty." in sending.queue()
        for _ in range(2):
            sending.send(["you@far.example", "he@far.example"])
        wait_until(lambda: sending.queue().count("refused") == 4)
        lines = [one for one in made.ctl("queue", "list").splitlines() if re.match("[0-9a-f]{32} ", one)]
        names = [one.split()[0] for one in lines]
        assert len(names) == 2 and "alice@example.org" in lines[0]
        wait_until(lambda: metrics(counters)["outpost_queue_messages"] == 2)
        found = metrics(counters)
        assert found["outpost_queue_recipients"] == 4 and found['outpost_sent_total{result="deferred"}'] == 4
        shown = made.ctl("queue", "show", names[0])
        assert "you@far.example" in shown and "Subject: hello" in shown
        assert "there is no message" in made.ctl("queue", "show", "x", code=3)
        assert "there is no message" in made.ctl("queue", "retry", "x", code=3)
        assert "there is no message" in made.ctl("queue", "delete", "x", code=3)
        made.ctl("queue", "delete", names[0])
        with SmtpServer(port=port) as relay:  # somebody is there now
            assert "1 message" in made.ctl("queue", "retry")
            wait_until(lambda: len(relay.messages) == 1)
        wait_until(lambda: "The queue is empty." in sending.queue())
        assert not sending.alice()  # nobody was told of what was deleted


def test_the_copy_of_sent_mail_is_filed_once(made):
    """By the server, unless the mail program has filed it."""
    with SmtpServer() as relay:
        sending = Sending(made, relay.port, "file-sent = yes", "file-sent-delay = 2")
        with made:
            sending.send(["you@far.example"], b"Message-ID: <1@x.example>\r\n" + MESSAGE)
            sending.send(["you@far.example"], b"Message-ID: <2@x.example>\r\n" + MESSAGE)
            client = made.log_on("alice", "wonderland")
            client.append('"Sent Items"', "(\\Seen)", None, b"Message-ID: <2@x.example>\r\n" + MESSAGE)
            wait_until(lambda: "The queue is empty." in sending.queue())
            copies = sending.alice("Sent Items")
            assert sorted(re.search(rb"<(.)@x", one).group(1) for one in copies) == [b"1", b"2"]
            assert all(not one.startswith((b"Received", b"Return-Path")) and one.endswith(MESSAGE) for one in copies)
            client.select('"Sent Items"')
            assert all(b"\\Seen" in one for one in client.fetch("1:2", "(FLAGS)")[1])
            client.logout()


@pytest.mark.parametrize("moment", ["EHLO", "MAIL", "RCPT", "DATA", ".", "done"])
def test_killed_at_each_step_of_the_relay_nothing_is_lost(made, moment):
    """What was answered 250 arrives; twice only if the server died between the relay's answer and keeping it (RFC 5321 section 4.5.3.2.6)."""
    reached, kill = threading.Event(), threading.Event()

    def before(word):
        if word == moment and not reached.is_set():
            reached.set()
            kill.wait(20)
        return None

    with SmtpServer(before=before) as relay:
        sending = Sending(made, relay.port)
        made.__enter__()
        sending.send(["you@far.example", "bob@example.org"])
        assert reached.wait(20)
        made.process.kill()
        made.process.wait()
        kill.set()
        with made:
            wait_until(lambda: relay.messages and "The queue is empty." in sending.queue())
            time.sleep(0.3)
            ids = {re.search(rb" id (\S+)", octets).group(1) for _, _, octets in relay.messages}
            assert len(ids) == 1 and len(relay.messages) <= (2 if moment in (".", "done") else 1)
            assert len(sending.inbox("bob", "builder")) == 1


def test_what_was_answered_arrives_once_though_the_server_is_killed_at_any_moment(made):
    """Mail for a mailbox here: it is never lost, and never there twice."""
    made.create("carl@example.org", "wonderland")
    sending, answered, tried, lock, stop = Sending(made, None, "recipients-per-hour = 100000"), [], set(), threading.Lock(), threading.Event()

    def send(number):
        count = 0
        while not stop.is_set():
            try:
                client = sending.connect()
                while not stop.is_set():
                    count += 1
                    subject = f"letter {number}.{count}"
                    tried.add(subject)
                    client.sendmail("alice@example.org", ["carl@example.org"], f"From: alice@example.org\r\nSubject: {subject}\r\n\r\nx\r\n")
                    with lock:
                        answered.append(subject)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)

    senders = [threading.Thread(target=send, args=(i,)) for i in range(4)]
    for sender in senders:
        sender.start()
    for round in range(6):
        made.__enter__()
        goal = len(answered) + 15 + 7 * round
        wait_until(lambda: len(answered) >= goal, 60)
        made.process.kill()
        made.process.wait()
    stop.set()
    for sender in senders:
        sender.join()
    with made:
        wait_until(lambda: "The queue is empty." in sending.queue(), 60)
        found = [re.search(rb"Subject: (.*)\r\n", one).group(1).decode() for one in sending.inbox("carl", "wonderland")]
    assert len(found) == len(set(found)) and set(answered) <= set(found) <= tried

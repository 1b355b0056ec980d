# SPDX-License-Identifier: Apache-2.0
"""Postfix in front of outpostd, as the README sets it up: by LMTP, with recipients verified there."""
import grp
import os
import re
import smtplib

import pytest

from outpostd import wait_until
from postfix import OWNER, Postfix, find_postfix

ROWS = [b"short", b".", b"..leading dots", b"\xc3\xa4\xe4 8-bit", b"x" * 900] * 300
MESSAGE = b"From: a@elsewhere.example\r\nSubject: hello\r\nMessage-ID: <1@elsewhere.example>\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\n\r\n" + b"\r\n".join(ROWS) + b"\r\n"


@pytest.fixture(scope="module")
def unpacked():
    root = find_postfix()
    if not root:
        pytest.skip("Postfix cannot be run")
    return root


@pytest.fixture
def postfix(unpacked, made):
    door = os.path.join(made.folder, "lmtp.sock")
    with Postfix(unpacked, "virtual_mailbox_domains = example.org", f"virtual_transport = lmtp:unix:{door}", "unverified_recipient_reject_code = 550",
                 "smtpd_recipient_restrictions = permit_mynetworks reject_unauth_destination reject_unverified_recipient") as running:
        yield running


def open_door(server):
    """As if the server ran in a group that Postfix's user is in."""
    group = grp.getgrnam(OWNER).gr_gid
    for path in (os.path.dirname(server.folder), server.folder, os.path.join(server.folder, "lmtp.sock")):
        os.chown(path, -1, group)
        os.chmod(path, os.stat(path).st_mode | 0o070)


def inbox(server, user, password):
    client = server.log_on(user, password)
    client.select("INBOX")
    found = [client.fetch(n, "(BODY.PEEK[])")[1][0][1] for n in client.search(None, "ALL")[1][0].split()]
    client.logout()
    return found


def send(postfix, recipients, message=MESSAGE):
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as client:
        return client.sendmail("a@elsewhere.example", recipients, message, mail_options=["BODY=8BITMIME"])


def test_mail_arrives_as_it_was_and_who_is_not_there_is_refused_at_once(made, postfix):
    made.ctl("alias", "add", "sales@example.org", "alice@example.org")
    with made:
        open_door(made)
        refused = send(postfix, ["alice+lists@example.org", "sales@example.org", "nobody@example.org"])
        assert list(refused) == ["nobody@example.org"] and refused["nobody@example.org"][0] == 550
        wait_until(lambda: inbox(made, "alice", "wonderland"), 30)
        for found in inbox(made, "alice", "wonderland"):
            assert found.startswith(b"Return-Path: <a@elsewhere.example>\r\nReceived: ")
            assert found[found.index(b"From: a@elsewhere"):] == MESSAGE
        wait_until(lambda: len(re.findall("status=sent .*(delivered|250)", postfix.log())) >= 2, 30)


def test_what_a_full_mailbox_has_no_room_for_waits_at_postfix(made, postfix):
    made.ctl("mailbox", "quota", "bob@example.org", "400k")
    with made:
        open_door(made)
        assert send(postfix, ["bob@example.org"]) == {}
        wait_until(lambda: len(inbox(made, "bob", "builder")) == 1, 30)
        made.ctl("mailbox", "quota", "bob@example.org", "300k")
        assert send(postfix, ["bob@example.org"]) == {}  # it was verified a moment ago
        wait_until(lambda: "status=deferred" in postfix.log() and " 452 " in postfix.log(), 30)
        assert len(inbox(made, "bob", "builder")) == 1
        made.ctl("mailbox", "quota", "bob@example.org", "none")
        wait_until(lambda: len(inbox(made, "bob", "builder")) == 2, 60)


def test_mail_that_comes_while_the_server_is_away_arrives_once(made, postfix):
    with made:
        open_door(made)
        assert send(postfix, ["alice@example.org"]) == {}
        wait_until(lambda: len(inbox(made, "alice", "wonderland")) == 1, 30)
    assert send(postfix, ["alice@example.org"]) == {}
    wait_until(lambda: "status=deferred" in postfix.log(), 30)
    with made:
        open_door(made)
        wait_until(lambda: len(inbox(made, "alice", "wonderland")) == 2, 60)

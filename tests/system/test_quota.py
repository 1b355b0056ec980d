# SPDX-License-Identifier: Apache-2.0
"""What a mailbox may hold: set by outpostctl while the server runs, told by QUOTA (RFC 9208), kept by LMTP and IMAP."""
import smtplib


def letter(size):
    head = b"From: a@elsewhere.example\r\nSubject: x\r\n\r\n"
    return head + b"y" * (size - len(head) - 2) + b"\r\n"


def deliver(lmtp, size, who="bob"):
    """The codes for who it was for; None: it was taken."""
    try:
        lmtp.sendmail("a@elsewhere.example", [f"{who}@example.org"], letter(size))
        return None
    except smtplib.SMTPRecipientsRefused as error:
        code, text = error.recipients[f"{who}@example.org"]
        return code, text.split()[0].decode()
    except smtplib.SMTPDataError as error:
        return error.smtp_code, error.smtp_error.split()[0].decode()


def quota(client):
    """{resource: [usage, limit]} of the Inbox's root."""
    answer = client.getquotaroot("INBOX")[1][1][0]
    if not answer:
        return None
    words = answer.decode().split("(")[1].strip(")").split()
    return {words[i]: [int(words[i + 1]), int(words[i + 2])] for i in range(0, len(words), 3)}


def test_a_limit_is_told_and_counts_at_once(made):
    with made, made.lmtp() as lmtp:
        client = made.log_on("bob", "builder")
        assert {"QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE"} <= set(client.capability()[1][0].decode().split())
        assert quota(client) == {"STORAGE": [0, 1]}
        assert deliver(lmtp, 500) is None
        assert quota(client) == {"STORAGE": [1, 1]}
        assert deliver(lmtp, 500) == (452, "4.2.2")  # what the server adds to it is too much
        made.ctl("mailbox", "quota", "bob@example.org", "10k", "3")
        assert quota(client) == {"STORAGE": [1, 10], "MESSAGE": [1, 3]}
        assert deliver(lmtp, 5000) is None
        assert deliver(lmtp, 5000) == (452, "4.2.2")
        assert client.append("Drafts", None, None, letter(6000))[1][0].startswith(b"[OVERQUOTA]")
        assert client.append("Drafts", None, None, letter(300))[0] == "OK"
        assert deliver(lmtp, 100) == (452, "4.2.2")  # the fourth message
        client.select("INBOX")
        assert client.copy("1", "Archive")[1][0].startswith(b"[OVERQUOTA]")
        made.ctl("mailbox", "quota", "bob@example.org", "none", "none")
        assert quota(client) is None
        assert deliver(lmtp, 20000) is None and client.copy("1", "Archive")[0] == "OK"
        answer = client._simple_command("SETQUOTA", "mailbox", "(STORAGE 100)")
        assert answer[0] == "NO" and answer[1][0].startswith(b"[NOPERM]")
        client.logout()


def test_what_is_removed_makes_room_and_what_is_bigger_than_all_room_is_refused_for_good(made):
    made.ctl("mailbox", "quota", "bob@example.org", "10k")
    with made, made.lmtp() as lmtp:
        assert deliver(lmtp, 9000) is None and deliver(lmtp, 9000) == (452, "4.2.2")
        client = made.log_on("bob", "builder")
        client.select("INBOX")
        client.store("1", "+FLAGS", "\\Deleted")
        client.expunge()
        assert quota(client)["STORAGE"] == [0, 10]
        assert deliver(lmtp, 12000) == (552, "5.3.4")
        assert deliver(lmtp, 9000) is None
        client.logout()
    assert "1 messages in 6 folders, " in made.ctl("mailbox", "show", "bob@example.org")


def test_limits_are_named_in_words_that_are_understood(made):
    assert "none for no limit" in made.ctl("mailbox", "quota", "bob@example.org", "much", code=2)
    assert "none for no limit" in made.ctl("mailbox", "quota", "bob@example.org", "1G", "few", code=2)
    made.ctl("mailbox", "quota", "bob@example.org", "1G", "500")
    made.ctl("mailbox", "quota", "bob@example.org", "2G")  # the other one stays
    shown = made.ctl("mailbox", "show", "bob@example.org")
    assert "2.0\xa0GiB" in shown and "At most 500 messages." in shown
    made.create("carol@example.org", "singer", "--quota", "1M", "--quota-messages", "7")
    assert "At most 7 messages." in made.ctl("mailbox", "show", "carol@example.org")

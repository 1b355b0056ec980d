# SPDX-License-Identifier: Apache-2.0
"""The lab itself: what it reports about a server must be so, or no other system test means anything."""
import hashlib

import corpus
import pytest
from dovecot import Dovecot
from fakeserver import FakeServer
from genmail import FOLDERS, KEYWORDS, Generator, folder_names, maildir_folder, write_maildir
from imapclient import ImapClient, ImapError, from_utf7, to_utf7
from proxy import Proxy


def test_generated_mail_is_the_same_for_the_same_seed():
    first = [hashlib.sha256(m[0]).digest() for m in Generator(7).messages(200)]
    assert first == [hashlib.sha256(m[0]).digest() for m in Generator(7).messages(200)]
    assert len(set(first)) == 200
    assert first != [hashlib.sha256(m[0]).digest() for m in Generator(8).messages(200)]


def test_generated_mail_has_sizes_like_real_mail():
    sizes = sorted(len(octets) for octets, _, _ in Generator(1).messages(3000))
    assert 2500 < sizes[1500] < 5000
    assert sizes[-1] > 50000


def test_generated_mail_has_crlf_line_ends_only():
    for octets, _, _ in Generator(3).messages(500):
        assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")


@pytest.mark.parametrize("name", FOLDERS + ["a&b", "&", "日本/語"])
def test_modified_utf7_goes_there_and_back(name):
    assert to_utf7(name).isascii()
    assert from_utf7(to_utf7(name)) == name


def test_what_is_appended_is_what_is_read_back(server):
    sent = list(Generator(2).messages(100))
    with ImapClient(server.port) as client:
        client.append_many("INBOX", sent)
        got = client.read_folder("INBOX")
    assert [(m.sha256, set(m.flags), m.received) for m in got] == [
        (hashlib.sha256(octets).hexdigest(), set(flags), when) for octets, flags, when in sent]


def test_a_written_maildir_is_served_with_flags_keywords_and_dates(server):
    folders = folder_names(12)
    write_maildir(server.maildir, Generator(4), 400, folders)
    server.own_files()
    with ImapClient(server.port) as client:
        dump = client.dump()
    assert sorted(dump) == sorted(folders)
    assert maildir_folder("/m", "Lists/kernel") == "/m/.Lists.kernel"
    sent = sorted((hashlib.sha256(o).hexdigest(), frozenset(f), w) for o, f, w in replay(4, 400, folders))
    assert sorted((m.sha256, m.flags, m.received) for f in dump.values() for m in f) == sent
    assert any(k in m.flags for f in dump.values() for m in f for k in KEYWORDS)


def replay(seed, count, folders):
    generator = Generator(seed)
    generator.random.choices(folders, k=count)
    return generator.messages(count)


@pytest.mark.parametrize("word", ["QRESYNC", "CONDSTORE", "MOVE", "UIDPLUS", "SPECIAL-USE"])
def test_a_capability_taken_away_is_not_announced(word):
    with Dovecot(without=[word]) as server, ImapClient(server.port) as client:
        answer = b" ".join(client.command("CAPABILITY")[0]).split()
    assert word.encode() not in answer
    assert b"IDLE" in answer


def test_a_prefix_and_a_dot_are_served_as_configured():
    with Dovecot(separator=".", prefix="INBOX.") as server, ImapClient(server.port) as client:
        client.create("INBOX.a.b")
        assert "INBOX.a.b" in client.folders()


def test_dovecot_serves_the_same_after_a_kill(server):
    with ImapClient(server.port) as client:
        client.append_many("INBOX", Generator(5).messages(20))
        before = client.dump()
    server.kill9()
    server.start()
    with ImapClient(server.port) as client:
        assert client.dump() == before


def test_tls_is_served_under_a_ca_of_its_own():
    import ssl
    import socket
    with Dovecot(tls=True) as server:
        raw = socket.create_connection(("127.0.0.1", server.port), 10)
        raw.recv(1000)
        raw.sendall(b"a STARTTLS\r\n")
        assert raw.recv(1000).startswith(b"a OK")
        with ssl.create_default_context(cafile=server.ca).wrap_socket(raw, server_hostname="localhost") as tls:
            tls.sendall(b"b NOOP\r\n")
            assert b"b OK" in tls.recv(1000)


def test_the_proxy_counts_and_cuts(server):
    with Proxy(server.port) as proxy:
        with ImapClient(proxy.port) as client:
            client.command("NOOP")
        counted = proxy.counts()
    assert counted["up"] > 20 and counted["down"] > 20 and counted["flights"] == 3
    with Proxy(server.port, cut_down=counted["down"] // 2) as proxy:
        with pytest.raises((ImapError, OSError)):
            with ImapClient(proxy.port) as client:
                client.command("NOOP")
        assert proxy.counts()["down"] == counted["down"] // 2


def test_the_bare_server_keeps_what_it_is_given():
    with FakeServer() as server, ImapClient(server.port) as client:
        server.add("INBOX", b"Subject: a\r\n\r\nx\0y\r\n", ["\\Seen"])
        client.create("Other")
        client.command("SELECT INBOX")
        client.command("UID COPY 1 Other")
        client.command("UID STORE 1 +FLAGS (\\Deleted)")
        client.command("EXPUNGE")
        assert client.folders() == ["INBOX", "Other"]
        assert client.read_folder("INBOX") == []
        assert client.read_folder("Other")[0].size == 19


@pytest.mark.parametrize("how,error", [("no_at", "NO"), ("bad_at", "BAD"), ("bye_at", "closed")])
def test_the_bare_server_refuses_the_command_it_is_told_to(how, error):
    with FakeServer(**{how: 2}) as server, ImapClient(server.port) as client:
        client.command("NOOP")
        with pytest.raises(ImapError, match=error):
            client.command("NOOP")


def test_the_corpus_has_all_its_messages():
    if not corpus.root():
        pytest.skip("corpus absent")
    counts = {}
    for name, octets in corpus.messages():
        assert octets
        source = name.split("#")[0] if ".mbox.zst" in name else "fixtures"
        counts[source] = counts.get(source, 0) + 1
    assert counts.pop("fixtures") >= 3698
    assert counts == {"list-linux-man.mbox.zst": 1204, "list-usrp-users.mbox.zst": 3040,
                      "spamassassin-easy-ham.mbox.zst": 3860, "spamassassin-spam.mbox.zst": 1190}

# SPDX-License-Identifier: Apache-2.0
"""What outpostd takes from one address, one user, and who doesn't log on."""
import concurrent.futures
import imaplib
import os
import re
import socket
import time

import pytest
from outpostd import metrics, wait_until
from scram import Scram


def set_up(made, **settings):
    path = os.path.join(made.folder, "outpostd.conf")
    text = open(path).read()
    for key, value in settings.items():
        text, n = re.subn(rf"(?m)^#{key.replace('_', '-')} = \d+$", f"{key.replace('_', '-')} = {value}", text)
        assert n == 1, key
    open(path, "w").write(text)


class From(imaplib.IMAP4):
    """A client at another address of loopback."""

    def __init__(self, made, address="127.0.0.1"):
        self.source = address
        super().__init__("127.0.0.1", made.imap)

    def _create_socket(self, timeout):
        return socket.create_connection((self.host, self.port), timeout, (self.source, 0))


def try_log_on(made, user, password, address="127.0.0.1", mechanism=None):
    """What is answered: the response code, or OK."""
    client = From(made, address)
    try:
        client.authenticate(mechanism, Scram(mechanism, user, password)) if mechanism else client.login(user, password)
        return "OK"
    except imaplib.IMAP4.error as error:
        return re.search(r"\[(\w+)\]", str(error)).group(1)
    finally:
        client.shutdown()


def test_an_address_has_so_many_connections(made):
    set_up(made, connections_per_address=3)
    with made:
        clients = [From(made) for _ in range(3)]
        with pytest.raises(imaplib.IMAP4.error, match="too many connections from your address"):
            From(made)
        other = From(made, "127.0.0.2")
        clients[0].logout()
        wait_until(lambda: len(made.lines("who")) == 3)
        From(made).logout()
        for client in clients[1:] + [other]:
            client.logout()


def test_a_user_has_so_many_sessions_however_they_come(made):
    set_up(made, connections_per_user=3)
    with made:
        def log_on(i):
            client = From(made, f"127.0.0.{i % 5 + 1}")
            try:
                client.login("alice" if i % 2 else "Alice@Example.org", "wonderland")
                return client
            except imaplib.IMAP4.error as error:
                assert "[LIMIT] you have too many connections" in str(error)
                client.logout()
                return None

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            clients = [client for client in pool.map(log_on, range(12)) if client]
        assert len(clients) == 3  # not one more, though they came together
        assert try_log_on(made, "alice", "wonderland", mechanism="SCRAM-SHA-256") == "LIMIT"
        assert try_log_on(made, "bob", "builder") == "OK"
        clients[0].logout()
        wait_until(lambda: try_log_on(made, "alice", "wonderland") == "OK")
        for client in clients[1:]:
            client.logout()


def test_wrong_passwords_take_longer_each_time(made):
    with made:
        assert [try_log_on(made, "alice", "wrong") for _ in range(3)] == ["AUTHENTICATIONFAILED"] * 3
        # now not even the right one is looked at, however the name is written and the password proved; whoever it is
        assert try_log_on(made, "alice", "wonderland") == "UNAVAILABLE"
        assert try_log_on(made, "ALICE@example.org", "wonderland", mechanism="SCRAM-SHA-256") == "UNAVAILABLE"
        assert try_log_on(made, "bob", "builder") == "OK"
        assert try_log_on(made, "alice", "wonderland", "127.0.0.2") == "OK"
        time.sleep(1.1)
        assert try_log_on(made, "alice", "wrong", mechanism="SCRAM-SHA-256") == "AUTHENTICATIONFAILED"
        client = From(made)
        with pytest.raises(imaplib.IMAP4.error, match="try again in [12] second"):
            client.login("alice", "wonderland")
        client.shutdown()
        time.sleep(2.1)
        assert try_log_on(made, "alice", "wonderland") == "OK"
        assert try_log_on(made, "alice", "wrong") == "AUTHENTICATIONFAILED"  # it begins anew
        assert [try_log_on(made, "nobody", "x") for _ in range(4)] == ["AUTHENTICATIONFAILED"] * 3 + ["UNAVAILABLE"]
    assert "log-on: delayed for 1 s: from=127.0.0.1 user=nobody@example.org" in open(made.folder + "/log").read()


def test_many_names_from_an_address_take_longer_but_not_for_who_is_known_there(made):
    with made:
        assert try_log_on(made, "alice", "wonderland") == "OK"
        assert {try_log_on(made, f"user{i}", "x") for i in range(10)} == {"AUTHENTICATIONFAILED"}
        assert try_log_on(made, "bob", "builder") == "UNAVAILABLE"
        assert try_log_on(made, "alice", "wonderland") == "OK"
        assert try_log_on(made, "bob", "builder", "127.0.0.2") == "OK"
        time.sleep(1.1)
        assert try_log_on(made, "bob", "builder") == "OK"


def test_the_longest_wait_can_be_changed_while_it_runs(made):
    port = socket.create_server(("127.0.0.1", 0)).getsockname()[1]
    made.configure("#listen = 127.0.0.1:9143", f"listen = 127.0.0.1:{port}")
    set_up(made, log_on_delay_max=300)
    with made:
        made.configure("log-on-delay-max = 300", "log-on-delay-max = 1")
        assert "log-on-delay-max: 300 -> 1" in made.ctl("reload")
        for _ in range(3):
            try_log_on(made, "alice", "wrong")
        for _ in range(2):
            assert try_log_on(made, "alice", "wonderland") == "UNAVAILABLE"
            time.sleep(1.1)
            assert try_log_on(made, "alice", "wrong") == "AUTHENTICATIONFAILED"
        now = metrics(port)
        assert now['outpost_log_ons_total{result="delayed"}'] == 2 and now['outpost_log_ons_total{result="bad"}'] == 5


def test_who_does_not_log_on_is_sent_away_whatever_he_says(made):
    set_up(made, log_on_timeout=2, idle_timeout=4)
    with made:
        silent, busy, half = From(made), From(made), socket.create_connection(("127.0.0.1", made.imaps))
        on, waiting = From(made), From(made)
        for client in (on, waiting):
            client.login("alice", "wonderland")
        waiting.select()
        waiting.send(b"i IDLE\r\n")
        waiting.readline()
        began = time.monotonic()
        with pytest.raises(imaplib.IMAP4.abort):
            while time.monotonic() < began + 20:
                busy.noop()
                time.sleep(0.05)  # the server looks right behind it
        assert 1.5 < time.monotonic() - began < 8
        assert silent.readline() == b"* BYE nothing was said for too long\r\n"
        half.settimeout(10)
        assert half.recv(100) == b""  # before TLS there is nothing to say it in
        assert on.noop()[0] == "OK"
        assert on.readline() == b"* BYE nothing was said for too long\r\n" and time.monotonic() - began > 3
        waiting.send(b"DONE\r\n")  # who waits to be told something is not silent
        assert waiting.readline().startswith(b"i OK")
        waiting.shutdown()

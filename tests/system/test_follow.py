# SPDX-License-Identifier: Apache-2.0
"""Move Server as a client meets it: the profile goes along with the server, once it has proved to be the same."""
import json
import os
import shutil
import tempfile

import pytest

from dovecot import free_port
from outpost import Outpost
from outpostd import Server, wait_until

MESSAGE = b"From: a@elsewhere.example\r\nSubject: hello\r\nMessage-ID: <%d@elsewhere.example>\r\n\r\nbody\r\n"


def deliver(server, numbers):
    with server.lmtp() as lmtp:
        for n in numbers:
            lmtp.sendmail("a@elsewhere.example", ["alice@example.org"], MESSAGE % n)


def location(port):
    return f"imaps://localhost:{port}"


class World:
    """A server in Berlin, and a client that has its mail."""

    def __init__(self, server, program):
        self.server, self.program = server, program
        program.ADDRESS = "alice@example.org"
        server.ctl("site", "create", "Berlin")
        server.ctl("site", "create", "Oslo")
        self.old, self.new = server.imaps, free_port()
        server.ctl("server", "move", "localhost", "--to-site", "Berlin", "--rename", "ex1", "--at", location(self.old))

    def log_on(self, *how):
        return self.program.run("logon", self.program.ADDRESS, "--server", location(self.old), "--user", self.program.ADDRESS, "--password-command",
                                "printf wonderland", "--tls-ca", self.server.folder + "/tls/certificate.pem", *how)

    def listen_at(self, *ports):
        path = os.path.join(self.server.folder, "outpostd.conf")
        text = open(path).read().split("[imaps]\n")
        listen = ", ".join(f"127.0.0.1:{port}" for port in ports)
        open(path, "w").write(text[0] + f"[imaps]\nlisten = {listen}\n" + text[1].split("\n", 1)[1])

    def move(self, port, *words):
        return self.server.ctl("server", "move", "ex1", "--at", location(port), *words)

    def profile(self):
        return self.program.json("profile", "show")

    def lines(self):
        return [line["text"] for line in self.program.json("log")["lines"]]


@pytest.fixture
def world(made, program):
    with made:
        deliver(made, range(20))
        one = World(made, program)
        assert one.log_on()[0] == 0
    return one


def test_a_profile_follows_its_server_and_fetches_nothing(world):
    world.move(world.new, "--to-site", "Oslo")
    world.listen_at(world.old, world.new)  # the old address forwards: here, both are the same machine's
    with world.server:
        world.program.sync()
        assert any(f"The server 'ex1' (site 'Oslo') is at {location(world.new)} now: the profile follows it from {location(world.old)}" == text
                   for text in world.lines()), world.lines()
        assert (world.profile()["server"], world.profile()["earlier"]) == (location(world.new), location(world.old))
        world.program.sync()
        assert "follows" not in "".join(world.lines())
    world.listen_at(world.new)
    with world.server:
        world.program.sync()
        assert world.program.json("log")["facts"]["addedHere"] == 0 and len(world.program.list("INBOX")) == 20


def test_an_address_where_another_server_is_is_not_followed(world):
    folder = tempfile.mkdtemp(prefix="outpostd-")
    other = Server(os.path.join(folder, "mail"))
    other.create("alice@example.org", "wonderland")
    for name in ("key.pem", "certificate.pem"):  # even one with the same name and certificate
        shutil.copy(os.path.join(world.server.folder, "tls", name), os.path.join(other.folder, "tls", name))
    world.move(other.imaps)
    with world.server, other:
        world.program.sync()
        assert world.profile()["server"] == location(world.old) and world.profile()["earlier"] is None
        assert any("does not prove true" in text and "another server is there" in text for text in world.lines()), world.lines()
    shutil.rmtree(folder)


def test_an_address_where_nobody_answers_or_that_is_less_safe_is_not_followed(world):
    for address in (location(world.new), f"imap://localhost:{world.server.imap}"):
        world.server.ctl("server", "move", "ex1", "--at", address)
        with world.server:
            world.program.sync()
        assert world.profile()["server"] == location(world.old)
        assert any("the profile stays with" in text for text in world.lines()), world.lines()


def test_there_and_back_again(world):
    """Moved back while the client was away: it finds the server where it was before."""
    world.move(world.new)
    world.listen_at(world.old, world.new)
    with world.server:
        world.program.sync()
    world.move(world.old)
    world.listen_at(world.old)
    with world.server:
        deliver(world.server, [20])
        world.program.sync()
    assert (world.profile()["server"], world.profile()["earlier"]) == (location(world.old), location(world.new))
    runs = [json.loads(line) for line in world.program.ok("log", "--runs", "4", "--json").splitlines()]
    assert any("where it was before" in line["text"] for run in runs for line in run["lines"])
    assert runs[-1]["facts"]["addedHere"] == 1


def test_a_watcher_goes_along(world):
    world.listen_at(world.old, world.new)
    with world.server:
        watcher = world.program.start("sync", "--watch")
        wait_until(lambda: (world.program.json("status")["watcher"] or {}).get("state") == "waiting", 30)
        world.move(world.new, "--to-site", "Oslo")
    world.listen_at(world.old, world.new)
    with world.server:  # it was restarted: the watcher connects again, and hears of it
        wait_until(lambda: world.profile()["server"] == location(world.new), 60)
    world.listen_at(world.new)
    with world.server:
        deliver(world.server, [20])
        wait_until(lambda: len(world.program.list("INBOX")) == 21, 60)
        watcher.terminate()
        out, err = watcher.communicate(timeout=30)
    assert watcher.returncode == 0 and b"now: the profile follows it" in err, err

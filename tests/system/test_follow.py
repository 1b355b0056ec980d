# SPDX-License-Identifier: Apache-2.0
"""Move Server as a client meets it: the profile goes along with the server, once it has proved to be the same."""
import json
import os
import shutil
import tempfile

import pytest

from organisation import Organisation, location
from outpostd import Server, wait_until


@pytest.fixture
def world(made, program):
    with made:
        one = Organisation(made, program)
        one.deliver(range(20))
        assert one.log_on(one.old)[0] == 0
    return one


def test_a_profile_follows_its_server_and_fetches_nothing(world):
    world.move(world.new, "--to-site", "Oslo")
    with world.server:  # the old address forwards: here, both are the same machine's
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
    world.listen_at(world.old)
    for address in (location(world.new), f"imap://localhost:{world.server.imap}"):
        world.server.ctl("server", "move", "ex1", "--at", address)
        with world.server:
            world.program.sync()
        assert world.profile()["server"] == location(world.old)
        assert any("the profile stays with" in text for text in world.lines()), world.lines()


def test_there_and_back_again(world):
    """Moved back while the client was away: it finds the server where it was before."""
    world.move(world.new)
    with world.server:
        world.program.sync()
    world.move(world.old)
    world.listen_at(world.old)
    with world.server:
        world.deliver([20])
        world.program.sync()
    assert (world.profile()["server"], world.profile()["earlier"]) == (location(world.old), location(world.new))
    runs = [json.loads(line) for line in world.program.ok("log", "--runs", "4", "--json").splitlines()]
    assert any("where it was before" in line["text"] for run in runs for line in run["lines"])
    assert runs[-1]["facts"]["addedHere"] == 1


def test_a_watcher_goes_along(world):
    with world.server:
        watcher = world.program.start("sync", "--watch")
        wait_until(lambda: (world.program.json("status")["watcher"] or {}).get("state") == "waiting", 30)
        world.move(world.new, "--to-site", "Oslo")
    with world.server:  # it was restarted: the watcher connects again, and hears of it
        wait_until(lambda: world.profile()["server"] == location(world.new), 60)
    world.listen_at(world.new)
    with world.server:
        world.deliver([20])
        wait_until(lambda: len(world.program.list("INBOX")) == 21, 60)
        watcher.terminate()
        out, err = watcher.communicate(timeout=30)
    assert watcher.returncode == 0 and b"now: the profile follows it" in err, err

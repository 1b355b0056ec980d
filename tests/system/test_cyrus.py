# SPDX-License-Identifier: Apache-2.0
"""The same against Cyrus, in each of its namespaces."""
import pytest
from cyrus import Cyrus, find_cyrus
from genmail import Generator
from imapclient import ImapClient
from outpost import differences


@pytest.fixture(scope="module")
def root():
    found = find_cyrus()
    if not found:
        pytest.skip("Cyrus cannot be installed")
    return found


NAMESPACES = [(True, True), (True, False), (False, True), (False, False)]


def fill(server):
    separator = "/" if server.unix else "."
    prefix = "" if server.alternative else "INBOX" + separator
    with ImapClient(server.port) as client:
        client.append_many("INBOX", Generator(1).messages(30))
        for name in ("Archive", "Archive/2024", "仕事"):
            name = prefix + name.replace("/", separator)
            client.create(name)
            client.append_many(name, Generator(len(name)).messages(10))
    return separator, prefix


@pytest.mark.parametrize("alternative,unix", NAMESPACES)
def test_cyrus_serves_each_of_its_namespaces(alternative, unix, root):
    with Cyrus(root, alternative, unix) as server:
        separator, prefix = fill(server)
        with ImapClient(server.port) as client:
            assert sorted(client.folders()) == sorted(
                ["INBOX"] + [prefix + n.replace("/", separator) for n in ("Archive", "Archive/2024", "仕事")])
            assert len(client.read_folder("INBOX")) == 30


@pytest.mark.parametrize("alternative,unix", NAMESPACES)
def test_cyrus_and_the_store_are_equal_both_ways(alternative, unix, root, program):
    with Cyrus(root, alternative, unix) as server:
        separator, prefix = fill(server)
        program.logon(server.url)
        program.sync()
        program.ok("flag", str(program.list("INBOX")[0]["id"]), "\\Flagged")
        program.ok("move", str(program.list("INBOX")[1]["id"]), "Archive")
        program.sync()
        program.sync()
        with ImapClient(server.port) as client:
            there = {f[len(prefix):] if prefix and f.startswith(prefix) else f: m for f, m in client.dump().items()}
        assert len(there["Archive"]) == 11
        assert differences(program, there, separator=separator) == []


def test_folders_exchange_their_names_though_cyrus_has_no_code_for_a_taken_one(root, program):
    with Cyrus(root) as server:
        with ImapClient(server.port) as client:
            for number, name in enumerate(("A", "B", "A/C")):
                client.create(name)
                client.append_many(name, Generator(number).messages(3))
        program.logon(server.url)
        program.sync()
        for old, new in (("A", "T"), ("B", "A"), ("T", "B")):
            program.ok("folder", "rename", old, new)
        for _ in range(2):
            program.sync()
        with ImapClient(server.port) as client:
            there = client.dump()
        assert sorted(there) == ["A", "B", "B/C", "INBOX"]
        assert differences(program, there) == []

# SPDX-License-Identifier: Apache-2.0
"""Folders that want each other's names: both sides come to agree, in a few runs, with every message in the folder of the same name on both."""
import pytest
from dovecot import Dovecot
from imapclient import ImapClient
from outpost import Outpost


@pytest.fixture
def pair():
    with Dovecot() as server, Outpost() as program, ImapClient(server.port) as client:
        for folder in ("Work", "Home", "Deep"):
            client.create(folder)
            client.append_many(folder, [(f"Subject: of {folder} {n}\r\n\r\n.\r\n".encode(), (), 1700000000 + n) for n in range(3)])
        program.logon(server.url, sync=True)
        yield program, client


def settle(program):
    for _ in range(3):
        code, out, _ = program.run("sync")
    assert code == 0, out.decode()


def agreed(program, client):
    """{folder: subjects}, the same on both sides; what is only a report stays out."""
    octets, there = {}, {}
    for folder in client.folders():
        read = client.read_folder(folder, keep=octets)
        there[folder] = sorted(octets[m.sha256].split(b"\r\n")[0].decode().removeprefix("Subject: ") for m in read)
    here = {folder: sorted(item["subject"] for item in program.list(folder)) for folder in program.folders() if "Sync Issues" not in folder}
    assert here == there
    return here


def of(folder):
    return [f"of {folder} {n}" for n in range(3)]


@pytest.mark.parametrize("parent", ["", "Deep/"])
def test_a_name_given_here_that_another_folder_got_at_the_server(pair, parent):
    program, client = pair
    program.ok("folder", "rename", "Work", parent + "Job")
    client.create(parent + "Job")
    client.append_many(parent + "Job", [(b"Subject: theirs\r\n\r\n.\r\n", (), 1700000000)])
    settle(program)
    folders = agreed(program, client)
    assert folders[parent + "Job"] == ["theirs"]
    assert [folder for folder, subjects in folders.items() if subjects == of("Work")] != ["Work"]
    assert "has another one of that name" in program.ok("log", "-n", "0").decode()


def test_a_folder_that_is_renamed_again_while_its_first_new_name_is_on_the_way():
    for step in range(1, 30):
        with Dovecot() as server, Outpost() as program, ImapClient(server.port) as client:
            client.create("Work")
            client.append_many("Work", [(b"Subject: one\r\n\r\n.\r\n", (), 1700000000)])
            program.logon(server.url, sync=True)
            program.ok("folder", "rename", "Work", "Second")
            if program.run("sync", env={"OUTPOST_DIE_AT": str(step)})[0] != 137:
                break
            program.ok("folder", "rename", "Second", "Third")
            settle(program)
            folders = agreed(program, client)
            assert folders["Third"] == ["one"] and set(folders) == {"INBOX", "Third"}, f"killed at step {step}"
    assert step > 3


def test_two_folders_that_are_given_one_name_on_two_sides(pair):
    program, client = pair
    program.ok("folder", "rename", "Work", "Job")
    client.command("RENAME Home Job")
    settle(program)
    folders = agreed(program, client)
    assert folders["Job"] == of("Home") and of("Work") in folders.values() and "Work" not in folders


def test_two_folders_that_swap_their_names_here(pair):
    program, client = pair
    for old, new in (("Work", "T"), ("Home", "Work"), ("T", "Home")):
        program.ok("folder", "rename", old, new)
    settle(program)
    folders = agreed(program, client)
    assert folders["Work"] == of("Home") and folders["Home"] == of("Work")


def test_three_folders_that_pass_their_names_on_here(pair):
    program, client = pair
    client.create("Third")
    client.append_many("Third", [(b"Subject: third\r\n\r\n.\r\n", (), 1700000000)])
    program.sync()
    for old, new in (("Work", "T"), ("Home", "Work"), ("Third", "Home"), ("T", "Third")):
        program.ok("folder", "rename", old, new)
    settle(program)
    folders = agreed(program, client)
    assert folders["Work"] == of("Home") and folders["Home"] == ["third"] and folders["Third"] == of("Work")

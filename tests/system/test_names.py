# SPDX-License-Identifier: Apache-2.0
"""Folders that want each other's names: both sides come to agree, in a few runs, with every message in the folder of the same name on both."""
import os
import unicodedata

import pytest
from dovecot import Dovecot
from fakeserver import FakeServer
from imapclient import ImapClient, from_utf7, to_utf7
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


def add(program, folder, subject):
    path = os.path.join(program.home, subject)
    with open(path, "wb") as file:
        file.write(f"Subject: {subject}\r\n\r\n.\r\n".encode())
    program.ok("add", folder, path)


def contents(program):
    return {folder: sorted(item["subject"] for item in program.list(folder)) for folder in program.folders() if "Sync Issues" not in folder}


def composed(name):
    return to_utf7(unicodedata.normalize("NFC", from_utf7(name)))


@pytest.mark.parametrize("capability", ["", "UIDPLUS MOVE LIST-EXTENDED"])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("fold, one, two", [(str.lower, "Work", "work"), (composed, "M\u00fcll", "Mu\u0308ll")])
def test_two_names_that_the_server_takes_for_one(fold, one, two, known, capability):
    with FakeServer(capability=capability, fold=fold) as server, Outpost() as program:
        if known:
            server.add_folder(to_utf7(one))
            server.add(to_utf7(one), b"Subject: one\r\n\r\n.\r\n")
        program.logon(server.url, sync=True)
        if not known:
            program.ok("folder", "create", one)
            add(program, one, "one")
        program.ok("folder", "create", two)
        add(program, two, "two")
        settle(program)
        first, second = (one, two) if known or fold is str.lower else (two, one)
        assert contents(program) == {"INBOX": [], first: ["one" if first == one else "two"], second + " (2)": ["two" if first == one else "one"]}
        assert sorted(len(items) for items in server.folders.values()) == [0, 1, 1]


@pytest.mark.parametrize("first, second, apart", [("INBOX/kid", "kid", False), ("kid", "INBOX/kid", False), ("kid", "INBOX/kid", True)])
def test_a_folder_below_inbox_where_the_server_has_all_folders_there(first, second, apart):
    with Dovecot(separator=".", prefix="INBOX.") as server, Outpost() as program, Outpost() as other, ImapClient(server.port) as client:
        program.logon(server.url, sync=True)
        program.ok("folder", "create", first)
        add(program, first, "one")
        if apart:
            settle(program)
        program.ok("folder", "create", second)
        add(program, second, "two")
        settle(program)
        here = contents(program)
        assert sorted(here.values()) == [[], ["one"], ["two"]] and "INBOX/kid" not in here and "kid" in here
        assert sorted(client.folders()) == sorted("INBOX" if name == "INBOX" else "INBOX." + name for name in here)
        other.logon(server.url, sync=True)
        assert contents(other) == here


def test_a_folder_that_takes_the_place_of_one_removed_here(pair):
    program, client = pair
    program.ok("folder", "delete", "--with-messages", "Work")
    program.ok("folder", "create", "Work")
    add(program, "Work", "new")
    program.run("sync")
    program.ok("resolve", "--all", "mine")
    settle(program)
    assert agreed(program, client)["Work"] == ["new"]


def test_a_folder_removed_and_made_again_here_that_got_mail_at_the_server_is_one(pair):
    program, client = pair
    program.ok("folder", "delete", "--with-messages", "Work")
    program.ok("folder", "create", "Work")
    add(program, "Work", "new")
    client.append_many("Work", [(b"Subject: theirs\r\n\r\n.\r\n", (), 1700000000)])
    settle(program)
    assert agreed(program, client)["Work"] == sorted(of("Work") + ["new", "theirs"])


def test_a_folder_made_below_inbox_and_renamed_before_the_next_run_keeps_its_new_name():
    with Dovecot(separator=".", prefix="INBOX.") as server, Outpost() as program, ImapClient(server.port) as client:
        program.logon(server.url, sync=True)
        program.ok("folder", "create", "INBOX/kid")
        add(program, "INBOX/kid", "one")
        settle_once = program.run("sync")[0]
        program.ok("folder", "rename", "INBOX/kid", "other")
        settle(program)
        assert settle_once == 0 and contents(program) == {"INBOX": [], "other": ["one"]}
        assert client.folders() == ["INBOX", "INBOX.other"]


@pytest.mark.parametrize("change", ["delete", "rename", "add"])
def test_a_folder_made_here_is_renamed_with_those_below_it(pair, change):
    program, client = pair
    program.ok("folder", "create", "Made/Below")
    add(program, "Made/Below", "one")
    settle(program)
    program.ok("folder", "rename", "Made", "Called")
    if change == "delete":
        program.ok("folder", "delete", "--with-messages", "Called/Below")
    elif change == "rename":
        program.ok("folder", "rename", "Called/Below", "Called/Under")
    else:
        add(program, "Called/Below", "two")
    settle(program)
    folders = agreed(program, client)
    assert {name: got for name, got in folders.items() if name.startswith(("Made", "Called"))} == {
        "delete": {"Called": []}, "rename": {"Called": [], "Called/Under": ["one"]}, "add": {"Called": [], "Called/Below": ["one", "two"]}}[change]


@pytest.mark.parametrize("to", ["Work 2025", "Deep/Work", "Work/Old"])
def test_a_new_folder_gets_the_name_that_another_one_gave_up_here(pair, to):
    program, client = pair
    program.ok("folder", "rename", "Work", "aside")
    program.ok("folder", "create", "Work")
    program.ok("folder", "rename", "aside", to)
    add(program, "Work", "new")
    settle(program)
    folders = agreed(program, client)
    assert folders["Work"] == ["new"] and folders[to] == of("Work") and not any("(" in name for name in folders)


@pytest.mark.parametrize("lost", ["was empty", "emptied"])
def test_a_folder_without_mail_follows_the_one_above_it(pair, lost):
    program, client = pair
    client.create("Work/Todo")
    if lost == "emptied":
        client.append_many("Work/Todo", [(b"Subject: done\r\n\r\n.\r\n", (), 1700000000)])
    settle(program)
    if lost == "emptied":
        client.command('SELECT "Work/Todo"')
        client.command("STORE 1 +FLAGS (\\Deleted)")
        client.command("EXPUNGE")
        client.command("UNSELECT")
    client.command("RENAME Work Job")
    client.append_many("Job/Todo", [(b"Subject: new\r\n\r\n.\r\n", (), 1700000001)])
    settle(program)
    folders = agreed(program, client)
    assert folders["Job/Todo"] == ["new"] and not any("(" in name for name in folders)


@pytest.mark.parametrize("between", ["", "Between/"])
def test_folders_that_each_side_put_into_the_other_are_as_at_the_server(pair, between):
    program, client = pair
    if between:
        client.create("Home/Between")
        settle(program)
    program.ok("folder", "rename", "Work", f"Home/{between}Work")
    client.command("RENAME Home Work/Home")
    settle(program)
    folders = agreed(program, client)
    assert folders["Work"] == of("Work") and folders["Work/Home"] == of("Home")
    assert [item["subject"] for item in program.list("Sync Issues/Conflicts")] == ["Folders put into each other"]


def test_folders_that_change_places_with_those_above_them_are_renamed_in_order(pair):
    program, client = pair
    program.ok("folder", "rename", "Work", "Home/Work")
    settle(program)
    program.ok("folder", "rename", "Home/Work", "Deep/Work")
    program.ok("folder", "rename", "Home", "Deep/Work/Home")
    assert program.run("sync")[0] == 0
    assert agreed(program, client) == {"INBOX": [], "Deep": of("Deep"), "Deep/Work": of("Work"), "Deep/Work/Home": of("Home")}


def test_what_comes_back_is_where_it_was(pair):
    program, client = pair
    client.create("Work/Sub")
    settle(program)
    program.ok("folder", "delete", "Work/Sub")
    program.ok("folder", "delete", "--with-messages", "Work")
    client.append_many("Work/Sub", [(b"Subject: new\r\n\r\n.\r\n", (), 1700000001)])
    client.create("Home/Other")
    settle(program)
    folders = agreed(program, client)
    assert folders["Work/Sub"] == ["new"] and folders["Work"] == of("Work")


@pytest.mark.parametrize("how", ["deleted", "went below", "held"])
def test_a_number_goes_when_the_name_is_free_again(pair, how):
    program, client = pair
    if how == "went below":
        client.create("Home/Sub")
        settle(program)
        client.command("RENAME Work Home/Sub/Work")
        client.command("RENAME Home Work")
        want = {"Work": of("Home"), "Work/Sub": [], "Work/Sub/Work": of("Work")}
    else:
        if how == "deleted":
            client.command("SELECT Work")
            client.command("STORE 1:* +FLAGS (\\Deleted)")
            client.command("CLOSE")
            program.run("sync")
            program.ok("resolve", "--all", "server")
            settle(program)
        client.command("DELETE Work")
        client.command("RENAME Home Work")
        if how == "held":
            assert program.run("sync")[0] == 4
            program.ok("resolve", "--all", "server")
        want = {"Work": of("Home")}
    settle(program)
    folders = agreed(program, client)
    assert {name: got for name, got in folders.items() if name.startswith(("Work", "Home"))} == want


def test_a_folder_that_the_server_refuses_is_told_in_one_sentence():
    with Dovecot(separator=".") as server, Outpost() as program:
        program.logon(server.url, sync=True)
        program.ok("folder", "create", "a.b")
        program.ok("folder", "create", "ä" * 120)
        code, out, _ = program.run("sync")
        told = [line[8:].strip() for line in out.decode().splitlines() if "can't" in line]
        assert code == 1 and told[0] == "folder 'a.b' can't be created at home: a name there must not hold '.' or control characters"
        assert told[1].startswith(f"folder '{'ä' * 120}' can't be created at home: the server said: ") and len(told) == 2
        assert told[1].count("folder") == 1


def test_a_mailbox_of_few_messages_whose_folders_exchange_names_is_not_taken_for_another_one():
    """Nothing is under its name: eight of nine messages are in other folders, four of them those of a folder that has none now."""
    with Dovecot(without=("MOVE",)) as server, Outpost() as program, ImapClient(server.port) as client:
        for folder, n in (("A", 4), ("A/Deep", 4), ("B", 1)):
            client.create(folder)
            client.append_many(folder, [(f"Subject: of {folder} {i}\r\n\r\n.\r\n".encode(), (), 1700000000 + i + len(folder)) for i in range(n)])
        program.logon(server.url, sync=True)
        client.create("B/Deep")
        client.append_many("B/Deep", [(b"Subject: new\r\n\r\n.\r\n", (), 1700000100)])
        for names in ("A Away", "B A", "Away B"):
            client.command("RENAME " + names)
        client.select("A")
        client.command("UID STORE 1:* +FLAGS (\\Deleted)")
        client.command("EXPUNGE")
        client.command("CLOSE")
        assert program.run("sync")[0] == 4  # what was removed there is asked about
        program.ok("resolve", "--all", "server")
        settle(program)
        folders = agreed(program, client)
        assert folders["A"] == [] and folders["A/Deep"] == ["new"] and folders["B"] == of("A") + ["of A 3"] and len(folders["B/Deep"]) == 4


def test_a_folder_goes_below_inbox_where_a_server_without_namespace_has_all_others():
    with Dovecot(separator=".", prefix="INBOX.", without=("NAMESPACE",)) as server, Outpost() as program, ImapClient(server.port) as client:
        client.create("INBOX.A.B")
        client.append_many("INBOX.A.B", [(b"Subject: one\r\n\r\n.\r\n", (), 1700000000)])
        program.logon(server.url, sync=True)
        program.ok("folder", "create", "New")
        program.ok("folder", "rename", "INBOX/A/B", "Top")
        for _ in range(3):
            program.sync()
        assert {"INBOX.New", "INBOX.Top"} < set(client.folders()) and "INBOX.A.B" not in client.folders()
        assert {"New", "Top"} < set(program.folders()) and [item["subject"] for item in program.list("Top")] == ["one"]

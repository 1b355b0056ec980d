# SPDX-License-Identifier: Apache-2.0
"""The organisation of a mailbox server: sites, servers, Move Server."""
import imaplib
import json
import os
import re
import sqlite3
import subprocess

import pytest

from outpostd import BUILD


def tree(made):
    shown = json.loads(made.ctl("org", "show", "--json"))
    return shown["organisation"], {site["name"]: {s["name"]: s for s in site["servers"]} for site in shown["sites"]}


def stamps(made):
    """Of all stores: size and times."""
    folder = os.path.join(made.folder, "mail")
    return {name: (s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name in os.listdir(folder) for s in [os.stat(os.path.join(folder, name))]}


def test_a_server_is_moved_by_one_command_that_touches_no_store(organised):
    name, before = tree(organised)
    assert name == "Contoso" and list(before["Berlin"]) == ["ex1"] and before["Berlin"]["ex1"]["mailboxes"] == 2
    stores = stamps(organised)
    rehearsed = organised.ctl("server", "move", "ex1", "--to-site", "Oslo", "--rename", "ex1-osl", "--at", "imaps://EX1.oslo.example.org", "--dry-run")
    assert tree(organised)[1] == before
    done = organised.ctl("server", "move", "ex1", "--to-site", "Oslo", "--rename", "ex1-osl", "--at", "imaps://EX1.oslo.example.org")
    for text in (rehearsed, done):
        assert "site: Berlin -> Oslo" in text and "name: ex1 -> ex1-osl" in text
        assert "addresses: imaps://ex1.example.org:993 -> imaps://ex1.oslo.example.org:993" in text
        assert "forwards from: imaps://ex1.example.org:993" in text and "2 mailboxes go with it" in text
    after = tree(organised)[1]
    moved = after["Oslo"]["ex1-osl"]
    assert not after["Berlin"] and moved["id"] == before["Berlin"]["ex1"]["id"] and stamps(organised) == stores
    assert (moved["addresses"], moved["past"]) == (["imaps://ex1.oslo.example.org:993"], ["imaps://ex1.example.org:993"])
    shown = organised.ctl("org", "show")
    assert re.search(r"^Contoso\n  @example\.org\n  Berlin\n.*  Oslo\n    ex1-osl, 2 mailboxes, [0-9a-f]{32}, this one\n", shown, re.S), shown


def test_a_move_to_nowhere_or_to_what_is_taken_changes_nothing(organised):
    organised.ctl("server", "add", "ex2", "--site", "Oslo", "--at", "imaps://ex2.example.org")
    before = tree(organised)
    for words, code, text in ((("--to-site", "Rome"), 3, "there is no site Rome"), (("--rename", "EX2"), 1, "there is a server EX2 already"),
                              (("--to-site", "Oslo", "--at", "ex2.example.org:993"), 1, "is an address of the server ex2"),
                              (("--at", "imaps://me@ex1.example.org"), 2, "names a user"), ((), 2, "wants --to-site"),
                              (("--at", "http://x/"), 2, "no server location")):
        assert text in organised.ctl("server", "move", "ex1", *words, code=code)
    assert "there is no server ex9" in organised.ctl("server", "move", "ex9", "--to-site", "Oslo", code=3)
    assert "called Contoso already" in organised.ctl("org", "init", "Other", code=1)
    assert tree(organised) == before


def test_a_folder_of_another_server_says_what_to_do(organised):
    os.unlink(os.path.join(organised.folder, "server.id"))
    told = organised.ctl("org", "show", code=3)
    assert "outpostctl server adopt NAME" in told
    organised.ctl("server", "adopt", "ex1")
    assert "this one" in organised.ctl("server", "list")
    with organised:
        organised.log_on("alice", "wonderland").logout()
    with open(os.path.join(organised.folder, "server.id"), "w") as file:
        file.write("nonsense")
    assert "must hold the server's id" in organised.ctl("server", "list", code=1)


def test_a_server_that_was_set_up_before_goes_on_and_has_an_organisation(made):
    """The directory as version 1 left it, and no server.id."""
    path = os.path.join(made.folder, "directory.db")
    with sqlite3.connect(path) as db:
        db.executescript("UPDATE mailbox SET server = NULL; DROP INDEX mailbox_server; DROP TABLE move; DROP TABLE server_address; DROP TABLE server;"
                         "DROP TABLE site; DROP TABLE organisation; ALTER TABLE mailbox DROP COLUMN quota_messages; PRAGMA user_version = 1;")
    db.close()
    os.unlink(os.path.join(made.folder, "server.id"))
    with made:
        made.log_on("alice", "wonderland").logout()
        name, sites = tree(made)
        assert name == "" and sites["First site"]["localhost"]["mailboxes"] == 2
        with made.lmtp() as lmtp:
            lmtp.sendmail("a@elsewhere.example", ["bob@example.org"], b"Subject: x\r\n\r\nx\r\n")


def told(client, depth="infinity"):
    """What the server says of itself, {last word: value}."""
    client.untagged_responses.pop("METADATA", None)
    assert client.xatom("GETMETADATA", f"(DEPTH {depth})", '""', "/shared/vendor/outpost/server")[0] == "OK"
    return dict(re.findall(r'/shared/vendor/outpost/server/(\w+) "([^"]*)"', (client.response("METADATA")[1][0] or b"").decode()))


def test_a_server_says_who_and_where_it_is_to_who_is_logged_on(organised):
    with organised:
        client = organised.log_on("alice", "wonderland")
        assert "METADATA-SERVER" in client.capability()[1][0].decode()
        before = told(client)
        assert before == {"id": tree(organised)[1]["Berlin"]["ex1"]["id"], "name": "ex1", "site": "Berlin", "addresses": "imaps://ex1.example.org:993"}
        organised.ctl("server", "move", "ex1", "--to-site", "Oslo", "--at", "imaps://b.example.org", "--at", "imap://c.example.org")
        assert told(client) == dict(before, site="Oslo", addresses="imaps://b.example.org:993 imap://c.example.org:143")  # the same session
        assert told(client, 0) == {}
        client.logout()


def test_two_servers_share_a_directory_and_serve_what_is_at_home_there(organised, second):
    assert [s["mailboxes"] for s in (tree(organised)[1]["Berlin"]["ex1"], tree(second)[1]["Oslo"]["ex2"])] == [2, 1]
    for server in (organised, second):
        assert server.ctl("mailbox", "list").count("@example.org") == 3
    with organised, second:
        for here, there, user, password, place in ((organised, second, "alice", "wonderland", "ex1, imaps://ex1.example.org:993"),
                                                   (second, organised, "carol", "singer", "ex2, imaps://ex2.example.org:993")):
            client = here.log_on(user, password)
            assert told(client)["name"] == place[:3] and client.select("INBOX")[0] == "OK"
            client.logout()
            passed_on = there.log_on(user, password)  # test_proxy.py has the rest
            assert told(passed_on)["name"] == place[:3]
            passed_on.logout()
            with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):  # who has not the password is told nothing
                there.log_on(user, "wrong")
            with there.lmtp() as lmtp, here.lmtp() as right:
                for one, code in ((lmtp, 451), (right, 250)):
                    one.ehlo_or_helo_if_needed()
                    one.mail("a@elsewhere.example")
                    assert one.rcpt(f"{user}@example.org")[0] == code
            assert f"at home at {place}" in there.ctl("mailbox", "show", user, code=1)


def test_a_purge_leaves_alone_what_is_at_home_elsewhere(organised, second):
    second.ctl("mailbox", "delete", "carol")
    with sqlite3.connect(os.path.join(organised.folder, "directory.db")) as db:
        db.execute("UPDATE mailbox SET deleted = 1 WHERE deleted > 0")
    db.close()
    assert "Nothing was removed" in organised.ctl("purge")
    assert "the mailbox gone" in second.ctl("purge") and not os.listdir(os.path.join(second.folder, "mail"))


def test_a_folder_that_joins_names_a_server_of_the_directory(organised, tmp_path):
    directory = os.path.join(organised.folder, "directory.db")
    for words, code, text in ((("--join", directory, "--server", "ex9"), 1, "there is no server ex9"), (("--join", directory), 2, "init wants"),
                              (("--domain", "x.org", "--server", "ex1"), 2, "init wants"), (("--join", "/nowhere", "--server", "ex1"), 1, "no directory")):
        done = subprocess.run([os.path.join(BUILD, "outpostd", "outpostd"), "init", "--dir", str(tmp_path / "new"), *words], stderr=subprocess.PIPE,
                              text=True, env=organised.environment)
        assert text in done.stderr and done.returncode == code, (words, done.stderr)


def test_a_graph_of_it_is_one_that_graphviz_takes(organised):
    organised.ctl("site", "rename", "Berlin", 'Ber"lin\\')
    graph = organised.ctl("org", "show", "--dot")
    assert '[label="Ber\\"lin\\\\"]' in graph and '[label="ex1: 2"]' in graph
    try:
        drawn = subprocess.run(["dot", "-Tplain"], input=graph, capture_output=True, text=True)
    except FileNotFoundError:
        return  # what is asserted above stands
    assert drawn.returncode == 0 and drawn.stdout.count("\nedge") == 4, drawn.stderr

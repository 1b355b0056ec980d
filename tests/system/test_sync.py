# SPDX-License-Identifier: Apache-2.0
"""The store equals the server: folders, octets, flags, keywords, dates; both ways; whatever breaks in between."""
import json
import os
import random
import re
import subprocess
import time

import corpus
import pytest
from dovecot import Dovecot
from fakeserver import FakeServer
from genmail import Generator, folder_names, write_maildir
from imapclient import ImapClient, quote, to_utf7
from outpost import Outpost, differences, export_digests
from proxy import Proxy

STORMS = int(os.environ.get("OUTPOST_STORM", "4"))


def fill(server, count=120, folders=6, seed=1):
    write_maildir(server.maildir, Generator(seed, attachments=count < 5000), count, folder_names(folders))
    server.own_files()


def dump(server, bodies=True):
    with ImapClient(server.port) as client:
        return client.dump(bodies)


def equal(program, server, sample=None, **names):
    return differences(program, dump(server), sample=sample, **names)


def test_the_first_sync_equals_the_server_octet_for_octet(server, program):
    fill(server)
    program.logon(server.url)
    program.sync()
    assert equal(program, server) == []
    assert sum(len(program.list(f)) for f in program.folders()) == 120


def test_a_logon_syncs_unless_told_not_to(server, program):
    fill(server, 20, 2)
    program.logon(server.url, sync=True)
    assert equal(program, server) == []


def test_the_whole_corpus_comes_back_octet_for_octet(server, program, tmp_path):
    if not corpus.root():
        pytest.skip("corpus absent")
    sent = [corpus.as_imap(octets) for _, octets in corpus.messages()]
    with ImapClient(server.port) as client:
        for number in range(0, len(sent), 3000):
            folder = f"Corpus {number // 3000}"
            client.create(folder)
            client.append_many(folder, ((m, [], 1500000000 + i) for i, m in enumerate(sent[number:number + 3000])))
    program.logon(server.url)
    program.sync()
    there = dump(server)
    assert sum(len(messages) for messages in there.values()) == len(sent)
    assert differences(program, there, sample=2) == []
    counts = {}
    for messages in there.values():
        for message in messages:
            counts[message.sha256] = counts.get(message.sha256, 0) + 1
    assert export_digests(program, str(tmp_path / "export")) == counts


def test_a_sync_without_changes_changes_nothing_and_says_little(server, program):
    fill(server, 300, 10)
    with Proxy(server.port) as proxy:
        program.logon(proxy.url)
        program.sync()
        before = dump(server)
        proxy.clear()
        program.sync()
        assert sum(proxy.counts()[way] for way in ("up", "down")) < 8000
    assert dump(server) == before
    assert differences(program, before, sample=3) == []


def test_a_local_flag_reaches_the_server_and_goes_again(server, program):
    fill(server, 10, 1)
    program.logon(server.url)
    program.sync()
    first = program.list("INBOX")[0]
    for verb, there in (("flag", True), ("unflag", False)):
        program.ok(verb, str(first["id"]), "\\Flagged")
        program.sync()
        flags = {m.uid: m.flags for m in dump(server)["INBOX"]}[first["uid"]]
        assert ("\\Flagged" in flags) == there
        assert equal(program, server) == []


@pytest.mark.parametrize("without", [(), ("MOVE",), ("QRESYNC",), ("QRESYNC", "CONDSTORE"), ("UIDPLUS", "MOVE"),
                                     ("QRESYNC", "CONDSTORE", "UIDPLUS", "MOVE", "ESEARCH", "LIST-STATUS", "LIST-EXTENDED",
                                      "SPECIAL-USE", "MULTIAPPEND", "LITERAL+", "NAMESPACE", "ENABLE", "BINARY")],
                         ids=lambda words: "-".join(words)[:40] or "nothing")
def test_changes_go_both_ways_without_an_extension(without, program):
    with Dovecot(without=without) as server:
        fill(server, 60, 4)
        program.logon(server.url)
        program.sync()
        for step in range(2):
            storm(random.Random(step), server, program, 12)
            settle(program)
            assert equal(program, server) == []


@pytest.mark.parametrize("separator,prefix", [(".", "INBOX."), (".", ""), ("/", "INBOX/")])
def test_folders_of_any_namespace_are_the_same_here(separator, prefix, program):
    with Dovecot(separator=separator, prefix=prefix) as server:
        with ImapClient(server.port) as client:
            for name in ("a", "a/b", "Müller & Söhne", "仕事"):
                name = prefix + name.replace("/", separator)
                client.create(name)
                client.append_many(name, Generator(len(name)).messages(3))
        program.logon(server.url)
        program.sync()
        there = {f[len(prefix):] if f.startswith(prefix) else f: m for f, m in dump(server).items()}
        assert differences(program, there, separator=separator) == []


PUBLIC = "namespace public {{\n type = public\n separator = {0}\n prefix = Public{0}\n location = maildir:{1}\n subscriptions = no\n list = yes\n}}"


@pytest.mark.parametrize("separator,prefix", [(".", "INBOX."), ("/", "")])
def test_folders_of_others_are_left_out_and_that_is_told_once(separator, prefix, program):
    with Dovecot(separator=separator, prefix=prefix) as server:
        program.logon(server.url, sync=True)
        assert program.json("status")["sharedFolders"] == 0 and "Shared" not in program.ok("status").decode()
        server.stop()
        server.extra = PUBLIC.format(separator, os.path.join(server.directory, "public"))
        os.makedirs(os.path.join(server.directory, "public", ".News", "cur"))
        os.makedirs(os.path.join(server.directory, "public", ".Team", "cur"))
        for where, folders, _ in os.walk(os.path.join(server.directory, "public")):
            os.chown(where, server.owner.pw_uid, server.owner.pw_gid)
        server.start()
        told = "2 folder(s) that other users share, or public ones, are not synchronised"
        assert told in program.sync().decode()
        assert told not in program.sync().decode()
        assert program.json("status")["sharedFolders"] == 2 and program.json("status")["lastRun"]["result"] == "done"
        assert "2 folders of other users" in program.ok("status").decode()
        assert not [name for name in program.folders() if "News" in name or "Public" in name]


def storm(chance, server, program, edits):
    """Random edits on the server and locally, not synchronised in between."""
    with ImapClient(server.port) as client:
        for _ in range(edits):
            names = client.folders()
            if chance.random() < 0.5:
                edit_server(chance, client, names)
            else:
                edit_local(chance, program)


def edit_server(chance, client, names):
    folder = chance.choice(names)
    what = chance.choice(["append", "flag", "unflag", "delete", "move", "create"])
    if what == "append":
        client.append_many(folder, Generator(chance.getrandbits(30)).messages(2))
        return
    if what == "create":
        name = f"Server {chance.randrange(4)}"
        if name not in names:
            client.create(name)
        return
    messages = client.read_folder(folder, bodies=False)
    if not messages:
        return
    uid = chance.choice(messages).uid
    client.select(folder)
    if what == "move":
        client.command(f"UID MOVE {uid} {quote(to_utf7(chance.choice(names)))}")
    elif what == "delete":
        client.command(f"UID STORE {uid} +FLAGS (\\Deleted)")
        client.command(f"UID EXPUNGE {uid}")
    else:
        client.command(f"UID STORE {uid} {'+' if what == 'flag' else '-'}FLAGS "
                       f"({chance.choice([chr(92) + 'Seen', chr(92) + 'Flagged', 'receipts', 'new1'])})")


def edit_local(chance, program):
    names = program.folders()
    folder = chance.choice(names)
    what = chance.choice(["add", "flag", "unflag", "delete", "move", "copy", "create"])
    if what == "create":
        name = f"Local {chance.randrange(4)}"
        if name not in names:
            program.ok("folder", "create", name)
        return
    if what == "add":
        path = os.path.join(program.home, "added.eml")
        with open(path, "wb") as message:
            message.write(Generator(chance.getrandbits(30)).message()[0])
        program.ok("add", folder, path)
        return
    messages = program.list(folder)
    if not messages:
        return
    chosen = str(chance.choice(messages)["id"])
    if what in ("flag", "unflag"):
        program.ok(what, chosen, chance.choice(["\\Seen", "\\Answered", "receipts", "new2"]))
    elif what == "delete":
        program.ok("delete", chosen)
    else:
        program.ok(what, chosen, chance.choice(names))


def settle(program):
    """One sync may see what the other side did to its own pushes; the second must find all settled."""
    program.sync()
    program.sync()


@pytest.mark.parametrize("seed", range(STORMS))
def test_a_storm_of_changes_on_both_sides_converges(seed, server, program):
    chance = random.Random(1000 + seed)
    fill(server, 40, 4, seed)
    program.logon(server.url)
    program.sync()
    for _ in range(3):
        storm(chance, server, program, 20)
        settle(program)
        assert equal(program, server) == []
    before = dump(server)
    program.sync()
    assert dump(server) == before


def test_nothing_is_lost_or_doubled_when_killed_at_each_step(server):
    fill(server, 30, 3)
    with Outpost() as probe:
        probe.logon(server.url)
        _, _, err = probe.run("sync", env={"OUTPOST_COUNT_STEPS": "1"})
        steps = int(err.rsplit("steps:", 1)[1].split()[0])
    assert steps > 0
    there = dump(server)
    for step in range(1, steps + 1, max(1, steps // 25)):
        with Outpost() as program:
            program.logon(server.url)
            code, _, _ = program.run("sync", env={"OUTPOST_DIE_AT": str(step)})
            assert code == 137
            program.ok("store", "check")
            program.sync()
            assert differences(program, there, sample=5) == []
    assert dump(server) == there


def test_pushes_are_done_once_when_killed_at_each_step(server, program):
    fill(server, 12, 2)
    program.logon(server.url)
    program.sync()
    for step in range(1, 40):
        path = os.path.join(program.home, "added.eml")
        octets = Generator(500 + step).message()[0]
        with open(path, "wb") as message:
            message.write(octets)
        program.ok("add", "INBOX", path)
        program.ok("flag", str(program.list("INBOX")[0]["id"]), f"step{step}")
        code, _, _ = program.run("sync", env={"OUTPOST_DIE_AT": str(step)})
        settle(program)
        there = dump(server)
        assert len({m.sha256 for m in there["INBOX"]}) == len(there["INBOX"]), f"a message was doubled at step {step}"
        assert differences(program, there, sample=3) == []
        if code == 0:
            return
        assert code == 137
    pytest.fail("a push takes more than 40 steps")


def test_a_kill_at_a_random_moment_leaves_a_store_that_goes_on(server, program):
    fill(server, 600, 6)
    program.logon(server.url)
    chance = random.Random(9)
    for _ in range(8):
        process = program.start("sync")
        time.sleep(chance.uniform(0.01, 0.4))
        process.kill()
        process.communicate()
        program.ok("store", "check")
    program.sync()
    assert equal(program, server, sample=5) == []


def test_the_server_killed_in_the_middle_loses_nothing(server, program):
    fill(server, 1500, 6)
    program.logon(server.url)
    process = program.start("sync")
    time.sleep(0.3)
    server.kill9()
    process.communicate(timeout=300)
    server.start()
    program.sync()
    assert equal(program, server, sample=5) == []


def test_a_connection_cut_anywhere_loses_nothing(server):
    fill(server, 20, 2)
    there = dump(server)
    with Proxy(server.port) as proxy, Outpost() as program:
        program.logon(proxy.url)
        proxy.clear()
        program.sync()
        total = proxy.counts()
    assert total["up"] > 100 and total["down"] > sum(m.size for messages in there.values() for m in messages)
    for way, count in (("cut_down", total["down"]), ("cut_up", total["up"])):
        for cut in range(1, count, max(1, count // 12)):
            with Outpost() as program:
                program.logon(server.url)
                cut_one(program, server, way, cut)
                program.sync()
                assert differences(program, there, sample=4) == [], f"{way} {cut}"


def cut_one(program, server, way, cut):
    """The profile names the server's port; the proxy stands there while the server is away from it."""
    real = server.port
    with Proxy(real, **{way: cut}) as proxy:
        config = program.environment["XDG_CONFIG_HOME"]
        subprocess.run(["grep", "-rlZ", str(real), config], stdout=subprocess.PIPE, check=True)
        swap_port(config, real, proxy.port)
        program.run("sync")
        assert proxy.counts()["connections"] > 0
        swap_port(config, proxy.port, real)


def swap_port(directory, old, new):
    for where, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(where, name)
            with open(path) as text:
                content = text.read()
            if str(old) in content:
                with open(path, "w") as text:
                    text.write(content.replace(str(old), str(new)))


def bare(server, count=8):
    server.add_folder("Other")
    generator = Generator(77)
    for number, (octets, flags, when) in enumerate(generator.messages(count)):
        server.add("Other" if number % 2 else "INBOX", octets, flags, when)


@pytest.mark.parametrize("quirks", [{}, {"no_uidnext": True}, {"wrong_size": 7}, {"wrong_size": -7},
                                    {"capability": "UIDPLUS"}, {"capability": "LITERAL+"},
                                    {"unsolicited": ("* OK still here",)},
                                    {"unsolicited": ("* 1 FETCH (FLAGS (\\Seen))",)}],
                         ids=["bare", "no-uidnext", "size-above", "size-below", "uidplus", "literals", "ok", "fetch"])
def test_a_bare_server_is_synchronised_both_ways(quirks, program):
    with FakeServer(**quirks) as server:
        bare(server)
        program.logon(server.url)
        program.sync()
        server.unsolicited = []
        first = program.list("INBOX")[0]
        program.ok("flag", str(first["id"]), "\\Flagged")
        settle(program)
        server.wrong_size = 0
        assert "\\Flagged" in next(item.flags for item in server.folders["INBOX"] if item.uid == first["uid"])
        assert [program.save(item["id"]) for item in sorted(program.list("Other"), key=lambda i: i["uid"])] == [
            item.octets for item in server.folders["Other"]]


def sync_result(program):
    code, out, _ = program.run("sync", "--json")
    result = json.loads(out.splitlines()[-1])
    assert code == (1 if result["failures"] else 0)
    return result


@pytest.mark.parametrize("how", ["NO [NOPERM] not for you", "NO [UNAVAILABLE] its disk is being replaced", "NO", "BAD what?"])
def test_a_folder_that_cannot_be_opened_stops_no_other(how, program):
    with FakeServer() as server:
        bare(server)
        program.logon(server.url)
        program.sync()
        before = program.list("Other")
        program.ok("flag", str(before[0]["id"]), "\\Flagged")
        server.add("INBOX", b"Subject: to one that opens\r\n\r\n.\r\n")
        server.add("Other", b"Subject: to one that does not\r\n\r\n.\r\n")
        server.refused["Other"] = how
        for run in range(2):
            assert sync_result(program)["failures"] == 1
            assert [item["id"] for item in program.list("Other")] == [item["id"] for item in before]
            assert len(program.list("INBOX")) == 5
            lines = [line for line in program.ok("log").decode().splitlines() if "'Other'" in line]
            assert len(lines) == 1 and "could not be read" in lines[0]
        server.attributes, server.refused = {}, {}
        settle(program)
        assert len(program.list("Other")) == 5
        with ImapClient(server.port) as client:
            assert differences(program, client.dump()) == []


@pytest.mark.parametrize("how", ["\\NoSelect", "\\NonExistent"])
def test_a_folder_that_can_only_have_others_below_it_is_held(how, program):
    with FakeServer() as server:
        bare(server)
        program.logon(server.url)
        program.sync()
        before = program.list("Other")
        server.attributes["Other"] = how
        for run in range(2):
            assert program.run("sync")[0] == 4
            assert program.list("Other") == before
        server.attributes = {}
        settle(program)
        assert program.list("Other") == before and not program.json("resolve")


@pytest.mark.parametrize("decision", ["server", "mine"])
@pytest.mark.parametrize("full", [True, False])
def test_a_folder_that_was_removed_above_others_goes_too(full, decision, server, program):
    with ImapClient(server.port) as client:
        client.create("A")
        client.create("A/b")
        for name in ("A/b",) + (("A",) if full else ()):
            client.append_many(name, [(b"Subject: in " + name.encode() + b"\r\n\r\n.\r\n", [], 1700000000)])
        program.logon(server.url, sync=True)
        client.command("DELETE A")
        assert program.run("sync")[0] == (4 if full else 0)
        if full:
            program.ok("resolve", "A", decision)
        settle(program)
        kept = full and decision == "mine"
        assert [item["subject"] for item in program.list("A")] == (["in A"] if kept else [])
        assert [item["subject"] for item in program.list("A/b")] == ["in A/b"]
        if kept:
            assert differences(program, client.dump()) == []
        else:
            client.create("A")
        client.append_many("A", [(b"Subject: later\r\n\r\n.\r\n", [], 1700000001)])
        settle(program)
        assert program.list("A")[0]["subject"] == "later"


def test_a_folder_that_becomes_one_with_messages_is_synchronised(program):
    with FakeServer() as server:
        server.add_folder("Above")
        server.add_folder("Above/Below")
        server.attributes["Above"], server.refused["Above"] = "\\NoSelect", "NO not selectable"
        server.add("Above/Below", b"Subject: below\r\n\r\n.\r\n")
        program.logon(server.url)
        assert sync_result(program)["failures"] == 0
        server.attributes, server.refused = {}, {}
        server.add("Above", b"Subject: above\r\n\r\n.\r\n")
        settle(program)
        assert [item["subject"] for item in program.list("Above")] == ["above"]


def test_a_folder_whose_name_can_not_be_had_stops_no_other_and_is_told(program):
    long = "L" * 1500
    with FakeServer() as server:
        for name in (long, long + "/sub", "con\x07trol", "Good"):
            server.add_folder(name)
        server.add("INBOX", b"Subject: inbox\r\n\r\n.\r\n")
        server.add("Good", b"Subject: good\r\n\r\n.\r\n")
        program.logon(server.url)
        assert sync_result(program)["failures"] == 3
        assert sync_result(program)["failures"] == 3
        assert sorted(program.folders()) == ["Good", "INBOX"]
        assert [item["subject"] for item in program.list("Good")] == ["good"]
        log = program.ok("log").decode()
        assert "'" + 80 * "L" + "...' is left out" in log and "'con\\007trol' is left out" in log
        assert "Last run" in program.ok("status").decode() and "incomplete" in program.ok("status").decode()


def test_what_a_server_can_only_mark_stays_away_and_goes_when_it_can(program):
    """No UIDPLUS, no MOVE, and somebody else has marked a message as deleted, which is not ours to remove."""
    with Dovecot(without=("UIDPLUS", "MOVE")) as server:
        with ImapClient(server.port) as client:
            client.create("Other")
            client.append_many("INBOX", Generator(4).messages(6))
            client.select("INBOX")
            client.command("UID STORE 6 +FLAGS (\\Deleted)")
            program.logon(server.url)
            program.sync()
            ids = [str(item["id"]) for item in sorted(program.list("INBOX"), key=lambda item: item["uid"])]
            program.ok("move", ids[0], "Other")
            program.ok("delete", ids[1])
            for _ in range(3):
                program.sync()
                assert len(program.list("INBOX")) == 4 and len(program.list("Other")) == 1
            assert program.ok("log", "-n", "0").decode().count("only marked as deleted") == 1
            assert program.json("status")["pending"] == {"new": 0, "flags": 0, "removed": 0, "marked": 2, "folders": 0}
            assert "Marked     2 removed messages" in program.ok("status").decode()
            client.command("NOOP")
            client.command("UID STORE 6 -FLAGS (\\Deleted)")
            program.sync()
            assert [m.uid for m in client.dump()["INBOX"]] == [3, 4, 5, 6]
            assert program.json("status")["pending"]["marked"] == 0
        settle(program)
        with ImapClient(server.port) as client:
            assert differences(program, client.dump()) == []


def test_a_folder_that_only_its_children_tell_of_has_its_place(program):
    with FakeServer() as server:
        for name in ("a/x", "b/x"):
            server.add_folder(name)
            server.add(name, f"Subject: {name}\r\n\r\n.\r\n".encode())
        program.logon(server.url)
        assert sync_result(program)["failures"] == 0
        assert sorted(program.folders()) == ["INBOX", "a", "a/x", "b", "b/x"]
        assert [item["subject"] for name in ("a/x", "b/x") for item in program.list(name)] == ["a/x", "b/x"]
        assert sync_result(program)["failures"] == 0
        assert not {"CREATE", "RENAME", "DELETE"} & set(server.seen)
        del server.folders["b/x"]
        assert program.run("sync")[0] == 4
        program.ok("resolve", "b/x", "server")
        assert sync_result(program)["failures"] == 0
        assert sorted(program.folders()) == ["INBOX", "a", "a/x"]


def test_a_message_that_is_listed_and_not_given_is_told_by_the_second_run(program):
    """By the first it may just have been removed by somebody."""
    with FakeServer() as server:
        bare(server)
        program.logon(server.url)
        server.withheld = {2}
        assert sync_result(program)["failures"] == 0
        for _ in range(2):
            assert sync_result(program)["failures"] == 2  # INBOX and Other have one each
            assert "it has a message with UID 2, and does not give it" in program.ok("log").decode()
        server.withheld = set()
        assert sync_result(program)["failures"] == 0
        settle(program)
        assert len(program.list("INBOX")) == len(program.list("Other")) == 4


def test_a_message_that_goes_between_its_listing_and_its_fetch_is_no_failure(program):
    with FakeServer() as server:
        bare(server)
        program.logon(server.url)

        def remove():
            server.folders["INBOX"] = [item for item in server.folders["INBOX"] if item.uid != 2]
        server.before_contents = remove
        for _ in range(2):
            assert sync_result(program)["failures"] == 0
        with ImapClient(server.port) as client:
            assert differences(program, client.dump()) == []


def test_a_folder_without_uidvalidity_is_told_and_stops_no_other(program):
    with FakeServer() as server:
        bare(server)
        program.logon(server.url)
        server.validity["Other"] = 0
        for _ in range(2):
            assert sync_result(program)["failures"] == 1
            assert "the server gives folder 'Other' no UIDVALIDITY" in program.ok("log").decode()
        assert len(program.list("INBOX")) == 4
        server.validity["Other"] = 77
        assert sync_result(program)["failures"] == 0
        settle(program)
        assert len(program.list("Other")) == 4


def test_a_folder_that_is_removed_here_while_it_is_fetched_does_not_stop_the_run(program):
    with FakeServer() as server:
        bare(server)
        server.folders["INBOX"], server.folders["Other"] = server.folders["Other"], server.folders["INBOX"]
        program.logon(server.url)
        server.withheld = set(range(1, 100))
        program.sync()  # both folders are here, and empty

        def remove():
            server.before_contents = None
            program.ok("folder", "delete", "Other", "--with-messages")
        server.withheld, server.before_contents = set(), remove
        assert sync_result(program)["failures"] == 0
        settle(program)
        # the server has mail in it that nobody had seen here: it comes back
        assert len(program.list("INBOX")) == len(program.list("Other")) == 4
        assert [len(items) for items in server.folders.values()] == [4, 4]


def test_a_nul_in_a_body_is_kept(program):
    with FakeServer() as server:
        octets = b"Subject: nul\r\n\r\na\0b\r\n"
        server.add("INBOX", octets)
        program.logon(server.url)
        program.sync()
        assert program.save(program.list("INBOX")[0]["id"]) == octets


@pytest.mark.parametrize("how", ["no_at", "bad_at", "bye_at"])
def test_a_refusal_at_any_command_does_no_harm(how):
    with FakeServer() as server, Outpost() as program:
        bare(server)
        program.logon(server.url)
        server.commands = 0
        program.sync()
        count = server.commands
    assert count > 3
    for number in range(1, count + 1):
        with FakeServer() as server, Outpost() as program:
            bare(server)
            program.logon(server.url)
            server.commands = 0
            server.answer_at = {number: how[:-3].upper()}
            program.run("sync", timeout=60)
            server.answer_at = {}
            settle(program)
            with ImapClient(server.port) as client:
                assert differences(program, client.dump()) == [], f"{how} {number}"


def test_a_full_disk_is_reported_and_nothing_is_lost(server):
    if os.getuid() != 0:
        pytest.skip("needs root to mount a small file system")
    fill(server, 2500, 4)
    there = dump(server)
    with Outpost() as program:
        small = program.environment["XDG_DATA_HOME"]
        os.makedirs(small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small], check=True)
        try:
            program.logon(server.url)
            code, _, err = program.run("sync")
            assert code == 8 and "the disk is full" in err and "KiB are free" in err
            here = program.json("status")["messages"]
            assert f"{2500 - here:,} message(s) are still to be fetched" in err, (here, err)
            assert "has not ended" not in program.ok("status").decode()
            log = program.ok("log").decode()
            assert sum(int(n) for n in re.findall(r"(\d+) item\(s\) added to offline store", log)) == program.json("status")["messages"]
            subprocess.run(["mount", "-o", "remount,size=200m", small], check=True)
            program.ok("store", "check")
            program.sync()
            assert differences(program, there, sample=4) == []
        finally:
            subprocess.run(["umount", "-l", small], check=True)


def test_a_changed_uidvalidity_keeps_every_message(program):
    with FakeServer() as server:
        bare(server)
        program.logon(server.url)
        program.sync()
        with server.lock:
            server.validity["INBOX"] += 1
            items = server.folders["INBOX"]
            server.next["INBOX"] = 101
            for item in items:
                item.uid = server.next["INBOX"]
                server.next["INBOX"] += 1
        settle(program)
        with ImapClient(server.port) as client:
            assert differences(program, client.dump()) == []
        assert len(server.folders["INBOX"]) == 4


def test_a_wrong_password_is_refused_without_a_store(server, program):
    code, _, err = program.run("logon", program.ADDRESS, "--server", server.url, "--user", "alice", "--password-command",
                               "printf wrong")
    assert code != 0 and err.strip()


def test_a_run_of_one_folder_lists_the_folders_before_it_looks_for_its_name(server, program):
    with ImapClient(server.port) as client:
        for name in ("A", "B"):
            client.create(name)
            client.append_many(name, Generator(len(name)).messages(3))
        program.logon(server.url)
        assert program.run("sync", "--folder", "nosuch")[0] == 3
        assert program.run("sync", "--watch", "--folder", "nosuch")[0] == 3
        program.sync("--folder", "A")
        assert (len(program.list("A")), len(program.list("B"))) == (3, 0)
        client.command("RENAME A C")
        client.append_many("C", Generator(9).messages(1))
        assert b"'A' has another name by now, and is synchronised as 'C'" in program.ok("sync", "--folder", "A")
        assert (len(program.list("C")), len(program.list("B"))) == (4, 0)
        client.command("RENAME C D")
        client.append_many("D", Generator(8).messages(1))
        program.sync("--folder", "D")
        assert (len(program.list("D")), len(program.list("B"))) == (5, 0)
        assert program.run("sync", "--folder", "A")[0] == 3

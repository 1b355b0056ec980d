# SPDX-License-Identifier: Apache-2.0
"""Where evidence is thin: moves after which size, date, position or number seem to say which message is which, and are wrong. No message at the
server is changed or removed for another one's sake, none is sent twice, none is left out."""
import collections
import os
import random
import re
import shutil

import pytest
from dovecot import Dovecot
from fakeserver import FakeServer
from imapclient import ImapClient
from moves import Mail, append, flags_of, ident, put_maildir, read_home, shuffled
from outpost import Outpost, listed_flags

BARE = ("QRESYNC", "CONDSTORE", "UIDPLUS", "MOVE", "ESEARCH", "LIST-STATUS", "LIST-EXTENDED", "SPECIAL-USE", "MULTIAPPEND", "LITERAL+",
        "NAMESPACE", "ENABLE", "BINARY")
START = 1_600_000_000
MARK = b"X-Migrated: by a tool\r\n"


def mail(name, size=None, when=START, flags=(), sender="a@example.org", message_id=True):
    head = f"From: {sender}\r\nSubject: {name}\r\nDate: Mon, 01 Jan 2024 10:00:00 +0000\r\n" + (f"Message-ID: <{name}>\r\n" if message_id else "")
    octets = (head + "\r\n").encode()
    return Mail(octets + b"x" * max((size or 0) - len(octets) - 2, 1) + b"\r\n", frozenset(flags), when)


def mails(count, seed=1, prefix="m"):
    sizes = random.Random(seed)
    return [mail(f"{prefix}{i}", sizes.randrange(200, 4000), START + i * 3600 + seed, flags_of(i)) for i in range(count)]


def marked(list_of_mail):
    return [m._replace(octets=MARK + m.octets) for m in list_of_mail]


class World:
    """A server, whose mail can be replaced by that of another one at its place, and a client that is in step with it."""

    def __init__(self, folders, without=(), **how):
        self.server = Dovecot(without=without, **how)
        self.put(folders, dict.fromkeys(folders, 1000))
        self.server.start()
        self.program = Outpost()
        self.program.logon(self.server.url, sync=True)

    def put(self, folders, validity, uids=None):
        for folder, list_of_mail in folders.items():
            put_maildir(self.server, folder, list_of_mail, validity[folder], uids)

    def replace(self, folders, validity=3000, uids=None):
        self.server.stop()
        shutil.rmtree(self.server.maildir)
        self.put(folders, dict.fromkeys(folders, validity), uids)
        self.server.start()

    def client(self):
        return ImapClient(self.server.port)

    def number(self, name, folder="INBOX"):
        return next(str(item["id"]) for item in self.program.list(folder) if item["subject"] == name)

    def edit(self, verb, names, *rest, folder="INBOX"):
        self.program.ok(verb, *[self.number(name, folder) for name in names], *rest)

    def add(self, name, folder="INBOX"):
        path = os.path.join(self.program.home, "new.eml")
        with open(path, "wb") as file:
            file.write(mail(name).octets)
        self.program.ok("add", folder, path)

    def sync(self, *options, times=1):
        """The exit code of the last one."""
        return [self.program.run("sync", *options)[0] for _ in range(times)][-1]

    def home(self):
        """{folder: Counter of (name, flags)}."""
        with self.client() as client:
            return {folder: read_home(client, folder)[0] for folder in client.folders()}

    def names(self, folder="INBOX"):
        return sorted(name for name, _ in self.home()[folder].elements())

    def with_flag(self, flag, folder="INBOX"):
        return sorted(name for name, flags in self.home()[folder] if flag in flags)

    def here(self, folder="INBOX"):
        return sorted(item["subject"] for item in self.program.list(folder))

    def assert_in_step(self, folder="INBOX"):
        """Each message here is the one that the server has under its UID, with its flags."""
        with self.client() as client:
            there = read_home(client, folder)[1]
        items = self.program.list(folder)
        assert {item["uid"]: (ident(self.program.save(item["id"])), listed_flags(item)) for item in items} == there
        self.program.ok("store", "check")

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.program.close()
        self.server.close()


def fetched(world):
    """Messages that were added and not here already, over all runs."""
    said = world.program.ok("log", "-n", "0").decode()
    return sum(int(n) for n in re.findall(r"(\d+) item\(s\) added to offline store", said)) - sum(
        int(n) for n in re.findall(r"(\d+) of them were here already", said))


def would_refuse(world):
    """What a rehearsal says, which is what a run does."""
    code, out, error = world.program.run("rebind", "--dry-run")
    assert code == 0
    return "would refuse" in out.decode() + error


@pytest.mark.parametrize("validity", [1000, 3000])
@pytest.mark.parametrize("without", [(), BARE])
def test_messages_of_one_second_and_size_are_told_apart_before_one_is_changed(without, validity):
    same = [mail(f"m{i:02}", 600, START, flags_of(i)) for i in range(40)]
    with World({"INBOX": same}, without) as world:
        world.edit("delete", ["m10", "m20"])
        world.edit("flag", ["m31"], "draft")
        world.replace({"INBOX": shuffled(same)}, validity)
        assert world.sync(times=2) == 0
        assert set(f"m{i:02}" for i in range(40)) - set(world.names()) == {"m10", "m20"} and world.with_flag("draft") == ["m31"]
        world.assert_in_step()


@pytest.mark.parametrize("validity", [1000, 3000])
@pytest.mark.parametrize("without", [(), BARE])
def test_what_was_removed_or_moved_here_is_known_by_its_octets_where_nothing_else_tells(without, validity):
    """Of one header, size and second, without Message-ID; two are copies, one of which was removed."""
    def report(n):
        return Mail(mail("disk", message_id=False).octets[:-3] + f"usage {n:03}\r\n".encode(), frozenset(), START + 5)

    def usage(octets):
        return int(octets.rsplit(b" ", 1)[1])

    def reports(client, folder):
        octets = {}
        return sorted(usage(octets[m.sha256]) for m in client.read_folder(folder, keep=octets) if b"usage" in octets[m.sha256])
    before = mails(20) + [report(n) for n in (0, 1, 2, 3, 4, 5, 5)]
    with World({"INBOX": before, "Work": []}, without) as world:
        number = {usage(world.program.save(item["id"])): str(item["id"]) for item in world.program.list("INBOX") if item["subject"] == "disk"}
        world.program.ok("delete", number[1], number[4], number[5])
        world.program.ok("move", number[2], "Work")
        world.replace({"INBOX": [report(9)] + before[::-1], "Work": []}, validity)
        assert world.sync(times=2) == 0
        with world.client() as client:
            assert reports(client, "INBOX") == [0, 3, 5, 9] and reports(client, "Work") == [2]
        assert world.here().count("disk") == 4 and world.here("Work") == ["disk"]
        world.program.ok("store", "check")


def test_a_header_that_gives_one_message_the_size_of_another_confuses_nothing():
    """An earlier move had lost the dates."""
    before = [mail(f"m{i:03}", 600 + len(MARK) * i, START, flags_of(i), f"p{i}@example.org") for i in range(60)]
    with World({"INBOX": before}) as world:
        world.edit("delete", ["m000", "m010"])
        world.edit("flag", ["m003", "m013"], "draft")
        world.replace({"INBOX": shuffled(marked(before))})
        assert world.sync(times=2) == 0
        assert set(f"m{i:03}" for i in range(60)) - set(world.names()) == {"m000", "m010"} and world.with_flag("draft") == ["m003", "m013"]


def test_what_samples_overlook_is_found_by_the_next_run():
    before = mails(200)
    swapped = list(before)
    for i in (30, 42, 80, 93, 130, 143, 170):
        swapped[i], swapped[i + 1] = swapped[i + 1], swapped[i]
    with World({"INBOX": before}) as world:
        world.replace({"INBOX": swapped})
        assert world.sync(times=2) == 0
        world.assert_in_step()
        inserted = list(before)
        inserted.insert(107, mail("new", 900, before[106].when + 5))
        del inserted[102]
        world.replace({"INBOX": inserted}, 4000)
        assert world.sync(times=2) == 4  # m102 may still arrive
        assert set(world.here()) == set(m.octets.split(b"Subject: ")[1].split(b"\r")[0].decode() for m in before + [inserted[106]])


def test_of_copies_the_one_with_its_flags_is_the_one():
    before = mails(30)
    copies = [mail("copy", 400, START, flags) for flags in ((), ("\\Flagged", "$Work", "\\Seen"))]
    with World({"INBOX": before + copies}) as world:
        plain = next(item for item in world.program.list("INBOX") if item["subject"] == "copy" and not item["flags"])
        world.program.ok("delete", str(plain["id"]))
        world.replace({"INBOX": (before + copies)[::-1]})
        assert world.sync(times=2) == 0
        assert [flags for name, flags in world.home()["INBOX"] if name == "copy"] == [frozenset({"flagged", "$Work", "seen"})]


@pytest.mark.parametrize("count, shared", [(60, 1), (60, 4), (1, 0), (4, 0)])
def test_a_stranger_who_reads_the_same_list_is_a_stranger(count, shared):
    """M11; his copies of the list's mail came in another second and by another way."""
    def of_list(way):
        return [mail(f"list{i}", 500 + way, START + i * 77 + way) for i in range(shared)]
    stranger = mails(count, 9, "s") + of_list(3)
    with World({"INBOX": mails(60) + of_list(1), "Work": mails(10, 3, "w")}) as world:
        if shared:
            world.edit("delete", ["list0"])
        world.edit("flag", ["m3"], "draft")
        world.add("secret")
        world.program.ok("folder", "create", "Plans")
        world.replace({"INBOX": stranger, "Private": mails(3, 11, "p")})
        before = world.home()
        assert world.sync(times=2) == 1
        assert world.home() == before and len(world.here()) == 60 + max(shared - 1, 0) + 1
        if count > 1:
            return
        # ... but it is for the person to say so
        assert world.sync("--accept-mailbox") in (0, 4)
        assert "secret" in world.names()


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("validity", [1000, 3000])
@pytest.mark.parametrize("own, his, shared", [(90, 90, 10), (40, 40, 60), (60, 6, 4), (6, 90, 4), (3, 3, 1)])
def test_a_mailbox_is_not_known_by_the_mail_of_lists(own, his, shared, validity, without):
    """M11; each has copies of his own of all that the lists sent."""
    def of_lists(way):
        return [mail(f"list{i}", 900 + 3 * i + way, START + i * 7777 + (way > 0)) for i in range(shared)]
    with World({"INBOX": mails(own) + of_lists(0), "Work": mails(20, 3, "w")}, without) as world:
        world.edit("delete", ["list0", "m1"])
        world.edit("flag", ["m2"], "draft")
        world.add("secret")
        world.replace({"INBOX": mails(his, 9, "s") + of_lists(7), "Work": mails(25, 13, "x")}, validity)
        before = world.home()
        assert would_refuse(world)
        assert world.sync("--folder", "INBOX") in (1, 4) and world.sync(times=2) in (1, 4)
        assert world.home() == before and len(world.here()) == own + shared - 1


@pytest.mark.parametrize("without", [(), BARE])
def test_a_folder_of_a_list_that_two_read_is_not_their_mailbox(without):
    def of_list(way):
        return [mail(f"list{i}", 900 + 3 * i + way, START + i * 7777 + (way > 0)) for i in range(60)]
    with World({"INBOX": mails(30), "List": of_list(0)}, without) as world:
        world.edit("delete", ["list1"], folder="List")
        world.add("secret")
        world.replace({"INBOX": mails(30, 9, "s"), "List": of_list(7)})
        before = world.home()
        assert world.sync(times=2) == 1
        assert world.home() == before


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("arrived, new", [(15, 4), (60, 30)])
def test_altered_mail_is_known_by_what_has_arrived_of_it(arrived, new, without):
    """M6 and M9, and mail that came to the new home meanwhile."""
    old = mails(60)
    with World({"INBOX": old, "Work": mails(20, 3, "w")}, without) as world:
        world.edit("delete", ["m3"])
        world.replace({"INBOX": marked(old)[:arrived] + mails(new, 9, "n"), "Work": marked(mails(20, 3, "w"))})
        assert world.sync() == (0 if arrived == 60 else 4) and "m3" not in world.names()
        with world.client() as client:
            append(client, "INBOX", marked(old)[arrived:])
        assert world.sync(times=2) == 0
        assert len(world.here()) == 59 + new and fetched(world) == 80 + new
        world.assert_in_step()


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("alter", [list, marked])
@pytest.mark.parametrize("later", [False, True])
def test_a_folder_with_another_name_is_known_by_its_first_few_messages(later, alter, without):
    """M6 and M8, with and without M9; later: the folder is not there yet when the first run comes."""
    plans = mails(60, 2, "p")
    with World({"INBOX": mails(40), "Plans": plans}, without) as world:
        world.edit("delete", ["p3", "p4"], folder="Plans")
        world.edit("flag", ["p5", "p59"], "draft", folder="Plans")
        world.add("new", "Plans")
        world.replace({"INBOX": alter(mails(40))} | ({} if later else {"Vorhaben": alter(plans)[:6]}))
        assert world.sync() == 4
        for first, behind in ((0, 6), (6, 30), (30, 60)):
            if not later and not first:
                continue
            with world.client() as client:
                if not first:
                    client.create("Vorhaben")
                append(client, "Vorhaben", alter(plans)[first:behind])
            assert world.sync() == (0 if behind == 60 else 4)
        home = world.home()
        assert sorted(home) == ["INBOX", "Vorhaben"] and sorted(world.program.folders()) == ["INBOX", "Vorhaben"]
        assert world.with_flag("draft", "Vorhaben") == ["p5", "p59"]
        assert set(world.names("Vorhaben")) == {f"p{i}" for i in range(60)} - {"p3", "p4"} | {"new"}
        assert fetched(world) == 100
        world.assert_in_step("Vorhaben")


def test_nothing_is_sent_to_a_mailbox_of_which_only_the_numbers_are_known():
    with World({"INBOX": mails(60), "Drafts": []}) as world:
        world.add("secret", "Drafts")
        world.replace({"INBOX": mails(70, 9, "s"), "Drafts": []}, 1000)
        before = world.home()
        assert world.sync(times=2) == 4
        assert world.home() == before


@pytest.mark.parametrize("folders,there", [
    ({"INBOX": mails(20)}, {"INBOX": mails(20, 9, "s")}),
    ({"INBOX": mails(60), "Work": mails(9, 2, "w")}, {"INBOX": mails(60, 9, "s"), "Work": mails(9, 12, "t")}),
    ({"INBOX": mails(9), "A": mails(8, 2, "a")}, {"INBOX": mails(9), "A": mails(8, 3, "o")}),
])
def test_nothing_is_written_to_other_mail_that_has_all_the_numbers(folders, there):
    folder, name = ("A", "a") if "A" in folders else ("INBOX", "m")
    with World(folders) as world:
        world.edit("delete", [f"{name}5"], folder=folder)
        world.edit("flag", [f"{name}3"], "draft", folder=folder)
        world.edit("move", [f"{name}2"], "INBOX" if folder == "A" else "Work" if "Work" in folders else "INBOX", folder=folder)
        world.replace(there, 1000)
        before = world.home()
        assert world.sync(times=2) == 4
        assert world.home() == before


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("count, there, validity", [(2, 3, 3000), (4, 3, 3000), (0, 0, 1000), (2, 2, 1000), (6, 6, 1000)])
@pytest.mark.parametrize("inbox", [True, False])
def test_no_equal_number_vouches_for_what_is_sent(inbox, count, there, validity, without):
    """M11-same: INBOX and Work are listed as they were, and of Drafts, where the letter goes, no number or all tell the difference."""
    with World({"INBOX": mails(20), "Work": mails(9, 5, "w"), "Drafts": mails(count, 2, "d")}, without) as world:
        world.add("secret", "Drafts")
        if inbox:
            world.add("letter")
        world.server.stop()
        shutil.rmtree(world.server.maildir)
        world.put({"INBOX": mails(20, 9, "s"), "Work": mails(9, 7, "v"), "Drafts": mails(there, 11, "t")},
                  {"INBOX": 1000, "Work": 1000, "Drafts": validity})
        world.server.start()
        before = world.home()
        assert world.sync(times=3) in (1, 4)
        assert world.home() == before and len(world.here("Drafts")) == count + 1


@pytest.mark.parametrize("decision", ["server", "mine"])
@pytest.mark.parametrize("validity", [3000, 5000])
def test_a_decision_is_for_the_messages_that_were_shown(validity, decision):
    """Two are missing, and it is decided about them; when that is to be carried out two others are."""
    inbox = mails(20)
    with World({"INBOX": inbox, "Work": mails(8, 2, "w")}) as world:
        world.replace({"INBOX": shuffled(inbox[:18]), "Work": mails(8, 2, "w")})
        assert world.sync() == 4
        world.program.ok("resolve", "INBOX", decision)
        world.replace({"INBOX": shuffled(inbox[2:]), "Work": mails(8, 2, "w")}, validity)
        assert world.sync(times=2) == 4
        assert len(world.here()) == 20 and len(world.names()) == 18
        world.program.ok("resolve", "INBOX", decision)
        assert world.sync(times=2) == 0
        assert world.here() == world.names() and len(world.here()) == (18 if decision == "server" else 20)


@pytest.mark.parametrize("side", ["here", "home"])
def test_a_decision_about_removals_is_for_those_that_were_shown(side):
    with World({"INBOX": mails(60)}) as world:
        def expunge(uids):
            with world.client() as client:
                client.select("INBOX")
                client.command(f"UID STORE {uids} +FLAGS (\\Deleted)")
                client.command("EXPUNGE")
        backup = os.path.join(world.server.directory, "backup")
        world.server.stop()
        world.server.back_up(backup)
        world.server.start()
        if side == "here":
            expunge("1:30")
        else:
            world.edit("delete", [f"m{i}" for i in range(30)])
        assert world.sync() == 4
        world.program.ok("resolve", "INBOX", "server" if side == "here" else "mine")
        if side == "here":
            world.server.stop()
            world.server.restore(backup)
            world.server.start()
            expunge("31:60")
        else:
            for item in world.program.json("undelete"):
                world.program.ok("undelete", str(item["id"]))
            world.edit("delete", [f"m{i}" for i in range(30, 60)])
        assert world.sync(times=2) == 4
        assert len(world.here()) == (60 if side == "here" else 30) and len(world.names()) == (30 if side == "here" else 60)


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("n", [2, 8])
@pytest.mark.parametrize("verb", ["move", "delete"])
@pytest.mark.parametrize("how", ["rotated", "exchanged"])
def test_what_left_a_folder_whose_name_another_one_got_is_where_it_went(how, verb, n, without):
    """A yearly rotation: RENAME Old Archive, CREATE Old; or two that exchange their names."""
    old, work = mails(8, 2, "a"), mails(5, 3, "w")
    with World({"INBOX": mails(3), "Old": old, "Work": work}, without) as world:
        world.edit(verb, [f"a{i}" for i in range(n)], *(["INBOX"] if verb == "move" else []), folder="Old")
        with world.client() as client:
            if how == "rotated":
                client.command("RENAME Old Archive")
                client.create("Old")
                append(client, "Old", mails(1, 9, "new"))
            else:
                for before, after in (("Old", "x"), ("Work", "Old"), ("x", "Work")):
                    client.command(f"RENAME {before} {after}")
        if world.sync("--guard-all", "100") == 4:
            world.program.ok("resolve", "--all", "server")
        assert world.sync("--guard-all", "100", times=2) == 0
        gone, left = [f"a{i}" for i in range(n)], [f"a{i}" for i in range(n, 8)]
        assert world.names("Archive" if how == "rotated" else "Work") == left
        assert world.names("Old") == (["new0"] if how == "rotated" else [f"w{i}" for i in range(5)])
        assert world.names() == sorted(["m0", "m1", "m2"] + (gone if verb == "move" else []))
        assert fetched(world) == 16 + (how == "rotated")


def test_a_hold_of_the_guard_does_not_stop_what_is_sent():
    with World({"INBOX": mails(60)}) as world:
        world.edit("flag", ["m3"], "draft")
        with world.client() as client:
            client.select("INBOX")
            client.command("UID STORE 10:50 +FLAGS (\\Deleted)")
            client.command("EXPUNGE")
        assert world.sync() == 4
        assert world.with_flag("draft") == ["m3"]


@pytest.mark.parametrize("without", [("QRESYNC", "CONDSTORE"), BARE, ()])
def test_renumbered_mail_of_which_a_part_is_there_is_not_taken_for_removed(without):
    """M2 and M6 in one: the same UIDVALIDITY, UIDs from 501 on, a quarter so far."""
    before, work = mails(80), mails(20, 2, "w")
    with World({"INBOX": before, "Work": work}, without) as world:
        world.edit("move", ["m3", "m70"], "Work")
        world.edit("flag", ["m4", "m71"], "draft")
        world.edit("delete", ["m5", "m72"])
        world.server.stop()
        shutil.rmtree(world.server.maildir)
        world.put({"INBOX": before[:20]}, {"INBOX": 1000}, list(range(501, 521)))
        world.put({"Work": work}, {"Work": 1000})
        world.server.start()
        world.sync()
        with world.client() as client:
            append(client, "INBOX", before[20:])
        assert world.sync(times=3) == 0
        assert [name for name, n in collections.Counter(world.names() + world.names("Work")).items() if n > 1] == []
        assert not {"m5", "m72", "m3", "m70"} & set(world.names()) and {"m3", "m70"} <= set(world.names("Work"))
        assert world.with_flag("draft") == ["m4", "m71"]


@pytest.mark.parametrize("alter", [marked, lambda m: [x._replace(when=1_790_000_000) for x in m]])
@pytest.mark.parametrize("without", [(), BARE])
def test_renumbered_mail_that_was_altered_is_not_taken_for_removed(without, alter):
    before = mails(60)
    with World({"INBOX": before}, without) as world:
        world.edit("delete", ["m5"])
        world.edit("flag", ["m3"], "draft")
        world.replace({"INBOX": alter(before)}, 1000, list(range(501, 561)))
        assert world.sync(times=2) == 0
        assert len(world.here()) == 59 and world.names() == world.here() and world.with_flag("draft") == ["m3"]


@pytest.mark.parametrize("without", [(), BARE])
def test_an_older_backup_is_found_though_the_newest_numbers_are_unused(without):
    """M13: 20 new messages have the numbers of the 15 that the backup lacks, and those at the top were removed."""
    before = mails(200)
    with World({"INBOX": before}, without) as world:
        world.replace({"INBOX": before[:185] + mails(20, 7, "new")}, 1000)
        with world.client() as client:
            client.select("INBOX")
            client.command("UID STORE 199,200 +FLAGS (\\Deleted)")
            client.command("EXPUNGE")
        assert world.sync(times=2) == 4
        assert set(world.here()) == {f"m{i}" for i in range(200)} | set(world.names())


@pytest.mark.parametrize("count", [1, 20])
def test_a_folder_that_is_another_one_by_now_is_not_removed_at_the_server(count):
    inbox = mails(40)
    with World({"INBOX": inbox, "Work": mails(count, 7, "w")}, BARE) as world:
        world.program.ok("folder", "delete", "--with-messages", "Work")
        if count > 1:
            assert world.sync() == 4
            world.program.ok("resolve", "--all", "mine")
        precious = mails(count, 8, "precious")
        world.replace({"INBOX": shuffled(inbox), "Work": precious}, 1000)
        world.sync(times=2)
        assert world.names("Work") == world.here("Work") == sorted(ident(m.octets) for m in precious)


@pytest.mark.parametrize("without", [(), ("QRESYNC", "CONDSTORE"), BARE])
@pytest.mark.parametrize("other", [False, True])
def test_what_is_moved_on_both_sides_is_in_one_place(other, without):
    """This side's move goes on from where somebody put it; a flag that was changed meanwhile goes along. @other: something else waits for that folder."""
    with World({"INBOX": mails(9), "Here": [], "There": mails(3, 2, "w")}, without) as world:
        world.edit("move", ["m2", "m3"], "Here")
        world.program.ok("flag", world.number("m2", "Here"), "draft")
        if other:
            world.edit("copy", ["m5"], "There")
        with world.client() as client:
            client.select("INBOX")
            client.command("UID STORE 3:4 +FLAGS (\\Answered)")
            client.command("UID COPY 3:4 There")
            client.command("UID STORE 3:4 +FLAGS (\\Deleted)")
            client.command("EXPUNGE")
        assert world.sync(times=2) == 0
        assert world.names("Here") == ["m2", "m3"] and world.with_flag("draft", "Here") == ["m2"] and world.with_flag("answered", "Here") == ["m2", "m3"]
        assert set(world.names("There")) == {"w0", "w1", "w2"} | ({"m5"} if other else set())
        for folder in ("INBOX", "Here", "There"):
            world.assert_in_step(folder)


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("later", [False, True])
def test_what_somebody_moved_during_the_migration_moves_here_too(later, without):
    """Nothing is held, and none is fetched. @later: its new folder arrives after the one where it was."""
    inbox, work = mails(40), mails(12, 7, "w")
    with World({"INBOX": inbox, "Work": work, "Zoo": []}, without) as world:
        world.edit("flag", ["m3"], "draft")
        world.edit("delete", ["m5"])
        moved = {"m1", "m3", "m4", "m5"}
        there = {"INBOX": shuffled([m for m in inbox if ident(m.octets) not in moved]), "Work": shuffled(work), "Zoo": []}
        if not later:
            there["Work"] = shuffled(work + [m for m in inbox if ident(m.octets) in moved])
        world.replace(there)
        if later:
            assert world.sync() == 4
            with world.client() as client:
                append(client, "Zoo", [m for m in inbox if ident(m.octets) in moved])
        assert world.sync(times=2) == 0, world.program.ok("log", "-n", "3").decode()
        new = "Zoo" if later else "Work"
        assert moved - {"m5"} <= set(world.names(new)) and world.with_flag("draft", new) == ["m3"]
        assert not any("m5" in world.names(folder) for folder in there) # as three others of its folder went the same way
        for folder in there:
            world.assert_in_step(folder)


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("more", [0, 1])
def test_the_removal_of_a_folder_outlasts_a_move(more, without):
    """M1, a folder's removal pending; it stays undone where something is there that was never here."""
    inbox, work = mails(40), mails(12, 7, "w")
    with World({"INBOX": inbox, "Work": work}, without) as world:
        world.program.ok("folder", "delete", "--with-messages", "Work")
        there = work + mails(more, 8, "precious")
        world.replace({"INBOX": shuffled(inbox), "Work": shuffled(there)})
        assert world.sync() == (0 if more else 4)
        if not more: # the guard asks, as ever
            world.program.ok("resolve", "--all", "mine")
        assert world.sync(times=2) == 0
        if more:
            assert world.names("Work") == world.here("Work") == sorted(ident(m.octets) for m in there)
        else:
            assert "Work" not in world.home() and "Work" not in world.program.folders()


def test_flags_that_somebody_took_off_are_not_set_again_where_nothing_moved():
    """Dovecot's index was lost, with it the count of changes."""
    with World({"INBOX": mails(60)}) as world:
        with world.client() as client:
            client.select("INBOX")
            for i in range(20):
                client.command(f"UID STORE 50 {'+-'[i % 2]}FLAGS (\\Draft)")
        world.sync()
        with world.client() as client:
            client.select("INBOX")
            client.command("UID STORE 1:* -FLAGS (\\Flagged)")
        world.server.stop()
        for name in os.listdir(world.server.maildir):
            if name.startswith(("dovecot.index", "dovecot.list")):
                os.unlink(os.path.join(world.server.maildir, name))
        world.server.own_files()
        world.server.start()
        assert world.sync(times=2) == 0
        assert world.with_flag("flagged") == []
        world.assert_in_step()


def test_marks_for_removal_that_were_taken_back_stay_so():
    before = mails(40)
    for i in (5, 15, 25):
        before[i] = before[i]._replace(flags=before[i].flags | {"\\Deleted"})
    with World({"INBOX": before}) as world:
        world.replace({"INBOX": shuffled([m._replace(flags=m.flags - {"\\Deleted"}) for m in before])})
        assert world.sync(times=2) == 0
        assert world.with_flag("deleted") == []


@pytest.mark.parametrize("decision, answer", [("mine", 0), ("server", 0)])
def test_what_arrived_after_the_decision_is_neither_sent_nor_removed(decision, answer):
    before = mails(80)
    with World({"INBOX": before}) as world:
        world.replace({"INBOX": marked(before[:20])})
        assert world.sync() == 4
        world.program.ok("resolve", "INBOX", decision)
        with world.client() as client:
            append(client, "INBOX", marked(before[20:]))
        assert world.sync(times=2) == answer
        assert world.names() == world.here() and len(world.here()) == 80


def test_what_was_on_its_way_when_the_server_changed_is_not_sent_twice():
    for step in range(2, 40):
        with World({"INBOX": mails(20), "Work": mails(20, 2, "w")}) as world:
            world.edit("move", ["m10"], "Work")
            if world.program.run("sync", env={"OUTPOST_DIE_AT": str(step)})[0] != 137:
                pytest.fail("no step has the server's yes and not ours")
            if "m10" not in world.names("Work") or world.program.json("status")["pending"]["new"] == 0:
                continue
            with world.client() as client:
                octets = {}
                now = {f: [Mail(octets[m.sha256], frozenset(m.flags), m.received) for m in client.read_folder(f, keep=octets)] for f in ("INBOX", "Work")}
            world.replace({folder: list_of_mail[:8] for folder, list_of_mail in now.items()})
            assert world.sync() == 4
            with world.client() as client:
                for folder, list_of_mail in now.items():
                    append(client, folder, list_of_mail[8:])
            assert world.sync(times=2) == 0
            assert world.names("Work").count("m10") == 1 and world.here("Work") == world.names("Work") and "m10" not in world.names()
            return


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("validity", [1000, 3000])
@pytest.mark.parametrize("cycle", [("A", "B"), ("A", "B", "C")])
def test_folders_that_exchanged_their_names_are_followed_by_their_mail(cycle, validity, without):
    """With a move between two of them and a flag pending; nothing is held, fetched or given another number here."""
    lots = {name: mails(30 + i, 2 + i, name.lower()) for i, name in enumerate("ABC")}
    names = dict(zip(cycle, cycle[1:] + cycle[:1])) # what the folder is called at the new home
    with World({"INBOX": mails(20), **lots}, without) as world:
        world.edit("move", ["a5"], "B", folder="A")
        world.edit("flag", ["b7"], "draft", folder="B")
        here = {folder: {item["id"]: item["subject"] for item in world.program.list(folder)} for folder in lots}
        world.replace({"INBOX": mails(20), **{names.get(name, name): shuffled(lot) for name, lot in lots.items()}}, validity)
        for row in world.program.json("rebind", "--dry-run"):
            assert row["home"] == names.get(row["folder"], row["folder"]) and not row["otherMail"]
            assert (row["linked"], row["onlyHere"], row["onlyThere"]) == (len(lots.get(row["folder"], range(20))), 0, 0)
        assert world.sync() == 0, world.program.ok("log", "-n", "1").decode()
        for name in lots:
            now = {item["id"]: item["subject"] for item in world.program.list(names.get(name, name))}
            assert now == here[name]
        assert "a5" in world.names(names["B"]) and "a5" not in world.names(names["A"])
        assert world.with_flag("draft", names["B"]) == ["b7"]
        assert world.sync() == 0 and fetched(world) == 113
        assert sorted(world.program.folders()) == sorted(world.home())
        for folder in world.home():
            world.assert_in_step(folder)


@pytest.mark.parametrize("without", [(), BARE])
def test_names_of_which_one_has_other_mail_are_not_followed(without):
    """A's mail is in B, and B's nowhere; then it comes where A's was."""
    a, b = mails(30, 2, "a"), mails(33, 3, "b")
    with World({"INBOX": mails(20), "A": a, "B": b}, without) as world:
        world.replace({"INBOX": mails(20), "A": mails(31, 5, "o"), "B": shuffled(a)})
        before = world.home()
        world.sync(times=2)
        assert world.home() == before and {f"b{i}" for i in range(33)} <= set(world.here("B"))
        assert {f"a{i}" for i in range(30)} <= set(world.here("A") + world.here("B"))
        for folder in ("A", "B"):
            assert collections.Counter(world.here(folder)).most_common(1)[0][1] == 1


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("out, back", [("1:3", "2:3"), ("1:20", "2:9"), ("1:20", "1:17")])
def test_what_somebody_moved_out_and_back_is_no_other_numbering(out, back, without):
    """Also nearly all of a folder: what came back has the numbers that were next, and is not all."""
    with World({"INBOX": mails(20), "Other": []}, without) as world:
        with world.client() as client:
            for folder, names, target in (("INBOX", out, "Other"), ("Other", back, "INBOX")):
                client.select(folder)
                client.command(f"UID COPY {names} {target}")
                client.command(f"UID STORE {names} +FLAGS (\\Deleted)")
                client.command("EXPUNGE")
        assert world.sync(times=2) == 0
        world.assert_in_step()
        world.assert_in_step("Other")


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("survivor", [None, "b9"])
def test_a_few_flags_are_lost_where_none_survived(survivor, without):
    """M9; fewer than three of a kind tell nothing by themselves. With a survivor the server is believed about flags, and keywords are lost all the same."""
    flags = {"a3": ["\\Flagged"], "a4": ["$Work"], "b1": ["\\Seen"], "b2": ["\\Seen", "$Work"], "b3": ["\\Answered", "receipts"], "b5": ["$Work"],
             "b9": ["\\Flagged"]}
    lots = {folder: [mail(f"{prefix}{i}", 300 + i * 10, START + i, flags.get(f"{prefix}{i}", ())) for i in range(count)]
            for folder, prefix, count in (("Archive", "a", 12), ("INBOX", "b", 24))}
    with World(lots, without) as world:
        before = world.home()
        world.replace({folder: [m._replace(flags=frozenset(m.flags if ident(m.octets) == survivor else ())) for m in shuffled(lot)]
                       for folder, lot in lots.items()})
        assert world.sync(times=2) == 0
        if survivor:
            before = {folder: collections.Counter((name, found if name == survivor else found & {"$Work", "receipts"}) for name, found in lot)
                      for folder, lot in before.items()}
        assert world.home() == before


def test_a_folder_made_below_one_that_was_renamed_has_its_place():
    with World({"INBOX": mails(2)}) as world:
        with world.client() as client:
            client.create("Old")
        world.sync()
        with world.client() as client:
            client.command("RENAME Old New")
            client.create("New/Sub")
            client.create("Old")
        assert world.sync(times=2) == 0
        assert sorted(world.program.folders()) == sorted(world.home()) and "New/Sub" in world.program.folders()


def test_a_number_that_is_a_folders_name_too_is_not_guessed():
    with World({"INBOX": mails(20), "3": mails(20, 2, "w"), "4": mails(20, 3, "x")}) as world:
        world.replace({"INBOX": mails(20)[:9], "3": mails(20, 2, "w")[:9], "4": mails(20, 3, "x")[:9]})
        assert world.sync() == 4
        holds = {item["folder"]: item["id"] for item in world.program.json("resolve")}
        name = next(folder for folder, number in holds.items() if folder != str(number) and str(number) in holds)
        number = str(holds[name])
        code, _, error = world.program.run("resolve", number, "server")
        assert code == 2 and f"#{number}" in error and f"#{holds[number]}" in error
        assert world.program.json("resolve", "#" + number, "server", "--dry-run")[0]["folder"] == name
        assert world.program.json("resolve", "inbox", "server", "--dry-run")[0]["folder"] == "INBOX"


@pytest.mark.parametrize("old, new", [("Archive", "Archiv 2024"), ("Sent", "Gesendet")])
def test_an_empty_folder_that_the_provider_made_is_not_taken_for_the_one_with_the_mail(old, new):
    sent = mails(30, 2, "w")
    with World({"INBOX": mails(20), old: sent}) as world:
        world.edit("flag", ["w3"], "draft", folder=old)
        world.server.stop()
        shutil.rmtree(world.server.maildir)
        world.put({"INBOX": mails(20), new: shuffled(sent), old: []}, {"INBOX": 3000, new: 3001, old: 3002})
        world.server.start()
        assert world.sync(times=2) == 0
        assert world.with_flag("draft", new) == ["w3"] and world.here(new) == world.names(new) and world.here(old) == []
        log = world.program.ok("log", "-n", "0").decode()
        assert "30 item(s) re-linked" in log and log.count("item(s) added to offline store") == 2  # by the first run


def test_a_store_is_archived_under_a_name_of_its_own_and_not_while_it_is_used():
    with World({"INBOX": mails(5)}) as world:
        for _ in range(3):
            world.program.ok("sync", "--stale-store=replace")
        folder = os.path.dirname(world.program.json("profile", "show")["store"])
        assert len([name for name in os.listdir(folder) if ".archived-" in name and not name.endswith(("-wal", "-shm"))]) == 3
        watcher = world.program.start("sync", "--watch")
        try:
            while "not running" in world.program.ok("status").decode():
                assert watcher.poll() is None
            code, _, error = world.program.run("sync", "--stale-store=replace")
            assert code != 0 and "in use" in error
            code, _, error = world.program.run("logon", world.program.ADDRESS, "--server", world.server.url, "--user", "alice",
                                               "--password-command", "printf wonderland")
            assert code != 0 and "a watcher runs" in error
        finally:
            watcher.terminate()
            watcher.communicate(timeout=60)


def test_a_store_that_another_profile_left_is_found_by_its_account():
    with World({"INBOX": mails(20)}) as world:
        world.edit("flag", ["m3"], "draft")
        world.program.ok("profile", "delete", world.program.ADDRESS)
        world.program.ok("logon", world.program.ADDRESS, "--profile", "second", "--server", world.server.url, "--user", "alice",
                         "--password-command", "printf wonderland", "--no-sync")
        assert world.sync() == 0
        assert "added to offline store" not in world.program.ok("log").decode()
        assert world.with_flag("draft") == ["m3"] and len(world.here()) == 20


def split(archive):
    """By year; the oldest stay."""
    return {"Archive": archive[:10], "Archive/2020": archive[10:40], "Archive/2021": archive[40:70], "Archive/2022": archive[70:]}


def renamed(archive):
    return {"Archive 2020": archive[:40], "Archive 2021": archive[40:70], "Archive 2022": archive[70:]}


def merged(archive):
    return {"INBOX": archive}


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("how", [split, renamed, merged])
def test_mail_that_a_migration_put_into_other_folders_moves_here_too(how, without):
    """Without a fetch, and what was removed, moved and flagged here is so there."""
    inbox, archive = mails(20), mails(90, 2, "a")
    with World({"INBOX": inbox, "Archive": archive}, without) as world:
        world.edit("delete", ["a70"], folder="Archive")
        world.edit("move", ["a71"], "INBOX", folder="Archive")
        world.edit("flag", ["a72", "a5"], "draft", folder="Archive")
        there = {"INBOX": inbox}
        for folder, lot in how(archive).items():
            there[folder] = there.get(folder, []) + lot
        world.replace({folder: shuffled(lot) for folder, lot in there.items()})
        assert world.sync() == 0, world.program.ok("log", "-n", "1").decode()
        assert sorted(world.program.folders()) == sorted(world.home()) and world.program.json("resolve") == []
        assert world.sync() == 0
        everywhere = collections.Counter(name for folder in world.home().values() for name, _ in folder.elements())
        assert everywhere == collections.Counter({ident(m.octets): 1 for m in inbox + archive if ident(m.octets) != "a70"})
        assert "a71" in world.names() and sorted(name for folder in world.home() for name in world.with_flag("draft", folder)) == ["a5", "a72"]
        for folder in world.home():
            world.assert_in_step(folder)
        said = world.program.ok("log", "-n", "0").decode()
        added = sum(int(n) for n in re.findall(r"(\d+) item\(s\) added to offline store", said))
        recognised = sum(int(n) for n in re.findall(r"(\d+) of them were here already", said))
        assert added - recognised == 110 # the first run's


def test_a_folder_of_everything_that_the_new_home_lacks_is_taken_for_no_other_one():
    """It is held, as what was in it alone would be lost with it; that what had no label is in a new folder is seen."""
    base = mails(60)
    everything = 'namespace inbox {\n inbox = yes\n mailbox "All Mail" {\n special_use = \\All\n auto=create\n }\n}\n'
    with World({"INBOX": base[:30], "Work": base[20:40], "All Mail": base}, extra=everything) as world:
        world.server.extra = ""
        world.replace({"INBOX": shuffled(base[:30]), "Work": shuffled(base[20:40]), "Archive": base[40:]})
        assert world.sync(times=2) == 4
        assert sorted(world.program.folders()) == ["All Mail", "Archive", "INBOX", "Work"]
        world.program.ok("resolve", "All Mail", "server")
        assert world.sync(times=2) == 0
        assert sorted(world.program.folders()) == ["Archive", "INBOX", "Work"]
        assert "20 of them were here already, and not fetched" in world.program.ok("log", "-n", "0").decode()
        for folder in world.home():
            world.assert_in_step(folder)


@pytest.mark.parametrize("without", [(), BARE])
def test_an_older_copy_of_the_store_sends_nothing_twice_that_has_no_message_id(without):
    with World({"INBOX": mails(20)}, without) as world:
        path = os.path.join(world.program.home, "new.eml")
        with open(path, "wb") as file:
            file.write(b"Subject: nameless\r\n\r\nx\r\n")
        world.program.ok("add", "INBOX", path)
        store = world.program.json("store", "list")[0]["store"]
        shutil.copy(store, store + ".copy")
        assert world.sync() == 0
        for end in ("-wal", "-shm"):
            if os.path.exists(store + end):
                os.remove(store + end)
        os.replace(store + ".copy", store)
        assert world.sync(times=2) == 0
        assert len(world.names()) == 21 and world.here().count("nameless") == 1


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_stranger_is_told_from_a_mailbox_with_next_to_nothing(count):
    with World({"INBOX": mails(count)}) as world:
        world.add("secret")
        world.replace({"INBOX": mails(7, 9, "s")})
        before = world.home()
        assert world.sync(times=2) == 1
        assert world.home() == before and "secret" in world.here() and not any(name.startswith("s") and name != "secret" for name in world.here())


def test_new_mail_with_the_number_size_and_second_of_what_a_backup_lost_is_not_removed():
    with World({"INBOX": mails(60)}) as world:
        copy = os.path.join(world.server.directory, "copy")
        os.makedirs(copy)
        world.server.stop()
        world.server.back_up(copy)
        world.server.start()
        with world.client() as client:
            append(client, "INBOX", [mail(f"x{i}", 600, START + i * 7) for i in range(6)])
        world.sync()
        world.edit("delete", ["x3", "x4"])
        world.server.stop()
        world.server.restore(copy)
        world.server.start()
        with world.client() as client:
            append(client, "INBOX", [mail(f"y{i}", 600, START + i * 7) for i in range(6)])
        world.sync(times=2)
        assert {f"y{i}" for i in range(6)} <= set(world.names())


def test_a_new_version_of_a_message_in_its_folder_is_fetched_though_header_size_and_date_are_the_same():
    old, new = mail("one", 400), mail("one", 400)
    new = new._replace(octets=new.octets.replace(b"xxx", b"yyy"))
    with World({"INBOX": mails(9) + [old]}) as world:
        with world.client() as client:
            append(client, "INBOX", [new])
            client.select("INBOX")
            client.command("UID STORE 10 +FLAGS (\\Deleted)")
            client.command("EXPUNGE")
        assert world.sync(times=2) == 0
        assert world.program.save(world.number("one")) == new.octets
        world.assert_in_step()


@pytest.mark.parametrize("capability", ["", "UIDPLUS MOVE"])
def test_a_keyword_that_the_server_does_not_keep_stays_here(capability):
    with FakeServer(capability=capability, keywords=("$Kept",)) as server, Outpost() as program:
        for i in range(3):
            server.add("INBOX", f"Subject: m{i}\r\n\r\n.\r\n".encode())
        program.logon(server.url, sync=True)
        first = next(str(item["id"]) for item in program.list("INBOX") if item["subject"] == "m0")
        for flag in ("todo", "$Kept", "seen"):
            program.ok("flag", first, flag)
        for _ in range(3):
            assert program.run("sync")[0] == 0
        item = next(item for item in program.list("INBOX") if item["subject"] == "m0")
        assert {flag.lower() for flag in item["keywords"]} == {"todo", "$kept"} and item["flags"] == ["\\Seen"]
        assert server.folders["INBOX"][0].flags == {"\\Seen", "$Kept"}
        assert "keeps no keyword 'todo'" in program.ok("log", "-n", "0").decode()


def test_a_store_made_again_is_found_by_the_next_profile():
    with World({"INBOX": mails(10)}) as world:
        address = world.program.ADDRESS
        assert world.program.run("sync", "--stale-store=replace")[0] == 0
        world.edit("flag", ["m3"], "draft")
        world.program.ok("profile", "delete", address)
        _, _, said = world.program.run("logon", address, "--profile", "second", "--server", world.server.url, "--user", "alice",
                                       "--password-command", "printf wonderland", "--no-sync")
        assert "taken over" in said
        assert world.sync() == 0 and world.with_flag("draft") == ["m3"]


@pytest.mark.parametrize("without", [(), BARE])
def test_mine_that_was_said_too_early_can_be_undone(without):
    """The rest of the mail arrived beside what had been sent: what had been sent goes, and nothing is held."""
    before = mails(40)
    with World({"INBOX": before}, without) as world:
        world.edit("flag", ["m36"], "draft")
        world.replace({"INBOX": shuffled(before)[:20]})
        assert world.sync() == 4
        world.program.ok("resolve", "INBOX", "mine")
        assert world.sync(times=2) == 0
        with world.client() as client:
            append(client, "INBOX", shuffled(before)[20:])
        assert world.sync(times=2) == 0
        assert len(world.names()) == 60
        world.program.ok("resolve", "--undo")
        assert world.sync(times=2) == 0
        assert world.names() == sorted(ident(m.octets) for m in before) and world.with_flag("draft") == ["m36"]
        world.assert_in_step()


@pytest.mark.parametrize("seen", [False, True], ids=["unseen", "seen"])
def test_undoing_mine_after_another_move_removes_only_what_no_sync_has_found_moved(seen):
    """docs/moves.md: what was sent is looked for in a new place that no sync has seen; once one has, it is left alone."""
    base = mails(60)
    with World({"INBOX": base, "Work": mails(30, 3, "w")}) as world:
        world.replace({"INBOX": base[:30], "Work": mails(30, 3, "w")})
        assert world.sync(times=2) == 4
        world.program.ok("resolve", "INBOX", "mine")
        assert world.sync() == 0
        world.replace({"INBOX": list(reversed(base)), "Work": mails(30, 3, "w")}, 7000)
        if seen:
            assert world.sync() == 0
        undone = world.program.json("resolve", "--undo", "INBOX")
        assert (undone["done"], undone["missing"]) == ((0, 30) if seen else (30, 0))
        assert world.sync(times=2) == (0 if seen else 4)
        assert (len(world.names()), len(world.here())) == (60 if seen else 30, 60)


def test_undoing_mine_leaves_the_originals_that_came_instead():
    before = mails(60)
    with World({"INBOX": before}) as world:
        world.replace({"INBOX": before[:40]}, 1000)
        assert world.sync() == 4
        world.program.ok("resolve", "INBOX", "mine")
        assert world.sync(times=2) == 0
        world.replace({"INBOX": shuffled(before)})
        assert world.sync(times=2) == 0
        _, _, said = world.program.run("resolve", "--undo")
        assert "20 are not where they were" in said
        assert world.sync(times=2) == 0
        assert world.names() == world.here() == sorted(ident(m.octets) for m in before)


def test_an_accepted_mailbox_stays_accepted_while_its_folders_are_held():
    with World({"INBOX": mails(20)}) as world:
        world.replace({"INBOX": mails(20, 9, "o")})
        assert world.sync() == 1 and world.sync("--accept-mailbox") == 4 and world.sync() == 4


def test_a_rehearsal_counts_what_is_new_on_both_sides_and_what_comes_back():
    with World({"INBOX": mails(20), "C": mails(20, 3, "c"), "D": []}) as world:
        world.program.ok("folder", "create", "New")
        world.edit("copy", ["m1", "m2"], "New")
        world.edit("move", ["m3"], "D")
        world.program.ok("folder", "delete", "--with-messages", "C")
        world.replace({"INBOX": mails(20), "C": mails(20, 3, "c"), "D": [], "New": mails(4, 4, "n")})
        rows = {row["folder"] or row["home"]: row for row in world.program.json("rebind", "--dry-run")}
        assert rows["New"]["onlyThere"] == 4 and rows["C"]["onlyThere"] == 20
        assert sum(row["pending"] for row in rows.values()) == 3


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("absent", [False, True])
def test_a_folder_of_copies_is_not_where_awaited_mail_went(absent, without):
    """M6: half of the mail, or one of two folders, is still to arrive, and a backup of all of it is there already."""
    inbox, archive = mails(60), mails(20, 2, "a")
    with World({"INBOX": inbox, "Archive": archive}, without) as world:
        world.edit("delete", ["m50"])
        world.edit("flag", ["m51"], "draft")
        world.edit("delete", ["a1"], folder="Archive")
        world.edit("flag", ["a2"], "draft", folder="Archive")
        there = {"INBOX": shuffled(inbox), "Copies": shuffled(inbox + archive)} if absent else {
            "INBOX": inbox[:30], "Archive": shuffled(archive), "Copies": shuffled(inbox)}
        world.replace(there)
        assert world.sync(times=2) == 4
        with world.client() as client:
            if absent:
                client.create("Archive")
                append(client, "Archive", archive)
            else:
                append(client, "INBOX", inbox[30:])
        assert world.sync(times=2) == 0
        assert len(world.names("Copies")) == len(there["Copies"]) and world.with_flag("draft", "Copies") == []
        assert "m50" not in world.names() and world.with_flag("draft") == ["m51"]
        assert "a1" not in world.names("Archive") and world.with_flag("draft", "Archive") == ["a2"]
        for folder in world.home():
            world.assert_in_step(folder)


def test_some_of_what_is_awaited_copied_elsewhere_is_no_move():
    inbox = mails(60)
    with World({"INBOX": inbox, "Lists": mails(20, 2, "l")}) as world:
        world.edit("delete", ["m40", "m41"])
        world.edit("flag", ["m42"], "draft")
        world.replace({"INBOX": inbox[:30], "Lists": mails(20, 2, "l") + inbox[38:44]})
        assert world.sync(times=2) == 4
        with world.client() as client:
            append(client, "INBOX", inbox[30:])
        assert world.sync(times=2) == 0
        assert len(world.names("Lists")) == 26 and world.with_flag("draft", "Lists") == []
        assert not {"m40", "m41"} & set(world.names()) and world.with_flag("draft") == ["m42"]


def test_what_was_removed_in_one_of_two_folders_is_not_removed_where_both_were_merged():
    """The tool kept one of each."""
    both = mails(6, 9, "x")
    with World({"A": mails(30, 2, "a") + both, "B": mails(30, 3, "b") + both, "INBOX": mails(10)}) as world:
        world.edit("delete", ["x1", "x2"], folder="A")
        world.edit("delete", ["x3"], folder="B")
        world.replace({"INBOX": mails(10), "A": mails(30, 2, "a")[:5], "B": mails(30, 3, "b")[:5],
                       "AB": shuffled(mails(30, 2, "a")[5:] + mails(30, 3, "b")[5:] + both)})
        world.sync(times=2)
        assert {"x1", "x2", "x3"} <= set(world.names("AB"))


@pytest.mark.parametrize("without", [(), BARE])
def test_two_messages_that_are_moved_crosswise_are_in_one_place_each(without):
    with World({"INBOX": mails(9), "X": [], "Y": []}, without) as world:
        world.edit("move", ["m2"], "X")
        world.edit("move", ["m3"], "Y")
        with world.client() as client:
            client.select("INBOX")
            for number, target in ((3, "Y"), (4, "X")):
                client.command(f"UID COPY {number} {target}")
            client.command("UID STORE 3:4 +FLAGS (\\Deleted)")
            client.command("EXPUNGE")
        assert world.sync(times=2) == 0
        assert (world.names("X"), world.names("Y")) == (["m2"], ["m3"])
        for folder in world.home():
            world.assert_in_step(folder)


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("left", [0, 7])
def test_mail_that_was_tidied_into_other_folders_is_no_other_mailbox(left, without):
    """M1, and somebody emptied INBOX at the new home before: nothing of it is where it was, and @left new messages are."""
    inbox = mails(60)
    with World({"INBOX": inbox}, without) as world:
        world.edit("flag", ["m3"], "draft")
        world.edit("delete", ["m5", "m6"])
        world.add("letter")
        world.replace({"INBOX": mails(left, 9, "new"), "Old/2020": shuffled(inbox[:40]), "Old/2021": shuffled(inbox[40:])})
        assert not would_refuse(world)
        assert world.sync() == 0, world.program.ok("log", "-n", "1").decode()
        assert world.sync() == 0
        assert world.names() == sorted([f"new{i}" for i in range(left)] + ["letter"])
        assert world.with_flag("draft", "Old/2020") == ["m3"] and not {"m5", "m6"} & set(world.names("Old/2020"))
        for folder in world.home():
            world.assert_in_step(folder)
        said = world.program.ok("log", "-n", "0").decode()
        added = sum(int(n) for n in re.findall(r"(\d+) item\(s\) added to offline store", said))
        recognised = sum(int(n) for n in re.findall(r"(\d+) of them were here already", said))
        assert added - recognised == 60 + left  # the first run's, and the new ones


@pytest.mark.parametrize("without", [(), BARE])
def test_mail_that_was_tidied_into_a_folder_that_is_renamed_here_is_found(without):
    """M1; the run that looks for it gives that folder its new name at home."""
    inbox, work, other = mails(20), mails(12, 2, "w"), mails(30, 4, "o")
    with World({"INBOX": inbox, "Work": work, "Other": other}, without) as world:
        world.edit("flag", ["m3"], "draft")
        world.program.ok("folder", "rename", "Work", "Projects")
        world.replace({"INBOX": mails(7, 9, "new"), "Work": shuffled(work + inbox), "Work/Old": mails(2, 5, "x"), "Other": other})
        assert world.sync(times=2) == 0, world.program.ok("log", "-n", "0").decode()
        assert world.with_flag("draft", "Projects") == ["m3"] and fetched(world) == 62 + 7 + 2
        for folder in world.home():
            world.assert_in_step(folder)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("there", [None, 7])
@pytest.mark.parametrize("without", [(), BARE])
def test_a_stranger_with_the_same_numbers_is_told_from_a_mailbox_with_next_to_nothing(without, there, count):
    """M11-same; @there None: as many messages as here, so that not one number differs."""
    with World({"INBOX": mails(count)}, without) as world:
        world.add("secret")
        world.replace({"INBOX": mails(there or count, 9, "s")}, 1000)
        before = world.home()
        assert would_refuse(world)
        assert world.sync(times=2) == 1
        assert world.home() == before and world.here() == sorted([f"m{i}" for i in range(count)] + ["secret"])


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("count, more", [(2, 0), (2, 2), (12, 3)])
def test_a_folder_that_was_not_looked_into_does_not_vouch_for_the_mailbox(count, more, without):
    """M11-same: of five folders no number tells the difference."""
    names = ["INBOX", "Archive", "Drafts", "Sent", "Work"]
    with World({name: mails(count, 2 + i, name) for i, name in enumerate(names)}, without) as world:
        world.add("secret", "Drafts")
        world.program.ok("folder", "rename", "Archive", "Attic")
        world.program.ok("folder", "create", "Plans")
        world.replace({name: mails(count + more, 20 + i, "s" + name) for i, name in enumerate(names)}, 1000)
        before = world.home()
        assert world.sync(times=2) == 1
        assert world.home() == before and len(world.here("Sent")) == count


@pytest.mark.parametrize("without", [(), BARE])
def test_a_small_folder_with_a_strangers_mail_does_not_vouch_for_the_large_one(without):
    with World({"INBOX": mails(2), "Archive": mails(60, 3, "a")}, without) as world:
        world.add("secret")
        world.replace({"INBOX": mails(7, 9, "s"), "Archive": mails(70, 8, "t")}, 1000)
        before = world.home()
        assert world.sync(times=3) in (1, 4)
        assert world.home() == before and world.here() == ["m0", "m1", "secret"]


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("count, more", [(5, 0), (20, 0), (20, 1)])
def test_the_removal_of_a_folder_outlasts_its_renaming_at_the_server(count, more, without):
    """What is moved out of it goes along; it stays where something is in it that was never here."""
    with World({"INBOX": mails(8), "Work": mails(count, 2, "w"), "Zoo": mails(9, 3, "z")}, without) as world:
        world.edit("move", ["w1", "w2"], "INBOX", folder="Work")
        world.program.ok("folder", "delete", "--with-messages", "Work")
        with world.client() as client:
            client.command("RENAME Work Arbeit")
            append(client, "Arbeit", mails(more, 8, "precious"))
        world.sync()
        world.program.run("resolve", "--all", "mine")
        world.sync(times=2)
        assert world.names() == sorted([f"m{i}" for i in range(8)] + ["w1", "w2"]) == world.here()
        assert world.home().keys() == {"INBOX", "Zoo"} | ({"Arbeit"} if more else set())
        assert set(world.program.folders()) >= world.home().keys()
        assert not more or "precious0" in world.here("Arbeit")
        assert len(world.names("Zoo")) == 9


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("uids", [None, list(range(501, 513))])
@pytest.mark.parametrize("more", [0, 1])
def test_the_removal_of_a_folder_outlasts_other_numbers_under_the_same_validity(more, uids, without):
    """M2, the removal of a folder pending."""
    inbox, work = mails(40), mails(12, 7, "w")
    with World({"INBOX": inbox, "Work": work}, without) as world:
        world.program.ok("folder", "delete", "--with-messages", "Work")
        there = shuffled(work) + mails(more, 8, "precious")
        world.server.stop()
        shutil.rmtree(world.server.maildir)
        world.put({"INBOX": shuffled(inbox)}, {"INBOX": 1000})
        world.put({"Work": there}, {"Work": 1000}, uids and uids + list(range(513, 513 + more)))
        world.server.start()
        assert world.sync() == (0 if more else 4)
        if not more:
            assert "Work" not in world.program.folders()
            world.program.ok("resolve", "--all", "mine")
        assert world.sync(times=2) == 0
        said = world.program.ok("log", "-n", "0").decode()
        if more:
            assert world.names("Work") == world.here("Work") == sorted(ident(m.octets) for m in there)
        else:
            assert "Work" not in world.home() and "Work" not in world.program.folders()
            assert "never fetched" not in said and "new items at home" not in said


def test_a_hold_counts_what_is_here_and_there():
    with World({"INBOX": mails(20), "A": mails(10, 2, "a")}) as world:
        world.edit("delete", ["a1"], folder="A")
        world.add("new", "A")
        world.edit("delete", ["a2"], folder="A")
        world.replace({"INBOX": mails(12), "A": mails(7, 3, "o")})
        assert world.sync() == 4
        holds = {item["folder"]: item for item in world.program.json("resolve")}
        assert "7 item(s) at the server and 9 here" in holds["A"]["detail"] and (holds["A"]["here"], holds["A"]["messages"]) == (9, 9)
        assert "8 item(s) of folder 'INBOX' are here, but not at the server: they may still arrive" in holds["INBOX"]["detail"]


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("gone", [False, True])
def test_identical_mail_that_a_migration_split_over_folders_is_not_fetched_again(gone, without):
    """Which copy is where does not show, so that the folder is held; @gone: it is not there any more, and then that does not matter."""
    archive = mails(60, 2, "a") + [mail(f"twin{i}", 700, START + i) for i in range(5) for _ in range(3)]
    with World({"INBOX": mails(20), "Archive": archive}, without) as world:
        there = {"INBOX": shuffled(mails(20)), "2020": archive[:30] + archive[60::3], "2021": archive[30:60] + archive[61::3] + archive[62::3]}
        if not gone:
            there["Archive"] = archive[:6]
        world.replace(there)
        assert world.sync(times=2) == (0 if gone else 4)
        assert fetched(world) == 95  # the first run's
        if not gone:
            world.program.ok("resolve", "Archive", "server")
        assert world.sync(times=2) == 0
        for folder in world.home():
            world.assert_in_step(folder)


@pytest.mark.parametrize("how", ["all at once", "one by one", "flags afterwards"])
@pytest.mark.parametrize("taken", [True, False])
def test_flags_that_somebody_took_off_at_the_new_home_stay_off(taken, how):
    """M1; the server's numbers of changes tell it from a loss by the move, be the mail put there by files, or flag by flag through IMAP. Not @taken: it is
    the move that lost them."""
    before = [m._replace(flags=m.flags & {"\\Flagged", "\\Seen"}) for m in mails(80)]
    lost = [m._replace(flags=m.flags - {"\\Flagged"}) for m in before]
    with World({"INBOX": before}) as world:
        there = shuffled(before if taken else lost)
        world.replace({"INBOX": there if how == "all at once" else []})
        with world.client() as client:
            client.command("SELECT INBOX (CONDSTORE)")  # from then on Dovecot counts changes of each message
            for m in there if how != "all at once" else []:
                append(client, "INBOX", [m if how == "one by one" else m._replace(flags=frozenset())])
            client.select("INBOX")
            for i, m in enumerate(there if how == "flags afterwards" else [], 1):
                if m.flags:
                    client.command(f"UID STORE {i} +FLAGS ({' '.join(m.flags)})")
            for i, m in enumerate(there if taken else [], 1):
                if "\\Flagged" in m.flags:
                    client.command(f"UID STORE {i} -FLAGS (\\Flagged)")
        assert world.sync(times=2) == 0
        assert world.with_flag("flagged") == ([] if taken else sorted(f"m{i}" for i in range(0, 80, 5)))
        world.assert_in_step()


@pytest.mark.parametrize("seen", [True, False])
def test_flags_that_only_the_newest_had_were_lost_by_the_move(seen):
    """That they changed after all the others is no sign: they came after them."""
    before = [mail(f"m{i:02}", 300 + i, START + i * 50, ("\\Seen", "$Work", "\\Flagged") if i >= 54 else ("\\Seen",)) for i in range(60)]
    with World({"INBOX": before}) as world:
        world.replace({"INBOX": []})
        with world.client() as client:
            client.command("SELECT INBOX (CONDSTORE)")
            for m in before:
                append(client, "INBOX", [m._replace(flags=frozenset({"\\Seen"} if seen else ()))])
        assert world.sync(times=2) == 0
        assert world.with_flag("flagged") == world.with_flag("$Work") == [f"m{i}" for i in range(54, 60)]


def test_a_tool_that_sets_other_flags_in_the_end_has_taken_none_off():
    """What has a keyword has been read, and hardly anything else."""
    before = [mail(f"m{i}", 300 + i, START + i * 50, ("\\Seen", "$Work") if i % 5 == 0 else ()) for i in range(60)]
    with World({"INBOX": before}) as world:
        there = shuffled(before)
        world.replace({"INBOX": []})
        with world.client() as client:
            client.command("SELECT INBOX (CONDSTORE)")
            append(client, "INBOX", [m._replace(flags=frozenset()) for m in there])
            client.select("INBOX")
            for i, m in enumerate(there, 1):
                if m.flags:
                    client.command(f"UID STORE {i} +FLAGS (\\Seen)")
        assert world.sync(times=2) == 0
        assert world.with_flag("$Work") == sorted(f"m{i}" for i in range(0, 60, 5)) == world.with_flag("seen")


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("count", [1, 4])
def test_a_mailbox_whose_few_messages_were_removed_elsewhere_is_no_strangers(count, without):
    """And somebody made a folder meanwhile: what is not there any more says nothing against it."""
    with World({"INBOX": mails(count)}, without) as world:
        world.add("letter")
        with world.client() as client:
            client.select("INBOX")
            client.command("UID STORE 1:* +FLAGS (\\Deleted)")
            client.command("EXPUNGE")
            append(client, "INBOX", mails(2, 9, "n"))
            client.create("Made")
        code = world.sync()
        assert code == (0 if count == 1 else 4)  # the guard asks
        assert {"letter", "n0", "n1"} <= set(world.names())


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("names", [("Archive", "Sent"), ("A", "B"), ("A", "INBOX")])
def test_folders_that_exchanged_their_names_and_are_more_than_names_get_each_others_mail(names, without):
    """One has a role, or a folder below it, or is INBOX: the mail moves, unfetched, with what is pending for it."""
    one, other = names
    lots = {one: mails(30, 2, "a"), other: mails(33, 3, "b"), "A/Below": mails(6, 4, "c")}
    if "INBOX" not in lots:
        lots["INBOX"] = mails(20)
    with World(lots, without) as world:
        world.edit("flag", ["a7"], "draft", folder=one)
        world.edit("delete", ["b7"], folder=other)
        count = sum(len(lot) for lot in lots.values())
        world.replace({**lots, one: shuffled(lots[other]), other: shuffled(lots[one])})
        assert world.sync(times=2) == 0, world.program.ok("log", "-n", "2").decode()
        assert world.with_flag("draft", other) == ["a7"] and "b7" not in world.names(one)
        assert fetched(world) == count
        for folder in world.home():
            world.assert_in_step(folder)


@pytest.mark.parametrize("how", ["exchanged", "tidied", "removed", "split"])
def test_a_run_that_is_stopped_anywhere_in_it_is_gone_on_with(how):
    a, b, inbox = mails(20, 2, "a"), mails(22, 3, "b"), mails(12)
    there = {"exchanged": {"INBOX": inbox, "A": shuffled(b), "B": shuffled(a)}, "tidied": {"INBOX": [], "A": a, "B": b, "Old": shuffled(inbox)},
             "removed": {"INBOX": inbox, "A": shuffled(a), "B": b}, "split": {"INBOX": inbox, "A1": a[:9], "A2": a[9:], "B": b}}[how]
    step, died = 1, True
    while died:
        with World({"INBOX": inbox, "A": a, "B": b}) as world:
            world.edit("move", ["b5"], "INBOX", folder="B")
            if how == "removed":
                world.program.ok("folder", "delete", "--with-messages", "A")
            else:
                world.edit("flag", ["a5"], "draft", folder="A")
            world.replace(there, 1000 if how == "removed" else 3000)
            died = world.program.run("sync", env={"OUTPOST_DIE_AT": str(step)})[0] == 137
            code = world.sync(times=2)
            if how == "removed":
                assert code == 4
                world.program.ok("resolve", "--all", "mine")
            assert world.sync(times=2) == 0, f"{how}, step {step}: " + world.program.ok("log", "-n", "0").decode()
            home = world.home()
            everywhere = collections.Counter(name for folder in home.values() for name, _ in folder.elements())
            assert everywhere == collections.Counter(ident(m.octets) for m in inbox + b + (a if how != "removed" else [])), f"{how}, step {step}"
            assert fetched(world) == 54 and "b5" in world.names(), f"{how}, step {step}"
            assert how == "removed" or [name for folder in home for name in world.with_flag("draft", folder)] == ["a5"]
            for folder in home:
                world.assert_in_step(folder)
        step += 3


@pytest.mark.parametrize("without", [(), BARE])
def test_a_small_folder_that_was_made_anew_is_no_other_mail_in_a_mailbox_that_is_known(without):
    with World({"INBOX": mails(20), "Drafts": mails(1, 2, "d")}, without) as world:
        with world.client() as client:
            client.command("DELETE Drafts")
            client.create("Drafts")
            append(client, "Drafts", mails(2, 3, "e"))
        assert world.sync() == 4 and world.here("Drafts") == ["d0", "e0", "e1"]
        assert [item["kind"] for item in world.program.json("resolve")] == ["rebind"]


def test_a_new_version_is_fetched_also_while_other_mail_is_awaited():
    old, new = mail("one", 400), mail("one", 400)
    new = new._replace(octets=new.octets.replace(b"xxx", b"yyy"))
    with World({"INBOX": mails(9), "Drafts": mails(9, 2, "d") + [old]}) as world:
        world.replace({"INBOX": mails(9)[:5], "Drafts": mails(9, 2, "d") + [old]})
        assert world.sync() == 4
        with world.client() as client:
            append(client, "Drafts", [new])
            client.select("Drafts")
            client.command("UID STORE 10 +FLAGS (\\Deleted)")
            client.command("EXPUNGE")
        assert world.sync(times=2) == 4
        assert world.program.save(world.number("one", "Drafts")) == new.octets


@pytest.mark.parametrize("without", [(), BARE])
@pytest.mark.parametrize("counts", [(30, 33), (3, 2), (30, 2)])
def test_folders_that_somebody_gave_each_others_names_are_followed(counts, without):
    """At the same server, without MAILBOXID; a few messages are no evidence of a folder: they move, and a removal among them is not carried along."""
    lots = {name: mails(count, 2 + i, name.lower()) for i, (name, count) in enumerate(zip("AB", counts))}
    with World({"INBOX": mails(20), **lots}, without) as world:
        world.edit("flag", ["a1"], "draft", folder="A")
        world.edit("delete", ["b1"], folder="B")
        with world.client() as client:
            for old, new in (("A", "T"), ("B", "A"), ("T", "B")):
                client.command(f"RENAME {old} {new}")
        assert world.sync(times=2) in (0, 4), world.program.ok("log", "-n", "2").decode()
        assert world.sync(times=2) == 0 and fetched(world) == 20 + sum(counts)
        assert world.with_flag("draft", "B") == ["a1"] and ("b1" in world.names("A")) == (counts[1] == 2)
        for folder in world.home():
            world.assert_in_step(folder)


@pytest.mark.parametrize("without", [(), BARE])
def test_a_folder_alone_is_left_to_a_run_of_all_where_its_mail_may_be_elsewhere(without):
    """A and B exchanged their names, and some of INBOX was tidied into C."""
    lots = {"INBOX": mails(20), "A": mails(30, 2, "a"), "B": mails(33, 3, "b"), "C": mails(9, 4, "c")}
    with World(lots, without) as world:
        world.edit("flag", ["a1"], "draft", folder="A")
        world.edit("flag", ["m3"], "draft")
        world.replace({"INBOX": lots["INBOX"][6:], "A": shuffled(lots["B"]), "B": shuffled(lots["A"]), "C": lots["C"] + lots["INBOX"][:6]})
        before, here = world.home(), {folder: world.here(folder) for folder in lots}
        for folder in lots:
            code, _, error = world.program.run("sync", "--folder", folder)
            assert code == 1 and "run 'outpost sync' without --folder" in error
        assert world.home() == before and {folder: world.here(folder) for folder in lots} == here
        assert world.sync(times=2) == 0 and fetched(world) == 92
        assert world.with_flag("draft", "B") == ["a1"] and world.with_flag("draft", "C") == ["m3"]
        for folder in world.home():
            world.assert_in_step(folder)

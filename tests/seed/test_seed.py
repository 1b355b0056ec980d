# SPDX-License-Identifier: Apache-2.0
"""What outpost was made for, from end to end. In 1998 a mailbox was new, its offline store was made at the first log-on, and its server was moved to another
site. The profile was deleted and made again, and the offline store was good for nothing: each background synchronisation failed, whether the
store had been used with the old profile or not.

Here the same is done with outpostd and outpost: nothing is fetched, what was changed offline arrives, and the log says what happened. With
--stale-store=report it is 1998 again."""
import json
import os
import re

import pytest

from imapclient import ImapClient
from organisation import Organisation, location
from outpost import differences

LETTERS = 40
OLD_ERROR = "Background Synchronization Error. See detailed logs in Deleted Items folder.\n"
CLOCK = r"\d{1,2}:\d\d:\d\d"


@pytest.fixture
def story(made, program):
    """A new mailbox in Berlin, and its first log-on."""
    one = Organisation(made, program)
    with made:
        one.deliver(range(LETTERS))
        code, _, err = one.log_on(one.old)
        assert code == 0, err
        assert len(program.list("INBOX")) == LETTERS
        yield one


def change_offline(program):
    """Two changed, two moved, one removed, one new, and no synchronisation."""
    ids = [item["id"] for item in program.list("INBOX")]
    program.ok("flag", str(ids[0]), "flagged", "pendingflag")
    program.ok("flag", str(ids[1]), "seen")
    program.ok("move", str(ids[2]), str(ids[3]), "Archive")
    program.ok("delete", str(ids[4]))
    draft = os.path.join(program.home, "draft.eml")
    open(draft, "wb").write(b"From: alice@example.org\r\nSubject: begun offline\r\n\r\nto be sent\r\n")
    program.ok("add", "Drafts", draft)


def another_store(story):
    """The mailbox's store, used by a profile of another name, which is then deleted; what the old profile had is gone."""
    program = story.program
    program.ok("profile", "delete", program.ADDRESS)
    store = os.path.join(program.environment["XDG_DATA_HOME"], "outpost", "stores")
    for name in os.listdir(store):
        os.unlink(os.path.join(store, name))
    code, _, err = story.log_on(story.old, "--profile", "of-another-time")
    assert code == 0, err
    change_offline(program)
    program.ok("profile", "delete", "of-another-time")
    elsewhere = os.path.join(program.home, "elsewhere")
    code, _, err = story.log_on(story.old, "--store", elsewhere)
    assert code == 0, err
    program.ok("profile", "delete", program.ADDRESS)
    for end in ("", "-wal", "-shm", ".lock"):
        if os.path.exists(elsewhere + end):
            os.unlink(elsewhere + end)


def own_store(story):
    change_offline(story.program)
    story.program.ok("profile", "delete", story.program.ADDRESS)


def move_to_oslo(story, new_address):
    port = story.new if new_address else story.old
    address = ("--at", location(port)) if new_address else ()
    story.server.ctl("server", "move", "ex1", "--to-site", "Oslo", "--rename", "ex1-osl", *address)
    return port


PREPARE = {"used with the old profile": own_store, "not used with the old profile": another_store}


@pytest.mark.parametrize("new_address", [False, True], ids=["same address", "new address"])
@pytest.mark.parametrize("how", PREPARE)
def test_a_store_from_before_is_as_good_as_ever(story, how, new_address):
    program = story.program
    PREPARE[how](story)
    port = move_to_oslo(story, new_address)
    before = story.dump(False)
    code, _, err = story.log_on(port)
    assert code == 0 and "The offline store from before is taken over" in err, err
    run = program.json("log")
    facts, lines = run["facts"], story.lines()
    assert (run["result"], run["error"]) == ("done", None)
    assert {facts[what] for what in ("addedHere", "relinked", "failures", "held", "conflicts")} == {0}, facts
    assert lines[:2] == ["Synchronizing Mailbox 'alice@example.org'", "Synchronizing Hierarchy"] and lines[-1] == "Done", lines
    assert any("online folder" in line for line in lines), lines
    assert facts["octetsIn"] < 20000, facts  # of 40 letters not one came again
    status = program.json("status")["pending"]
    assert set(status.values()) == {0}, status
    after = story.dump()
    assert differences(program, after) == []
    counts = {folder: len(messages) for folder, messages in after.items()}
    assert (counts["INBOX"], counts["Archive"], counts["Drafts"]) == (LETTERS - 3, 2, 1)
    kept = {m.uid for m in after["INBOX"]}
    assert kept < {m.uid for m in before["INBOX"]} and any("pendingflag" in m.flags for m in after["INBOX"])
    program.sync()
    assert program.json("log")["facts"]["addedHere"] == 0


@pytest.mark.parametrize("how", PREPARE)
def test_with_the_old_behaviour_it_is_1998_again(story, how):
    program = story.program
    PREPARE[how](story)
    port = move_to_oslo(story, True)
    before = story.dump(False)
    code, _, err = story.log_on(port, "--stale-store=report")
    assert code == 1 and err.endswith(OLD_ERROR), err
    assert story.dump(False) == before  # nothing was sent
    trash = program.list("Deleted Items")
    assert [item["subject"] for item in trash] == ["Synchronization Log:"]
    text = json.loads(program.ok("show", str(trash[0]["id"]), "--json"))["text"]
    assert re.fullmatch(rf"{CLOCK} Synchronizing Mailbox 'alice@example\.org'\n{CLOCK} Synchronizing Hierarchy\n"
                        rf"{CLOCK} {{7}}0 folder\(s\) added to offline store\n{CLOCK} {{7}}6 folder\(s\) updated in offline store\n{CLOCK} Done\n+", text), text
    code, _, err = program.run("sync")
    assert (code, err) == (1, OLD_ERROR)
    program.sync("--stale-store=adopt")  # what nobody could do then
    facts = program.json("log")["facts"]
    assert facts["addedHere"] == 0 and facts["failures"] == 0
    assert any("pendingflag" in m.flags for m in story.dump(False)["INBOX"])


def test_a_client_of_any_kind_sees_no_difference(story):
    """One that knows QRESYNC and was away while messages were removed and changed, before and after the move."""
    def see():
        with ImapClient(story.server.imap, "alice@example.org") as client:
            heard = []
            client.command("ENABLE QRESYNC")
            for text in (f"SELECT INBOX (QRESYNC ({validity} {modseq}))", "UID FETCH 1:* (FLAGS MODSEQ INTERNALDATE RFC822.SIZE EMAILID THREADID)",
                         'STATUS Archive (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ MAILBOXID)', 'LIST "" * RETURN (SUBSCRIBED SPECIAL-USE)'):
                client.command(text, heard.append)
            return heard
    with ImapClient(story.server.imap, "alice@example.org") as client:
        heard = []
        client.command("SELECT INBOX", heard.append)
        told = repr(heard)
        validity, modseq = (int(re.search(word + r" (\d+)", told).group(1)) for word in ("UIDVALIDITY", "HIGHESTMODSEQ"))
        client.command("UID STORE 3 +FLAGS (\\Flagged)")
        client.command("UID STORE 5:7 +FLAGS (\\Deleted)")
        client.command("UID EXPUNGE 5:7")
    before = see()
    assert "VANISHED (EARLIER) 5:7" in repr(before)
    for site, port in (("Oslo", story.new), ("Berlin", story.old)) * 10:
        story.move(port, "--to-site", site)
        assert see() == before

# SPDX-License-Identifier: Apache-2.0
"""What is held is shown with its next step, settled in each of the three ways, and each can be undone."""
import pytest
from dovecot import Dovecot
from imapclient import ImapClient
from moves import MESSAGES, ROWS, Move, Template, append, make_mail, put_maildir, read_home

CHANGES = ("addedHere", "updatedHere", "removedHere", "addedHome", "updatedHome", "removedHome")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    with Dovecot() as server:
        return Template(tmp_path_factory.mktemp("template"), "INBOX", server)


def at_home(server):
    with ImapClient(server.port) as client:
        return read_home(client, "INBOX")[0]


def moved(template, server, row, directory):
    """The store of @template before a new home."""
    move = Move(template, ROWS[row])
    move.put(server, None)
    program = template.copy(directory)
    program.point_to(server.port, "alice")
    return move, program


def check_both(program, server, here, there):
    """Each side has exactly that, and a further run does nothing."""
    held = program.run("sync")[0]
    facts = program.json("log")["facts"]
    assert [facts[name] for name in CHANGES] == [0] * len(CHANGES)
    assert program.counted("INBOX") == here
    assert at_home(server) == there
    assert held == (0 if here == there else 4)


@pytest.mark.parametrize("row", ["M6-half-migrated", "M13-older-copy", "M5-empty-same-uidvalidity"])
@pytest.mark.parametrize("word", ["server", "mine", "both"])
def test_missing_mail_is_held_settled_and_that_undone(word, row, template, tmp_path):
    with Dovecot() as server:
        move, program = moved(template, server, row, tmp_path / "home")
        some, every = template.expected(move.present), template.expected()
        lost = sum(every.values()) - sum(some.values())
        assert program.run("sync")[0] == 4
        (hold,) = program.holds()
        assert (hold["kind"], hold["folder"], hold["messages"], hold["choices"]) == ("rebind", "INBOX", lost, ["server", "mine", "both"])
        assert (hold["here"], hold["there"]) == (sum(every.values()), sum(some.values()))
        code, text, _ = program.run("status")
        assert code == 4 and f"Held       {lost} item(s)" in text.decode() and ": outpost resolve" in text.decode()
        assert "see 'outpost resolve'" in program.ok("log").decode()
        check_both(program, server, every, some)

        (preview,) = program.json("resolve", "INBOX", word, "--dry-run")
        numbers = {name: preview[name] for name in ("removedHere", "sent", "removedThere", "fetched") if preview[name]}
        assert numbers == ({"removedHere": lost} if word == "server" else {"sent": lost}) and len(preview["items"]) == lost
        assert program.holds() == [hold]

        program.ok("resolve", "INBOX", word)
        program.sync()
        after = some if word == "server" else every
        check_both(program, server, after, after)
        assert program.json("undelete") if word == "server" else program.holds() == []

        (preview,) = program.json("resolve", "--undo", "--dry-run")
        assert preview["restored" if word == "server" else "removedThere"] == lost
        assert program.json("resolve", "--undo", "INBOX")["done"] == lost
        assert program.run("sync")[0] == (0 if word == "server" else 4)
        check_both(program, server, every, every if word == "server" else some)
        assert [hold["messages"] for hold in program.holds()] == ([] if word == "server" else [lost])
        if word != "server" and move.present:  # the question is the same as before, and may still settle itself
            with ImapClient(server.port) as client:
                append(client, "INBOX", move.missing())
            program.sync()
            check_both(program, server, *[template.expected(range(MESSAGES))] * 2)
        assert program.run("resolve", "--undo")[0] == 3


@pytest.mark.parametrize("word", ["server", "both"])
def test_other_mail_in_a_folder_is_held_and_settled(word, tmp_path):
    """One folder of the mailbox is another one now; what is there may be another person's, so that it is not removed."""
    with Dovecot() as server:
        mine, other = make_mail(30, 61), make_mail(20, 62)
        put_maildir(server, "Work", mine)
        template = Template(tmp_path / "template", "INBOX", server, edit=False)
        program = template.copy(tmp_path / "home")
        with ImapClient(server.port) as client:
            client.command("DELETE Work")
            client.command("CREATE Work")
            append(client, "Work", other)
        assert program.run("sync")[0] == 4
        (hold,) = program.holds()
        assert (hold["kind"], hold["here"], hold["there"], hold["choices"]) == ("identity", 30, 20, ["server", "both"])
        assert program.run("resolve", "Work", "mine")[0] == 2
        (preview,) = program.json("resolve", "Work", word, "--dry-run")
        assert (preview["removedHere"], preview["sent"], preview["fetched"]) == ((30, 0, 20) if word == "server" else (0, 30, 20))
        program.ok("resolve", "Work", word)
        program.sync()
        program.sync()
        expected = 20 if word == "server" else 50
        with ImapClient(server.port) as client:
            assert sum(read_home(client, "Work")[0].values()) == expected
        assert len(program.list("Work")) == expected
        assert program.json("resolve", "--undo")["done"] == 30
        assert program.run("sync")[0] == (0 if word == "server" else 4)
        with ImapClient(server.port) as client:
            assert sum(read_home(client, "Work")[0].values()) == (50 if word == "server" else 20)
        assert len(program.list("Work")) == 50
        program.ok("store", "check")


def test_what_was_said_at_once_is_undone_at_once(tmp_path):
    with Dovecot() as server:
        for folder in ("A", "B"):
            put_maildir(server, folder, make_mail(5, 70 + ord(folder)))
        program = Template(tmp_path / "template", "INBOX", server, edit=False).copy(tmp_path / "home")
        for folder in ("A", "B"):
            program.ok("delete", *[str(m["id"]) for m in program.list(folder)])
        assert program.run("sync")[0] == 4
        assert [hold["side"] for hold in program.holds()] == ["home", "home"]
        assert [p["removedThere"] for p in program.json("resolve", "--all", "mine", "--dry-run")] == [5, 5]
        program.ok("resolve", "--all", "mine")
        assert b"settled, outpost sync acts on it" in program.run("status")[1]
        program.sync()
        assert program.json("resolve", "--undo")["done"] == 10  # uploaded again from what was kept
        program.sync()
        for folder in ("A", "B"):
            with ImapClient(server.port) as client:
                assert sum(read_home(client, folder)[0].values()) == len(program.list(folder)) == 5


def test_a_folder_of_which_two_things_are_held_is_settled_by_its_name(template, tmp_path):
    with Dovecot() as server:
        move, program = moved(template, server, "M6-half-migrated", tmp_path / "home")
        program.ok("delete", *[str(m["id"]) for i, m in enumerate(program.list("INBOX")) if i % 3])
        assert program.run("sync")[0] == 4
        sides = sorted(hold["side"] for hold in program.holds())
        assert sides == ["here", "home"] and {hold["folder"] for hold in program.holds()} == {"INBOX"}
        assert sorted(p["side"] for p in program.json("resolve", "INBOX", "server", "--dry-run")) == sides
        program.ok("resolve", "INBOX", "both")
        program.sync()
        assert program.holds() == []
        check_both(program, server, program.counted("INBOX"), program.counted("INBOX"))
        assert program.json("resolve", "--undo", "INBOX")["decisions"] == 2


@pytest.mark.parametrize("word", ["server", "both"])
@pytest.mark.parametrize("whole", [False, True])
def test_what_was_fetched_again_is_not_offered_for_restoring(whole, word, tmp_path):
    with Dovecot() as server:
        put_maildir(server, "A", make_mail(5, 90))
        program = Template(tmp_path / "template", "INBOX", server, edit=False).copy(tmp_path / "home")
        if whole:
            program.ok("folder", "delete", "--with-messages", "A")
        else:
            program.ok("delete", *[str(m["id"]) for m in program.list("A")])
        assert program.run("sync")[0] == 4
        assert len(program.json("undelete")) == 5
        program.ok("resolve", "--all", word)
        for _ in range(2):
            program.sync()
        assert len(program.list("A")) == 5 and program.json("undelete") == []
        assert program.json("resolve", "--undo")["done"] == 5
        assert program.list("A") == [] and len(program.json("undelete")) == 5
        program.ok("undelete", *[str(m["id"]) for m in program.json("undelete")])
        program.sync()
        with ImapClient(server.port) as client:
            assert sum(read_home(client, "A")[0].values()) == len(program.list("A")) == 5
        program.ok("store", "check")


def test_what_was_moved_here_and_removed_there_is_undone_too(tmp_path):
    with Dovecot() as server:
        for folder in ("A", "B"):
            put_maildir(server, folder, make_mail(3, 90 + ord(folder)))
        program = Template(tmp_path / "template", "INBOX", server, edit=False).copy(tmp_path / "home")
        before = {m["id"] for m in program.list("B")}
        for m in program.list("A"):
            program.ok("move", str(m["id"]), "B")
        program.ok("delete", *[str(m["id"]) for m in program.list("B") if m["id"] not in before])
        assert program.run("sync")[0] == 4
        program.ok("resolve", "A", "mine")
        program.sync()
        assert program.json("resolve", "--undo") == {"decisions": 1, "waitAgain": 0, "done": 3, "missing": 0}
        for _ in range(2):
            program.sync()
        assert len(program.list("B")) == 6 and program.json("undelete") == []
        with ImapClient(server.port) as client:
            assert [sum(read_home(client, folder)[0].values()) for folder in ("A", "B")] == [0, 6]
        program.ok("store", "check")

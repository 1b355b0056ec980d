# SPDX-License-Identifier: Apache-2.0
"""The home is migrated, replaced, emptied, restored: the offline store follows, with what is pending. The plain cases are in tests/moves/;
here are their variations, other servers, and interruptions."""
import collections
import hashlib
import os
import shutil

import pytest
from cyrus import Cyrus, find_cyrus
from dovecot import Dovecot
from imapclient import ImapClient
from moves import (MESSAGES, REMOVED, ROWS, Move, Template, append, counted, make_mail, put_maildir, read_home, shuffled,
                   status)
from outpost import export_digests
from proxy import Proxy

BARE = ("QRESYNC", "CONDSTORE", "UIDPLUS", "MOVE", "ESEARCH", "LIST-STATUS", "LIST-EXTENDED", "SPECIAL-USE", "MULTIAPPEND", "LITERAL+",
        "NAMESPACE", "ENABLE", "BINARY")
# Evidence of a message is its size, date and flags, at the most its identifying headers too; octets on the wire, not deflated.
EVIDENCE = 900
HEADERS_MOST = 20000


@pytest.fixture(scope="module")
def cyrus():
    root = find_cyrus()
    if not root:
        pytest.skip("Cyrus cannot be installed")
    with Cyrus(root) as running:
        yield running


@pytest.fixture(scope="module")
def templates(tmp_path_factory, request):
    """(kind of the old home, folder) -> Template, each made once."""
    made = {}

    def get(kind, folder):
        if (kind, folder) not in made:
            where = tmp_path_factory.mktemp("template")
            if kind == "cyrus":
                made[kind, folder] = Template(where, folder, request.getfixturevalue("cyrus"), f"old{len(made)}")
            else:
                with Dovecot(without=BARE if kind == "bare" else ()) as server:
                    made[kind, folder] = Template(where, folder, server)
        return made[kind, folder]
    return get


class NewHome:
    """A server with the mail of a row, a proxy before it, and the store that shall follow."""

    def __init__(self, template, row, directory, kind="dovecot", cyrus=None, cut=None, user=None):
        self.template, self.move = template, Move(template, row)
        self.server = cyrus if kind == "cyrus" else Dovecot(without=BARE if kind == "bare" else kind if isinstance(kind, tuple) else ())
        self.own, self.user = kind != "cyrus", "alice"
        if kind == "cyrus":
            cyrus.users = getattr(cyrus, "users", 0) + 1
            self.user = user or f"new{cyrus.users}"
            with self.client() as client:
                self.move.put(cyrus, client)
        else:
            self.move.put(self.server, None)
            self.server.start()
        self.proxy = Proxy(self.server.port, **(cut or {}))
        self.program = template.copy(directory)
        self.program.point_to(self.proxy.port, self.user)

    def client(self):
        return ImapClient(self.server.port, self.user)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.proxy.close()
        if self.own:
            self.server.kill9()  # a second sooner than asking it to stop; nobody reads its mail any more
            self.server.close()
        self.program.close()
        shutil.rmtree(self.program.home, ignore_errors=True)

    def sync(self, fetched=0, **how):
        """One run; more octets than evidence and @fetched bodies need are a failure. Exit code."""
        self.proxy.clear()
        code, out, err = self.program.run("sync", **how)
        assert code in (0, 4), (out[-2000:], err[-2000:])
        down = self.proxy.counts()["down"]
        assert down < HEADERS_MOST + EVIDENCE * MESSAGES + fetched, f"{down} octets of {self.template.size()}"
        return code

    def home(self):
        with self.client() as client:
            return read_home(client, self.template.folder)

    def check(self, present, added):
        """Exactly the pending changes are at home; all and nothing twice is here."""
        t = self.template
        at_home, _ = self.home()
        assert same(at_home, t.expected(present, added))
        assert same(self.program.counted(t.folder), t.expected(None, added))
        if t.other:
            with self.client() as client:
                assert same(read_home(client, "INBOX")[0], counted(t.other))
            assert same(self.program.counted("INBOX"), counted(t.other))

    def finish(self):
        """After the first whole run: the next is a no-op; what is held resolves itself when the mail arrives."""
        move, held = self.move, self.move.held()
        self.check(move.present, move.added)
        before = self.home()
        assert self.sync() == (4 if held else 0)
        assert self.home() == before
        assert [h["kind"] for h in self.program.holds()] == (["rebind"] if held else [])
        if not held:
            return
        with self.client() as client:
            append(client, self.template.folder, shuffled(move.missing()))
        self.sync()
        assert self.sync() == 0
        assert self.program.holds() == []
        self.check(None, move.added)


def same(found, expected):
    """Both differences, so that a failure shows them."""
    assert (found - expected, expected - found) == (collections.Counter(), collections.Counter())
    return True


def follow(template, row, directory, kind="dovecot", cyrus=None):
    with NewHome(template, row, directory, kind, cyrus) as new:
        code = new.sync(fetched=sum(len(m.octets) for m in new.move.added))
        assert code == (4 if new.move.held() else 0)
        new.finish()
        new.program.ok("store", "check")
        digests = collections.Counter(export_digests(new.program, os.path.join(new.program.home, "export")))
        kept = [m for i, m in enumerate(template.mails) if i not in REMOVED] + template.other + [template.local] + new.move.added
        assert same(digests, collections.Counter(hashlib.sha256(m.octets).hexdigest() for m in kept))


VARIATIONS = ("M1-reversed", "M1-order-kept", "M1-some-removed", "M2-reversed-with-new-mail", "M3-new-mail", "M9-header-added",
              "M9-dates-lost", "M9-flags-lost", "M9-header-refolded")


@pytest.mark.parametrize("name", VARIATIONS)
def test_a_moved_mailbox_is_followed_from_dovecot_to_dovecot(name, templates, tmp_path):
    follow(templates("dovecot", "INBOX"), ROWS[name], tmp_path / "home")


ELSEWHERE = ("M1-new-mail", "M3-same-uids", "M6-half-migrated", "M9-all")


@pytest.mark.parametrize("name", ELSEWHERE + ("M2-same-uidvalidity", "M5-empty-same-uidvalidity", "M13-older-copy-and-new-mail"))
def test_a_moved_deep_folder_is_followed_by_a_bare_dovecot(name, templates, tmp_path):
    follow(templates("dovecot", "Work/Deep"), ROWS[name], tmp_path / "home", "bare")


WITHOUT = (("QRESYNC",), ("QRESYNC", "CONDSTORE"), ("UIDPLUS",), ("UIDPLUS", "MOVE", "QRESYNC", "CONDSTORE"), ("ESEARCH", "UIDPLUS"))


def without_abilities():
    """Every row, each with the next of WITHOUT; with OUTPOST_ALL_MOVES=1 every row with each."""
    for number, name in enumerate(sorted(ROWS)):
        for other, without in enumerate(WITHOUT):
            if os.environ.get("OUTPOST_ALL_MOVES") or (number + other) % len(WITHOUT) == 0:
                yield pytest.param(name, without, ("INBOX", "Work/Deep")[number % 2], id=name + "-" + "-".join(without))


@pytest.mark.parametrize("name,without,folder", without_abilities())
def test_a_move_is_followed_to_a_server_without_some_abilities(name, without, folder, templates, tmp_path):
    follow(templates("dovecot", folder), ROWS[name], tmp_path / "home", without)


@pytest.mark.parametrize("name", ["M1-new-mail", "M6-half-migrated", "M9-all"])
def test_a_moved_mailbox_is_followed_from_dovecot_to_cyrus(name, templates, cyrus, tmp_path):
    follow(templates("dovecot", "Work/Deep" if name == "M6-half-migrated" else "INBOX"), ROWS[name], tmp_path / "home", "cyrus", cyrus)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_moved_mailbox_is_followed_from_cyrus_to_dovecot(name, templates, tmp_path):
    follow(templates("cyrus", "INBOX" if name == "M1-new-mail" else "Work/Deep"), ROWS[name], tmp_path / "home")


@pytest.mark.parametrize("name,steps", [("M1-new-mail", range(1, 40, 4)), ("M6-half-migrated", range(2, 40, 7)), ("M9-all", range(3, 40, 7))])
def test_a_move_killed_at_a_step_is_followed_by_the_next_run(name, steps, templates, tmp_path):
    for step in steps:
        with NewHome(templates("dovecot", "INBOX"), ROWS[name], tmp_path / "home") as new:
            code, _, _ = new.program.run("sync", env={"OUTPOST_DIE_AT": str(step)})
            new.program.ok("store", "check")
            new.sync(fetched=50000)
            new.finish()
            if code != 137:
                return
    pytest.fail("a move takes more than 40 steps")


@pytest.mark.parametrize("way", ["down", "up"])
def test_a_move_cut_anywhere_is_followed_by_the_next_run(way, templates, tmp_path):
    template, row = templates("dovecot", "INBOX"), ROWS["M1-new-mail"]
    with NewHome(template, row, tmp_path / "home") as new:
        new.sync(fetched=50000)
        total = new.proxy.counts()[way]
    for cut in range(total // 6, total, total // 3):
        with NewHome(template, row, tmp_path / "home", cut={"cut_" + way: cut}) as new:
            new.program.run("sync")
            new.proxy.cut = {"down": None, "up": None}
            new.sync(fetched=50000)
            new.finish()


def test_what_only_is_here_is_sent_again_when_the_user_keeps_it(templates, tmp_path):
    template, row = templates("dovecot", "INBOX"), ROWS["M13-older-copy"]
    with NewHome(template, row, tmp_path / "home") as new:
        assert new.sync() == 4
        assert "50 item(s)" in new.program.holds()[0]["detail"]
        new.program.ok("resolve", "--all", "keep")
        assert new.sync() == 0
        new.check(None, [])
        assert new.sync() == 0
        new.check(None, [])


@pytest.mark.parametrize("kind,folder", [("dovecot", "INBOX"), ("dovecot", "Work/Deep"), ("cyrus", "INBOX"), ("cyrus", "Work/Deep")])
def test_a_server_restored_from_a_copy_of_its_files_is_noticed(kind, folder, tmp_path):
    """M13, with the server's own UIDs, indexes and counters."""
    root = find_cyrus() if kind == "cyrus" else None
    if kind == "cyrus" and not root:
        pytest.skip("Cyrus cannot be installed")
    with Cyrus(root) if root else Dovecot() as server:
        template = Template(tmp_path / "template", folder, server, edit=False)
        backup = tmp_path / "backup"
        backup.mkdir()
        server.stop()
        server.back_up(backup)
        server.start()
        later = make_mail(20, 44, 1_750_000_000)
        with ImapClient(server.port) as client:
            append(client, folder, later)
            client.select(folder)
            client.command("UID STORE 1:30 +FLAGS (\\Flagged)")
        program = template.copy(tmp_path / "home")
        program.sync()
        template.edit(program)
        server.stop()
        server.restore(backup)
        server.start()
        since = make_mail(30, 45, 1_760_000_000)  # these take the UIDs of the lost ones
        with ImapClient(server.port) as client:
            append(client, folder, since)
        assert program.run("sync")[0] == 4
        before = program.counted(folder)
        assert sum(before.values()) == MESSAGES - len(REMOVED) + len(later) + len(since) + 1
        assert program.run("sync")[0] == 4
        assert ["rebind"] == [h["kind"] for h in program.holds()]
        program.ok("resolve", "--all", "keep")
        program.sync()
        program.sync()
        with ImapClient(server.port) as client:
            home, _ = read_home(client, folder)
        assert same(program.counted(folder), home)
        assert set(home) >= set(counted(later + since))
        assert sum(home.values()) == sum(before.values())


@pytest.mark.parametrize("folder", ["INBOX", "Work/Deep"])
@pytest.mark.parametrize("name", ["M2-same-uidvalidity", "M5-empty-same-uidvalidity"])
def test_a_cyrus_that_gives_the_same_uids_once_more_is_followed(name, folder, tmp_path):
    """It was restored from a copy of its files in which the folder was empty, and then filled again, or not."""
    root = find_cyrus()
    if not root:
        pytest.skip("Cyrus cannot be installed")
    with Cyrus(root) as server:
        with ImapClient(server.port) as client:
            for level in [] if folder == "INBOX" else ["Work", "Work/Deep"]:
                client.create(level)
        backup = tmp_path / "backup"
        backup.mkdir()
        server.stop()
        server.back_up(backup)
        server.start()
        template = Template(tmp_path / "template", folder, server)
        server.stop()
        server.restore(backup)
        server.start()
        with NewHome(template, ROWS[name], tmp_path / "home", "cyrus", server, user="alice") as new:
            with new.client() as client:
                assert status(client, folder)[0] == template.validity
            assert new.sync() == (4 if new.move.held() else 0)
            new.finish()
            new.program.ok("store", "check")


def test_a_deleted_store_is_made_again_and_nothing_is_doubled(templates, tmp_path):
    """M7, of a store whose changes were sent."""
    template = templates("dovecot", "INBOX")
    with NewHome(template, ROWS["M3-same-uids"], tmp_path / "home") as new:
        new.sync()
        path = new.program.store_path()
        for name in [path] if os.path.isfile(path) else [os.path.join(path, n) for n in os.listdir(path)]:
            os.unlink(name)
        new.sync(fetched=2 * template.size())
        new.check(None, [])


@pytest.mark.parametrize("folders", [{"Foo": "Foo", "Foo.Bar": "Foo/Bar", "Sent Items": "Sent", "Müller": "Müller"},
                                     {"Foo": "Projekte", "Foo.Bar": "Alt/Kneipe", "Sent Items": "Sent", "Müller": "Meier"}],
                         ids=["separator", "other-names"])
def test_folders_renamed_by_the_migration_with_each_others_uidvalidity_are_recognised(folders, tmp_path):
    """M8: another separator and prefix, and another name for the sent mail; then names that have nothing in common."""
    mails = {old: make_mail(40, 60 + i, 1_500_000_000 + i) for i, old in enumerate(folders)}
    with Dovecot(separator=".", prefix="INBOX.") as old, Dovecot() as new:
        with ImapClient(old.port) as client:
            for name, some in mails.items():
                client.create("INBOX." + name)
                append(client, "INBOX." + name, some)
            validity = [status(client, "INBOX." + name)[0] for name in folders]
        template = Template(tmp_path / "template", "INBOX", old)
        new.stop()
        put_maildir(new, "INBOX", shuffled(template.mails), template.validity + 1000)
        for number, (name, some) in enumerate(mails.items()):
            put_maildir(new, folders[name], shuffled(some), validity[number - 1])
        new.start()
        program = template.copy(tmp_path / "home")
        with Proxy(new.port) as proxy:
            program.point_to(proxy.port, "alice")
            program.sync()
            assert proxy.counts()["down"] < HEADERS_MOST + EVIDENCE * (MESSAGES + 160)
            program.sync()
        with ImapClient(new.port) as client:
            assert client.folders() == sorted(["INBOX", *folders.values()])
            assert same(read_home(client, "INBOX")[0], template.expected())
            for name, some in mails.items():
                assert same(read_home(client, folders[name])[0], counted(some))
                assert same(program.counted(folders[name]), counted(some))
        assert set(program.folders()) - {"Alt"} == {"INBOX", *folders.values()}


@pytest.mark.parametrize("validity", ["new", "same"])
def test_another_persons_mailbox_is_refused_and_nothing_is_touched(validity, templates, tmp_path):
    """M11"""
    folder = "Work/Deep"
    template = templates("dovecot", folder)
    with Dovecot() as server:
        number = template.validity + (1000 if validity == "new" else 0)
        put_maildir(server, folder, make_mail(220, 70), number)
        put_maildir(server, "Private", make_mail(3, 71))
        put_maildir(server, "INBOX", make_mail(12, 72), number)
        program = template.copy(tmp_path / "home")
        folders, here = program.folders(), program.counted(folder)
        with ImapClient(server.port) as client:
            there = client.dump()
        with Proxy(server.port) as proxy:
            program.point_to(proxy.port, "alice")
            code, _, err = program.run("sync")
            assert code not in (0, 137) and err.strip()
            assert proxy.counts()["down"] < 2 * HEADERS_MOST + EVIDENCE * 232
        with ImapClient(server.port) as client:
            assert client.dump() == there
        assert program.folders() == folders and program.counted(folder) == here


def test_another_port_and_user_name_cost_no_message_traffic(tmp_path):
    """M12"""
    with Dovecot() as server:
        template = Template(tmp_path / "template", "INBOX", server, edit=False)
        program = template.copy(tmp_path / "home")
        with Proxy(server.port) as proxy:
            program.logon(proxy.url, user="alice@example.org")
            proxy.clear()
            program.sync()
            assert sum(proxy.counts()[way] for way in ("up", "down")) < 4000
            assert "re-linked" not in program.ok("log").decode()
        assert program.json("profile", "show")["user"] == "alice@example.org"
        assert len(program.list("INBOX")) == MESSAGES

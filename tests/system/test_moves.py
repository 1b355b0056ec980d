# SPDX-License-Identifier: Apache-2.0
"""The home is migrated, replaced, emptied, restored: the offline store follows, with what is pending. Each row is one of docs/moves.md."""
import collections
import hashlib
import os
import shutil

import pytest
from cyrus import Cyrus, find_cyrus
from dovecot import Dovecot
from imapclient import ImapClient
from moves import (MESSAGES, REMOVED, Moved, Template, append, counted, ident, make_mail, put_imap, put_maildir, read_home,
                   shuffled, status)
from outpost import export_digests
from proxy import Proxy

BARE = ("QRESYNC", "CONDSTORE", "UIDPLUS", "MOVE", "ESEARCH", "LIST-STATUS", "LIST-EXTENDED", "SPECIAL-USE", "MULTIAPPEND", "LITERAL+",
        "NAMESPACE", "ENABLE", "BINARY")
# Evidence of a message is its size, date and flags, at the most its identifying headers too; octets on the wire, not deflated.
EVIDENCE = 900
HEADERS_MOST = 20000

Row = collections.namedtuple("Row", "order validity uids keep added alter lost", defaults=("shuffled", "new", "order", None, 0, None, ()))

ROWS = {
    "M1-other-order": Row(),
    "M1-reversed": Row("reversed"),
    "M1-order-kept": Row("kept"),
    "M1-new-mail": Row(added=3),
    "M1-some-removed": Row(keep=MESSAGES - 6),
    "M2-same-uidvalidity": Row(validity="same"),
    "M2-reversed-with-new-mail": Row("reversed", "same", added=2),
    "M3-same-uids": Row("kept", uids="same"),
    "M3-new-mail": Row("kept", uids="same", added=4),
    "M4-empty": Row(keep=0),
    "M5-empty-same-uidvalidity": Row(validity="same", keep=0),
    "M6-half-migrated": Row(keep=50),
    "M9-header-added": Row(alter="header"),
    "M9-dates-lost": Row(lost=("dates",)),
    "M9-flags-lost": Row(lost=("flags",)),
    "M9-all": Row(alter="header", lost=("dates", "flags")),
    "M9-header-refolded": Row(alter="refolded"),
    "M13-older-copy": Row("kept", "same", "same", 150),
    "M13-older-copy-and-new-mail": Row("kept", "same", "same", 150, 60),
}


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


def altered(mail, row):
    octets = mail.octets
    if row.alter == "header":
        octets = b"X-Migrated: by a tool,\r\n\tas tools do\r\n" + octets
    elif row.alter == "refolded":
        octets = octets.replace(b"\r\nSubject: ", b"\r\nSubject:\r\n ", 1).replace(b"\r\nReceived: ", b"\r\nX-Was-Received: ", 1)
    return mail._replace(octets=octets, when=1_790_000_000 if "dates" in row.lost else mail.when,
                         flags=frozenset() if "flags" in row.lost else mail.flags)


class Move:
    """What the new home gets by a row."""

    def __init__(self, template, row):
        self.template, self.row = template, row
        self.present = list(range(MESSAGES if row.keep is None else row.keep))
        self.added = make_mail(row.added, 99, 1_700_000_000)
        mails = [altered(template.mails[i], row) for i in self.present]
        self.mails = {"shuffled": shuffled, "reversed": lambda m: m[::-1], "kept": list}[row.order](mails) + self.added

    def put(self, server, client):
        t, row = self.template, self.row
        if client:
            put_imap(client, t.folder, self.mails)
            if t.other:
                put_imap(client, "INBOX", t.other)
            return
        validity = t.validity if row.validity == "same" else t.validity + 1000
        put_maildir(server, t.folder, self.mails, validity, None, self.uidnext())
        if t.other:
            put_maildir(server, "INBOX", t.other)

    def uidnext(self):
        """M5 and M13 know nothing of the UIDs that were given since."""
        return len(self.mails) + 1

    def held(self):
        return len(self.present) < MESSAGES

    def missing(self):
        return [m for i, m in enumerate(self.template.mails) if i not in self.present]


class NewHome:
    """A server with the mail of a row, a proxy before it, and the store that shall follow."""

    def __init__(self, template, row, directory, kind="dovecot", cyrus=None, cut=None):
        self.template, self.move = template, Move(template, row)
        self.server = cyrus if kind == "cyrus" else Dovecot(without=BARE if kind == "bare" else ())
        self.own, self.user = kind != "cyrus", "alice"
        if kind == "cyrus":
            cyrus.users = getattr(cyrus, "users", 0) + 1
            self.user = f"new{cyrus.users}"
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


@pytest.mark.parametrize("name", ROWS)
def test_a_moved_mailbox_is_followed_from_dovecot_to_dovecot(name, templates, tmp_path):
    follow(templates("dovecot", "INBOX"), ROWS[name], tmp_path / "home")


ELSEWHERE = ("M1-new-mail", "M3-same-uids", "M6-half-migrated", "M9-all")


@pytest.mark.parametrize("name", ELSEWHERE + ("M2-same-uidvalidity", "M5-empty-same-uidvalidity", "M13-older-copy-and-new-mail"))
def test_a_moved_deep_folder_is_followed_by_a_bare_dovecot(name, templates, tmp_path):
    follow(templates("dovecot", "Work/Deep"), ROWS[name], tmp_path / "home", "bare")


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


def test_a_server_restored_from_a_copy_of_its_files_is_noticed(tmp_path):
    """M13, with Dovecot's own UIDs, indexes and counters."""
    with Dovecot() as server:
        template = Template(tmp_path / "template", "INBOX", server, edit=False)
        server.stop()
        backup = tmp_path / "backup"
        shutil.copytree(server.maildir, backup)
        server.start()
        later = make_mail(20, 44, 1_750_000_000)
        with ImapClient(server.port) as client:
            append(client, "INBOX", later)
            client.select("INBOX")
            client.command("UID STORE 1:30 +FLAGS (\\Flagged)")
        program = template.copy(tmp_path / "home")
        program.sync()
        template.edit(program)
        server.stop()
        shutil.rmtree(server.maildir)
        shutil.copytree(backup, server.maildir)
        server.own_files()
        server.start()
        since = make_mail(30, 45, 1_760_000_000)  # these take the UIDs of the lost ones
        with ImapClient(server.port) as client:
            append(client, "INBOX", since)
        assert program.run("sync")[0] == 4
        before = program.counted("INBOX")
        assert sum(before.values()) == MESSAGES - len(REMOVED) + len(later) + len(since) + 1
        assert program.run("sync")[0] == 4
        program.ok("resolve", "--all", "keep")
        program.sync()
        program.sync()
        with ImapClient(server.port) as client:
            home, _ = read_home(client, "INBOX")
        assert same(program.counted("INBOX"), home)
        assert set(home) >= set(counted(later + since))
        assert sum(home.values()) == sum(before.values())


def test_an_older_copy_of_the_store_neither_doubles_nor_loses(tmp_path):
    """M7: what was pending in the copy was sent meanwhile, and both sides have gone on since."""
    with Dovecot() as server:
        template = Template(tmp_path / "template", "INBOX", server)
        program = template.copy(tmp_path / "home")
        program.sync()
        with ImapClient(server.port) as client:
            assert same(read_home(client, "INBOX")[0], template.expected())
            append(client, "INBOX", make_mail(2, 46))
            client.select("INBOX")
            client.command("UID STORE 100:105 +FLAGS (\\Draft)")
            client.command("UID STORE 50 +FLAGS (\\Deleted)")
            client.command("UID EXPUNGE 50")
        program.sync()
        with ImapClient(server.port) as client:
            before = read_home(client, "INBOX")[0]
        older = template.copy(tmp_path / "older")
        older.sync()
        older.sync()
        with ImapClient(server.port) as client:
            assert same(read_home(client, "INBOX")[0], before)
        assert same(older.counted("INBOX"), before)
        path = older.store_path()
        for name in [path] if os.path.isfile(path) else [os.path.join(path, n) for n in os.listdir(path)]:
            os.unlink(name)
        older.sync()
        assert same(older.counted("INBOX"), before)
        with ImapClient(server.port) as client:
            assert same(read_home(client, "INBOX")[0], before)


@pytest.mark.parametrize("numbers", ["new", "swapped"])
def test_folders_renamed_by_the_migration_are_recognised(numbers, tmp_path):
    """M8: another separator and prefix, and another name for the sent mail. swapped: each folder has the UIDVALIDITY of another one."""
    folders = {"Foo": "Foo", "Foo.Bar": "Foo/Bar", "Sent Items": "Sent", "Müller": "Müller"}
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
            put_maildir(new, folders[name], shuffled(some), validity[number - 1] if numbers == "swapped" else validity[number] + 1000)
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
        assert sorted(program.folders()) == sorted(["INBOX", *folders.values()])


def test_copies_messages_without_an_id_and_empty_ones_are_followed_as_a_multiset(tmp_path):
    copies = [(b"Subject: copy\r\nMessage-ID: <copy@example.org>\r\n\r\nthe same\r\n", 60, 1_500_000_000),
              (b"Subject: no id\r\n\r\nanonymous\r\n", 40, 1_500_000_001), (b"\r\n", 5, 1_500_000_002)]
    with Dovecot() as old, Dovecot() as new:
        for server, reverse in ((old, 1), (new, -1)):
            with ImapClient(server.port) as client:
                for number, (octets, n, when) in enumerate(copies[::reverse]):
                    client.append_many("INBOX", [(octets, ["\\Seen"], when)] * n)
                client.append_many("INBOX", [(b"Subject: %d\r\n\r\nwithout an id\r\n" % (i % 50), ["\\Seen"], 1_500_000_009)
                                             for i in range(100)][::reverse])
        template = Template.__new__(Template)
        template.directory = str(tmp_path / "template")
        os.makedirs(template.directory)
        with Moved(directory=template.directory) as program:
            program.logon(old.url)
            program.sync()
            assert len(program.list("INBOX")) == 205
            anonymous = [i for i in program.list("INBOX") if i["subject"] == "no id"]
            program.ok("flag", str(anonymous[7]["id"]), "\\Flagged")
            program.ok("delete", str(anonymous[8]["id"]))
            with Proxy(new.port) as proxy:
                program.point_to(proxy.port, "alice")
                program.sync()
                assert "205 item(s) re-linked" in program.ok("log").decode()
                program.sync()
            with ImapClient(new.port) as client:
                at_home, by_uid = read_home(client, "INBOX")
            assert len(by_uid) == 204 == len(program.list("INBOX"))
            no_id = ident(copies[1][0])
            assert at_home[no_id, frozenset(["seen", "flagged"])] == 1 and at_home[no_id, frozenset(["seen"])] == 38


@pytest.mark.parametrize("validity", ["new", "same"])
@pytest.mark.parametrize("folder", ["INBOX", "Work/Deep"])
def test_another_persons_mailbox_is_refused_and_nothing_is_touched(validity, folder, templates, tmp_path):
    """M11"""
    template = templates("dovecot", folder)
    with Dovecot() as server:
        number = template.validity + (1000 if validity == "new" else 0)
        put_maildir(server, folder, make_mail(220, 70), number)
        put_maildir(server, "Private", make_mail(3, 71))
        if template.other:
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

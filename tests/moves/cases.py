# SPDX-License-Identifier: Apache-2.0
"""The cases M1 to M13: what stood at the old home, what was done offline, what stands at the new one, what is right in the end."""
import os
import shutil
import tempfile

from clients import Account
from cyrus import Cyrus, find_cyrus
from dovecot import Dovecot
from imapclient import ImapClient
from judge import (Expected, Pending, as_here, bodies_fetched, combine, count_mails, ident, judge, observe, verdict,
                   without_keywords)
from moves import FLAGGED, REMOVED, ROWS, Mail, Mailbox, Move, append, make_mail, put_imap, put_maildir, shuffled, status
from proxy import Proxy

MOST_RUNS = 6
USER, OTHER_USER, PASSWORD = "alice", "alice@example.org", "wonderland"
CHANGED = "\\Answered"


class Unmakeable(Exception):
    """The case cannot be made on this server."""


class Servers:
    """kind: dovecot or cyrus; each home is a server of its own. cyrus cannot be told its numbers."""

    def __init__(self, kind):
        self.kind, self.root, self.running = kind, find_cyrus() if kind == "cyrus" else None, []

    def missing(self):
        return "Cyrus cannot be installed" if self.kind == "cyrus" and not self.root else None

    def start(self, fill, dotted=False):
        """A home, filled by @fill(server, client or None); client None: by files, the server being down."""
        if self.kind == "cyrus":
            server = Cyrus(self.root, not dotted, not dotted).start()
            self.running.append(server)
            with ImapClient(server.port) as client:
                fill(server, client)
            return server
        server = Dovecot(separator="." if dotted else "/", prefix="INBOX." if dotted else "")
        self.running.append(server)
        fill(server, None)
        return server.start()

    def stop(self, server):
        self.running.remove(server)
        if self.kind == "dovecot":
            server.kill9()  # sooner than asking it; nobody reads its mail any more
        server.close()

    def close(self):
        for server in list(self.running):
            self.stop(server)


def is_same(sides):
    """Keywords aside, which not every copy can hold."""
    return as_here(without_keywords(sides.there)) == without_keywords(sides.here)


class Bench:
    """A client, and one address behind which the homes are exchanged."""

    def __init__(self, client, servers, folder):
        self.top = tempfile.mkdtemp(prefix="outpost-moves-")
        os.makedirs(os.path.join(self.top, "client"))
        self.servers, self.folder, self.texts, self.saved, self.validity = servers, folder, [], {}, {}
        self.proxy = Proxy(0, record=True)
        self.client = client(os.path.join(self.top, "client"))

    def close(self):
        self.proxy.close()
        self.servers.close()
        shutil.rmtree(self.top, ignore_errors=True)

    def save(self, name):
        self.saved[name] = os.path.join(self.top, "saved-" + name)
        shutil.copytree(self.client.directory, self.saved[name], symlinks=True)

    def restore(self, name):
        shutil.rmtree(self.client.directory)
        shutil.copytree(self.saved[name], self.client.directory, symlinks=True)

    def observe(self):
        self.sides = observe(self.server.port, USER, self.client)
        return self.sides

    def sync(self, enough=lambda sides: False):
        """Until nothing changes any more, or what is there is @enough. The exit statuses; self.sides is what there is then."""
        codes, last = [], None
        while len(codes) < MOST_RUNS:
            run = self.client.sync()
            codes.append(run.code)
            self.texts.append(run.text)
            now = (run.code, self.observe())
            if now == last or enough(self.sides):
                break
            last = now
        return codes

    def first_sync(self, server):
        """From nothing; whoever cannot do this much is not judged."""
        shutil.rmtree(self.client.directory)
        os.makedirs(self.client.directory)
        self.server, self.proxy.target = server, server.port
        self.client.set_up(Account("127.0.0.1", self.proxy.port, USER, PASSWORD))
        codes = self.sync(is_same)
        if not is_same(self.sides):
            raise Unmakeable(f"the first synchronisation left a difference (exit {codes}): {self.texts[-1][-500:]}")

    def edit(self, flagged, removed, local):
        """flagged, removed: idents, as often as they are meant. The new message goes where the first of @flagged is."""
        known = {}
        for message in self.client.messages():
            known.setdefault(ident(message.octets), []).append(message)
        for name in flagged:
            message = known[name].pop()
            self.client.set_flag(message, CHANGED, CHANGED not in message.flags)
        for name in removed:
            self.client.delete(known[name].pop())
        self.client.add(message.folder, local.octets, local.flags)


# ---- What is done offline ----

class Plan:
    """folders: name -> mails of the old home; the changes are made in the folder named first."""

    def __init__(self, folders, flagged, removed, local):
        self.folders, self.flagged, self.removed, self.local = folders, flagged, removed, local
        self.folder, self.validity, self.box = next(iter(folders)), None, None
        self.own = {ident(m.octets) for mails in folders.values() for m in mails} | {ident(local.octets)}

    def mails(self):
        return [m for mails in self.folders.values() for m in mails]

    def done(self, mails):
        """@mails with the changes made to those that are there."""
        out, flagged, removed = [], list(self.flagged), list(self.removed)
        for m in mails:
            name = ident(m.octets)
            if name in removed:
                removed.remove(name)
            elif name in flagged:
                flagged.remove(name)
                out.append(m._replace(flags=m.flags ^ {CHANGED}))
            else:
                out.append(m)
        return out + [self.local]

    def pending(self, folder, mails):
        """What shall be seen of each change at the server, where @mails with the changes made are in the end."""
        flags = [(ident(m.octets), CHANGED in m.flags) for m in mails]
        found = [Pending(folder, name, CHANGED.lstrip("\\").lower(), flags.count((name, True))) for name in self.flagged]
        names = [name for name, _ in flags]
        return found + [Pending(folder, name, None, names.count(name)) for name in [*self.removed, ident(self.local.octets)]]


def usual_plan(folder):
    box = Mailbox(folder)
    folders = {folder: box.mails, **({"INBOX": box.other} if box.other else {})}
    plan = Plan(folders, [ident(box.mails[i].octets) for i in FLAGGED], [ident(box.mails[i].octets) for i in REMOVED], box.local)
    plan.box = box
    return plan


def copies_plan():
    """Copies of one message, with and without a Message-ID; messages that differ in the subject alone; empty ones."""
    same = Mail(b"Subject: copy\r\nMessage-ID: <copy@example.org>\r\n\r\nthe same, again and again\r\n", frozenset(["\\Seen"]), 1_500_000_000)
    anonymous = Mail(b"Subject: no id\r\n\r\nanonymous\r\n", frozenset(["\\Seen"]), 1_500_000_001)
    empty = Mail(b"\r\n", frozenset(["\\Seen"]), 1_500_000_002)
    alike = [Mail(b"Subject: %d\r\n\r\nwithout an id\r\n" % (i % 50), frozenset(["\\Seen"]), 1_500_000_009) for i in range(100)]
    mails = [same] * 60 + [anonymous] * 40 + [empty] * 5 + alike
    return Plan({"INBOX": mails}, [ident(same.octets), ident(anonymous.octets), ident(alike[7].octets)],
                [ident(anonymous.octets), ident(alike[8].octets)], Mail(make_mail(1, 9)[0].octets, frozenset(["\\Seen"]), 0))


RENAMED = {"INBOX": "INBOX", "Foo": "Foo", "Foo/Bar": "Foo/Bar", "Sent Items": "Sent", "Müller": "Müller"}
OTHER_NAMES = {"INBOX": "INBOX", "Foo": "Projekte", "Foo/Bar": "Alt/Kneipe", "Sent Items": "Sent", "Müller": "Meier"}


def renamed_plan():
    """Old names with '/' for '.', below INBOX: it is the server that has another separator and prefix."""
    box = Mailbox("Foo")
    return Plan({"Foo": box.mails, "INBOX": box.other,
                 **{name: make_mail(40, 60 + i, 1_500_000_000 + i) for i, name in enumerate(list(RENAMED)[2:])}},
                [ident(box.mails[i].octets) for i in FLAGGED], [ident(box.mails[i].octets) for i in REMOVED], box.local)


def fill_with(folders, validity=None):
    """Fills a server with name -> mails, the names having '/'."""
    def fill(server, client):
        for name, mails in folders.items():
            if client is None:
                put_maildir(server, name, mails, validity)
            elif getattr(server, "unix", True):
                put_imap(client, name, mails)
            else:
                full = name if name == "INBOX" else "INBOX." + name.replace("/", ".")
                if full not in client.folders():
                    client.create(full)
                append(client, full, mails)
    return fill


# ---- Cases ----

class Case:
    """A case: prepare() brings the client to where the move begins; stages() exchanges the home and yields what is right."""

    def __init__(self, name, text):
        self.name, self.text = name, text

    def plan(self, bench):
        return usual_plan(bench.folder)

    def prepare(self, bench, plan):
        self.prepare_once(bench, plan, "usual")

    def prepare_once(self, bench, plan, key, dotted=False):
        """The client synchronised with the old home, and the changes made, none of them sent. Made once for a @key."""
        if key in bench.saved:
            bench.restore(key)
            plan.validity = bench.validity[key]
            return
        old = bench.servers.start(fill_with(plan.folders), dotted)
        bench.first_sync(old)
        with ImapClient(old.port) as client:
            plan.validity = status(client, ("INBOX." if dotted else "") + plan.folder)[0]
        bench.edit(plan.flagged, plan.removed, plan.local)
        bench.servers.stop(old)
        bench.validity[key] = plan.validity
        bench.save(key)

    def open(self, bench, fill):
        bench.server = bench.servers.start(fill)
        bench.proxy.target = bench.server.port

    def stages(self, bench, plan):
        """Yields Expected, the home being ready for the client; is resumed when the client has come to rest."""
        raise NotImplementedError

    def run(self, bench):
        plan = self.plan(bench)
        self.prepare(bench, plan)
        codes, found, octets, bodies = [], [], {"up": 0, "down": 0}, 0
        bench.texts = []
        try:
            for expected in self.stages(bench, plan):
                before = bench.observe()
                bench.proxy.clear()
                codes.append(bench.sync())
                for way in octets:
                    octets[way] += bench.proxy.counts()[way]
                deflated = any(b"COMPRESS DEFLATE" in stream.upper() for stream in bench.proxy.streams("up"))
                bodies = None if deflated or bodies is None else bodies + bodies_fetched(plan.mails(), bench.proxy.streams("down"))
                found.append(judge(before, bench.sides, expected, codes[-1][-1], bench.client.keywords, plan.own))
        finally:
            if bench.server in bench.servers.running:
                bench.servers.stop(bench.server)
        result = dict(combine(found), case=self.name, codes=codes, octetsUp=octets["up"], octetsDown=octets["down"], bodies=bodies,
                      ownCheck=bench.client.check(), texts=bench.texts)
        result["verdict"] = verdict(result)
        result["human"] = result["verdict"] in ("harm", "incomplete") or codes[-1][-1] != 0
        return result


class RowCase(Case):
    """The mailbox of a row of moves.ROWS; what is missing there arrives in a second stage, unless it never will."""

    def __init__(self, name, row, text, arrives=True, forget=False):
        super().__init__(name, text)
        self.row, self.arrives, self.forget = ROWS[row], arrives, forget

    def stages(self, bench, plan):
        if bench.servers.kind == "cyrus" and self.row.validity == "same":
            raise Unmakeable("Cyrus chooses the UIDVALIDITY itself")
        box = plan.box
        box.validity = plan.validity
        move = Move(box, self.row)
        other = count_mails("INBOX", box.other)
        self.open(bench, move.put)
        if self.forget:
            bench.client.forget()
        final = box.expected_mails(None if self.arrives else move.present, move.added)

        def expected(present, told):
            return Expected(count_mails(box.folder, box.expected_mails(present, move.added)) + other,
                            count_mails("", box.expected_mails(None, move.added) + box.other), plan.pending(box.folder, final),
                            frozenset() if self.arrives else {ident(m.octets) for m in move.missing()}, told=told)
        yield expected(move.present, move.held())
        if move.held() and self.arrives:
            with ImapClient(bench.server.port) as client:
                append(client, box.folder, shuffled(move.missing()))
            yield expected(None, False)


class OlderCopy(Case):
    """M7: the changes were sent, both sides have gone on, then the copy from before is back."""

    def prepare(self, bench, plan):
        old = bench.servers.start(fill_with(plan.folders))
        bench.first_sync(old)
        bench.edit(plan.flagged, plan.removed, plan.local)
        bench.save("older")
        bench.sync()
        with ImapClient(old.port) as client:
            append(client, plan.folder, make_mail(2, 46))
            client.select(plan.folder)
            client.command("UID STORE 100:105 +FLAGS (\\Draft)")
            client.command("UID STORE 50 +FLAGS (\\Deleted)")
            client.command("UID EXPUNGE 50")
        bench.sync()
        plan.now = bench.sides
        bench.restore("older")

    def stages(self, bench, plan):
        yield Expected(plan.now.there, plan.now.here, plan.pending(plan.folder, plan.done(plan.folders[plan.folder])))


class Renamed(Case):
    def __init__(self, name, text, names):
        super().__init__(name, text)
        self.names = names

    def plan(self, bench):
        return renamed_plan()

    def prepare(self, bench, plan):
        self.prepare_once(bench, plan, "renamed", dotted=True)

    def stages(self, bench, plan):
        new = {self.names[name]: shuffled(mails) for name, mails in plan.folders.items()}
        main = self.names[plan.folder]
        self.open(bench, fill_with(new, plan.validity + 1000))
        there = count_mails(main, plan.done(new[main]))
        for name in new:
            if name != main:
                there += count_mails(name, new[name])
        yield Expected(there, count_mails("", plan.done(plan.mails())), plan.pending(main, plan.done(new[main])))


class Copies(Case):
    def plan(self, bench):
        return copies_plan()

    def prepare(self, bench, plan):
        self.prepare_once(bench, plan, "copies")

    def stages(self, bench, plan):
        new = plan.folders["INBOX"][::-1]
        self.open(bench, fill_with({"INBOX": new}, plan.validity + 1000))
        yield Expected(count_mails("INBOX", plan.done(new)), count_mails("", plan.done(new)), plan.pending("INBOX", plan.done(new)))


class Stranger(Case):
    """M11. Right is that nothing at all happens, and that it is said."""

    def __init__(self, name, validity, text):
        super().__init__(name, text)
        self.validity = validity

    def stages(self, bench, plan):
        if bench.servers.kind == "cyrus" and self.validity == "same":
            raise Unmakeable("Cyrus chooses the UIDVALIDITY itself")
        folders = {plan.folder: make_mail(220, 70), "Private": make_mail(3, 71)}
        if plan.folder != "INBOX":
            folders["INBOX"] = make_mail(12, 72)
        self.open(bench, fill_with(folders, plan.validity + (1000 if self.validity == "new" else 0)))
        before = bench.observe()
        yield Expected(before.there, before.here, (), foreign=True, told=True)


class OtherAddress(Case):
    """M12: another port, host name and, on Dovecot, user name; the mailbox is the same."""

    def prepare(self, bench, plan):
        old = bench.servers.start(fill_with(plan.folders))
        bench.first_sync(old)
        bench.edit(plan.flagged, plan.removed, plan.local)

    def stages(self, bench, plan):
        was, bench.proxy = bench.proxy, Proxy(bench.server.port, record=True)
        try:
            user = OTHER_USER if bench.servers.kind == "dovecot" else USER
            bench.client.move_to(Account("localhost", bench.proxy.port, user, PASSWORD))
            mails = plan.done(plan.folders[plan.folder])
            others = [m for name, some in plan.folders.items() if name != plan.folder for m in some]
            yield Expected(count_mails(plan.folder, mails) + count_mails("INBOX", others), count_mails("", mails + others),
                           plan.pending(plan.folder, mails))
        finally:
            bench.proxy.close()
            bench.proxy = was


CASES = {case.name: case for case in (
    RowCase("M1", "M1-other-order", "new UIDVALIDITY, the same mail, other order of UIDs"),
    RowCase("M1-new-mail", "M1-new-mail", "M1, with 3 new messages"),
    RowCase("M2", "M2-same-uidvalidity", "the same UIDVALIDITY, other UIDs"),
    RowCase("M3", "M3-same-uids", "new UIDVALIDITY, the same UIDs"),
    RowCase("M4", "M4-empty", "empty, new UIDVALIDITY; then the mail arrives"),
    RowCase("M5", "M5-empty-same-uidvalidity", "empty, the same UIDVALIDITY; then the mail arrives"),
    RowCase("M6", "M6-half-migrated", "50 of 200 so far, new UIDVALIDITY; then the rest arrives"),
    RowCase("M7-state-deleted", "M1-other-order", "M1, and the user deleted the synchronisation state", forget=True),
    OlderCopy("M7-older-copy", "the same server; an older copy of the offline store was put back"),
    Renamed("M8", "INBOX.Foo.Bar is Foo/Bar, Sent Items is Sent; new UIDVALIDITY, other order", RENAMED),
    Renamed("M8-other-names", "M8, and the folders have names that have nothing in common with the old ones", OTHER_NAMES),
    RowCase("M9", "M9-all", "M1, and the tool added a header, lost dates and flags"),
    Copies("M10", "M1 with copies, messages without Message-ID, empty ones"),
    Stranger("M11", "new", "another person's mailbox, another UIDVALIDITY"),
    Stranger("M11-same", "same", "another person's mailbox, the same UIDVALIDITY"),
    OtherAddress("M12", "the same mailbox under another host name, port and user name"),
    RowCase("M13", "M13-older-copy", "restored from a backup: the last 50 are not there, UIDNEXT is lower", arrives=False),
    RowCase("M13-new-mail", "M13-older-copy-and-new-mail", "M13, and 60 new messages have the UIDs of the lost ones", arrives=False),
)}


def chosen(names):
    """Cases by name; M1 means all of M1-*, too."""
    out = [name for name in CASES if not names or any(name == n or name.startswith(n + "-") for n in names)]
    unknown = [n for n in names if not any(name == n or name.startswith(n + "-") for name in CASES)]
    return out, unknown


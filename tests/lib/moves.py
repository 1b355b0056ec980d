# SPDX-License-Identifier: Apache-2.0
"""A mailbox with changes pending here, and the homes it may move to. A message is known by its Message-ID, else by its octets."""
import collections
import hashlib
import os
import random
import re
import shutil

from genmail import KEYWORDS, SYSTEM, Generator, maildir_folder
from imapclient import ImapClient, quote, to_utf7
from outpost import Outpost, flag_set, listed_flags

Mail = collections.namedtuple("Mail", "octets flags when")
MESSAGES = 200
FLAGGED, REMOVED = (11, 12, 13), (21, 22)
STEP = 3600


def ident(octets):
    match = re.search(rb"^message-id:\s*<([^>]*)>", octets.split(b"\r\n\r\n", 1)[0], re.I | re.M)
    return match.group(1).decode() if match else hashlib.sha256(octets).hexdigest()


def flags_of(i):
    """Each flag on enough messages that its loss everywhere is no chance."""
    every = (("\\Seen", 2), ("\\Flagged", 5), ("\\Answered", 7), ("$Work", 9), ("receipts", 11))
    return frozenset(flag for flag, n in every if i % n == 0)


def make_mail(count, seed, start=1_600_000_000):
    generator = Generator(seed, attachments=False)
    return [Mail(generator.message()[0], flags_of(i), start + i * STEP) for i in range(count)]


def counted(mails):
    return collections.Counter((ident(m.octets), flag_set(m.flags)) for m in mails)


def shuffled(mails, seed=5):
    mails = list(mails)
    random.Random(seed).shuffle(mails)
    return mails


# ---- Homes ----

def put_maildir(server, folder, mails, validity=None, uids=None, uidnext=None):
    """Writes a folder as Dovecot keeps it. validity, uids, uidnext: as dovecot-uidlist shall have them; else Dovecot chooses."""
    path = maildir_folder(server.maildir, folder)
    for part in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(path, part), exist_ok=True)
    with open(os.path.join(path, "dovecot-keywords"), "w") as keywords:
        keywords.writelines(f"{i} {word}\n" for i, word in enumerate(KEYWORDS))
    lines = []
    for number, mail in enumerate(mails):
        name = f"1420070400.M{number:08d}P1.host,S={len(mail.octets)},W={len(mail.octets)}"
        letters = "".join(sorted(SYSTEM[f] for f in mail.flags if f in SYSTEM)) + "".join(
            sorted(chr(97 + KEYWORDS.index(f)) for f in mail.flags if f in KEYWORDS))
        file = os.path.join(path, "cur", f"{name}:2,{letters}")
        with open(file, "wb") as out:
            out.write(mail.octets)
        os.utime(file, (mail.when, mail.when))
        lines.append((uids[number] if uids else number + 1, name))
    if validity:
        with open(os.path.join(path, "dovecot-uidlist"), "w") as uidlist:
            uidlist.write(f"3 V{validity} N{uidnext or max([u for u, _ in lines], default=0) + 1} G{os.urandom(16).hex()}\n")
            uidlist.writelines(f"{uid} :{name}\n" for uid, name in sorted(lines))
    server.own_files()


def append(client, folder, mails):
    client.append_many(folder, ((m.octets, sorted(m.flags), m.when) for m in mails))


def put_imap(client, folder, mails):
    if folder != "INBOX" and folder not in client.folders():
        for depth in range(folder.count("/") + 1):
            name = "/".join(folder.split("/")[:depth + 1])
            if name not in client.folders():
                client.create(name)
    append(client, folder, mails)


def read_home(client, folder):
    """(Counter of (ident, flags), {uid: (ident, flags)})."""
    octets, by_uid = {}, {}
    for m in client.read_folder(folder, keep=octets):
        by_uid[m.uid] = (ident(octets[m.sha256]), flag_set(m.flags))
    return collections.Counter(by_uid.values()), by_uid


def status(client, folder):
    text = client.command(f"STATUS {quote(to_utf7(folder))} (UIDVALIDITY UIDNEXT)")[0][0].decode()
    return int(re.search(r"UIDVALIDITY (\d+)", text).group(1)), int(re.search(r"UIDNEXT (\d+)", text).group(1))


# ---- Moves ----

Row = collections.namedtuple("Row", "order validity uids keep added alter lost", defaults=("shuffled", "new", "order", None, 0, None, ()))

# keep: so many of the first; added: so many new ones; alter, lost: what the migration tool did to them.
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

    def __init__(self, mailbox, row):
        self.mailbox, self.row = mailbox, row
        self.present = list(range(MESSAGES if row.keep is None else row.keep))
        self.added = make_mail(row.added, 99, 1_700_000_000)
        mails = [altered(mailbox.mails[i], row) for i in self.present]
        self.mails = {"shuffled": shuffled, "reversed": lambda m: m[::-1], "kept": list}[row.order](mails) + self.added

    def put(self, server, client):
        """Through @client; by files when it is None."""
        t, row = self.mailbox, self.row
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
        return [m for i, m in enumerate(self.mailbox.mails) if i not in self.present]


# ---- The offline side ----

class Moved(Outpost):
    """A copy of a synchronised store with pending changes; what is expected of it."""

    def point_to(self, port, user):
        profiles = os.path.join(self.environment["XDG_CONFIG_HOME"], "outpost", "profiles")
        for name in os.listdir(profiles):
            with open(os.path.join(profiles, name)) as profile:
                text = profile.read()
            text = re.sub(r"(?m)^location=.*$", f"location=imap://127.0.0.1:{port}", text)
            text = re.sub(r"(?m)^user=.*$", f"user={user}", text)
            with open(os.path.join(profiles, name), "w") as profile:
                profile.write(text)

    def store_path(self):
        where = os.path.join(self.environment["XDG_DATA_HOME"], "outpost", "stores")
        return os.path.join(where, os.listdir(where)[0])

    def counted(self, folder):
        return collections.Counter((item["messageId"], listed_flags(item)) for item in self.list(folder))

    def holds(self):
        return self.json("resolve")


class Mailbox:
    """200 messages in a folder, a dozen in INBOX when that is another folder, and what is to be done offline: 3 changes of a flag,
    2 removals, 1 new message."""

    def __init__(self, folder):
        self.folder = folder
        self.mails = make_mail(MESSAGES, 7)
        self.other = make_mail(12, 8, 1_500_000_000) if folder != "INBOX" else []
        self.local = Mail(make_mail(1, 9)[0].octets, frozenset(["\\Seen"]), 0)

    def put(self, server, user="alice"):
        folders = [(self.folder, self.mails)] + ([("INBOX", self.other)] if self.other else [])
        for folder, mails in folders if hasattr(server, "maildir") else ():
            put_maildir(server, folder, mails)
        with ImapClient(server.port, user) as client:
            for folder, mails in () if hasattr(server, "maildir") else folders:
                put_imap(client, folder, mails)
            self.validity, self.uidnext = status(client, self.folder)

    def expected(self, present=None, added=()):
        return counted(self.expected_mails(present, added))

    def expected_mails(self, present=None, added=()):
        """What a folder shall have in which @present (numbers of messages; None: all) are, or at home were."""
        mails = [self.local, *added]
        for i in range(MESSAGES) if present is None else present:
            m = self.mails[i]
            if i not in REMOVED:
                mails.append(m._replace(flags=m.flags ^ {"\\Answered"}) if i in FLAGGED else m)
        return mails

    def size(self):
        return sum(len(m.octets) for m in self.mails)


class Template(Mailbox):
    """Such a mailbox synchronised from @server, and what is to be done offline done."""

    def __init__(self, directory, folder, server, user="alice", edit=True):
        super().__init__(folder)
        self.directory = str(directory)
        self.put(server, user)
        with Outpost(directory=self.directory) as program:
            program.logon(server.url, user=user)
            program.sync()
            assert len(program.list(folder)) == MESSAGES
            if edit:
                self.edit(program)

    def edit(self, program):
        numbers = {item["messageId"]: str(item["id"]) for item in program.list(self.folder)}
        for i in FLAGGED:
            answered = "\\Answered" in self.mails[i].flags
            program.ok("unflag" if answered else "flag", numbers[ident(self.mails[i].octets)], "\\Answered")
        program.ok("delete", *(numbers[ident(self.mails[i].octets)] for i in REMOVED))
        path = os.path.join(program.home, "local.eml")
        with open(path, "wb") as message:
            message.write(self.local.octets)
        program.ok("add", "--flag", "seen", self.folder, path)

    def copy(self, directory):
        shutil.copytree(self.directory, directory, dirs_exist_ok=True)
        for where, _, files in os.walk(os.path.join(directory, "config")):
            for name in files:
                with open(os.path.join(where, name)) as text:
                    content = text.read()
                with open(os.path.join(where, name), "w") as text:
                    text.write(content.replace(self.directory, str(directory)))
        return Moved(directory=str(directory))

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


class Template:
    """200 messages synchronised from @server, then 3 flag changes, 2 removals and 1 new message made offline."""

    def __init__(self, directory, folder, server, user="alice", edit=True):
        self.directory, self.folder = str(directory), folder
        self.mails = make_mail(MESSAGES, 7)
        self.other = make_mail(12, 8, 1_500_000_000) if folder != "INBOX" else []
        self.local = Mail(make_mail(1, 9)[0].octets, frozenset(["\\Seen"]), 0)
        if hasattr(server, "maildir"):
            put_maildir(server, folder, self.mails)
            if self.other:
                put_maildir(server, "INBOX", self.other)
        with ImapClient(server.port, user) as client:
            if not hasattr(server, "maildir"):
                put_imap(client, folder, self.mails)
                if self.other:
                    put_imap(client, "INBOX", self.other)
            self.validity, self.uidnext = status(client, folder)
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

    def expected(self, present=None, added=()):
        """What a folder shall have in which @present (numbers of messages; None: all) are, or at home were."""
        mails = [self.local, *added]
        for i in range(MESSAGES) if present is None else present:
            m = self.mails[i]
            if i not in REMOVED:
                mails.append(m._replace(flags=m.flags ^ {"\\Answered"}) if i in FLAGGED else m)
        return counted(mails)

    def size(self):
        return sum(len(m.octets) for m in self.mails)

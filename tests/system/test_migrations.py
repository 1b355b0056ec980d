# SPDX-License-Identifier: Apache-2.0
"""Random migrations of four folders against a model: changes pending here, changes of others at the server, another Dovecot with other UIDs behind
a new or the same UIDVALIDITY, runs that are killed. Both sides are then what the model says; what others removed during a migration is held
here, and nothing else is. OUTPOST_STORM: how many more than the usual ones."""
import collections
import os
import random
import time

import pytest
from dovecot import Dovecot
from genmail import maildir_folder
from imapclient import ImapClient
from moves import Mail, ident, make_mail, put_maildir
from outpost import Outpost, flag_set, listed_flags

FOLDERS = ["INBOX", "Work/Deep", "Archive", "Lists"]
BARE = ("OBJECTID", "UIDPLUS", "CONDSTORE", "QRESYNC", "MOVE")
WITHOUT = [(), (), ("QRESYNC",), ("QRESYNC", "CONDSTORE"), ("UIDPLUS",), BARE]
# Each of the first failed once.
SEEDS = [3, 108, 1010, 1016] + list(range(2000, 2000 + int(os.environ.get("OUTPOST_STORM", "1"))))


def here(program, known):
    """Counter of (folder, message, flags), and the messages by folder and message."""
    counts, items = collections.Counter(), collections.defaultdict(list)
    for folder in program.folders():
        for item in program.list(folder):
            if item["id"] not in known:
                known[item["id"]] = ident(program.save(item["id"]))
            counts[folder, known[item["id"]], listed_flags(item)] += 1
            items[folder, known[item["id"]]].append(item)
    return counts, items


def there(server):
    """Mail by folder."""
    found = {}
    with ImapClient(server.port) as client:
        for folder in client.folders():
            octets = {}
            found[folder] = [Mail(octets[m.sha256], m.flags, m.received) for m in client.read_folder(folder, keep=octets)]
    return found


def counted(mail):
    return collections.Counter((folder, ident(m.octets), flag_set(m.flags)) for folder, mails in mail.items() for m in mails)


class Story:
    def __init__(self, seed, program):
        self.r, self.program, self.seed = random.Random(seed), program, seed
        self.count = self.r.choice([12, 40, 80])
        self.without = self.r.choice(WITHOUT)
        mails = make_mail(self.count * len(FOLDERS), seed)
        self.mail = {f: mails[i * self.count:(i + 1) * self.count] for i, f in enumerate(FOLDERS)}
        for mails in self.mail.values():
            if self.r.random() < .3:
                mails += [mails[0]] * self.r.randrange(1, 4)
        self.validity = {f: self.r.randrange(1000, 5000) for f in FOLDERS}
        self.wanted = counted(self.mail)
        self.uids = {f: list(range(1, len(mails) + 1)) for f, mails in self.mail.items()}
        self.touched, self.removed, self.known = set(), set(), {}

    def change(self, folder, mail, flags=None, to=None):
        """In the model: other flags, another folder, or gone."""
        self.wanted[folder, ident(mail.octets), flag_set(mail.flags)] -= 1
        if flags is not None or to:
            self.wanted[to or folder, ident(mail.octets), flag_set(mail.flags if flags is None else flags)] += 1

    def take(self, mail):
        """A message that nobody touched yet and that is there once: its folder and place in it."""
        for _ in range(50):
            folder = self.r.choice(FOLDERS)
            at = self.r.randrange(len(mail[folder]))
            name = ident(mail[folder][at].octets)
            if (folder, name) not in self.touched and sum(ident(m.octets) == name for m in mail[folder]) == 1:
                self.touched.add((folder, name))
                return folder, at
        return None

    def change_here(self):
        _, items = here(self.program, self.known)
        for _ in range(self.r.randrange(8)):
            taken = self.take(self.mail)
            if not taken:
                continue
            folder, at = taken
            mail = self.mail[folder][at]
            number = str(items[folder, ident(mail.octets)][0]["id"])
            what = self.r.choice(["flag", "flag", "delete", "move"])
            if what == "flag":
                flags = set(mail.flags) ^ {"\\Flagged"}
                self.program.ok("flag" if "\\Flagged" in flags else "unflag", number, "flagged")
                self.change(folder, mail, flags=flags)
            elif what == "delete":
                self.program.ok("delete", number)
                self.change(folder, mail)
            else:
                to = self.r.choice([f for f in FOLDERS if f != folder])
                self.program.ok("move", number, to)
                self.change(folder, mail, to=to)
        for i in range(self.r.randrange(3)):
            folder, path = self.r.choice(FOLDERS), os.path.join(self.program.home, "new.eml")
            with open(path, "w", newline="") as file:
                file.write(f"From: a@example.org\r\nMessage-ID: <here-{self.seed}-{i}@x>\r\nSubject: new\r\n\r\nhello {i}\r\n")
            self.program.ok("add", folder, path)
            self.wanted[folder, f"here-{self.seed}-{i}@x", frozenset()] += 1

    def change_there(self, mail, hop):
        for _ in range(self.r.randrange(6)):
            taken = self.take(mail)
            if not taken:
                continue
            folder, at = taken
            one = mail[folder][at]
            if self.r.random() < .6:
                flags = frozenset(set(one.flags) ^ {"\\Answered"})
                mail[folder][at] = one._replace(flags=flags)
                self.change(folder, one, flags=flags)
            elif self.count >= 40:
                del mail[folder][at]
                self.change(folder, one)
                self.removed.add((folder, ident(one.octets)))
        for i, folder in enumerate(FOLDERS):
            if self.r.random() < .4:
                mail[folder] += make_mail(1, self.seed * 100 + hop * 10 + i + 7, 1_700_000_000 + hop)
                self.wanted[folder, ident(mail[folder][-1].octets), flag_set(mail[folder][-1].flags)] += 1

    def migrate(self, mail, server):
        order, same = self.r.choice(["kept", "shuffled", "reversed", "apart", "above"]), self.r.random() < .6
        for folder in FOLDERS:
            mails = list(mail[folder])
            if order == "shuffled":
                self.r.shuffle(mails)
            if order == "reversed":
                mails.reverse()
            uids = list(range(1, len(mails) + 1))
            if order == "apart":
                uids = sorted(self.r.sample(range(1, 3 * len(mails) + 5), len(mails)))
            elif order == "above":
                uids = [500 + u for u in uids]
            if not same or uids == self.uids.get(folder):  # all numbers the same and other flags: no server that keeps RFC 7162
                self.validity[folder] += 1000
            self.uids[folder] = uids
            put_maildir(server, folder, mails, validity=self.validity[folder], uids=uids)

    def run_killed(self):
        for _ in range(self.r.randrange(4)):
            step = self.r.choice([0, self.r.randrange(1, 60)])
            process = self.program.start("sync", env={"OUTPOST_DIE_AT": str(step)} if step else {})
            if not step:
                time.sleep(self.r.random() / 4)
                process.kill()
            process.communicate()


def check(story, server, code):
    counts, _ = here(story.program, story.known)
    wanted = +story.wanted
    held = collections.Counter({key: n for key, n in (counts - wanted).items() if key[:2] in story.removed})
    assert counted(there(server)) == wanted
    assert counts - held == wanted
    assert code == (4 if held else 0)
    story.program.ok("store", "check")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_migration_loses_and_doubles_nothing(seed, program):
    story = Story(seed, program)
    first = Dovecot(without=story.without)
    for folder in FOLDERS:
        put_maildir(first, folder, story.mail[folder], validity=story.validity[folder])
    with first:
        program.logon(first.url)
        program.sync()
        story.change_here()
    mail = {folder: list(mails) for folder, mails in story.mail.items()}
    for hop in range(story.r.choice([1, 1, 2])):
        story.change_there(mail, hop)
        server = Dovecot(without=story.without)
        story.migrate(mail, server)
        with server:
            program.logon(server.url)
            story.run_killed()
            for _ in range(3):
                code, _, _ = program.run("sync")
            check(story, server, code)
            mail = {folder: mails for folder, mails in there(server).items() if folder in FOLDERS}

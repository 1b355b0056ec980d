# SPDX-License-Identifier: Apache-2.0
"""The smallest client there is: it believes that a UID stands for the same message for ever. It shows how an adapter is written, and
that the suite finds it out: run.py --client tests/moves/naive.py:Naive"""
import json
import os

from clients import Account, Client, Local, Run
from imapclient import ImapClient


class Naive(Client):
    name = "naive"

    @classmethod
    def version(cls):
        return "1"

    def read(self, name):
        path = os.path.join(self.directory, name)
        if not os.path.exists(path):
            return []
        with open(path) as file:
            return json.load(file)

    def write(self, name, what):
        with open(os.path.join(self.directory, name), "w") as file:
            json.dump(what, file)

    def set_up(self, account):
        self.write("account", account)

    def load(self):
        """Messages, as lists of: folder, UID or None, octets, flags, flags the server had, removed."""
        return self.read("copy")

    def store(self, copy):
        self.write("copy", copy)

    def sync(self):
        copy, account = self.load(), Account(*self.read("account"))
        with ImapClient(account.port, account.user, account.password) as client:
            for folder in client.folders():
                copy = [m for m in copy if m[0] != folder] + self.sync_folder(client, folder, [m for m in copy if m[0] == folder])
        self.store(copy)
        return Run(0, "")

    def sync_folder(self, client, folder, here):
        octets = {}
        there = {m.uid: m for m in client.read_folder(folder, keep=octets)}
        client.select(folder)
        kept = []
        for m in here:
            if m[1] is None:
                client.append_many(folder, [(m[2].encode("latin-1"), m[3], 0)])  # comes back below
            elif m[5] and m[1] in there:
                client.command(f"UID STORE {m[1]} +FLAGS.SILENT (\\Deleted)")
                client.command(f"UID EXPUNGE {m[1]}")
                del there[m[1]]
            elif m[1] in there:
                if m[3] != m[4]:
                    client.command(f"UID STORE {m[1]} FLAGS.SILENT ({' '.join(m[3])})")
                else:
                    m[3] = sorted(there[m[1]].flags)
                m[4] = m[3]
                kept.append(m)
                del there[m[1]]
        if any(m[1] is None for m in here):
            there.update({m.uid: m for m in client.read_folder(folder, keep=octets) if m.uid not in {k[1] for k in kept}})
        return kept + [[folder, m.uid, octets[m.sha256].decode("latin-1"), sorted(m.flags), sorted(m.flags), False] for m in there.values()]

    def messages(self):
        return [Local(m[0], number, m[2].encode("latin-1"), frozenset(m[3])) for number, m in enumerate(self.load()) if not m[5]]

    def set_flag(self, message, flag, on):
        copy = self.load()
        copy[message.handle][3] = sorted(message.flags | {flag} if on else message.flags - {flag})
        self.store(copy)

    def delete(self, message):
        copy = self.load()
        copy[message.handle][5] = True
        self.store(copy)

    def add(self, folder, octets, flags):
        self.store(self.load() + [[folder, None, octets.decode("latin-1"), sorted(flags), [], False]])

    def forget(self):
        os.unlink(os.path.join(self.directory, "copy"))

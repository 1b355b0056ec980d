# SPDX-License-Identifier: Apache-2.0
"""What the suite needs to know of a mail client, and the clients it knows. README.md says how to add one."""
import collections
import os
import re
import shutil
import subprocess
import tempfile
import time

from genmail import SYSTEM
from outpost import Outpost, find_binary

# Where a client reaches its mailbox; the suite always offers plain text and LOGIN on loopback.
Account = collections.namedtuple("Account", "host port user password")
# A message in the local copy. folder and handle are the client's own and mean nothing to the suite; flags are IMAP's names.
Local = collections.namedtuple("Local", "folder handle octets flags")
# What a run left: its exit status (None: it did not end in time, and was killed) and what it printed.
Run = collections.namedtuple("Run", "code text")
SECONDS = 300


class Client:
    """A client to be judged. Everything it keeps is below self.directory, which the suite copies, and puts back at the same path."""

    name = ""
    keywords = True  # whether the local copy can have other flags than the five of IMAP

    def __init__(self, directory):
        self.directory = directory

    @classmethod
    def missing(cls):
        """Why it cannot be run here; None when it can."""

    @classmethod
    def version(cls):
        raise NotImplementedError

    def set_up(self, account):
        """Configures it for all folders of @account, deletions included, both ways. Nothing is synchronised yet."""
        raise NotImplementedError

    def move_to(self, account):
        """Does what a user has to do when the same mailbox has another address or user name."""
        self.set_up(account)

    def sync(self):
        """One whole synchronisation, without a terminal. Run."""
        raise NotImplementedError

    def messages(self):
        """All of the local copy, as Local, whether the server has it or not."""
        raise NotImplementedError

    def set_flag(self, message, flag, on):
        """Offline. @message is of messages(); so it is for delete and, folder being Local.folder, for add."""
        raise NotImplementedError

    def delete(self, message):
        raise NotImplementedError

    def add(self, folder, octets, flags):
        raise NotImplementedError

    def forget(self):
        """The old advice: "delete the synchronisation state, and synchronise again". The mail stays."""
        raise NotImplementedError

    def check(self):
        """What the client itself finds wrong with its local copy, if it can tell; None when nothing."""

    def execute(self, *command):
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(command, env=dict(os.environ, HOME=self.directory, LC_ALL="C.UTF-8"), stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=subprocess.STDOUT)
            try:
                code = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = None
            out.seek(0)
            return Run(code, out.read().decode(errors="replace"))


LETTERS = {letter: flag for flag, letter in SYSTEM.items()}


def maildirs(top):
    """(folder, path of a message file) for all Maildirs below @top."""
    for where, folders, _ in os.walk(top):
        for part in ("cur", "new"):
            if part in folders and "tmp" in folders:
                for name in sorted(os.listdir(os.path.join(where, part))):
                    yield where, os.path.join(where, part, name)


class MaildirClient(Client):
    """The local copy is Maildirs below mail/, and a change is what any mail reader does to a Maildir."""

    keywords = False

    def mail(self):
        return os.path.join(self.directory, "mail")

    def write(self, name, text):
        os.makedirs(self.mail(), exist_ok=True)
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def messages(self):
        found = []
        for folder, path in maildirs(self.mail()):
            letters = path.rpartition(":2,")[2] if ":2," in path else ""
            with open(path, "rb") as file:
                found.append(Local(folder, path, file.read(), frozenset(LETTERS[c] for c in letters if c in LETTERS)))
        return found

    def set_flag(self, message, flag, on):
        base, _, letters = message.handle.partition(":2,")
        letters = "".join(sorted(set(letters) | {SYSTEM[flag]} if on else set(letters) - {SYSTEM[flag]}))
        os.rename(message.handle, os.path.join(message.folder, "cur", f"{os.path.basename(base)}:2,{letters}"))

    def delete(self, message):
        os.unlink(message.handle)

    def add(self, folder, octets, flags):
        name = f"{int(time.time())}.M1P{os.getpid()}.suite"
        with open(os.path.join(folder, "tmp", name), "wb") as file:
            file.write(octets.replace(b"\r\n", b"\n"))
        os.rename(os.path.join(folder, "tmp", name), os.path.join(folder, "cur", f"{name}:2,{''.join(sorted(SYSTEM[f] for f in flags))}"))


class Mbsync(MaildirClient):
    name = "mbsync"

    @classmethod
    def missing(cls):
        return None if shutil.which("mbsync") else "mbsync is not installed: apt-get install isync"

    @classmethod
    def version(cls):
        return subprocess.run(["mbsync", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1]

    def set_up(self, account):
        self.write("mbsyncrc", f"""FSync no

IMAPAccount suite
Host {account.host}
Port {account.port}
User {account.user}
Pass {account.password}
SSLType None
AuthMechs LOGIN

IMAPStore far
Account suite

MaildirStore near
Path {self.mail()}/
Inbox {self.mail()}/INBOX
SubFolders Verbatim

Channel suite
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
CopyArrivalDate yes
SyncState *
""")

    def sync(self):
        return self.execute("mbsync", "-c", os.path.join(self.directory, "mbsyncrc"), "-a")

    def forget(self):
        for where, _, files in os.walk(self.mail()):
            for name in files:
                if name.startswith(".mbsyncstate"):
                    os.unlink(os.path.join(where, name))


class OfflineImap(MaildirClient):
    name = "offlineimap"

    @classmethod
    def missing(cls):
        return None if shutil.which("offlineimap") else "OfflineIMAP is not installed: apt-get install offlineimap3"

    @classmethod
    def version(cls):
        return subprocess.run(["offlineimap", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0]

    def set_up(self, account):
        self.write("offlineimaprc", f"""[general]
accounts = suite
metadata = {self.directory}/metadata
ui = basic
fsync = False

[Account suite]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {self.mail()}

[Repository far]
type = IMAP
remotehost = {account.host}
remoteport = {account.port}
remoteuser = {account.user}
remotepass = {account.password}
ssl = no
starttls = no
auth_mechanisms = PLAIN
""")

    def sync(self):
        return self.execute("offlineimap", "-c", os.path.join(self.directory, "offlineimaprc"), "-o")

    def forget(self):
        shutil.rmtree(os.path.join(self.directory, "metadata"))


class OutpostClient(Client):
    name = "outpost"

    def __init__(self, directory):
        super().__init__(directory)
        self.program = Outpost(directory=directory)

    @classmethod
    def missing(cls):
        return None if find_binary() else "outpost is not built: make"

    @classmethod
    def version(cls):
        with Outpost() as program:
            return program.ok("--version").decode().split()[-1]

    def set_up(self, account):
        self.program.logon(f"imap://{account.host}:{account.port}", account.password, user=account.user)

    def sync(self):
        code, out, err = self.program.run("sync", timeout=SECONDS)
        return Run(code, out.decode(errors="replace") + err)

    def messages(self):
        """What it exports; a handle is the local number by which the export names a message."""
        top = os.path.join(self.directory, "export")
        shutil.rmtree(top, ignore_errors=True)
        self.program.ok("store", "export", "--format", "maildir", top)
        found = []
        for folder, path in maildirs(top):
            words = []
            if os.path.exists(os.path.join(folder, "dovecot-keywords")):
                with open(os.path.join(folder, "dovecot-keywords")) as file:
                    words = [line.split()[1] for line in file]
            with open(os.path.join(folder, "dovecot-uidlist")) as file:
                numbers = {m[2]: int(m[1]) for m in re.finditer(r"(?m)^(\d+) :(.*)$", file.read())}
            base, _, letters = os.path.basename(path).partition(":2,")
            flags = frozenset(LETTERS[c] if c in LETTERS else words[ord(c) - 97] for c in letters)
            name = os.path.relpath(folder, top).lstrip(".").replace(".", "/") or "INBOX"
            with open(path, "rb") as file:
                found.append(Local(name, numbers[base], file.read(), flags))
        shutil.rmtree(top)
        return found

    def number(self, message):
        return next(str(item["id"]) for item in self.program.list(message.folder) if item["localUid"] == message.handle)

    def set_flag(self, message, flag, on):
        self.program.ok("flag" if on else "unflag", self.number(message), flag)

    def delete(self, message):
        self.program.ok("delete", self.number(message))

    def add(self, folder, octets, flags):
        path = os.path.join(self.directory, "new.eml")
        with open(path, "wb") as file:
            file.write(octets)
        self.program.ok("add", *(f"--flag={flag.lstrip(chr(92)).lower()}" for flag in flags), folder, path)

    def forget(self):
        """Mail and state are one file. What there is to delete is the profile, and one logs on again."""
        profile = self.program.json("profile", "show")
        self.program.ok("profile", "delete", self.program.ADDRESS)
        self.program.logon(profile["server"], user=profile["user"])

    def check(self):
        code, out, err = self.program.run("store", "check")
        return None if code == 0 else (out.decode(errors="replace") + err).strip()


CLIENTS = {client.name: client for client in (OutpostClient, Mbsync, OfflineImap)}

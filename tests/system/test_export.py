# SPDX-License-Identifier: Apache-2.0
"""What the store exports is what other programs read: Dovecot, Python's mailbox and tarfile, tar(1)."""
import imaplib
import mailbox
import os
import re
import subprocess
import tarfile

import pytest

import corpus
from dovecot import Dovecot
from genmail import Generator
from outpost import find_binary

FOLDERS = ["INBOX", "INBOX/Below", "Archive", "Archive/2024", "Post für Übersee", "日本語", "a.b", "a_b", "..", "../../etc", "~root", ".hidden",
           "A & B", "x" * 900, "x" * 900 + "y", "work", "Work", "Work.mbox", "Work.mbox/deep", "tab\tand\x01control", " spaces ", "Empty"]
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"]


def tool():
    build = os.environ.get("OUTPOST") or find_binary()
    tops = [os.path.join(os.path.dirname(build), "..", "..")] if build else []
    tops += sorted(os.path.join(corpus.REPOSITORY, d) for d in os.listdir(corpus.REPOSITORY) if d.startswith("build"))
    for top in tops:
        path = os.path.join(top, "tests", "unit", "files", "export-tool")
        if os.access(path, os.X_OK):
            return path
    raise AssertionError("export-tool is not built: make check builds it")


class Filled:
    """Messages laid into folders, and the lines that say so to the tool."""

    def __init__(self, directory, messages):
        self.directory, self.lines, self.expected = str(directory), [], {}
        usable = [f for f in FOLDERS if "\t" not in f and "\n" not in f]
        for folder in usable:
            self.lines.append(folder)
        for number, octets in enumerate(messages):
            folder = "Archive" if number % 2 else usable[number // 2 % (len(usable) - 1)]
            path = os.path.join(self.directory, f"{number}.eml")
            with open(path, "wb") as out:
                out.write(octets)
            flags, words, received = number % 32, ["", "blue", "$Forwarded blue", "blue green"][number % 4], 1000000000 + number * 86400
            self.lines.append(f"{folder}\t{flags}\t{words}\t{received}\t{path}")
            self.expected.setdefault(folder, []).append((octets, flags, words.split(), received))

    def export(self, kind, target):
        run = subprocess.run([tool(), os.path.join(self.directory, f"{kind}.store"), kind, target], input="\n".join(self.lines).encode() + b"\n",
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
        assert run.returncode == 0, run.stderr.decode()
        return run.stdout

    def all_folders(self):
        """Those above them too."""
        paths = {line for line in self.lines if "\t" not in line}
        return {"/".join(path.split("/")[:n + 1]) for path in paths for n in range(path.count("/") + 1)}

    def all_octets(self):
        return sorted(m[0] for messages in self.expected.values() for m in messages)


def real_messages(most):
    taken = []
    for number, (_, octets) in enumerate(corpus.messages()):
        if number % 16 == 0 and len(octets) < 3 << 20:
            taken.append(octets)
        if len(taken) == most:
            break
    return taken


EDGES = [b"", b"\r\n", b"From me\r\n", b"Subject: a\r\n\r\nFrom here\r\n>From there\r\n>>From where\r\nFromage\r\n>Fro", b"Subject: b\n\nbare\nlf\n",
         b"Subject: c\r\rbare\rcr\r", b"Subject: nul\r\n\r\n\0\0\r\n", b"no header at all", b"Subject: no end\r\n\r\nlast line", b"\r", b"From ", b">",
         b"Subject: big\r\n\r\n" + b"From all of us\r\n" * 200000]


@pytest.fixture(params=["own", "corpus"])
def filled(request, tmp_path):
    if request.param == "corpus":
        messages = real_messages(700)
        if not messages:
            pytest.skip("corpus absent")
        return Filled(tmp_path, messages)
    return Filled(tmp_path, EDGES + [octets for octets, _, _ in Generator(7).messages(300)])


def test_a_tar_holds_every_octet(filled, tmp_path):
    path = str(tmp_path / "out.tar")
    filled.export("tar", path)
    assert oct(os.stat(path).st_mode & 0o777) == "0o600"
    listing = subprocess.run(["tar", "-tf", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    assert listing.stderr == b""
    names = listing.stdout.split(b"\n")
    assert not [n for n in names if n.startswith(b"/") or b".." in n.split(b"/")]
    with tarfile.open(path) as archive:
        files = [m for m in archive if m.isfile()]
        found = sorted(archive.extractfile(m).read() for m in files)
        assert found == filled.all_octets()
        by_name = {m.name: m for m in files}
        assert len(by_name) == len(files)
        for uid, (octets, flags, words, received) in enumerate(filled.expected["Archive"], 1):
            member = by_name[f"Archive/{uid}.eml"]
            assert archive.extractfile(member).read() == octets
            assert member.mtime == received
            told = member.pax_headers.get("SCHILY.xattr.user.outpost.flags", "").split()
            assert sorted(told) == sorted([FLAGS[i] for i in range(5) if flags >> i & 1] + words)
    piped = filled.export("tar", "-")
    with open(path, "rb") as saved:
        whole = saved.read()
    os.unlink(os.path.join(filled.directory, "tar.store"))
    assert len(piped) > len(whole)  # the second run added the messages once more


def test_tar_unpacks_what_was_stored(filled, tmp_path):
    target = tmp_path / "unpacked"
    target.mkdir()
    filled.export("tar", str(tmp_path / "out.tar"))
    run = subprocess.run(["tar", "-xf", str(tmp_path / "out.tar"), "-C", str(target)], stderr=subprocess.PIPE)
    assert run.returncode == 0 and run.stderr == b""
    found = [(target / where / name).read_bytes() for where, _, names in os.walk(target) for name in names]
    assert sorted(found) == filled.all_octets()


def unquoted(octets):
    return re.sub(rb"(?m)^>(>*From )", rb"\1", octets)


def as_mbox(octets):
    """What mboxrd keeps of a message: LF line ends, and one at the end."""
    octets = octets.replace(b"\r\n", b"\n")
    return octets if octets.endswith(b"\n") or not octets else octets + b"\n"


def test_mboxes_are_read_by_python(filled, tmp_path):
    target = tmp_path / "out"
    filled.export("mbox", str(target))
    found = []
    for where, _, names in os.walk(target):
        for name in names:
            box = mailbox.mbox(os.path.join(where, name), create=False)
            found += [unquoted(box.get_bytes(key)) for key in box.keys()]
    assert sorted(found) == sorted(as_mbox(m) for m in filled.all_octets())
    assert (target / "Archive" / "2024.mbox").exists() and (target / "Empty.mbox").exists()
    for where, folders, names in os.walk(target):
        assert not [n for n in folders + names if n.startswith(".")]


def test_a_maildir_is_read_by_python(filled, tmp_path):
    target = tmp_path / "out"
    filled.export("maildir", str(target))
    top = mailbox.Maildir(str(target), create=False)
    found = [top.get_bytes(key) for key in top.keys()]
    for name in top.list_folders():
        box = top.get_folder(name)
        found += [box.get_bytes(key) for key in box.keys()]
    want = [m.replace(b"\r\n", b"\n") for m in filled.all_octets()]
    assert sorted(f.replace(b"\r\n", b"\n") for f in found) == sorted(want)
    cur = [os.path.join(where, name) for where, _, names in os.walk(target) if where.endswith("/cur") for name in names]
    assert sorted(open(path, "rb").read() for path in cur) == filled.all_octets()


def fetch_all(client, name):
    kind, answer = client.select(client._quote(name), readonly=True)
    assert kind == "OK", (name, answer)
    if answer == [b"0"]:
        return []
    kind, answer = client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
    assert kind == "OK"
    return [(a[0].decode("latin-1"), a[1]) for a in answer if isinstance(a, tuple)]


def as_served(octets):
    """Dovecot makes CRLF of LF, and a NUL, which IMAP forbids, is 0x80."""
    return re.sub(rb"\r?\n", b"\r\n", octets).replace(b"\0", b"\x80")


def test_a_maildir_is_served_by_dovecot(filled, tmp_path):
    with Dovecot() as server:
        server.stop()
        filled.export("maildir", server.maildir)
        server.own_files()
        server.start()
        client = imaplib.IMAP4("127.0.0.1", server.port)
        client.login(server.user, server.password)
        kind, listed = client.list()
        names = [re.search(rb'"?([^"]*)"?$', line.rsplit(b' "/" ', 1)[1]).group(1).decode() for line in listed]
        assert len(names) == len(set(names)) == len(filled.all_folders())
        kind, subscribed = client.lsub()
        assert len(subscribed) == len(names)
        total = []
        for name in names:
            total += [octets for _, octets in fetch_all(client, name)]
        assert sorted(total) == sorted(as_served(m) for m in filled.all_octets())
        for (line, octets), (want, flags, words, received) in zip(fetch_all(client, "Archive"), filled.expected["Archive"]):
            assert octets == as_served(want)
            told = {f.lower() for f in re.search(r"FLAGS \(([^)]*)\)", line).group(1).split()} - {"\\recent"}
            assert told == {FLAGS[i].lower() for i in range(5) if flags >> i & 1} | {w.lower() for w in words}
            date = imaplib.Internaldate2tuple(f'INTERNALDATE {re.search("INTERNALDATE (.*?) RFC822", line).group(1)}'.encode())
            import calendar
            import time
            assert date and abs(calendar.timegm(time.gmtime(time.mktime(date))) - received) < 2
        uids = [int(re.search(r"UID (\d+)", line).group(1)) for line, _ in fetch_all(client, "Archive")]
        assert uids == list(range(1, len(filled.expected["Archive"]) + 1))
        client.logout()
        assert "Error" not in server.log() and "Corrupted" not in server.log(), server.log()

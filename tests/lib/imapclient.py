# SPDX-License-Identifier: Apache-2.0
"""A small IMAP client to fill mailboxes quickly and to read back all a server knows. It shares no code with outpost."""
import base64
import hashlib
import re
import socket
import time
from collections import namedtuple
from datetime import datetime

Message = namedtuple("Message", "uid flags received sha256 size")


class ImapError(Exception):
    pass


def quote(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def to_utf7(text):
    """Modified UTF-7 of RFC 3501 section 5.1.3."""
    out, run = [], []

    def flush():
        if run:
            coded = base64.b64encode("".join(run).encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
            out.append("&" + coded + "-")
            run.clear()
    for c in text:
        if " " <= c <= "~":
            flush()
            out.append("&-" if c == "&" else c)
        else:
            run.append(c)
    flush()
    return "".join(out)


def from_utf7(text):
    def decode(match):
        if not match.group(1):
            return "&"
        word = match.group(1).replace(",", "/")
        return base64.b64decode(word + "=" * (-len(word) % 4)).decode("utf-16-be")
    return re.sub(r"&([A-Za-z0-9+,]*)-", decode, text)


def parse_internaldate(text):
    return int(datetime.strptime(text.strip(), "%d-%b-%Y %H:%M:%S %z").timestamp())


def format_internaldate(seconds):
    return time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(seconds))


class ImapClient:
    def __init__(self, port, user="alice", password="wonderland", host="127.0.0.1", timeout=60):
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 18)
        self.count = 0
        self.read_response()
        self.command(f"LOGIN {quote(user)} {quote(password)}")

    def read_response(self):
        """One response: a list of its text pieces and literals, in turn."""
        pieces = []
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                raise ImapError("connection closed")
            line = line.rstrip(b"\r\n")
            pieces.append(line)
            match = re.search(rb"~?\{(\d+)\}$", line)
            if not match:
                return pieces
            pieces[-1] = line[:match.start()]
            pieces.append(self.file.read(int(match.group(1))))

    def send(self, data):
        self.socket.sendall(data)

    def command(self, text, each=None):
        self.count += 1
        tag = f"a{self.count}"
        self.send(f"{tag} {text}\r\n".encode())
        return self.wait(tag, each, text)

    def wait(self, tag, each=None, text=""):
        answers = []
        start = tag.encode() + b" "
        while True:
            pieces = self.read_response()
            if pieces[0].startswith(start):
                if not pieces[0][len(start):].startswith(b"OK"):
                    raise ImapError(f"{text[:80]}: {pieces[0].decode(errors='replace')}")
                answers.append(pieces)
                return answers
            if each:
                each(pieces)
            else:
                answers.append(pieces)

    def create(self, folder):
        self.command("CREATE " + quote(to_utf7(folder)))

    def append_many(self, folder, messages, window=200):
        """messages: of (octets, flags, seconds); pipelined LITERAL+ appends, so one flight for a window of them."""
        waiting = []
        for octets, flags, seconds in messages:
            self.count += 1
            tag = f"a{self.count}"
            head = f"{tag} APPEND {quote(to_utf7(folder))} ({' '.join(flags)}) \"{format_internaldate(seconds)}\" "
            self.send(head.encode() + b"{%d+}\r\n" % len(octets) + octets + b"\r\n")
            waiting.append(tag)
            if len(waiting) >= window:
                for done in waiting:
                    self.wait(done, text=f"APPEND {folder}")
                waiting = []
        for done in waiting:
            self.wait(done, text=f"APPEND {folder}")

    def folders(self):
        names = []
        for pieces in self.command('LIST "" "*"')[:-1]:
            match = re.match(rb'\* LIST \(([^)]*)\) (?:"(?:\\.|[^"])*"|NIL) ?(.*)$', pieces[0])
            if not match or b"\\noselect" in match.group(1).lower() or b"\\nonexistent" in match.group(1).lower():
                continue
            name = pieces[1] if len(pieces) > 1 else match.group(2)
            if name.startswith(b'"'):
                name = re.sub(rb'\\(.)', rb'\1', name[1:-1])
            names.append(from_utf7(name.decode()))
        return sorted(names)

    def select(self, folder, examine=False):
        self.command(("EXAMINE " if examine else "SELECT ") + quote(to_utf7(folder)))

    def read_folder(self, folder, bodies=True, keep=None):
        """All messages of a folder, in UID order. keep: a dictionary that gets sha256 -> octets."""
        self.select(folder, examine=True)
        found = []

        def each(pieces):
            if not re.match(rb"\* \d+ FETCH ", pieces[0]):
                return
            text = b" ".join(pieces[::2])
            flags = re.search(rb"FLAGS \(([^)]*)\)", text)
            uid = re.search(rb"UID (\d+)", text)
            date = re.search(rb'INTERNALDATE "([^"]*)"', text)
            if not (uid and date and flags):
                return
            octets = pieces[1] if len(pieces) > 1 else b""
            digest = hashlib.sha256(octets).hexdigest() if bodies else None
            if keep is not None:
                keep[digest] = octets
            names = frozenset(f for f in flags.group(1).decode().split() if f.lower() != "\\recent")
            found.append(Message(int(uid.group(1)), names, parse_internaldate(date.group(1).decode()), digest, len(octets)))
        what = "(UID FLAGS INTERNALDATE BODY.PEEK[])" if bodies else "(UID FLAGS INTERNALDATE)"
        self.command("UID FETCH 1:* " + what, each)
        return sorted(found)

    def dump(self, bodies=True):
        return {folder: self.read_folder(folder, bodies) for folder in self.folders()}

    def close(self):
        try:
            self.command("LOGOUT")
        except (OSError, ImapError):
            pass
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()

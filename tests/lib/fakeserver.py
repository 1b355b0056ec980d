# SPDX-License-Identifier: Apache-2.0
"""A scriptable IMAP4rev1 server in memory: no extension unless told, and as wrong as a test wants it."""
import re
import socket
import threading

from imapclient import format_internaldate


class Item:
    def __init__(self, uid, octets, flags, seconds, gmail=None):
        self.uid, self.octets, self.flags, self.seconds = uid, octets, set(flags), seconds
        self.gmail = gmail


class Folders(dict):
    """By name; @fold makes of a name what stands for all that the server takes for the same."""

    def __init__(self, fold, items):
        super().__init__(items)
        self.fold = fold

    def name(self, given):
        return next((name for name in self.keys() if self.fold(name) == self.fold(given)), given)

    def __getitem__(self, name):
        return super().__getitem__(self.name(name))

    def __setitem__(self, name, value):
        super().__setitem__(self.name(name), value)

    def __delitem__(self, name):
        super().__delitem__(self.name(name))

    def __contains__(self, name):
        return super().__contains__(self.name(name))

    def get(self, name, otherwise=None):
        return super().get(self.name(name), otherwise)

    def pop(self, name):
        return super().pop(self.name(name))


class FakeServer:
    """Quirks, all off by default:
    fold: a function; folders whose names it makes equal are one. keywords: those that it keeps, "\\*" for all; others it takes and forgets.
    capability: what is announced after IMAP4rev1; wrong_size: added to every RFC822.SIZE; no_uidnext; bye_at/no_at/bad_at:
    the n-th command after LOGIN gets that answer; unsolicited: lines sent before the answer to every command; seen: commands in
    order, for the test to look at."""

    def __init__(self, capability="", wrong_size=0, no_uidnext=False, bye_at=None, no_at=None, bad_at=None,
                 unsolicited=(), separator="/", fold=str, keywords=("\\*",)):
        self.capability, self.wrong_size, self.no_uidnext = capability, wrong_size, no_uidnext
        self.answer_at = {n: a for n, a in ((bye_at, "BYE"), (no_at, "NO"), (bad_at, "BAD")) if n}
        self.unsolicited, self.separator, self.keywords = list(unsolicited), separator, keywords
        self.attributes, self.refused = {}, {}  # by folder: what LIST says, the answer to SELECT
        self.withheld = set()  # UIDs whose content is not given, without a word
        self.before_contents = None  # called before contents are given
        self.folders, self.validity, self.next = (Folders(fold, {"INBOX": first}) for first in ([], 1000, 1))
        self.lock = threading.RLock()
        self.seen, self.commands, self.closing = [], 0, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.clients = []
        threading.Thread(target=self.accept, daemon=True).start()

    def add_folder(self, name):
        self.folders[name], self.validity[name], self.next[name] = [], 1000 + len(self.validity), 1

    def add(self, folder, octets, flags=(), seconds=1700000000, gmail=None):
        with self.lock:
            uid = self.next[folder]
            self.next[folder] += 1
            self.folders[folder].append(Item(uid, octets, flags, seconds, gmail))
            return uid

    def accept(self):
        while not self.closing:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=Session(self, client).serve, daemon=True).start()

    def close(self):
        self.closing = True
        for end in [self.listener] + self.clients:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()

    @property
    def url(self):
        return f"imap://127.0.0.1:{self.port}"


class Closed(Exception):
    pass


class Session:
    def __init__(self, server, client):
        self.server, self.client = server, client
        self.file = client.makefile("rb")
        self.folder, self.read_only, self.known = None, False, []
        self.authenticated = False

    def send(self, line):
        data = line if isinstance(line, bytes) else line.encode()
        try:
            self.client.sendall(data + b"\r\n")
        except OSError:
            raise Closed

    def serve(self):
        try:
            self.send(f"* OK [CAPABILITY IMAP4rev1 {self.server.capability}".rstrip() + "] ready")
            while True:
                self.one()
        except (Closed, OSError, ValueError):
            pass
        finally:
            self.file.close()
            self.client.close()

    def read_command(self):
        """Pieces of text and, between them, literals."""
        pieces = []
        while True:
            line = self.file.readline(1 << 16)
            if not line.endswith(b"\n"):
                raise Closed
            line = line.rstrip(b"\r\n")
            match = re.search(rb"\{(\d+)(\+?)\}$", line)
            if not match:
                return pieces + [line]
            pieces += [line[:match.start()]]
            if not match.group(2):
                self.send("+ go on")
            pieces.append(self.file.read(int(match.group(1))))

    def one(self):
        pieces = self.read_command()
        tag, _, rest = pieces[0].decode("utf-8", "replace").partition(" ")
        verb, _, rest = rest.partition(" ")
        verb = verb.upper()
        if verb == "UID":
            sub, _, rest = rest.partition(" ")
            verb = "UID " + sub.upper()
        # With a literal argument the text goes on after it; only APPEND's last literal is not a string.
        for i in range(1, len(pieces) - (2 if verb == "APPEND" else 0), 2):
            rest += '"' + pieces[i].decode("utf-8", "replace") + '"' + pieces[i + 1].decode("utf-8", "replace")
        server = self.server
        with server.lock:
            server.seen.append(verb)
            if self.authenticated:
                server.commands += 1
                answer = server.answer_at.get(server.commands)
                if answer == "BYE":
                    self.send("* BYE going down")
                    raise Closed
                if answer:
                    self.send(f"{tag} {answer} not this one")
                    return
            for line in server.unsolicited:
                self.send(line)
            method = getattr(self, "do_" + verb.lower().replace(" ", "_"), None)
            if not method:
                self.send(f"{tag} BAD unknown command")
                return
            try:
                answer = method(rest, pieces)
            except KeyError:
                answer = "NO [NONEXISTENT] no such mailbox"
            self.send(f"{tag} {answer or 'OK done'}")
            if verb == "LOGOUT":
                raise Closed

    @staticmethod
    def words(text):
        return [re.sub(r"\\(.)", r"\1", a) if a or not b else b
                for a, b in re.findall(r'"((?:\\.|[^"\\])*)"|([^\s()"]+)', text)]

    def do_capability(self, rest, pieces):
        self.send(f"* CAPABILITY IMAP4rev1 {self.server.capability}".rstrip())

    def do_noop(self, rest, pieces):
        self.refresh()

    do_check = do_noop

    def do_login(self, rest, pieces):
        if self.words(rest)[1:] != ["wonderland"]:
            return "NO [AUTHENTICATIONFAILED] wrong"
        self.authenticated = True

    def do_logout(self, rest, pieces):
        self.send("* BYE")

    def do_list(self, rest, pieces):
        if self.words(rest)[-1] == "":
            self.send(f'* LIST (\\Noselect) "{self.server.separator}" ""')
            return
        for name in self.server.folders:
            self.send(f'* LIST ({self.server.attributes.get(name, "")}) "{self.server.separator}" "{name}"')

    def do_lsub(self, rest, pieces):
        for name in self.server.folders:
            self.send(f'* LSUB () "{self.server.separator}" "{name}"')

    def do_subscribe(self, rest, pieces):
        pass

    do_unsubscribe = do_subscribe

    def do_status(self, rest, pieces):
        name = self.words(rest)[0]
        items = self.server.folders[name]
        known = {"MESSAGES": len(items), "RECENT": 0, "UIDVALIDITY": self.server.validity[name],
                 "UNSEEN": sum("\\Seen" not in i.flags for i in items)}
        if not self.server.no_uidnext:
            known["UIDNEXT"] = self.server.next[name]
        asked = [w.upper() for w in re.search(r"\(([^()]*)\)\s*$", rest).group(1).split()]
        self.send(f'* STATUS "{name}" (' + " ".join(f"{w} {known[w]}" for w in asked if w in known) + ")")

    def do_select(self, rest, pieces, read_only=False):
        name = self.words(rest)[0]
        items = self.server.folders[name]
        if name in self.server.refused:
            self.folder = None
            return self.server.refused[name]
        self.folder, self.read_only, self.known = name, read_only, list(items)
        self.send(f"* {len(items)} EXISTS")
        self.send("* 0 RECENT")
        self.send("* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)")
        self.send(f"* OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft {' '.join(self.server.keywords)})] kept")
        self.send(f"* OK [UIDVALIDITY {self.server.validity[name]}] valid")
        if not self.server.no_uidnext:
            self.send(f"* OK [UIDNEXT {self.server.next[name]}] next")
        return "OK [READ-ONLY] done" if read_only else "OK [READ-WRITE] done"

    def do_examine(self, rest, pieces):
        return self.do_select(rest, pieces, True)

    def do_close(self, rest, pieces):
        if not self.read_only:
            self.do_expunge("", pieces, silent=True)
        self.folder = None

    def do_create(self, rest, pieces):
        name = self.words(rest)[0].rstrip(self.server.separator)
        if name in self.server.folders:
            return "NO [ALREADYEXISTS] exists"
        self.server.add_folder(name)

    def do_delete(self, rest, pieces):
        del self.server.folders[self.words(rest)[0]]

    def do_rename(self, rest, pieces):
        old, new = self.words(rest)
        for table in (self.server.folders, self.server.validity, self.server.next):
            table[new] = table.pop(old)

    def do_append(self, rest, pieces):
        name = self.words(rest)[0]
        flags = re.search(r"\(([^)]*)\)", rest)
        self.server.folders[name]
        self.server.add(name, pieces[-2], flags.group(1).split() if flags else ())
        if name == self.folder:
            self.refresh()

    def refresh(self):
        if not self.folder:
            return
        items = self.server.folders.get(self.folder, [])
        for number in range(len(self.known), 0, -1):
            if self.known[number - 1] not in items:
                self.send(f"* {number} EXPUNGE")
                del self.known[number - 1]
        new = [i for i in items if i not in self.known]
        if new:
            self.known += new
            self.send(f"* {len(self.known)} EXISTS")

    def chosen(self, text):
        """(number, item) of a UID set."""
        last = max((i.uid for i in self.known), default=0)
        ranges = []
        for part in text.split(","):
            a, _, b = part.partition(":")
            low, high = (last if x == "*" else int(x) for x in (a, b or a))
            ranges.append((min(low, high), max(low, high)))
        return [(n, i) for n, i in enumerate(self.known, 1) if any(a <= i.uid <= b for a, b in ranges)]

    def do_uid_fetch(self, rest, pieces):
        uids, _, what = rest.partition(" ")
        asked = what.upper()
        if "BODY.PEEK[]" in asked and self.server.before_contents:
            self.server.before_contents()
        for number, item in self.chosen(uids):
            if "BODY.PEEK[]" in asked and item.uid in self.server.withheld:
                continue
            out = [f"UID {item.uid}".encode()]
            if "FLAGS" in asked or "FAST" in asked:
                out.append(f"FLAGS ({' '.join(sorted(item.flags))})".encode())
            if "INTERNALDATE" in asked:
                out.append(f'INTERNALDATE "{format_internaldate(item.seconds)}"'.encode())
            if "RFC822.SIZE" in asked:
                out.append(b"RFC822.SIZE %d" % (len(item.octets) + self.server.wrong_size))
            if "X-GM-LABELS" in asked and item.gmail:
                out.append(f"X-GM-LABELS ({' '.join(item.gmail)})".encode())
            partial = re.search(r"BODY(?:\.PEEK)?\[\](?:<(\d+)\.(\d+)>)?", asked)
            if partial:
                start = partial.group(1)
                data = item.octets if start is None else item.octets[int(start):int(start) + int(partial.group(2))]
                where = b"" if start is None else b"<%d>" % int(start)
                out.append(b"BODY[]%s {%d}\r\n" % (where, len(data)) + data)
            fields = re.search(r"BODY\.PEEK\[HEADER\.FIELDS \(([^)]*)\)\]", asked)
            if fields:
                wanted = fields.group(1).encode().split()
                head = re.split(rb"\r?\n\r?\n", item.octets, maxsplit=1)[0]
                kept = [line for line in re.split(rb"\r\n(?![ \t])", head) if line.split(b":")[0].strip().upper() in wanted]
                data = b"".join(line + b"\r\n" for line in kept) + b"\r\n"
                out.append(b"BODY[HEADER.FIELDS (%s)] {%d}\r\n" % (b" ".join(wanted), len(data)) + data)
            self.send(b"* %d FETCH (" % number + b" ".join(out) + b")")

    def do_uid_store(self, rest, pieces):
        uids, what, flags = rest.split(" ", 2)
        names = {flag for flag in flags.strip("()").split() if flag.startswith("\\") or self.server.keywords == ("\\*",) or flag in self.server.keywords}
        for number, item in self.chosen(uids):
            if what.startswith("+"):
                item.flags |= names
            elif what.startswith("-"):
                item.flags -= names
            else:
                item.flags = names
            if "SILENT" not in what.upper():
                self.send(f"* {number} FETCH (UID {item.uid} FLAGS ({' '.join(sorted(item.flags))}))")

    def do_uid_copy(self, rest, pieces):
        uids, _, target = rest.partition(" ")
        name = self.words(target)[0]
        self.server.folders[name]
        for _, item in self.chosen(uids):
            self.server.add(name, item.octets, item.flags, item.seconds, item.gmail)

    def do_uid_search(self, rest, pieces):
        match = re.search(r"UID ([\d:*,]+)", rest.upper())
        header = re.search(r'HEADER\s+"?MESSAGE-ID"?\s+"?([^"]*)"?', rest, re.I)
        items = self.chosen(match.group(1) if match else "1:*")
        if header:
            items = [(n, i) for n, i in items if header.group(1).encode() in i.octets]
        self.send(("* SEARCH " + " ".join(str(i.uid) for _, i in items)).rstrip())

    def do_expunge(self, rest, pieces, silent=False):
        for number in range(len(self.known), 0, -1):
            item = self.known[number - 1]
            if "\\Deleted" in item.flags:
                self.server.folders[self.folder].remove(item)
                del self.known[number - 1]
                if not silent:
                    self.send(f"* {number} EXPUNGE")

# SPDX-License-Identifier: Apache-2.0
"""A server of an organisation with two sites, and a client of it: what Move Server is shown with."""
import os

from dovecot import free_port
from imapclient import ImapClient


def location(port):
    return f"imaps://localhost:{port}"


class Organisation:
    """The server is ex1, in Berlin, at `old`; `new` is where it may be moved to: it listens there, too. The client's address is alice's."""

    def __init__(self, server, program):
        self.server, self.program = server, program
        self.old, self.new = server.imaps, free_port()
        program.ADDRESS = "alice@example.org"
        self.listen_at(self.old, self.new)
        for site in ("Berlin", "Oslo"):
            server.ctl("site", "create", site)
        server.ctl("server", "move", "localhost", "--to-site", "Berlin", "--rename", "ex1", "--at", location(self.old))

    def log_on(self, port, *how):
        return self.program.run("logon", self.program.ADDRESS, "--server", location(port), "--user", self.program.ADDRESS, "--password-command",
                                "printf wonderland", "--tls-ca", self.server.folder + "/tls/certificate.pem", *how)

    def listen_at(self, *ports):
        path = os.path.join(self.server.folder, "outpostd.conf")
        text = open(path).read().split("[imaps]\n")
        listen = ", ".join(f"127.0.0.1:{port}" for port in ports)
        open(path, "w").write(text[0] + f"[imaps]\nlisten = {listen}\n" + text[1].split("\n", 1)[1])

    def move(self, port, *words):
        return self.server.ctl("server", "move", "ex1", "--at", location(port), *words)

    def deliver(self, numbers):
        with self.server.lmtp() as lmtp:
            for n in numbers:
                lmtp.sendmail("a@elsewhere.example", ["alice@example.org"],
                              b"From: a@elsewhere.example\r\nSubject: letter %d\r\nMessage-ID: <%d@elsewhere.example>\r\n\r\n%s" % (n, n, b"%d bottles\r\n" % n * 300))

    def dump(self, bodies=True):
        with ImapClient(self.server.imap, self.program.ADDRESS) as client:
            return client.dump(bodies)

    def profile(self):
        return self.program.json("profile", "show")

    def lines(self):
        return [line["text"] for line in self.program.json("log")["lines"]]

# SPDX-License-Identifier: Apache-2.0
"""COMPRESS=DEFLATE (RFC 4978) with outpostd: spoken by hand with zlib, and by outpost."""
import imaplib
import re
import socket
import ssl
import zlib

from dovecot import free_port
from outpostd import metrics, wait_until
from proxy import Proxy

MESSAGE = b"Subject: hello\r\nFrom: a@elsewhere.example\r\n\r\n" + b"the same line again and again\r\n" * 3000


class Deflated:
    """A client whose connection is compressed from its log-on on."""

    def __init__(self, made, tls=True):
        self.socket = socket.create_connection(("localhost", made.imaps if tls else made.imap), 20)
        if tls:
            self.socket = ssl.create_default_context(cafile=made.folder + "/tls/certificate.pem").wrap_socket(self.socket, server_hostname="localhost")
        self.packer = self.unpacker = None
        self.buffer, self.octets = b"", 0
        assert self.line().startswith(b"* OK [CAPABILITY IMAP4rev1") and b"COMPRESS" not in self.buffer
        assert b" COMPRESS=DEFLATE " in self.command("a LOGIN alice wonderland")[-1]
        assert self.command("b COMPRESS DEFLATE")[-1].startswith(b"b OK")
        assert self.buffer == b""
        self.packer, self.unpacker = zlib.compressobj(9, zlib.DEFLATED, -15), zlib.decompressobj(-15)

    def line(self):
        while b"\r\n" not in self.buffer:
            came = self.socket.recv(65536)
            if not came:
                raise EOFError
            self.octets += len(came)
            self.buffer += self.unpacker.decompress(came) if self.unpacker else came
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def send(self, octets, flush=zlib.Z_SYNC_FLUSH):
        if self.packer:
            octets = self.packer.compress(octets) + self.packer.flush(flush)
        self.socket.sendall(octets)

    def command(self, text):
        self.send(text.encode() + b"\r\n")
        lines = [self.line()]
        while not lines[-1].startswith(text.split()[0].encode() + b" "):
            lines.append(self.line())
        return lines


def deliver(made, message=MESSAGE):
    with made.lmtp() as lmtp:
        lmtp.sendmail("a@elsewhere.example", ["alice@example.org"], message)


def test_a_conversation_is_compressed_both_ways(made):
    with made:
        deliver(made)
        for tls in (True, False):
            client = Deflated(made, tls)
            assert b"COMPRESS" not in client.command("c CAPABILITY")[0]
            assert client.command("d COMPRESS DEFLATE")[-1].startswith(b"d BAD")
            assert client.command("e SELECT INBOX")[-1].startswith(b"e OK")
            before = client.octets
            lines = client.command("f FETCH 1 BODY.PEEK[TEXT]")
            assert lines.count(b"the same line again and again") == 3000
            assert client.octets - before < len(MESSAGE) / 50
            client.send(b"g APPEND Drafts {%d+}\r\n" % len(MESSAGE) + MESSAGE + b"\r\n")
            assert client.line().startswith(b"g OK")
            client.send(b"h IDLE\r\n", zlib.Z_PARTIAL_FLUSH)
            assert client.line().startswith(b"+")
            deliver(made)
            assert re.fullmatch(rb"\* \d+ EXISTS", client.line())
            client.send(b"DONE\r\n", zlib.Z_FULL_FLUSH)
            assert client.line().startswith(b"h OK")
            assert client.command("i LOGOUT")[-1].startswith(b"i OK")


def test_what_comes_behind_it_in_plain_text_is_not_executed(made):
    with made:
        client = socket.create_connection(("localhost", made.imap), 20)
        client.sendall(b"a LOGIN alice wonderland\r\n")
        stream = client.makefile("rb")
        while not stream.readline().startswith(b"a OK"):
            pass
        client.sendall(b"b COMPRESS DEFLATE\r\nc CREATE never\r\n")
        assert stream.readline().startswith(b"b OK")
        assert stream.read() == b""
        assert not [line for line in made.log_on("alice", "wonderland").list()[1] if b"never" in line]


def test_what_grows_without_end_is_ended_and_costs_no_memory(made):
    def resident():
        with open(f"/proc/{made.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))
    with made:
        client = Deflated(made)
        client.command("c NOOP")
        before = resident()
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        try:
            for _ in range(64):
                client.socket.sendall(packer.compress(b"A" * (16 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH))
            while client.line():
                pass
            raise AssertionError("a gigabyte of one line was taken")
        except (EOFError, OSError):
            pass
        assert resident() - before < 20000
        assert Deflated(made).command("c NOOP")[-1].startswith(b"c OK")


def test_damaged_data_end_the_connection(made):
    with made:
        client = Deflated(made, tls=False)
        client.socket.sendall(b"\xff" * 100)
        try:
            while client.line():
                pass
        except (EOFError, OSError):
            pass
        wait_until(lambda: not made.lines("who"))


def test_sessions_that_wait_cost_little(made):
    """Who has said and been told things keeps no stream of 300 KiB."""
    def resident():
        with open(f"/proc/{made.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))
    with made:
        deliver(made)
        clients = [Deflated(made) for _ in range(20)]
        for client in clients:
            client.command("c SELECT INBOX")
        before = resident()
        clients += [Deflated(made) for _ in range(20)]
        for client in clients[20:]:
            client.command("c SELECT INBOX")
            client.command("d FETCH 1 BODY.PEEK[]")
            client.send(b"e IDLE\r\n")
            client.line()
        grown = resident() - before
        assert grown < 20 * 275, grown


def test_outpost_asks_for_it_where_the_server_is_far(made, program):
    port = free_port()
    made.configure("#listen = 127.0.0.1:9143", f"listen = 127.0.0.1:{port}")
    with made:
        for n in range(80):
            deliver(made, b"Subject: %d\r\n" % n + MESSAGE)
        with Proxy(made.imap) as proxy:
            program.ok("logon", "alice@example.org", "--server", proxy.url, "--tunnel", "--user", "alice", "--password-command", "printf wonderland", "--no-sync")
            program.sync()
            assert proxy.counts()["down"] < 80 * len(MESSAGE) / 20
        assert metrics(port)['outpost_command_duration_seconds_count{command="COMPRESS"}'] > 0
        client = made.log_on("alice", "wonderland")
        client.select("INBOX")
        octets = client.fetch("80", "(BODY.PEEK[])")[1][0][1]
        client.logout()
    number = re.search(r"(?m)^\s*(\d+) .*\b79\b", program.ok("list", "INBOX", "-n", "0").decode()).group(1)
    assert program.ok("show", "--raw", number) == octets

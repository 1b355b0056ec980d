#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Deliveries a second by LMTP, outpostd beside Dovecot (dovecot-lmtpd, sdbox and mdbox), both with fsync, on the same disk, one after the other.

Each of --connections sends its messages one by one and waits for each answer, which means that the message is durable: into one mailbox, and
into as many mailboxes as there are connections. The mail is generated; the program that sends it is C-fast enough not to be the limit (it is
forked, one process for each connection)."""
import argparse
import multiprocessing
import os
import shutil
import socket
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "lib"))

from dovecot import Dovecot, free_port  # noqa: E402
from genmail import Generator  # noqa: E402
from outpostd import Server  # noqa: E402

LMTPD = "/usr/lib/dovecot/lmtp"


class Lmtp:
    """The least of a client; every answer is waited for."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.connect(address)
        self.answers = self.socket.makefile("rb")
        self.expect(b"220")
        self.say(b"LHLO bench.example.org\r\n", b"250")

    def expect(self, code):
        while True:
            line = self.answers.readline()
            if line[3:4] != b"-":
                if not line.startswith(code):
                    raise OSError(f"{code} was expected, and came: {line.decode(errors='replace')}")
                return

    def say(self, octets, *codes):
        self.socket.sendall(octets)
        for code in codes:
            self.expect(code)

    def deliver(self, recipient, octets):
        self.say(f"MAIL FROM:<a@example.net>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode(), b"250", b"250", b"354")
        self.say(octets + b"\r\n.\r\n", b"250")


def send(address, recipient, messages, count, ready, go):
    client = Lmtp(address)
    ready.release()
    go.wait()
    for i in range(count):
        client.deliver(recipient, messages[i % len(messages)])


def rate(address, recipients, messages, count):
    """Deliveries a second; each of @recipients has a connection, which sends @count."""
    ready, go = multiprocessing.Semaphore(0), multiprocessing.Event()
    senders = [multiprocessing.Process(target=send, args=(address, r, messages, count, ready, go)) for r in recipients]
    for sender in senders:
        sender.start()
    for _ in senders:
        ready.acquire()
    began = time.monotonic()
    go.set()
    for sender in senders:
        sender.join()
        if sender.exitcode != 0:
            raise SystemExit("a sender failed")
    return len(recipients) * count / (time.monotonic() - began)


def both(address, users, messages, count):
    return rate(address, users[:1] * len(users), messages, count), rate(address, users, messages, count)


def of_outpostd(folder, users, messages, count):
    server = Server(folder)
    for user in users:
        server.create(user, "wonderland")
    with server:
        return both(os.path.join(folder, "lmtp.sock"), users, messages, count)


def of_dovecot(folder, location, users, messages, count):
    os.makedirs(folder)
    os.chmod(folder, 0o755)
    port = free_port()
    extra = f"""protocols = imap lmtp
mail_fsync = always
mail_location = {location}:~/store
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  process_min_avail = {len(users)}
}}
protocol lmtp {{
  postmaster_address = postmaster@example.org
}}
"""
    server = Dovecot(folder, extra=extra, users=users)
    server.start()
    try:
        return both(("127.0.0.1", port), users, messages, count)
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-c", "--connections", type=int, default=8)
    parser.add_argument("-n", "--count", type=int, default=200, help="messages for each connection")
    parser.add_argument("--directory", help="where the mail is written: a disk, not memory (default: the current one)")
    options = parser.parse_args()
    generator = Generator(7, attachments=False)
    messages = [generator.message()[0].replace(b"\n.", b"\n..") for _ in range(100)]
    users = [f"user{i}@example.org" for i in range(options.connections)]
    top = tempfile.mkdtemp(prefix="lmtp-bench-", dir=options.directory or ".")
    os.chmod(top, 0o755)
    try:
        rows = [("outpostd", of_outpostd(os.path.join(os.path.abspath(top), "o"), users, messages, options.count))]
        for location in ("sdbox", "mdbox") if os.path.exists(LMTPD) else ():
            rows.append((f"Dovecot {location}", of_dovecot(os.path.join(os.path.abspath(top), location), location, users, messages, options.count)))
    finally:
        shutil.rmtree(top)
    print(f"{options.connections} connections, {options.count} messages each, {sum(map(len, messages)) // len(messages)} octets on average\n")
    print("| | into one mailbox, 1/s | outpostd / it | into one each, 1/s | outpostd / it |\n|---|---:|---:|---:|---:|")
    for name, (one, many) in rows:
        print(f"| {name} | {one:.0f} | {rows[0][1][0] / one:.1f} | {many:.0f} | {rows[0][1][1] / many:.1f} |")
    if len(rows) == 1:
        print("\nDovecot's LMTP is not installed: apt-get install dovecot-lmtpd")


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The server side of scripts/demo.sh: serve DIRECTORY MESSAGES | flagged PORT | deliver PORT."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "lib"))

from dovecot import Dovecot  # noqa: E402
from genmail import Generator, folder_names, write_maildir  # noqa: E402
from imapclient import ImapClient  # noqa: E402


def serve(directory, count):
    os.chmod(directory, 0o755)
    where = os.path.join(directory, "server")
    os.makedirs(where)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = Dovecot(where)
    write_maildir(server.maildir, Generator(2026), count, folder_names(15))
    server.own_files()
    with server:
        with open(os.path.join(directory, "port.new"), "w") as port:
            port.write(str(server.port))
        os.rename(os.path.join(directory, "port.new"), os.path.join(directory, "port"))
        # The demo kills this process when it ends; if it was itself killed, nothing is to be left behind.
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.5)


def flagged(port):
    with ImapClient(port) as client:
        count = sum("demo" in m.flags and "\\Flagged" in m.flags for m in client.read_folder("INBOX", bodies=False))
    print(f"the server says: {count} message(s) of INBOX flagged and marked \"demo\"")


def deliver(port):
    with ImapClient(port) as client:
        client.append_many("INBOX", [(b"From: Ada <ada@example.net>\r\nTo: alice@example.org\r\nSubject: Just arrived\r\n"
                                      b"Message-ID: <arrived@example.net>\r\n\r\nHello.\r\n", [], int(time.time()))])
    print("the server got a new message")


def main():
    verb = sys.argv[1]
    if verb == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    elif verb == "flagged":
        flagged(int(sys.argv[2]))
    elif verb == "deliver":
        deliver(int(sys.argv[2]))


main()

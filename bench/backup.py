#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a backup of outpostd costs, on the disk of --dir: the first one, one of nothing new, one of some new letters, its check, and the mailbox put back."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "lib"))

from genmail import Generator  # noqa: E402
from imapclient import ImapClient  # noqa: E402
from outpostd import Server  # noqa: E402

ALICE = "alice@example.org"


def fill(server, generator, count):
    """Octets of the letters."""
    letters = [generator.message() for _ in range(count)]
    with ImapClient(server.imap, ALICE) as client:
        client.append_many("INBOX", ((octets, flags, when) for octets, flags, when in letters))
    return sum(len(octets) for octets, _, _ in letters)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("-n", "--messages", type=int, default=20000)
    options.add_argument("--new", type=int, default=100)
    options.add_argument("--dir", default=tempfile.gettempdir())
    o = options.parse_args()
    folder = tempfile.mkdtemp(prefix="outpostd-", dir=o.dir)
    server, to, generator = Server(os.path.join(folder, "mail")), os.path.join(folder, "backup"), Generator(5)
    server.create(ALICE, "wonderland")

    def run(what, *words):
        os.sync()
        start = time.monotonic()
        said = server.ctl(*words).splitlines()
        print(f"{what:32} {time.monotonic() - start:7.2f} s   {[line for line in said if 'written' in line or 'messages' in line or 'sound' in line][0].strip()}", flush=True)
    with server:
        print(f"{o.messages} messages, {fill(server, generator, o.messages) / 1e6:.0f} MB")
        run("the first", "backup", "--to", to)
        run("nothing new", "backup", "--to", to)
        print(f"{o.new} new messages, {fill(server, generator, o.new) / 1e6:.2f} MB")
        run("what is new", "backup", "--to", to)
        run("its check", "backup", "--to", to, "--check")
        run("the mailbox put back", "restore", "--from", to, ALICE)
        print(subprocess.run(["du", "-sm", to, os.path.join(server.folder, "mail")], capture_output=True, text=True).stdout, end="")
    shutil.rmtree(folder)


main()

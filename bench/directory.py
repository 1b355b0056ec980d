#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A large organisation in the directory: what a look-up costs a server, a log-on, Move Server and org show. Everything is asked of real programs, from outside: sockets and the start
of processes are in the figures."""
import argparse
import os
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "lib"))

from imapclient import ImapClient  # noqa: E402
from outpostd import Server  # noqa: E402


def generate(path, mailboxes, servers, sites):
    """Of each server as many mailboxes as of the next, in no order. The server that is there already is one of them."""
    rng = random.Random(3)
    with sqlite3.connect(path, timeout=30) as db:
        for n in range(1, sites):
            db.execute("INSERT INTO site (id, name, key) VALUES (?, ?, ?)", (f"{rng.getrandbits(128):032x}", f"Site {n}", f"site {n}"))
        first = [row[0] for row in db.execute("SELECT number FROM site")]
        ids = [row[0] for row in db.execute("SELECT id FROM server")]
        for n in range(1, servers):
            ids.append(f"{rng.getrandbits(128):032x}")
            db.execute("INSERT INTO server (id, name, key, site) VALUES (?, ?, ?, ?)", (ids[-1], f"ex{n}", f"ex{n}", first[n % sites]))
            db.execute("INSERT INTO server_address SELECT ?, number, 0, 0 FROM server WHERE id = ?", (f"imaps://ex{n}.example.org:993", ids[-1]))
        db.executemany("INSERT INTO mailbox (id, address, key, domain, created, server) VALUES (?, ?, ?, 'example.org', 1, ?)",
                       ((f"{rng.getrandbits(128):032x}", f"user{n}@example.org", f"user{n}@example.org", ids[rng.randrange(servers)]) for n in range(mailboxes)))
    db.close()


def told(what, times, unit=1000):
    times = sorted(times)
    print(f"{what:58} median {statistics.median(times) * unit:8.2f} ms   99 % {times[int(len(times) * 0.99)] * unit:8.2f} ms", flush=True)


def timed(do):
    began = time.monotonic()
    do()
    return time.monotonic() - began


def log_on(server):
    with ImapClient(server.imap, "alice@example.org"):
        pass


def look_up(server, addresses):
    """What LMTP answers to RCPT TO, by time."""
    times, codes = [], {}
    with server.lmtp() as lmtp:
        lmtp.ehlo_or_helo_if_needed()
        for address in addresses:
            lmtp.mail("a@elsewhere.example")
            began = time.monotonic()
            code = lmtp.rcpt(address)[0]
            times.append(time.monotonic() - began)
            codes[code] = codes.get(code, 0) + 1
            lmtp.rset()
    return times, codes


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("-n", "--mailboxes", type=int, default=1000000)
    options.add_argument("--servers", type=int, default=200)
    options.add_argument("--sites", type=int, default=20)
    options.add_argument("--dir", default=tempfile.gettempdir())
    o = options.parse_args()
    folder = tempfile.mkdtemp(prefix="outpostd-", dir=o.dir)
    server, rng = Server(os.path.join(folder, "mail")), random.Random(5)
    server.create("alice@example.org", "wonderland")
    path = os.path.join(server.folder, "directory.db")
    print(f"{o.mailboxes} mailboxes, {o.servers} servers, {o.sites} sites: made in {timed(lambda: generate(path, o.mailboxes, o.servers, o.sites)):.1f} s,"
          f" {os.path.getsize(path) / 1e6:.0f} MB", flush=True)
    with server:
        log_on(server)
        told("log-on by IMAP, with the connection and its end", [timed(lambda: log_on(server)) for _ in range(500)])
        for what, addresses in (("look-up of a mailbox (RCPT TO)", [f"user{rng.randrange(o.mailboxes)}@example.org" for _ in range(3000)]),
                                ("look-up of an address that there is not", [f"nobody{n}@example.org" for n in range(1000)])):
            times, codes = look_up(server, addresses)
            told(f"{what}, {codes}", times)
        told("server move, a process", [timed(lambda: server.ctl("server", "move", "ex1", "--to-site", f"Site {n % 5 + 1}", "--rename", "ex1")) for n in range(10)])
        for words in ((), ("--json",), ("--dot",)):
            told("org show " + " ".join(words) + ", a process", [timed(lambda: server.ctl("org", "show", *words)) for _ in range(5)])
    shutil.rmtree(folder)


main()

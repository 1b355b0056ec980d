#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a session costs outpostd that is logged on, has selected a folder and waits in IDLE: resident memory, by the growth of many.
usage: bench/idle.py [-n SESSIONS] [--plain] [--compress]    OUTPOST names the program; outpostd is looked for beside it"""
import argparse
import os
import re
import resource
import shutil
import socket
import ssl
import sys
import tempfile
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "lib"))
from outpostd import Server  # noqa: E402


def session(server, tls, compress):
    client = socket.create_connection(("localhost", server.imaps if tls else server.imap))
    if tls:
        client = tls.wrap_socket(client, server_hostname="localhost")
    packer = None
    client.recv(4096)
    for line in (b"a LOGIN alice wonderland", b"b COMPRESS DEFLATE", b"c SELECT INBOX", b"d IDLE"):
        if b"COMPRESS" in line and not compress:
            continue
        line += b"\r\n"
        client.sendall(packer.compress(line) + packer.flush(zlib.Z_SYNC_FLUSH) if packer else line)
        client.recv(65536)
        if b"COMPRESS" in line:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        time.sleep(0.001)  # an answer may come in two pieces
    return client


def resident(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=1200)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--compress", action="store_true")
    wanted = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted.n + 1000, max(wanted.n + 1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    folder = tempfile.mkdtemp(prefix="outpostd-")
    server = Server(os.path.join(folder, "mail"))
    server.create("alice@example.org", "wonderland")
    for what, least in (("connections-per-user", 50), ("connections-per-address", 100)):
        server.configure(f"#{what} = {least}", f"{what} = 1000000")
    tls = None if wanted.plain else ssl.create_default_context(cafile=server.folder + "/tls/certificate.pem")
    with server:
        clients = [session(server, tls, wanted.compress) for _ in range(300)]  # what threads and allocator want once
        time.sleep(0.5)
        before = resident(server)
        clients += [session(server, tls, wanted.compress) for _ in range(wanted.n)]
        time.sleep(0.5)
        print(f"{(resident(server) - before) / wanted.n:.1f} KiB a session ({'plain' if wanted.plain else clients[-1].version()}"
              f"{', compressed' if wanted.compress else ''}; {wanted.n} of them)")
        for client in clients:
            client.close()
    shutil.rmtree(folder)


main()

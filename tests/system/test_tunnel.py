# SPDX-License-Identifier: Apache-2.0
"""A server that is far away, which a server on this machine is when a tunnel leads to it: compressed, and by several connections."""
import time

from dovecot import Dovecot
from genmail import Generator, folder_names, write_maildir
from imapclient import ImapClient
from outpost import Outpost, differences
from proxy import Proxy

DEFLATE = "protocol imap {\n  mail_plugins = imap_zlib\n}\n"
MESSAGES = 2600


def fill(server):
    write_maildir(server.maildir, Generator(3, attachments=False), MESSAGES, folder_names(3))
    server.own_files()


def dump(server):
    with ImapClient(server.port) as client:
        return client.dump(True)


def logon(program, url, *options):
    program.ok("logon", program.ADDRESS, "--server", url, "--user", "alice", "--password-command", "printf %s wonderland", "--no-sync", *options)


def test_much_mail_comes_deflated_and_over_several_connections():
    with Dovecot(extra=DEFLATE) as server:
        fill(server)
        octets, counts = {}, {}
        for options in ((), ("--tunnel",)):
            with Outpost() as program, Proxy(server.port, record=True) as proxy:
                logon(program, proxy.url, *options)
                proxy.clear()
                program.sync()
                counts[options] = proxy.counts()["connections"]
                octets[options] = proxy.counts()["down"]
                assert any(b"COMPRESS DEFLATE" in stream for stream in proxy.streams("up")) == bool(options)
                assert differences(program, dump(server), sample=20) == []
        assert counts[()] == 1
        assert counts[("--tunnel",)] > 1
        assert octets[("--tunnel",)] < octets[()] * 0.6


def test_a_run_goes_on_when_one_of_its_connections_is_lost():
    with Dovecot() as server, Outpost() as program, Proxy(server.port, delay=0.02) as proxy:
        fill(server)
        logon(program, proxy.url, "--tunnel")
        proxy.clear()
        process = program.start("sync")
        while process.poll() is None and (proxy.counts()["connections"] < 2 or proxy.counts()["down"] < 1000000):
            time.sleep(0.005)
        assert process.poll() is None, "the run ended before a connection could be lost"
        proxy.reset(*proxy.open[-2:])
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert differences(program, dump(server), sample=20) == []
        proxy.clear()
        program.sync()
        assert proxy.counts()["connections"] == 1

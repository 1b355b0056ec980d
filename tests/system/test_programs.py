# SPDX-License-Identifier: Apache-2.0
"""Mail programs that others wrote, on outpostd and on `outpost serve`."""
import os
import subprocess

import pytest

from genmail import Generator
from imapclient import ImapClient
from imapflow import find_imapflow, run_imapflow
from serving import Serving

ALICE = "alice@example.org"


def open_alice(server):
    return ImapClient(server.imap, user=ALICE)


# ---- imapflow ----

@pytest.fixture(scope="module")
def imapflow():
    modules = find_imapflow()
    if not modules:
        pytest.skip("the npm registry cannot be reached")
    return modules


def assert_all_is_well(said):
    lines = said.splitlines()
    assert lines[-1] == "all is well" and len(lines) == 12, said  # a step each, and the end
    assert all(line.startswith("ok ") for line in lines[:-1]), said


def test_imapflow_on_outpostd(imapflow, made, tmp_path):
    with made:
        with open_alice(made) as client:
            client.append_many("INBOX", Generator(5).messages(50))
        assert_all_is_well(run_imapflow(imapflow, tmp_path, made.imap, ALICE, "wonderland", made.folder + "/tls/certificate.pem"))
        with open_alice(made) as client:  # it leaves what was there
            assert len(client.read_folder("INBOX")) == 50 and not any("Interop" in name for name in client.folders())


def test_imapflow_on_the_offline_store(imapflow, server, program, tmp_path):
    with ImapClient(server.port) as client:
        client.append_many("INBOX", Generator(6).messages(20))
    program.logon(server.url)
    program.sync()
    with Serving(program) as serving:
        assert_all_is_well(run_imapflow(imapflow, tmp_path, serving.port, program.ADDRESS, serving.password))


# ---- OfflineIMAP ----

def offlineimap(config):
    done = subprocess.run(["offlineimap", "-c", str(config), "-o"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300, env=dict(os.environ, HOME=str(config.parent)))
    assert done.returncode == 0 and "ERROR" not in done.stdout, done.stdout


def flags(path):
    return set(path.name.partition(":2,")[2])


def test_offlineimap_keeps_a_maildir_in_step(made, tmp_path):
    config, mail = tmp_path / "offlineimaprc", tmp_path / "mail"
    config.write_text(f"""[general]
accounts = a
metadata = {tmp_path}/metadata
ui = basic
fsync = False

[Account a]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {mail}
sep = /
utime_from_header = no

[Repository far]
type = IMAP
remotehost = localhost
remoteport = {made.imaps}
remoteuser = {ALICE}
remotepass = wonderland
ssl = yes
sslcacertfile = {made.folder}/tls/certificate.pem
auth_mechanisms = PLAIN
""")

    def files(folder):
        return {path for sub in ("cur", "new") for path in (mail / folder / sub).iterdir()}

    def found(folder, text):
        return [path for path in files(folder) if text in path.read_bytes()]
    with made:
        with open_alice(made) as client:
            client.create("Archive/2026")
            for folder, number in (("INBOX", 30), ("Archive/2026", 10)):
                client.append_many(folder, [(octets, [], when) for octets, _, when in Generator(number).messages(number)])
            kept = {}
            there = {name: len(client.read_folder(name, keep=kept)) for name in client.folders()}
        offlineimap(config)
        assert {name: len(files(name)) for name in there} == there
        assert sorted(path.read_bytes() for name in there for path in files(name)) == sorted(octets.replace(b"\r\n", b"\n") for octets in kept.values())

        # here: a new message, a flag, a removal, a new folder
        (mail / "INBOX" / "new" / "1.a.local").write_bytes(b"Subject: from the Maildir\n\nhello\n")
        known = sorted(path for path in files("INBOX") if "U=" in path.name)
        known[0].rename(mail / "INBOX" / "cur" / (known[0].name.partition(":")[0] + ":2,FS"))
        known[1].unlink()
        for sub in ("cur", "new", "tmp"):
            (mail / "made here" / sub).mkdir(parents=True)
        (mail / "made here" / "new" / "2.a.local").write_bytes(b"Subject: in a new folder\n\nhello\n")
        # there: the same
        with open_alice(made) as client:
            client.append_many("INBOX", [(b"Subject: from the server\r\n\r\nhello\r\n", ["\\Flagged"], 1700000000)])
            client.append_many("Archive/2026", [(b"Subject: another one\r\n\r\nhello\r\n", [], 1700000000)])
            client.select("Archive/2026")
            client.command("STORE 1:2 +FLAGS (\\Deleted)")
            client.command("EXPUNGE")
            client.command("STORE 1 +FLAGS (\\Answered)")
            client.create("made there")
        offlineimap(config)

        with open_alice(made) as client:
            now = client.dump()
        assert {name: len(files(name)) for name in now} == {name: len(messages) for name, messages in now.items()}
        assert len(now["INBOX"]) == 31 and len(now["Archive/2026"]) == 9 and len(now["made here"]) == 1 and now["made there"] == []
        assert sum({"\\Flagged", "\\Seen"} <= set(message.flags) for message in now["INBOX"]) == 1
        assert [flags(path) for path in found("INBOX", b"from the server")] == [{"F"}]
        assert len(found("Archive/2026", b"another one")) == 1
        assert sum("R" in flags(path) for path in files("Archive/2026")) == 1

# SPDX-License-Identifier: Apache-2.0
"""The program as people use it: log-on, exit codes, watching, holds, profiles and their stores; nothing secret left anywhere."""
import base64
import fcntl
import hashlib
import hmac
import json
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import corpus
import pytest
from dovecot import Dovecot
from genmail import Generator, folder_names, write_maildir
from imapclient import ImapClient
from outpost import Outpost, differences


def fill(server, count=60, folders=4, seed=1):
    write_maildir(server.maildir, Generator(seed, attachments=False), count, folder_names(folders))
    server.own_files()


def dump(server, bodies=False):
    with ImapClient(server.port) as client:
        return client.dump(bodies)


def wait_until(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def ready(server, program):
    fill(server)
    program.logon(server.url, sync=True)
    return program


class Watcher:
    def __init__(self, program, *options):
        self.program = program
        self.options = options

    def __enter__(self):
        self.process = self.program.start("sync", "--watch", *self.options)
        assert wait_until(lambda: self.program.json("status")["watcher"] is not None)
        assert wait_until(lambda: self.program.json("status")["watcher"]["state"] == "waiting")
        return self

    def __exit__(self, *what):
        self.process.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = self.process.communicate(timeout=30)
        self.seconds = time.monotonic() - start
        assert self.process.returncode == 0, err
        self.output = out.decode()


def test_mail_that_arrives_while_watching_is_here_soon(ready, server):
    with Watcher(ready):
        with ImapClient(server.port) as client:
            client.append_many("INBOX", [(b"Subject: just now\r\n\r\nHello.\r\n", [], 1700000000)])
        assert wait_until(lambda: any(m["subject"] == "just now" for m in ready.list("INBOX")))
        found = ready.json("search", "subject:now")
        assert [m["subject"] for m in found] == ["just now"]


@pytest.mark.parametrize("side", ["here", "there"])
def test_a_watch_of_a_folder_goes_on_under_its_new_name(side, ready, server):
    old, new = f"Watched {side}", f"Renamed {side}"
    with ImapClient(server.port) as client:
        client.create(old)
        ready.sync()
        with Watcher(ready, "--folder", old):
            if side == "here":
                ready.ok("folder", "rename", old, new)
            else:
                client.command(f'RENAME "{old}" "{new}"')
            assert wait_until(lambda: new in client.folders() and new in ready.folders())
            client.append_many(new, [(b"Subject: under its new name\r\n\r\nHello.\r\n", [], 1700000000)])
            assert wait_until(lambda: [m["subject"] for m in ready.list(new)] == ["under its new name"])


def test_a_change_here_is_pushed_by_the_watcher_at_once(ready, server):
    with Watcher(ready):
        first = ready.list("INBOX")[0]
        ready.ok("flag", str(first["id"]), "flagged", "seenhere")
        assert wait_until(lambda: any("seenhere" in m.flags for m in dump(server)["INBOX"]))


def test_sync_asks_the_watcher_that_has_the_store(ready, server):
    with Watcher(ready):
        with ImapClient(server.port) as client:
            client.append_many("Archive" if "Archive" in client.folders() else "INBOX",
                               [(b"Subject: asked for\r\n\r\nx\r\n", [], 1700000000)])
        result = ready.json("sync")
        assert result["error"] is None
        assert sum(len(messages) for messages in dump(server).values()) == ready.json("status")["messages"]


def test_a_watcher_outlives_the_server(ready, server):
    with Watcher(ready):
        server.kill9()
        assert wait_until(lambda: ready.json("status")["watcher"]["state"] in ("retrying", "synchronizing"))
        server.start()
        with ImapClient(server.port) as client:
            client.append_many("INBOX", [(b"Subject: after all\r\n\r\nx\r\n", [], 1700000000)])
        ready.run("sync")
        assert wait_until(lambda: any(m["subject"] == "after all" for m in ready.list("INBOX")), 60)


class Portal:
    """Somebody else who answers at the server's address: without TLS, with the certificate in a directory, and refusing each log-on."""

    def __init__(self, port, certificate):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if certificate:
            self.context.load_cert_chain(os.path.join(certificate, "server.pem"), os.path.join(certificate, "server.key"))
        self.listener = socket.create_server(("127.0.0.1", port))
        self.log_ons = 0
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            try:
                self.talk(peer)
            except OSError:
                pass
            peer.close()

    def talk(self, peer):
        peer.settimeout(5)
        peer.sendall(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR STARTTLS] hi\r\n")
        tag = peer.recv(4096).split()[0]
        if not self.context:
            peer.sendall(tag + b" BAD no\r\n")
            peer.recv(4096)  # until the other side closes
            return
        peer.sendall(tag + b" OK go\r\n")
        with self.context.wrap_socket(peer, server_side=True) as safe:
            while line := safe.recv(4096):
                tag = line.split()[0]
                self.log_ons += b"AUTHENTICATE" in line
                safe.sendall(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n" + tag + b" OK x\r\n" if b"CAPABILITY" in line else
                             tag + b" NO [AUTHENTICATIONFAILED] no\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def safe(program):
    with Dovecot(tls=True) as server:
        fill(server, 5, 1)
        program.ok("logon", program.ADDRESS, "--server", f"imap://localhost:{server.port}", "--user", "alice", "--password-command",
                   "printf wonderland", "--tls-ca", server.ca)
        yield program, server


def watcher_of(program):
    return program.json("status")["watcher"]


@pytest.mark.parametrize("what", ["certificate", "TLS"])
def test_a_watcher_outlives_somebody_else_at_the_address(what, safe):
    program, server = safe
    other = Dovecot(tls=True)
    other.make_certificate()
    with Watcher(program) as watcher:
        server.kill9()
        with Portal(server.port, other.directory if what == "certificate" else None) as portal:
            assert wait_until(lambda: what in (watcher_of(program)["error"] or "") and watcher_of(program)["runs"] > 3)
            assert portal.log_ons == 0
            code, _, err = program.run("sync")
            assert code == 5 and what in err
        server.start()
        assert wait_until(lambda: watcher_of(program)["state"] == "waiting", 30)
    assert watcher.output.count("Failed: the " + ("certificate" if what == "certificate" else "server")) == 1
    other.close()


def test_a_watcher_tries_a_refused_log_on_again_much_later(safe):
    program, server = safe
    with Watcher(program):
        server.kill9()
        with Portal(server.port, server.directory) as portal:
            assert wait_until(lambda: "did not accept" in (watcher_of(program)["error"] or ""))
            assert 45 < watcher_of(program)["nextTry"] - time.time() < 95
            program.ok("flag", str(program.json("list", "INBOX")[0]["id"]), "flagged")
            time.sleep(2)
            assert portal.log_ons == 1 and watcher_of(program)["state"] == "retrying"
        server.start()
        program.sync()
        assert watcher_of(program)["state"] == "waiting" and program.json("status")["pending"]["flags"] == 0


def test_two_watchers_do_not_share_a_store(ready):
    with Watcher(ready):
        code, _, err = ready.run("sync", "--watch", timeout=30)
        assert code == 5 and "process" in err


def test_an_interrupt_ends_the_search_for_a_server_with_questions_open(program):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        process = program.start("logon", "a@localhost", env={"OUTPOST_AUTOCONFIG_URL": url})
        asked, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=4)  # less than a question's time
        asked.close()
    assert (process.returncode, out) == (130, b"")
    assert err.endswith(b"...\noutpost: stopped on request\n")


def test_an_interrupt_stops_within_a_second_and_the_next_run_goes_on(server, program):
    fill(server, 3000, 6)
    program.logon(server.url)
    process = program.start("sync")
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    process.communicate(timeout=60)
    assert process.returncode in (0, 130)
    program.ok("store", "check")
    program.sync()
    assert differences(program, dump(server, True), sample=3) == []
    assert start > 0


@pytest.mark.parametrize("arguments,code", [
    (["frobnicate"], 2), (["list"], 2), (["list", "No such folder"], 3), (["show", "999999"], 3), (["flag", "1"], 2),
    (["search", "from:"], 2), (["log", "--no-such-option"], 2), (["save", "1", "/no/such/directory/x"], 3),
    (["folder", "delete", "INBOX"], 2), (["folder", "create", "Sync Issues/x"], 2), (["flag", "1", "deleted"], 2), (["resolve", "77", "apply"], 3), (["--help"], 0), (["sync", "--help"], 0), (["--version"], 0)])
def test_each_failure_has_its_exit_code_and_says_what_to_do(arguments, code, ready):
    found, out, err = ready.run(*arguments)
    assert found == code, err
    assert out.strip() or err.strip()
    assert not re.search(r"assert|CRITICAL|WARNING", err)


def test_without_a_profile_the_first_step_is_named(program):
    code, _, err = program.run("sync")
    assert code == 3 and "logon" in err


def test_a_server_that_is_away_means_try_later(ready, server):
    server.kill9()
    code, _, err = ready.run("sync")
    assert code == 5 and "127.0.0.1" in err


def test_a_wrong_password_later_is_told_and_changes_nothing(ready, server):
    before = ready.json("folders")
    path = subprocess.run(["grep", "-rl", "wonderland", ready.environment["XDG_CONFIG_HOME"]], stdout=subprocess.PIPE,
                          check=True, text=True).stdout.split()[0]
    with open(path) as profile:
        text = profile.read()
    with open(path, "w") as profile:
        profile.write(text.replace("wonderland", "looking-glass"))
    code, _, err = ready.run("sync")
    assert code == 6 and "password" in err and "looking-glass" not in err
    assert ready.json("folders") == before


def test_no_secret_is_kept_or_shown(server, program):
    fill(server, 5, 1)
    program.ok("logon", program.ADDRESS, "--server", server.url, "--user", "alice", "--password-command",
               "cat " + secret_file(program), "--no-sync")
    code, out, err = program.run("sync", "-v")
    assert code == 0 and "AUTHENTICATE" in err
    assert "wonderland" not in err and b"wonderland" not in out and "YWxpY2UA" not in err
    found = subprocess.run(["grep", "-rl", "wonderland", program.home], stdout=subprocess.PIPE, text=True).stdout.split()
    assert found == [secret_file(program)]


@pytest.mark.parametrize("how", [
    ["alice@mail.example.org", "--server", "imap://alice:wonderland@127.0.0.1:{port}"],
    ["alice@mail.example.org", "--server", "alice:wonderland@127.0.0.1:no-port"],
    ["imap://alice:wonderland@127.0.0.1:{port}"], ["alice:wonderland@mail.example.org", "--profile", "p"]])
def test_a_password_in_a_url_is_refused_and_not_repeated(how, server, program):
    arguments = [word.format(port=server.port) for word in how]
    code, out, err = program.run("logon", *arguments, "--password-command", "printf wonderland", "--no-sync")
    assert code == 2 and "password" in err
    assert "wonderland" not in err + out.decode()
    assert program.json("profile", "list") == []


def secret_file(program):
    path = os.path.join(program.home, "secret")
    with open(path, "w") as secret:
        secret.write("wonderland\n")
    return path


def modes_below(top):
    """{path: mode}, folders with a slash behind."""
    found = {}
    for where, _, files in os.walk(top):
        found[where + "/"] = oct(os.stat(where).st_mode & 0o777)
        found.update({os.path.join(where, name): oct(os.lstat(os.path.join(where, name)).st_mode & 0o777) for name in files})
    return found


def test_files_are_the_users_own_whatever_the_umask(server, program):
    fill(server)
    before = os.umask(0)
    try:
        program.logon(server.url, sync=True)
        with Watcher(program):
            program.ok("store", "export", os.path.join(program.home, "copy"))
            modes = {}
            for top in ("config/outpost", "data/outpost", "run/outpost", "copy"):
                modes.update(modes_below(os.path.join(program.home, top)))
    finally:
        os.umask(before)
    for kind in (".sock", ".profile", "-wal", "-shm", ".lock", "/cur/"):
        assert [path for path in modes if path.endswith(kind)], kind
    assert {path: mode for path, mode in modes.items() if mode != ("0o700" if path.endswith("/") else "0o600")} == {}


def test_a_certificate_is_believed_only_when_there_is_reason(program):
    with Dovecot(tls=True) as server:
        fill(server, 5, 1)
        url = f"imap://localhost:{server.port}"
        how = ["logon", program.ADDRESS, "--server", url, "--user", "alice", "--password-command", "printf wonderland", "--no-sync"]
        code, _, err = program.run(*how, "--tls-pin", "00" * 32)
        assert code == 6 and "certificate" in err and not program.json("profile", "list")
        code, _, err = program.run(*how[:3], url.replace("imap:", "imaps:"), *how[4:])
        assert code == 1 and "STARTTLS" in err
        program.ok(*how, "--tls-ca", server.ca)
        program.sync()
        assert sum(f["total"] for f in program.json("folders")) == 5


def empty_inbox(server):
    with ImapClient(server.port) as client:
        client.select("INBOX")
        client.command("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
        client.command("EXPUNGE")


@pytest.mark.parametrize("decision", ["apply", "keep"])
def test_a_folder_emptied_at_the_server_is_held_until_decided(decision, ready, server):
    count = len(ready.list("INBOX"))
    empty_inbox(server)
    code, out, err = ready.run("sync")
    assert code == 4 and len(ready.list("INBOX")) == count
    holds = ready.json("resolve")
    assert [hold["messages"] for hold in holds] == [count]
    assert ready.run("status")[0] == 4
    ready.ok("resolve", str(holds[0]["id"]), decision)
    ready.sync()
    ready.sync()
    assert len(ready.list("INBOX")) == (count if decision == "keep" else 0)
    assert differences(ready, dump(server, True), sample=3) == []
    if decision == "apply":
        removed = ready.json("undelete")
        assert len(removed) == count
        ready.ok("undelete", str(removed[0]["id"]))
        ready.sync()
        assert len(dump(server)["INBOX"]) == 1


@pytest.mark.parametrize("word", ["server", "mine", "both"])
def test_a_decision_is_previewed_and_undone(word, ready, server):
    count = len(ready.list("INBOX"))
    empty_inbox(server)
    assert ready.run("sync")[0] == 4
    number = str(ready.json("resolve")[0]["id"])
    ids = {m["id"] for m in ready.list("INBOX")}
    preview = ready.json("resolve", number, word, "--dry-run")
    assert {item["id"] for item in preview[0]["items"]} == ids and preview[0]["folder"] == "INBOX"
    assert (preview[0]["removedHere"], preview[0]["sent"]) == ((count, 0) if word == "server" else (0, count))
    text = ready.ok("resolve", number, word, "--dry-run", "-n", "3").decode().splitlines()
    assert len(text) == 5 and f"{count} message(s) would be" in text[0]
    assert not ready.json("resolve")[0]["settled"]
    ready.ok("resolve", number, word)
    ready.ok("resolve", "--undo", number)
    assert not ready.json("resolve")[0]["settled"]
    ready.ok("resolve", "INBOX", word)
    ready.sync()
    assert ready.json("resolve") == [] and [d["id"] for d in ready.json("resolve", "--settled")] == [int(number)]
    kept = 0 if word == "server" else count
    assert len(ready.list("INBOX")) == len(dump(server)["INBOX"]) == kept
    assert len(ready.json("resolve", "--undo", number, "--dry-run")[0]["items"]) == count
    assert ready.json("resolve", "--undo", number)["done"] == count
    assert ready.run("sync")[0] == (0 if word == "server" else 4)
    assert len(ready.list("INBOX")) == count and len(dump(server)["INBOX"]) == count - kept
    assert ready.run("resolve", "--undo", number)[0] == 3


@pytest.mark.parametrize("decision", ["apply", "keep"])
def test_a_folder_emptied_here_is_held_until_decided(decision, ready, server):
    messages = ready.list("INBOX")
    ready.ok("delete", *[str(m["id"]) for m in messages])
    code, _, _ = ready.run("sync")
    assert code == 4 and len(dump(server)["INBOX"]) == len(messages)
    ready.ok("resolve", "--all", decision)
    ready.sync()
    ready.sync()
    assert len(dump(server)["INBOX"]) == (len(messages) if decision == "keep" else 0)
    assert differences(ready, dump(server, True), sample=3) == []


def test_the_log_stands_to_the_column(ready):
    lines = ready.ok("log").decode().splitlines()
    assert re.fullmatch(r"\d{1,2}:\d\d:\d\d Synchronizing Mailbox 'alice@mail\.example\.org'", lines[0])
    assert re.fullmatch(r"\d{1,2}:\d\d:\d\d Synchronizing Hierarchy", lines[1])
    assert re.fullmatch(r"\d{1,2}:\d\d:\d\d {7}\d+ folder\(s\) added to offline store", lines[2])
    assert re.fullmatch(r"\d{1,2}:\d\d:\d\d Done", lines[-1])
    runs = [json.loads(line) for line in ready.ok("log", "-n", "0", "--json").decode().splitlines()]
    assert runs[0]["result"] == "done" and len(runs[0]["lines"]) == len(lines)


OLD_ERROR = "Background Synchronization Error. See detailed logs in Deleted Items folder.\n"


def log_on_again(program, server, *how):
    program.ok("profile", "delete", program.ADDRESS)
    return program.run("logon", program.ADDRESS, "--server", server.url, "--user", "alice", "--password-command",
                       "printf wonderland", *how)


def test_a_store_of_an_earlier_profile_is_adopted_without_a_download(ready, server):
    ready.ok("flag", str(ready.list("INBOX")[0]["id"]), "flagged", "pendingflag")
    code, _, err = log_on_again(ready, server)
    assert code == 0 and "taken over" in err
    assert ready.json("log")["facts"]["addedHere"] == 0
    assert any("pendingflag" in m.flags for m in dump(server)["INBOX"])


def test_the_old_failure_is_shown_to_the_letter_when_asked_for(ready, server):
    before = {f["name"]: f["total"] for f in ready.json("folders")}
    code, _, err = log_on_again(ready, server, "--stale-store=report")
    assert code == 1 and err.endswith(OLD_ERROR)
    server.kill9()
    for _ in range(3):
        code, _, err = ready.run("sync")
        assert (code, err) == (1, OLD_ERROR)
    trash = next(f for f in ready.json("folders") if f["role"] == "trash")
    assert trash["total"] == before.get(trash["name"], 0) + 1
    texts = [json.loads(ready.ok("show", str(m["id"]), "--json"))["text"] for m in ready.list(trash["name"])[:2]]
    assert any(re.fullmatch(r"(\d{1,2}:\d\d:\d\d Synchronizing Mailbox 'alice@mail\.example\.org'\n"
                            r"\d{1,2}:\d\d:\d\d Synchronizing Hierarchy\n"
                            r"\d{1,2}:\d\d:\d\d {7}\d+ folder\(s\) added to offline store\n"
                            r"\d{1,2}:\d\d:\d\d {7}\d+ folder\(s\) updated in offline store\n"
                            r"\d{1,2}:\d\d:\d\d Done\n)\n?", text) for text in texts), texts
    assert ready.json("status")["reportedStale"] and b"outpost sync --stale-store=adopt" in ready.ok("status")
    server.start()
    assert ready.run("sync")[0] == 1
    with ImapClient(server.port) as client:
        client.create("One more")
    for _ in range(2):
        assert ready.run("sync")[0] == 1
    assert len(ready.list(trash["name"])) == before.get(trash["name"], 0) + 2  # another finding
    ready.ok("sync", "--stale-store=adopt")
    assert not ready.json("status")["reportedStale"]
    assert (trash["name"] in ready.folders()) == (trash["name"] in before)
    assert not any("Synchronization Log" in item["subject"] for folder in ready.folders() for item in ready.list(folder))
    assert differences(ready, dump(server, True), sample=3) == []


def test_a_deleted_items_that_was_made_for_the_old_failure_is_never_the_servers():
    with Dovecot() as server, Outpost() as program:
        program.logon(server.url, sync=True)
        before = program.folders()
        code, _, _ = log_on_again(program, server, "--stale-store=report")
        assert code == 1 and sorted(program.folders()) == sorted([*before, "Deleted Items"])
        program.ok("sync", "--stale-store=adopt")
        with ImapClient(server.port) as client:
            assert sorted(client.folders()) == sorted(before) == sorted(program.folders())
        program.ok("store", "check")


def test_a_wrong_word_for_a_stale_store_is_told_before_anything_is_asked(program):
    code, _, err = program.run("logon", program.ADDRESS, "--server", "imap://127.0.0.1:1", "--stale-store=foo")
    assert (code, err) == (2, "outpost: --stale-store is adopt, report or replace, not 'foo'\n")


def test_a_stale_store_is_archived_when_it_is_replaced(ready, server):
    ready.ok("flag", *[str(m["id"]) for m in ready.list("INBOX")[:2]], "flagged")
    code, _, err = log_on_again(ready, server, "--stale-store=replace")
    assert code == 0
    archive = re.search(r"archived, with 2 change\(s\) that were not sent and will not be: (\S+)", err).group(1)
    assert os.path.getsize(archive) > 10000
    assert f"{archive}  (archived: " in ready.ok("store", "list").decode()
    assert differences(ready, dump(server, True), sample=3) == []


def test_a_move_is_rehearsed_without_writing_and_then_followed(ready, server, tmp_path):
    with Dovecot() as new:
        with ImapClient(server.port) as old, ImapClient(new.port) as client:
            for name in old.folders():
                if name != "INBOX":
                    client.create(name)
                messages = old.read_folder(name)
                octets = old.fetch_octets(name) if hasattr(old, "fetch_octets") else None
                assert octets is None or len(octets) == len(messages)
        copy_reversed(server, new)
        before = dump(new)
        rows = ready.json("rebind", "--dry-run", "--server", new.url)
        assert sum(row["linked"] for row in rows) == sum(len(m) for m in before.values())
        assert sum(row["onlyHere"] + row["onlyThere"] + row["ambiguous"] for row in rows) == 0
        assert dump(new) == before
        ready.ok("rebind", "--server", new.url)
        assert ready.json("log")["facts"]["addedHere"] == 0
        assert differences(ready, dump(new, True), sample=3) == []


def copy_reversed(old, new):
    """The old server's messages into the new one's folders, in the opposite order."""
    import imaplib
    a, b = imaplib.IMAP4("127.0.0.1", old.port), imaplib.IMAP4("127.0.0.1", new.port)
    for client in (a, b):
        client.login("alice", "wonderland")
    with ImapClient(old.port) as names:
        folders = names.folders()
    from imapclient import to_utf7
    for name in folders:
        wire = '"' + to_utf7(name) + '"'
        a.select(wire, readonly=True)
        uids = a.uid("search", "ALL")[1][0].split()
        for uid in reversed(uids):
            data = a.uid("fetch", uid, "(FLAGS INTERNALDATE BODY.PEEK[])")[1][0]
            flags = re.search(rb"FLAGS \(([^)]*)\)", data[0]).group(1).decode().replace("\\Recent", "").strip()
            date = re.search(rb'INTERNALDATE ("[^"]*")', data[0]).group(1).decode()
            b.append(wire, f"({flags})", date, data[1])
    a.logout()
    b.logout()


def test_each_verb_answers_programs_in_json(ready, server, tmp_path):
    """Also the verbs that only change something. What is written to standard output leaves no room for JSON there."""
    first = ready.list("INBOX")[0]["id"]
    second = ready.list("INBOX")[1]["id"]
    assert ready.json("flag", str(first), str(second), "flagged", "receipts") == [
        {"id": m["id"], "flags": m["flags"], "keywords": m["keywords"]} for m in ready.list("INBOX")[:2]]
    assert "receipts" not in ready.json("unflag", str(first), "receipts")[0]["keywords"]
    assert ready.json("folder", "create", "New/Below") == {"name": "New/Below"}
    assert ready.json("folder", "rename", "New/Below", "New/Other") == {"name": "New/Other"}
    assert ready.json("folder", "delete", "New/Other") == {"name": "New/Other"}
    assert ready.json("store", "index", "--rebuild")["indexed"] == ready.json("status")["contents"]
    total = ready.json("status")["messages"]
    assert ready.json("store", "export", str(tmp_path / "out"))["messages"] == total
    saved = ready.json("save", str(first), str(tmp_path / "one.eml"))
    assert saved == {"file": str(tmp_path / "one.eml"), "octets": os.path.getsize(tmp_path / "one.eml")}
    assert ready.run("save", str(first), "-", "--json")[0] == 2
    assert ready.run("store", "export", "--format", "tar", "-", "--json")[0] == 2
    assert ready.run("show", "--raw", str(first), "--json")[:2] == (2, b"")
    assert ready.run("search", "--ids", "the", "--json")[:2] == (2, b"")
    assert ready.json("serve", "--show-password") == {"address": ready.ADDRESS, "password": ready.ok("serve", "--show-password").decode().strip()}
    assert ready.json("profile", "delete", ready.ADDRESS)["name"] == ready.ADDRESS
    made = ready.json("logon", ready.ADDRESS, "--server", server.url, "--user", "alice", "--password-command", "printf wonderland", "--no-sync")
    assert made["name"] == ready.ADDRESS and os.path.exists(made["store"])


def documented():
    """verb -> the keys that docs/json.md lists for it, those of an inner object as outer.inner."""
    with open(os.path.join(corpus.REPOSITORY, "docs/json.md")) as file:
        sections = re.split(r"^## ", file.read(), flags=re.M)[1:]
    keys = {}
    for section in sections:
        title, body = section.split("\n", 1)
        heads = re.findall(r"^- ((?:`[^`]+`(?:, )?)+)", body, flags=re.M)
        for verb in title.split(", "):
            keys[verb] = {key for head in heads for key in re.findall("`([^`]+)`", head)}
    return keys


def keys_of(data, outer=""):
    found = set()
    for item in data if isinstance(data, list) else [data]:
        for key, value in item.items() if isinstance(item, dict) else ():
            found |= {outer + key} | keys_of(value, outer + key + ".")
    return found


def test_the_keys_are_those_of_the_document(ready, server, tmp_path):
    known = documented()
    empty_inbox(server)
    assert ready.run("sync")[0] == 4
    number = str(ready.json("resolve")[0]["id"])
    folder = next(f["name"] for f in ready.json("folders") if f["name"] != "INBOX" and f["total"] > 2)
    first = str(ready.list(folder)[0]["id"])
    (tmp_path / "one.eml").write_bytes(b"Subject: one\r\n\r\n.\r\n")
    without = {"folder"}
    answers = {
        "list": ready.list(folder), "search": ready.json("search", "the"), "show": ready.json("show", first), "folders": ready.json("folders"),
        "log": [json.loads(line) for line in ready.ok("log", "-n", "0", "--json").splitlines()], "status": json.loads(ready.run("status", "--json")[1]),
        "resolve": ready.json("resolve"), "resolve --dry-run": ready.json("resolve", number, "both", "--dry-run"),
        "rebind --dry-run": ready.json("rebind", "--dry-run", "--server", server.url), "flag": ready.json("flag", first, "flagged"),
        "add": ready.json("add", folder, str(tmp_path / "one.eml")), "copy": ready.json("copy", first, "INBOX"),
        "delete": ready.json("delete", first), "undelete": ready.json("undelete"), "profile list": ready.json("profile", "list"),
        "profile show": ready.json("profile", "show"), "store list": ready.json("store", "list"), "store check": ready.json("store", "check"),
        "store compact": ready.json("store", "compact"), "store export": ready.json("store", "export", str(tmp_path / "out")),
        "sync: result": json.loads(ready.run("sync", "--json")[1].splitlines()[-1])}
    for verb, data in answers.items():
        expected = set(known[verb])
        inner = {"show": known["list"], "resolve --dry-run": known["resolve"]}
        expected |= inner.get(verb, set())
        found = keys_of(data)
        if verb == "list":
            expected -= without
        elif verb == "log":
            expected |= {"facts." + key for key in known["sync: result"] - {"run", "type", "error"}}
        elif verb == "status":
            expected = {key for key in expected if not key.startswith("watcher.")}
            found = {key for key in found if not key.startswith(("lastRun.", "holds."))}
        found -= {key.split(".")[0] for key in expected if "." in key} - expected
        assert found == expected, verb


def test_every_verb_has_json(program):
    verbs = re.findall(r"^  ((?:folder|profile|store) \S+|\S+)", program.ok("--help").decode().split("Verbs:\n")[1].split("\n\n")[0], re.M)
    assert len(verbs) > 25
    assert [verb for verb in verbs if "--json" not in program.ok(*verb.split(), "--help").decode()] == []


@pytest.mark.parametrize("word", ["folder", "profile", "store"])
def test_a_word_that_wants_a_second_one_has_help(word, program):
    shown = program.ok(word, "--help").decode()
    verbs = re.findall(rf"^  ({word} \S+)", program.ok("--help").decode(), re.M)
    assert len(verbs) >= 3 and re.findall(rf"^  ({word} \S+) ", shown.split("Examples:")[0], re.M) == verbs
    assert re.findall(rf"^  outpost ({word} \S+)", shown.split("Examples:")[1], re.M) == verbs
    assert shown == program.ok(word, "-h").decode() == program.ok("help", word).decode()
    assert program.run(word)[0] == 2 and program.run("fold", "--help")[0] == 2


def on_terminal(program, arguments, answer):
    """What the program shows on a terminal that answers the question for the password."""
    pid, end = pty.fork()
    if pid == 0:
        os.execve(program.binary, [program.binary, *arguments], dict(program.environment, TERM="xterm"))
    shown = b""
    try:
        while piece := os.read(end, 65536):
            if b"assword" not in shown and b"assword" in shown + piece:
                os.write(end, answer)
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(end)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


@pytest.mark.parametrize("verb", ["move", "copy"])
def test_a_folder_that_is_not_there_can_be_made(verb, ready):
    message = str(ready.json("list", "INBOX")[0]["id"])
    code, _, err = ready.run(verb, message, "Archive/2026")
    assert code == 3 and "there is no folder 'Archive/2026'" in err and "'outpost folder create Archive/2026' makes it" in err
    ready.ok("folder", "create", "Archive/2026")
    ready.ok(verb, message, "Archive/2026")


def log_on_to_named(program, listening, address, answer=None):
    """(exit code, what was shown, whether it was connected to) where DNS says that @listening has the mail of @address."""
    host = "localhost" if address.endswith("@localhost") else "127.0.0.1"
    named = {"OUTPOST_SRV": f"_imaps._tcp.{address.split('@')[1]}={host}:{listening.getsockname()[1]}", "OUTPOST_AUTOCONFIG_URL": "http://127.0.0.1:1/"}
    arguments = ["logon", address, "--password-command", f"touch {program.home}/asked; echo secret"]
    listening.settimeout(10)
    connected = []

    def take():
        try:
            listening.accept()[0].close()
            connected.append(True)
        except OSError:
            pass
    taker = threading.Thread(target=take)
    taker.start()
    if answer is None:
        code, _, shown = program.run(*arguments, env=named)
    else:
        program.environment.update(named)
        code, shown = on_terminal(program, arguments, answer)
    if not connected:
        listening.shutdown(socket.SHUT_RDWR)
    taker.join()
    return code, shown, bool(connected)


@pytest.mark.parametrize("address,answer,sent", [
    ("ann@example.org", None, False), ("ann@example.org", b"n\n", False), ("ann@example.org", b"\n", False), ("ann@example.org", b"y\n", True), ("ann@localhost", None, True)])
def test_a_server_of_another_domain_is_asked_about_before_a_password_is_sent(address, answer, sent, program):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        code, shown, connected = log_on_to_named(program, listening, address, answer)
    assert connected == os.path.exists(program.home + "/asked") == sent
    assert shown.count("Send the password of") == (answer is not None)
    if not sent:
        assert code == 2 and f"say --server imaps://127.0.0.1:{port}" in shown


TOKEN_KEY = b"0123456789abcdef0123456789abcdef"


def token(key=TOKEN_KEY, **claims):
    """A signed JSON Web Token (RFC 7519, HS256)."""
    def coded(octets):
        return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
    text = ".".join(coded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, {"exp": int(time.time()) + 600, **claims}))
    return text + "." + coded(hmac.new(key, text.encode(), hashlib.sha256).digest())


@pytest.fixture(scope="module")
def every_mechanism():
    """Dovecot with all mechanisms that it has and that are worth having; it checks tokens by itself."""
    server = Dovecot()
    keys = os.path.join(server.directory, "keys")
    os.makedirs(os.path.join(keys, "default", "HS256"))
    with open(os.path.join(keys, "default", "HS256", "default"), "wb") as key:
        key.write(base64.b64encode(TOKEN_KEY))
    settings = os.path.join(server.directory, "tokens")
    with open(settings, "w") as config:
        config.write(f"introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={keys}/\nusername_attribute = sub\n")
    server.extra = ("auth_mechanisms = plain login scram-sha-1 scram-sha-256 xoauth2 oauthbearer\n"
                    "auth_failure_delay = 0\nservice anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n"
                    f"passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {settings}\n}}")
    fill(server, 5, 1)
    with server:
        yield server


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", None])
def test_dovecot_takes_every_mechanism_for_a_password(mechanism, every_mechanism, program):
    how = ["--auth=" + mechanism] if mechanism else []
    arguments = ["logon", program.ADDRESS, "--server", every_mechanism.url, "--user", "alice", "-v", *how]
    code, _, err = program.run(*arguments, "--password-command", "printf wonderland")
    assert code == 0 and f"AUTHENTICATE {mechanism or 'SCRAM-SHA-256'}" in err and "wonderland" not in err
    assert program.json("status")["messages"] == 5
    assert program.run(*arguments, "--password-command", "printf wrong")[0] == 6


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2", None])
def test_dovecot_takes_a_token(mechanism, every_mechanism, program):
    how = ["--auth=" + mechanism] if mechanism else []
    arguments = ["logon", program.ADDRESS, "--server", every_mechanism.url, "--user", "alice", "--token", "-v", *how]
    good = token(sub="alice")
    code, _, err = program.run(*arguments, "--password-command", "printf " + good)
    assert code == 0 and f"AUTHENTICATE {mechanism or 'OAUTHBEARER'}" in err and good not in err
    assert program.json("status")["messages"] == 5
    code, _, err = program.run(*arguments, "--password-command", "printf " + token(b"forged", sub="alice"))
    assert code == 6 and "did not accept the token of 'alice'" in err


@pytest.fixture
def keyring(program):
    """gnome-keyring, unlocked, on a session bus of its own, for @program."""
    bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address=1", f"--address=unix:dir={program.home}"],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=program.environment, text=True)
    program.environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
    daemon = subprocess.Popen(["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=program.environment)
    daemon.stdin.write(b"open sesame")
    daemon.stdin.close()
    ask = ["dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner",
           "string:org.freedesktop.secrets"]
    assert wait_until(lambda: b"true" in subprocess.run(ask, env=program.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    yield program
    for process in (daemon, bus):
        process.terminate()
        process.wait(20)


def files_with(directory, text):
    found = []
    for where, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(where, name)
            if os.path.isfile(path) and text in open(path, "rb").read():
                found.append(path)
    return found


def test_the_keyring_keeps_the_password_and_nothing_else_does(server, keyring):
    fill(server, 5, 1)
    arguments = ["logon", keyring.ADDRESS, "--server", server.url, "--user", "alice", "--no-sync"]
    code, shown = on_terminal(keyring, arguments, b"wonderland\n")
    assert code == 0 and "wonderland" not in shown
    assert keyring.json("profile", "show")["secret"] == "keyring"
    keyring.sync()
    assert sum(f["total"] for f in keyring.json("folders")) == 5
    assert files_with(keyring.home, b"wonderland") == []  # the keyring's own file is encrypted
    keyring.ok("profile", "delete", keyring.ADDRESS)
    code, _, err = keyring.run(*arguments)
    assert code == 2 and "no terminal to ask for the password" in err


def test_the_question_for_the_password_has_a_line_of_its_own(server, program):
    fill(server, 5, 1)
    code, shown = on_terminal(program, ["logon", program.ADDRESS, "--server", server.url, "--user", "alice", "--ask", "--no-sync"],
                              b"wonderland\n")
    assert code == 0 and "wonderland" not in shown
    code, shown = on_terminal(program, ["sync"], b"wonderland\n")
    assert code == 0 and "wonderland" not in shown
    line = re.split(r"\r\n|\r\x1b\[K", shown[:shown.index("Password of")])[-1]
    assert line == "", shown


def test_which_profile_is_told_and_how_to_name_it(ready, server):
    code, _, err = ready.run("status", "--profile", "nope")
    assert code == 3 and f'there is no profile "nope", but {ready.ADDRESS}' in err
    ready.ok("logon", "bob@example.org", "--server", server.url, "--user", "alice", "--password-command", "printf wonderland", "--no-sync")
    code, _, err = ready.run("status")
    assert code == 2 and "--profile NAME" in err


def test_a_plain_connection_to_this_machine_is_told(server, program):
    """The far end of a tunnel would get the password without TLS."""
    how = ["logon", program.ADDRESS, "--user", "alice", "--password-command", "printf wonderland", "--no-sync", "--server"]
    code, _, err = program.run(*how, server.url)
    assert code == 0 and "not encrypted" in err and "--tls-pin" in err
    with Dovecot(tls=True) as encrypted:
        code, _, err = program.run(*how, f"imap://localhost:{encrypted.port}", "--tls-ca", encrypted.ca, "--profile", "tls")
        assert code == 0 and "not encrypted" not in err
    assert "tunnel" in program.ok("logon", "--help").decode()


def test_changes_of_folders_are_pending_until_they_are_pushed(ready):
    assert ready.json("status")["pending"] == {"new": 0, "flags": 0, "removed": 0, "marked": 0, "folders": 0}
    ready.ok("folder", "create", "Made/Here")
    assert ready.json("status")["pending"]["folders"] == 2
    assert "2 folders: pushed" in ready.ok("status").decode()
    ready.sync()
    assert ready.json("status")["pending"]["folders"] == 0
    ready.ok("folder", "rename", "Made/Here", "Not yet/there/Here")  # what is above it is made, as by folder create
    assert ready.json("status")["pending"]["folders"] == 3
    ready.ok("folder", "delete", "Not yet/there/Here")
    assert ready.json("status")["pending"]["folders"] == 3
    ready.sync()
    assert ready.json("status")["pending"]["folders"] == 0
    assert {"Not yet/there", "Made"} <= set(ready.folders()) and "Not yet/there/Here" not in ready.folders()


@pytest.mark.parametrize("name", ["a//b", "a/", "//a", "/"])
def test_a_folder_without_a_name_is_refused(name, ready):
    before = ready.folders()
    for verb in (["create", name], ["rename", before[-1], name]):
        code, _, err = ready.run("folder", *verb)
        assert code == 2 and ("empty name" in err or name == "/"), err
    assert "empty name" in ready.run("folder", "create", "/a")[2]
    assert ready.folders() == before


@pytest.mark.parametrize("name", ["x\ny", "x\x1b[31m", "a/\x7f", "\x85"])
def test_a_folder_with_control_characters_is_refused(name, ready):
    before = ready.folders()
    for verb in (["create", name], ["rename", before[-1], name]):
        code, _, err = ready.run("folder", *verb)
        assert code == 2 and "control characters" in err
    assert ready.folders() == before


@pytest.mark.parametrize("arguments", [["list", "INBOX", "-n", "-5"], ["search", "the", "-n", "-1"], ["log", "-n", "-1"]])
def test_fewer_than_none_is_no_number(arguments, ready):
    code, out, err = ready.run(*arguments)
    assert code == 2 and "0 for all" in err and not out


@pytest.mark.parametrize("words", [["folders"], ["sync", "--help"], ["--help"]])
def test_a_full_disk_behind_the_output_is_told(words, ready):
    with open("/dev/full", "w") as full:
        done = subprocess.run([ready.binary, *words], env=ready.environment, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 8 and "No space left" in done.stderr


def test_what_turns_the_direction_of_text_does_not_reach_the_terminal(ready):
    ready.ok("folder", "create", "invoice\u202efdp.exe\u202c \u2067x\u2069")
    assert "invoicefdp.exe x" in ready.ok("folders").decode()


def test_a_move_to_where_it_is_says_so(ready):
    message = ready.json("list", "INBOX")[0]["id"]
    code, _, err = ready.run("move", str(message), "INBOX")
    assert (code, "there already" in err, "moved" in err) == (0, True, False)


def test_a_flag_that_is_set_already_changes_nothing(ready):
    message = str(ready.json("list", "INBOX")[0]["id"])
    for verb in ("flag", "unflag"):
        assert "1 message changed here" in ready.run(verb, message, "flagged" if verb == "flag" else "receipts", "draft")[2]
        assert "nothing is changed" in ready.run(verb, message, "flagged" if verb == "flag" else "receipts", "draft")[2]
    ready.ok("flag", message, "receipts")
    assert "nothing is changed" in ready.run("flag", message, "receipts")[2]


NO_NUMBERS = [["flag", "-", "seen"], ["unflag", "-", "seen"], ["move", "-", "INBOX"], ["copy", "-", "INBOX"], ["delete", "-"],
              ["undelete", "-"], ["show", "-"], ["save", "-", "no-such-file"]]


@pytest.mark.parametrize("words", NO_NUMBERS, ids=lambda words: words[0])
def test_standard_input_that_names_no_message_is_nothing_to_do(words, ready):
    before = ready.json("status")["pending"]
    code, out, err = ready.run(*words)
    assert (code, out, "nothing to do" in err, len(err.splitlines())) == (0, b"", True, 1)
    assert ready.json("status")["pending"] == before and not os.path.exists("no-such-file")
    with_json = ready.ok(*words, "--json")
    assert with_json == (b"" if words[0] in ("show", "save") else b"[]\n")


def test_one_file_takes_no_two_messages(ready, tmp_path):
    first, second = (str(item["id"]) for item in ready.json("list", "INBOX")[:2])
    ready_made = subprocess.run([ready.binary, "save", "-", str(tmp_path / "a")], env=ready.environment, input=f"{first}\n{second}\n",
                                stderr=subprocess.PIPE, text=True)
    assert (ready_made.returncode, "store export" in ready_made.stderr, os.listdir(tmp_path)) == (2, True, [])


def test_a_run_that_was_killed_is_not_said_to_go_on(server, program):
    fill(server)
    program.logon(server.url)
    step = 1
    while program.json("status")["lastRun"] is None:  # the first steps come before its place in the log
        assert program.run("sync", env={"OUTPOST_DIE_AT": str(step)})[0] == 137
        step += 1
    assert "was broken off" in program.ok("status").decode()
    with open(program.json("status")["store"] + ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "has not ended" in program.ok("status").decode()
    program.sync()
    assert program.json("status")["lastRun"]["result"] == "done"


def test_how_much_a_search_sees_before_the_index_is_ready_is_told(server, program):
    fill(server, 1300, 2)
    program.logon(server.url)
    program.sync("--no-index")
    assert program.json("status")["unindexed"] == 1300
    assert "of the others only the header" in program.ok("status").decode()
    program.ok("store", "index")
    assert program.json("status")["unindexed"] == 0

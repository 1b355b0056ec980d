# SPDX-License-Identifier: Apache-2.0
"""A damaged store: named, read around, mended, and fetched anew from the home where something was lost. Nothing is lost at home."""
import os
import shutil
import sqlite3
import subprocess

import pytest
from genmail import Generator, folder_names, write_maildir
from imapclient import ImapClient
from outpost import differences, export_digests

PAGE = 16384
CORRUPT = 7


def store_of(program):
    top = os.path.join(program.environment["XDG_DATA_HOME"], "outpost", "stores")
    return os.path.join(top, [name for name in os.listdir(top) if not name.endswith(("-wal", "-shm", ".lock"))][0])


def digests(server):
    with ImapClient(server.port) as client:
        counts = {}
        for messages in client.dump(True).values():
            for message in messages:
                counts[message.sha256] = counts.get(message.sha256, 0) + 1
        return counts


def dump(server):
    with ImapClient(server.port) as client:
        return client.dump(True)


def sql(path, *statements):
    with sqlite3.connect(path) as db:
        rows = [db.execute(statement).fetchall() for statement in statements]
        db.commit()
    db.close()
    return rows[-1]


def overwrite(path, table, which):
    """One leaf page of that table becomes garbage; all of its pages are in the file and none in the log."""
    sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    pages = [page for page, in sql(path, f"SELECT pageno FROM dbstat WHERE name = '{table}' AND pagetype = 'leaf' ORDER BY pageno")]
    with open(path, "r+b") as store:
        store.seek((pages[len(pages) * which // 4] - 1) * PAGE)
        store.write(b"\xa5" * PAGE)


@pytest.fixture
def synced(server, program):
    write_maildir(server.maildir, Generator(3), 600, folder_names(5))
    server.own_files()
    program.logon(server.url)
    program.sync()
    return server, program


@pytest.mark.parametrize("table", ["content", "message", "placement", "placement_binding", "message_received", "folder"])
def test_after_a_damaged_page_the_store_is_whole_again(synced, tmp_path, table):
    server, program = synced
    there = digests(server)
    path = store_of(program)
    overwrite(path, table, 2)
    code, out, err = program.run("store", "check", "--deep")
    assert code == CORRUPT and out
    assert "--repair" in err
    program.ok("store", "check", "--repair")
    program.ok("store", "check", "--deep")
    for _ in range(3):
        program.sync()
        held = program.json("status").get("held") or []
        assert not held
    assert digests(server) == there
    assert export_digests(program, str(tmp_path / "export")) == there
    program.ok("store", "check", "--deep")


def test_a_damaged_message_is_named_and_fetched_again(synced, tmp_path):
    server, program = synced
    there = digests(server)
    path = store_of(program)
    message, subject = sql(path, "SELECT id, subject FROM message WHERE subject != '' ORDER BY id LIMIT 1 OFFSET 100")[0]
    sql(path, f"UPDATE content SET data = x'00112233' WHERE id = (SELECT content FROM message WHERE id = {message})")
    code, _, err = program.run("save", str(message), str(tmp_path / "none"))
    assert code == CORRUPT and "outpost store check" in err
    code, out, _ = program.run("store", "check", "--deep")
    assert code == CORRUPT and f"message {message} ({subject})" in out.decode()
    program.ok("store", "check", "--deep", "--repair")
    program.sync()
    assert digests(server) == there
    assert export_digests(program, str(tmp_path / "export")) == there
    program.ok("store", "check", "--deep")


def test_an_export_of_a_damaged_store_leaves_out_only_what_is_damaged(synced, tmp_path):
    server, program = synced
    path = store_of(program)
    sql(path, "UPDATE content SET data = x'00' WHERE id IN (SELECT content FROM message WHERE id IN (5, 50))")
    code, _, err = program.run("store", "export", str(tmp_path / "export"))
    assert code == CORRUPT and "2 message(s)" in err
    found = sum(len(names) for where, _, names in os.walk(tmp_path / "export") if where.endswith("/cur"))
    assert found == 598


def test_a_missing_table_is_named_by_all_and_made_again(synced):
    server, program = synced
    path = store_of(program)
    sql(path, "DROP TABLE hold")
    code, _, err = program.run("sync")
    assert code == CORRUPT and "no such table: hold" in err and "outpost store check" in err
    code, out, _ = program.run("store", "check")
    assert code == CORRUPT and b"table hold is missing" in out
    program.ok("store", "check", "--repair")
    program.sync()
    program.ok("store", "check", "--deep")


def test_a_gutted_search_index_is_found_and_built_anew(synced):
    server, program = synced
    path = store_of(program)
    found = len(program.json("search", "the"))
    assert found > 0
    sql(path, "DELETE FROM fts_data WHERE id > 10")
    for how in ([], ["--deep"]):
        code, out, _ = program.run("store", "check", *how)
        assert code == CORRUPT and b"the full-text index is damaged" in out
    program.ok("store", "check", "--repair")
    program.ok("store", "index")
    assert len(program.json("search", "the")) == found


def test_an_emptied_store_is_not_taken_for_a_new_one(synced):
    server, program = synced
    path = store_of(program)
    sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    os.truncate(path, 0)
    for verb in (["store", "check"], ["store", "check", "--repair"], ["sync"], ["list", "INBOX"], ["flag", "1", "seen"],
                 ["logon", program.ADDRESS, "--server", server.url, "--user", "alice"]):
        code, _, err = program.run(*verb)
        assert code == CORRUPT and "empty" in err and "--stale-store=replace" in err, verb
        assert os.path.getsize(path) == 0
    program.sync("--stale-store=replace")
    assert differences(program, dump(server), sample=3) == []


def test_a_store_that_is_not_there_is_told_before_a_new_one_is_made(synced):
    server, program = synced
    path = store_of(program)
    os.unlink(path)
    code, _, err = program.run("store", "check")
    assert code == 3 and path in err
    listed, = program.json("store", "list")
    assert listed["store"] == path and "No such file" in listed["problem"]
    code, _, err = program.run("sync")
    assert code == 0 and f"{path} of profile {program.ADDRESS} is not there" in err
    assert differences(program, dump(server), sample=3) == []
    code, _, err = program.run("sync")
    assert code == 0 and "not there" not in err


def test_a_store_that_can_only_be_read_is_read_and_the_rest_says_so(synced, tmp_path):
    server, program = synced
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    path = store_of(program)
    place = str(tmp_path / "place")
    os.mkdir(place)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", place], check=True)
    try:
        for name in os.listdir(os.path.dirname(path)):
            shutil.move(os.path.join(os.path.dirname(path), name), place)
        os.rmdir(os.path.dirname(path))
        os.symlink(place, os.path.dirname(path))
        message = program.list("INBOX")[0]["id"]
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        assert program.list("INBOX")[0]["id"] == message
        program.ok("show", str(message))
        program.ok("store", "check", "--deep")
        for verb in (["sync"], ["flag", str(message), "seen"], ["store", "compact"], ["store", "check", "--repair"]):
            code, _, err = program.run(*verb)
            assert code == 6 and "can only be read here: Read-only file system" in err, (verb, err)
    finally:
        subprocess.run(["umount", "-l", place], check=True)

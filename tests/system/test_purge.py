# SPDX-License-Identifier: Apache-2.0
"""The end of removed messages and deleted mailboxes behind 30 days, which here pass by shifting what the databases say."""
import contextlib
import fcntl
import os
import sqlite3
import time

from outpostd import wait_until

DAY = 86400
MESSAGE = b"From: a@elsewhere.example\r\nSubject: %d\r\n\r\n" + b"body " * 200 + b"\r\n"


@contextlib.contextmanager
def database(*path):
    db = sqlite3.connect(os.path.join(*path), timeout=30)
    with db:
        yield db
    db.close()


def directory(made):
    return database(made.folder, "directory.db")


def id_of(made, user):
    return [line.split() for line in (made.ctl("mailbox", "list") + made.ctl("mailbox", "list", "--deleted")).splitlines() if line.startswith(user)][0][3]


def store(made, user):
    return os.path.join(made.folder, "mail", id_of(made, user))


def numbers(path):
    """Messages that the store holds, and those of them that can be restored."""
    with database(path) as db:
        return tuple(db.execute("SELECT (SELECT COUNT(*) FROM message), (SELECT COUNT(*) FROM removed)").fetchone())


def shift(path, days, which="1"):
    with database(path) as db:
        db.execute(f"UPDATE removed SET removed = removed - {days * DAY} WHERE {which}")


def yesterday(path):
    """The server looked at it last."""
    with database(path) as db:
        assert db.execute(f"UPDATE setting SET value = value - {DAY + 1} WHERE name = 'last-sweep'").rowcount == 1


def with_removed(made, total=4, removed=3):
    """Alice had @total messages and has removed @removed of them."""
    with made, made.lmtp() as lmtp:
        for i in range(total):
            lmtp.sendmail("a@elsewhere.example", ["alice@example.org"], MESSAGE % i)
        client = made.log_on("alice", "wonderland")
        client.select()
        client.store(f"1:{removed}", "+FLAGS", "\\Deleted")
        client.expunge()
        client.logout()
    path = store(made, "alice")
    assert numbers(path) == (total, removed)
    return path


def test_a_dry_run_tells_and_changes_nothing(made):
    path = with_removed(made)
    assert "Nothing was removed or deleted more than 30 days ago" in made.ctl("purge", "--dry-run")
    shift(path, 31, "id <= 2")
    shift(path, 29, "id > 2")
    made.ctl("mailbox", "delete", "bob@example.org")
    with directory(made) as d:
        d.execute(f"UPDATE mailbox SET deleted = deleted - {31 * DAY} WHERE deleted > 0")
    for _ in range(2):
        said = made.ctl("purge", "--dry-run")
        assert "alice@example.org: 2 messages would go" in said and "bob@example.org" in said and "the mailbox would go" in said
    assert numbers(path) == (4, 3) and os.path.exists(store(made, "bob"))


def test_removed_messages_go_behind_thirty_days_and_only_they(made):
    path = with_removed(made)
    assert "Nothing" in made.ctl("purge")
    shift(path, 31, "id <= 2")
    shift(path, 29, "id > 2")
    assert "alice@example.org: 2 messages gone" in made.ctl("purge")
    assert numbers(path) == (2, 1)
    shift(path, 2)
    assert "alice@example.org: 1 message gone" in made.ctl("purge")
    assert numbers(path) == (1, 0)
    with made:
        client = made.log_on("alice", "wonderland")
        assert client.select() == ("OK", [b"1"])
        assert b"body body" in client.fetch("1", "(BODY.PEEK[])")[1][0][1]
        client.logout()


def test_a_deleted_mailbox_goes_behind_thirty_days(made):
    kept, gone = store(made, "alice"), store(made, "bob")
    for user in ("alice", "bob"):
        made.ctl("mailbox", "delete", f"{user}@example.org")
    with directory(made) as d:
        d.execute(f"UPDATE mailbox SET deleted = deleted - {31 * DAY} WHERE address LIKE 'bob%'")
        d.execute(f"UPDATE mailbox SET deleted = deleted - {29 * DAY} WHERE address LIKE 'alice%'")
    assert "bob@example.org" in made.ctl("purge")
    assert os.path.exists(kept) and not any(name.startswith(os.path.basename(gone)) for name in os.listdir(os.path.dirname(gone)))
    assert "no deleted mailbox" in made.ctl("mailbox", "undelete", os.path.basename(gone), code=3)
    made.ctl("mailbox", "undelete", os.path.basename(kept))
    made.create("bob@example.org", "other")
    with made:
        made.log_on("alice", "wonderland").logout()
        made.log_on("bob", "other").logout()


def test_the_running_server_purges_and_disturbs_nobody(made):
    path = with_removed(made)
    bobs = store(made, "bob")
    shift(path, 31)
    yesterday(path)
    made.ctl("mailbox", "delete", "bob@example.org")
    with directory(made) as d:
        d.execute(f"UPDATE mailbox SET deleted = deleted - {31 * DAY} WHERE deleted > 0")
    with made:
        client = made.log_on("alice", "wonderland")
        assert client.select() == ("OK", [b"1"])
        wait_until(lambda: numbers(path) == (1, 0) and not os.path.exists(bobs))
        assert client.noop()[0] == "OK" and client.fetch("1", "(UID)")[1] == [b"1 (UID 4)"]
        client.logout()
    log = open(made.folder + "/log").read()
    assert "purge: mailbox=alice@example.org messages=3" in log and "purge: mailbox=bob@example.org id=" in log


def test_the_server_looks_at_a_mailbox_once_a_day(made):
    path = with_removed(made)  # at its start the server has looked
    shift(path, 31)
    with made:
        time.sleep(1)
        assert numbers(path) == (4, 3)
    yesterday(path)
    with made:
        wait_until(lambda: numbers(path) == (1, 0))


def test_what_died_in_its_midst_is_ended(made):
    alices, bobs = store(made, "alice"), store(made, "bob")
    with directory(made) as d:
        d.execute("PRAGMA foreign_keys=ON")
        d.execute("DELETE FROM mailbox WHERE address LIKE 'bob%'")
    with open(os.path.join(made.folder, "purging"), "w") as file:
        file.write(f"{os.path.basename(alices)}\n{os.path.basename(bobs)}\n")
    made.ctl("purge", "--dry-run")
    assert os.path.exists(bobs)
    made.ctl("purge")
    assert os.path.exists(alices) and not os.path.exists(bobs)  # whom the directory has is not touched
    assert not os.path.exists(os.path.join(made.folder, "purging"))


def test_one_damaged_store_does_not_hold_up_the_others(made):
    path = with_removed(made)
    shift(path, 31)
    with open(store(made, "bob"), "wb") as file:
        file.write(b"no database, but long enough to look like one " * 100)
    said = made.ctl("purge", code=1)
    assert "bob@example.org: " in said and "alice@example.org: 3 messages gone" in said and "1 mailbox could not" in said
    assert numbers(path) == (1, 0)


def test_one_at_a_time(made):
    with open(os.path.join(made.folder, "purging.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another process purges" in made.ctl("purge", code=1)
    assert "Nothing" in made.ctl("purge")

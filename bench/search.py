#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long `outpost search` takes from the shell until its first line and its last, and its CPU time, beside notmuch on the same mail.

The mail is that of bench.py's rig: 100,000 messages in INBOX and 49 folders of 20. A --directory that has been made before is used again."""
import argparse
import os
import pty
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "lib"))

from bench import write_rig  # noqa: E402
from dovecot import Dovecot  # noqa: E402
from outpost import Outpost, find_binary  # noqa: E402

# The query of each, or None where notmuch has none like it.
QUERIES = [
    ("nosuchword", "nosuchword"),
    ("budget", "budget"),
    ("совещание", "совещание"),
    ("予算", "予算"),
    ("budget meeting legal", "budget meeting legal"),
    ('"the meeting"', '"the meeting"'),
    ('"review because two"', '"review because two"'),
    ("ref 00042000", "ref 00042000"),
    ("budg*", "budg*"),
    ("th*", "th*"),
    ("m*", "m*"),
    ("0*", "0*"),
    ("from:ada", "from:ada"),
    ("from:nosuchperson", "from:nosuchperson"),
    ("to:alice", "to:alice"),
    ("subject:review", "subject:review"),
    ("subject:m*", "subject:m*"),
    ("budget OR Haushalt", "budget or Haushalt"),
    ("budget -meeting", "budget and not meeting"),
    ("-budget", "not budget"),
    ("is:unread", "tag:unread"),
    ("is:flagged", "tag:flagged"),
    ("in:Archive", "folder:.Archive"),
    ("in:inbox", 'folder:""'),
    ("has:attachment", "tag:attachment"),
    ("before:2016", "date:..2015"),
    ("after:2024", "date:2024.."),
    ("date:2020-05-05", "date:2020-05-05"),
    ("budget is:unread", "budget and tag:unread"),
    ("budget in:Archive", "budget and folder:.Archive"),
    ("from:ada budget has:attachment", "from:ada and budget and tag:attachment"),
    ("from:ada is:flagged after:2023 -meeting", "from:ada and tag:flagged and date:2023.. and not meeting"),
    ("(budget OR Haushalt) is:unread before:2016", "(budget or Haushalt) and tag:unread and date:..2015"),
    ("m* is:flagged before:2016", "m* and tag:flagged and date:..2015"),
    ("*", "*"),
]


def until_lines(command, environment, output):
    """Milliseconds to the first octet, to the end and of CPU time; lines."""
    reading, writing = output()
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    first, lines = None, 0
    while True:
        try:
            octets = os.read(reading, 65536)
        except OSError:  # a terminal whose other end is closed
            octets = b""
        if not octets:
            break
        first = first or time.perf_counter()
        lines += octets.count(b"\n")
    _, status, usage = os.wait4(process.pid, 0)
    end = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    os.close(reading)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {process.returncode}")
    return ((first or end) - start) * 1000, (end - start) * 1000, (usage.ru_utime + usage.ru_stime) * 1000, lines


def measure(command, environment, repeat, output=os.pipe):
    """Medians of the first, the last and the CPU time; lines."""
    runs = [until_lines(command, environment, output) for _ in range(repeat + 1)][1:]  # the first one warms the file cache
    return [statistics.median(run[i] for run in runs) for i in range(3)] + [runs[0][3]]


def make_home(directory):
    """A home with the rig's mail, synchronised and indexed; the mail stays beside for notmuch."""
    server = Dovecot(os.path.join(directory, "server"))
    write_rig(server.maildir, 49)
    server.own_files()
    with server, Outpost(directory=os.path.join(directory, "home")) as program:
        program.logon(f"imap://127.0.0.1:{server.port}")
        program.sync("--no-index", timeout=3600)
        program.ok("store", "index", timeout=3600)
    open(os.path.join(directory, "made"), "w").close()


def make_notmuch(directory):
    """The environment for notmuch, with everything indexed."""
    config = os.path.join(directory, "notmuch-config")
    environment = dict(os.environ, NOTMUCH_CONFIG=config, LC_ALL="C.UTF-8", TZ="UTC")
    if not os.path.exists(config):
        with open(config, "w") as out:
            out.write(f"[database]\npath={os.path.join(directory, 'server', 'mail', 'Maildir')}\n[user]\nname=Alice\n"
                      "primary_email=alice@example.org\n[new]\ntags=unread\nignore=/^dovecot/;subscriptions;maildirfolder\n"
                      "[search]\nexclude_tags=\n[maildir]\nsynchronize_flags=true\n")
        start = time.monotonic()
        subprocess.run(["notmuch", "new", "--quiet"], env=environment, check=True)
        print(f"notmuch new: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return environment


def terminal():
    return pty.openpty()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", help="where to work; kept")
    parser.add_argument("--repeat", type=int, default=7, help="runs of each query; the median counts")
    parser.add_argument("--no-notmuch", action="store_true")
    parser.add_argument("--terminal", action="store_true", help="write to a terminal, where outpost shows 50")
    parser.add_argument("queries", nargs="*", metavar="QUERY")
    options = parser.parse_args()
    if not find_binary():
        sys.exit("bench: no program; run make first")
    peer = not options.no_notmuch and not options.queries
    if peer and not shutil.which("notmuch"):
        sys.exit("bench: notmuch is not installed: apt-get install notmuch, or --no-notmuch")
    directory = options.directory or tempfile.mkdtemp(prefix="outpost-search-")
    os.makedirs(directory, mode=0o755, exist_ok=True)
    try:
        if not os.path.exists(os.path.join(directory, "made")):
            os.makedirs(os.path.join(directory, "server"), exist_ok=True)
            make_home(directory)
        notmuch = make_notmuch(directory) if peer else None
        program = Outpost(directory=os.path.join(directory, "home"))
        output = terminal if options.terminal else os.pipe
        print("| query | lines | first, ms | last, ms | CPU, ms |" +
              (" notmuch: first, ms | last, ms | CPU, ms | first / ours | CPU / ours |" if peer else ""))
        print("|---|---:|---:|---:|---:|" + ("---:|---:|---:|---:|---:|" if peer else ""))
        for ours, theirs in [(query, None) for query in options.queries] or QUERIES:
            first, last, cpu, lines = measure([program.binary, "search", ours], program.environment, options.repeat, output)
            row = f"| `{ours}` | {lines} | {first:.1f} | {last:.1f} | {cpu:.1f} |"
            if peer:
                other = measure(["notmuch", "search", theirs], notmuch, options.repeat, output)
                row += f" {other[0]:.1f} | {other[1]:.1f} | {other[2]:.1f} | {other[0] / first:.1f} | {other[2] / cpu:.1f} |"
            print(row, flush=True)
    finally:
        if not options.directory:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""outpost beside mbsync and OfflineIMAP, on the same Dovecot on loopback, and beside the floor: the same octets fetched to nowhere.

Every tool keeps mail safe before it answers (mbsync: FSync yes). The figures depend on the machine, the ratios much less."""
import argparse
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "lib"))

from dovecot import Dovecot  # noqa: E402
import corpus  # noqa: E402
from genmail import Generator, folder_names, maildir_folder, write_maildir  # noqa: E402
from imapclient import ImapClient, quote, to_utf7  # noqa: E402
from outpost import Outpost, find_binary  # noqa: E402
from proxy import Proxy  # noqa: E402


# What a process used before exec counts in its ru_maxrss, so it is started from an interpreter that has loaded next to nothing.
LAUNCHER = """
import os, sys, time
start = time.monotonic()
pid = os.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
text = f"{time.monotonic() - start} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024} {os.waitstatus_to_exitcode(status)}"
os.write(int(sys.argv[1]), text.encode())
"""


class Failed(Exception):
    pass


class Run:
    def __init__(self, arguments, environment, log):
        reading, writing = os.pipe()
        with open(log, "wb") as out:
            subprocess.run([sys.executable, "-ISc", LAUNCHER, str(writing), *arguments], env=environment, stdin=subprocess.DEVNULL,
                           stdout=out, stderr=out, pass_fds=[writing], check=True)
        os.close(writing)
        with os.fdopen(reading) as answer:
            seconds, cpu, rss, code = answer.read().split()
        self.seconds, self.cpu, self.rss, self.code = float(seconds), float(cpu), float(rss), int(code)
        if self.code != 0:
            with open(log, errors="replace") as text:
                raise Failed(f"{' '.join(arguments)}: exit {self.code}\n{text.read()[-3000:]}")


def disk_use(path):
    return int(subprocess.run(["du", "-sk", path], check=True, stdout=subprocess.PIPE).stdout.split()[0]) / 1024


class Mbsync:
    name = "mbsync"

    def __init__(self, port, directory):
        self.directory, self.mail = directory, os.path.join(directory, "mail")
        os.makedirs(self.mail)
        self.config = os.path.join(directory, "mbsyncrc")
        with open(self.config, "w") as config:
            config.write(f"FSync yes\n\nIMAPAccount rig\nHost 127.0.0.1\nPort {port}\nUser alice\nPass wonderland\n"
                         "SSLType None\nAuthMechs LOGIN\nPipelineDepth 50\n\nIMAPStore far\nAccount rig\n\nMaildirStore near\n"
                         f"Path {self.mail}/\nInbox {self.mail}/INBOX\nSubFolders Verbatim\n\nChannel rig\nFar :far:\n"
                         f"Near :near:\nPatterns *\nCreate Both\nRemove Both\nExpunge Both\nCopyArrivalDate yes\nSyncState *\n")

    def sync(self):
        return Run(["mbsync", "-q", "-c", self.config, "-a"], dict(os.environ, HOME=self.directory),
                   os.path.join(self.directory, "log"))


class OfflineImap:
    name = "OfflineIMAP"

    def __init__(self, port, directory):
        self.directory, self.mail = directory, os.path.join(directory, "mail")
        os.makedirs(directory, exist_ok=True)
        self.config = os.path.join(directory, "offlineimaprc")
        with open(self.config, "w") as config:
            config.write("[general]\naccounts = rig\nui = quiet\nfsync = True\n\n[Account rig]\nlocalrepository = near\n"
                         "remoterepository = far\n\n[Repository near]\ntype = Maildir\n"
                         f"localfolders = {self.mail}\nsync_deletes = yes\n\n[Repository far]\ntype = IMAP\n"
                         f"remotehost = 127.0.0.1\nremoteport = {port}\nremoteuser = alice\nremotepass = wonderland\n"
                         "ssl = no\nstarttls = no\nmaxconnections = 4\nauth_mechanisms = PLAIN\n")

    def sync(self):
        return Run(["offlineimap", "-c", self.config, "-o"], dict(os.environ, HOME=self.directory),
                   os.path.join(self.directory, "log"))


class OutpostTool:
    name = "outpost"

    def __init__(self, port, directory):
        self.directory = directory
        self.program = Outpost(directory=directory)
        self.mail = self.program.environment["XDG_DATA_HOME"]
        self.program.logon(f"imap://127.0.0.1:{port}")

    def run(self, *arguments):
        return Run([self.program.binary, *arguments], self.program.environment, os.path.join(self.directory, "log"))

    def first(self):
        return self.run("sync", "--no-index")

    def index(self):
        return self.run("store", "index")

    def sync(self):
        return self.run("sync")


def floor(port):
    """Seconds and octets to fetch every message of every folder and drop it, all folders asked for in one flight."""
    with ImapClient(port) as client:
        names = client.folders()
    raw = socket.create_connection(("127.0.0.1", port))
    commands = ["f0 LOGIN alice wonderland"]
    for name in names:
        commands += [f"f1 EXAMINE {quote(to_utf7(name))}", "f2 UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])"]
    start = time.monotonic()
    raw.sendall(("\r\n".join(commands + ["f3 LOGOUT"]) + "\r\n").encode())
    buffer, total = bytearray(1 << 20), 0
    while True:
        count = raw.recv_into(buffer)
        if not count:
            break
        total += count
    raw.close()
    return time.monotonic() - start, total


STATUS_SCRIPT = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b'a LOGIN alice wonderland\\r\\nb LIST "" "*" RETURN (STATUS (UIDVALIDITY UIDNEXT MESSAGES HIGHESTMODSEQ))\\r\\nc LOGOUT\\r\\n')
while s.recv(65536):
    pass
"""


def status_floor(port, directory, repeat):
    """The median of a bare LIST-STATUS, as a script of an interpreter without libraries."""
    runs = [Run([sys.executable, "-ISc", STATUS_SCRIPT, str(port)], dict(os.environ), os.path.join(directory, "status-log"))
            for _ in range(repeat)]
    return statistics.median(run.seconds for run in runs)


def change(port, share, seed):
    """Changes a share of all messages on the server: a third flags, a third moves, a third as many new. Returns how many, and the octets of the new."""
    chance = random.Random(seed)
    generator = Generator(seed, attachments=False)
    changed = octets = 0
    with ImapClient(port) as client:
        names = client.folders()
        for name in names:
            uids = [m.uid for m in client.read_folder(name, bodies=False)]
            count = max(1, int(len(uids) * share))
            chosen = chance.sample(uids, min(len(uids), count))
            if not chosen:
                continue
            client.select(name)
            third = max(1, len(chosen) // 3)
            for uids_now, command in ((chosen[:third], "STORE {} +FLAGS (\\Flagged)"),
                                      (chosen[third:2 * third], "MOVE {} " + quote(to_utf7(chance.choice(names))))):
                if uids_now:
                    client.command("UID " + command.format(",".join(map(str, sorted(uids_now)))))
            new = list(generator.messages(max(1, third)))
            octets += sum(len(message[0]) for message in new)
            client.append_many(name, new)
            changed += len(chosen)
    return changed, octets


def octets_of_a_run(tool, port):
    with Proxy(port) as proxy:
        through_proxy(tool, port, proxy.port)
        tool.sync()
        counts = proxy.counts()
        through_proxy(tool, proxy.port, port)
    return counts["up"] + counts["down"]


def measure(kind, server, directory, options, messages):
    row = {"tool": kind.name}
    with Proxy(server.port) as proxy:
        tool = kind(server.port, directory)
        first = tool.first() if isinstance(tool, OutpostTool) else tool.sync()
        row.update(first=first.seconds, rate=messages / first.seconds, first_rss=first.rss, first_cpu=first.cpu,
                   disk=disk_use(tool.mail))
        if isinstance(tool, OutpostTool):
            index = tool.index()
            row.update(index=index.seconds, index_cpu=index.cpu, index_rss=index.rss, disk_index=disk_use(tool.mail))
        idle = [tool.sync() for _ in range(options.repeat)]
        row.update(noop=statistics.median(r.seconds for r in idle), noop_cpu=statistics.median(r.cpu for r in idle),
                   noop_rss=max(r.rss for r in idle))
        through_proxy(tool, server.port, proxy.port)
        # The first sync over the proxy may learn a new server name; the second one is counted.
        tool.sync()
        proxy.clear()
        tool.sync()
        counts = proxy.counts()
        row.update(noop_bytes=counts["up"] + counts["down"], flights=counts["flights"], connections=counts["connections"])
        through_proxy(tool, proxy.port, server.port)
    return tool, row


def through_proxy(tool, old, new):
    """Points a tool's configuration to another port; state that is kept by server name stays."""
    for where, _, files in os.walk(tool.directory):
        if where.startswith(tool.mail):
            continue
        for name in files:
            path = os.path.join(where, name)
            with open(path, "rb") as text:
                content = text.read()
            if re.search(rb"\b%d\b" % old, content):
                with open(path, "wb") as text:
                    text.write(re.sub(rb"\b%d\b" % old, b"%d" % new, content))


COLUMNS = [("first", "first sync, s", "{:.1f}"), ("rate", "messages/s", "{:.0f}"), ("first_cpu", "CPU, s", "{:.1f}"),
           ("first_rss", "peak RSS, MiB", "{:.0f}"), ("disk", "on disk, MiB", "{:.0f}"), ("disk_index", "on disk with index, MiB", "{:.0f}"), ("index", "index, s", "{:.1f}"), ("index_cpu", "index CPU, s", "{:.1f}"),
           ("index_rss", "index RSS, MiB", "{:.0f}"), ("noop", "no-op, s", "{:.3f}"),
           ("noop_cpu", "no-op CPU, s", "{:.3f}"), ("noop_rss", "no-op RSS, MiB", "{:.0f}"),
           ("noop_bytes", "no-op octets", "{:.0f}"), ("flights", "flights", "{}"), ("connections", "connections", "{}"),
           ("change", "1 % changed, s", "{:.2f}"), ("change_bytes", "1 % changed, octets", "{:.0f}")]


def share_of_maildir(row, maildir):
    return f"{row['disk'] / maildir:.2f}" + (f" ({row['disk_index'] / maildir:.2f} with index)" if "disk_index" in row else "")


def report(rows, base, floor_seconds, floor_octets, maildir, options):
    print(f"\n{options.messages} messages in {options.folders + options.rig} folders; the server's Maildir takes {maildir:.0f} MiB "
          f"by du; floor (raw FETCH to nowhere): {floor_seconds:.1f} s, {options.messages / floor_seconds:.0f} messages/s, "
          f"{floor_octets / 1e6:.0f} MB.\n")
    print("| | " + " | ".join(row["tool"] for row in rows) + " | " +
          " | ".join(f"{row['tool']} / {base['tool']}" for row in rows[1:]) + (" |" if rows[1:] else ""))
    print("|---|" + "---:|" * (2 * len(rows) - 1))
    for key, title, form in COLUMNS:
        cells = [form.format(row[key]) if key in row else "" for row in rows]
        cells += [f"{row[key] / max(base[key], 1e-9):.2f}" if key in row and key in base else "" for row in rows[1:]]
        print(f"| {title} | " + " | ".join(cells) + " |")
    print("| first sync / floor | " + " | ".join(f"{row['first'] / floor_seconds:.2f}" for row in rows) + " |" +
          " |" * (len(rows) - 1))
    print("| disk / Maildir by du | " + " | ".join(share_of_maildir(row, maildir) for row in rows) + " |" +
          " |" * (len(rows) - 1))


def write_rig(maildir, folders):
    generator = Generator(1)
    names = ["INBOX"] + [name for name in folder_names(folders + 1) if name != "INBOX"][:folders]
    for name in names:
        write_maildir(maildir, generator, 100000 if name == "INBOX" else 20, [name])
    write_maildir(maildir, generator, 0, names)  # whose subscriptions are those of all


def write_corpus(maildir, folders):
    """The messages of the shared corpus, spread over folders; returns how many."""
    names, generator = folder_names(folders), Generator(1)
    write_maildir(maildir, generator, 0, names)
    count = 0
    for count, (_, octets) in enumerate(corpus.messages(), 1):
        octets = corpus.as_imap(octets)
        name = f"{1600000000 + count}.M{count:08d}P1.host,S={len(octets)},W={len(octets)}:2,"
        with open(os.path.join(maildir_folder(maildir, names[count % folders]), "cur", name), "wb") as out:
            out.write(octets)
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--folders", type=int, default=49)
    parser.add_argument("--repeat", type=int, default=5, help="no-op runs; the median counts")
    parser.add_argument("--offlineimap", action="store_true", help="measure OfflineIMAP too, which takes long")
    parser.add_argument("--only", help="one tool alone: outpost, mbsync, OfflineIMAP")
    parser.add_argument("--directory", help="where to work; on the disk that shall be measured")
    parser.add_argument("--corpus", action="store_true", help="the real messages of the shared corpus, in 40 folders")
    parser.add_argument("--rig", action="store_true", help="100,000 messages in INBOX and 49 folders of 20")
    options = parser.parse_args()
    if options.rig:
        options.messages = 100000 + options.folders * 20
    if options.corpus and not corpus.root():
        sys.exit("bench: the corpus is absent; set OUTPOST_CORPUS")
    tools = [OutpostTool, Mbsync] + ([OfflineImap] if options.offlineimap or options.only == "OfflineIMAP" else [])
    tools = [tool for tool in tools if options.only in (None, tool.name)]
    if OutpostTool in tools and not find_binary():
        sys.exit("bench: no program; run make first")
    for tool in tools:
        if tool is not OutpostTool and not shutil.which(tool.name.lower()):
            sys.exit(f"bench: {tool.name} is not installed: apt-get install {'isync' if tool is Mbsync else 'offlineimap3'}")
    work = tempfile.mkdtemp(prefix="outpost-bench-", dir=options.directory)
    os.chmod(work, 0o755)
    os.makedirs(os.path.join(work, "server"))
    try:
        server = Dovecot(os.path.join(work, "server"))
        if options.rig:
            write_rig(server.maildir, options.folders)
        elif options.corpus:
            options.folders = 40
            options.messages = write_corpus(server.maildir, options.folders)
        else:
            write_maildir(server.maildir, Generator(1), options.messages, folder_names(options.folders))
        server.own_files()
        maildir = disk_use(server.maildir)
        with server:
            # Once before the first tool, so that Dovecot's own indexes are there for all of them alike.
            floor(server.port)
            floor_seconds, floor_octets = min(floor(server.port) for _ in range(2))
            rows, running = [], []
            for kind in tools:
                try:
                    tool, row = measure(kind, server, os.path.join(work, kind.name), options, options.messages)
                except Failed as failure:
                    if kind is OutpostTool:
                        raise
                    print(f"{kind.name} does not get through, and is left out:\n{failure}", file=sys.stderr)
                    continue
                rows.append(row)
                running.append(tool)
                print(f"{kind.name}: first sync {row['first']:.1f} s", file=sys.stderr)
            bare = status_floor(server.port, work, max(3, options.repeat))
            changed, _ = change(server.port, 0.01, 5)
            for tool, row in zip(running, rows):
                row["change"] = tool.sync().seconds
            again, new_octets = change(server.port, 0.01, 6)
            for tool, row in zip(running, rows):
                row["change_bytes"] = octets_of_a_run(tool, server.port)
            report(rows, rows[0], floor_seconds, floor_octets, maildir, options)
            print(f"\nA bare LIST-STATUS script: {bare * 1000:.0f} ms.")
            print(f"1 % run: {changed} messages flagged, moved or followed by new ones on the server; {again} in the run whose octets count, "
                  "{:.0f} kB of them new mail.".format(new_octets / 1000))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()

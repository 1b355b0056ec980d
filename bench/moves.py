#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs to follow a mailbox that moved: octets on the wire, client CPU and wall time, beside mbsync.

M1: another UIDVALIDITY and another order of UIDs; M3: another UIDVALIDITY, the same UIDs. The client deflates off loopback only, so the
proxy listens on this machine's own address; without one nothing is deflated, and that is said."""
import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "lib"))

from dovecot import Dovecot  # noqa: E402
from genmail import Generator  # noqa: E402
from imapclient import ImapClient  # noqa: E402
from moves import Mail, put_maildir, status  # noqa: E402
from outpost import Outpost  # noqa: E402
from proxy import Proxy  # noqa: E402

DEFLATE = "protocol imap {\n  mail_plugins = $mail_plugins imap_zlib\n}\n"
BODY = 300


def own_address():
    """An address of this machine that is not loopback's; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def mailbox(count):
    """Real headers, short bodies: what is measured must not read them."""
    generator = Generator(3, attachments=False)
    for _ in range(count):
        octets, flags, when = generator.message()
        end = octets.index(b"\r\n\r\n") + 4
        yield Mail(octets[:end + BODY + when % 97], flags, when)


def run(arguments, environment):
    start = time.monotonic()
    process = subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = process.stdout.read().decode(errors="replace")
    _, state, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(state)
    return process.returncode, time.monotonic() - start, usage.ru_utime + usage.ru_stime, out


def measure(name, proxy, arguments, environment):
    proxy.clear()
    code, wall, cpu, out = run(arguments, environment)
    c = proxy.counts()
    bodies = out.count("BODY.PEEK[]")
    print(f"{name:28} exit {code}  down {c['down'] / 1000:10.1f} kB  up {c['up'] / 1000:8.1f} kB  flights {c['flights']:4}  "
          f"bodies asked {bodies:4}  wall {wall:6.2f} s  cpu {cpu:6.2f} s")
    return out


def outpost_profile(program, url, again=False):
    program.ok("logon", program.ADDRESS, "--server", url, "--user", "alice", "--insecure", "--no-sync",
               "--password-command", "printf %s wonderland")


def mbsync_config(directory, url):
    host, port = url[len("imap://"):].split(":")
    path = os.path.join(directory, "mbsyncrc")
    os.makedirs(os.path.join(directory, "mail"), exist_ok=True)
    with open(path, "w") as config:
        config.write(f"FSync no\n\nIMAPAccount rig\nHost {host}\nPort {port}\nUser alice\nPass wonderland\nSSLType None\nAuthMechs LOGIN\n"
                     f"PipelineDepth 50\n\nIMAPStore far\nAccount rig\n\nMaildirStore near\nPath {directory}/mail/\n"
                     f"Inbox {directory}/mail/INBOX\n\nChannel rig\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Both\nRemove Both\n"
                     "Expunge Both\nCopyArrivalDate yes\nSyncState *\n")
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--messages", type=int, default=100000)
    parser.add_argument("--no-mbsync", action="store_true")
    options = parser.parse_args()
    host, work = own_address(), tempfile.mkdtemp(prefix="outpost-moves-")
    print(f"{options.messages} messages in INBOX; {'deflated' if host != '127.0.0.1' else 'NOT deflated: no address but loopback'}")
    mails = list(mailbox(options.messages))
    program = Outpost(directory=os.path.join(work, "outpost"))
    mbsync = None if options.no_mbsync or not shutil.which("mbsync") else os.path.join(work, "mbsync")
    with Dovecot(extra=DEFLATE) as old, Proxy(old.port, host=host) as proxy:
        old.stop()
        put_maildir(old, "INBOX", mails)
        old.start()
        with ImapClient(old.port) as client:
            validity, _ = status(client, "INBOX")
        outpost_profile(program, proxy.url)
        measure("outpost first sync", proxy, [program.binary, "sync", "-v"], program.environment)
        measure("outpost no-op", proxy, [program.binary, "sync", "-v"], program.environment)
        if mbsync:
            config = mbsync_config(mbsync, proxy.url)
            measure("mbsync first sync", proxy, ["mbsync", "-c", config, "-q", "-a"], dict(os.environ, HOME=mbsync))
    for name, order in (("M3", mails), ("M1", random.Random(1).sample(mails, len(mails)))):
        with Dovecot(extra=DEFLATE) as new, Proxy(new.port, host=host) as proxy:
            new.stop()
            put_maildir(new, "INBOX", order, validity + (1000 if name == "M3" else 2000))
            new.start()
            with ImapClient(new.port) as client:
                client.select("INBOX")  # Dovecot makes its indexes; not the client's time
                client.command("UID FETCH 1:* (UID INTERNALDATE RFC822.SIZE)")
            copy = os.path.join(work, name)
            shutil.copytree(program.home, copy)
            moved = Outpost(directory=copy)
            for where, _, files in os.walk(os.path.join(copy, "config")):
                for file in files:
                    with open(os.path.join(where, file)) as text:
                        content = text.read()
                    with open(os.path.join(where, file), "w") as text:
                        text.write(content.replace(program.home, copy))
            outpost_profile(moved, proxy.url)
            out = measure(f"outpost {name}", proxy, [moved.binary, "sync", "-v"], moved.environment)
            print("    " + "; ".join(line.strip() for line in out.splitlines() if "re-linked" in line or "compared" in line))
            measure(f"outpost {name}, next no-op", proxy, [moved.binary, "sync", "-v"], moved.environment)
            shutil.rmtree(copy)
            if mbsync:
                copy = shutil.copytree(mbsync, mbsync + name, symlinks=True)
                config = mbsync_config(copy, proxy.url)
                out = measure(f"mbsync {name}", proxy, ["timeout", "600", "mbsync", "-c", config, "-q", "-a"], dict(os.environ, HOME=copy))
                print("    " + "; ".join(out.strip().splitlines()[:2])[:300])
                shutil.rmtree(copy)
    shutil.rmtree(work, ignore_errors=True)


main()

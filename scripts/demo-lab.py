#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo.sh has done beside the programs: the mail, and a look from the server's side.

ports FOLDER               gives the mailbox server in FOLDER free ports of loopback, prints that of IMAP and that of IMAP with TLS
fill SOCKET PORT MESSAGES  generates mail: into INBOX by LMTP, into other folders by IMAP
dovecot DIRECTORY MESSAGES serves generated mail by Dovecot until it is killed, writes its port to DIRECTORY/port
flagged PORT               tells how many messages the server has flagged
deliver SOCKET|PORT        one message comes
mutt PORT DIRECTORY        mutt flags the newest message of INBOX, at the server"""
import os
import pty
import signal
import smtplib
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "lib"))

from dovecot import Dovecot, free_port  # noqa: E402
from genmail import Generator, folder_names, spread, write_maildir  # noqa: E402
from imapclient import ImapClient, format_internaldate, quote, to_utf7  # noqa: E402

FOLDERS = 15
TOGETHER = 100  # messages of one APPEND
ARRIVED = (b"From: Ada <ada@example.net>\r\nTo: alice@example.org\r\nSubject: Just arrived\r\nMessage-ID: <arrived@example.net>\r\n\r\n"
           b"Hello.\r\n")


def ports(folder):
    path = os.path.join(folder, "outpostd.conf")
    with open(path) as conf:
        text = conf.read()
    found = [free_port(), free_port()]
    for old, new in zip(("0.0.0.0:143", "0.0.0.0:993"), found):
        text = text.replace(old, f"127.0.0.1:{new}")
    with open(path, "w") as conf:
        conf.write(text)
    print(*found)


def deliver_all(socket, messages):
    with smtplib.LMTP(socket) as lmtp:
        for octets, _, _ in messages:
            lmtp.sendmail("sender@example.net", ["alice@example.org"], octets)


def fill(socket, port, count):
    mail = spread(Generator(2026), count, folder_names(FOLDERS))
    inbox, began = mail.pop("INBOX"), time.monotonic()
    senders = [threading.Thread(target=deliver_all, args=(socket, inbox[i::8])) for i in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    print(f"{len(inbox)} messages delivered by LMTP in {time.monotonic() - began:.1f} s, each on disk before it was answered")
    with ImapClient(port) as client:
        there = client.folders()
        for folder, messages in mail.items():
            if folder not in there:
                client.create(folder)
            for i in range(0, len(messages), TOGETHER):
                client.send(b"m APPEND " + quote(to_utf7(folder)).encode())
                for octets, flags, when in messages[i:i + TOGETHER]:
                    client.send(f" ({' '.join(flags)}) \"{format_internaldate(when)}\" {{{len(octets)}+}}\r\n".encode() + octets)
                client.send(b"\r\n")
                client.wait("m", text=f"APPEND {folder}")
    print(f"{count - len(inbox)} messages put into {len(mail)} folders by IMAP")


def dovecot(directory, count):
    os.chmod(directory, 0o755)
    where = os.path.join(directory, "server")
    os.makedirs(where)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = Dovecot(where)
    write_maildir(server.maildir, Generator(2026), count, folder_names(FOLDERS))
    server.own_files()
    with server:
        with open(os.path.join(directory, "port.new"), "w") as port:
            port.write(str(server.port))
        os.rename(os.path.join(directory, "port.new"), os.path.join(directory, "port"))
        # The demo kills this process when it ends; if it was itself killed, nothing is to be left behind.
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.5)


def flagged(port):
    with ImapClient(port) as client:
        count = sum("demo" in m.flags and "\\Flagged" in m.flags for m in client.read_folder("INBOX", bodies=False))
    print(f"the server says: {count} message(s) of INBOX flagged and marked \"demo\"")


def deliver(where):
    if where.isdigit():
        with ImapClient(int(where)) as client:
            client.append_many("INBOX", [(ARRIVED, [], int(time.time()))])
    else:
        with smtplib.LMTP(where) as lmtp:
            lmtp.sendmail("ada@example.net", ["alice@example.org"], ARRIVED)
    print("the server got a new message")


def mutt(port, directory):
    rc = os.path.join(directory, "muttrc")
    with open(rc, "w") as file:
        file.write(f"""set folder="imap://alice@127.0.0.1:{port}/"
set spoolfile="+INBOX"
set imap_pass="wonderland"
set ssl_starttls=no ssl_force_tls=no sort=mailbox-order quit=yes wait_key=no
push "<last-entry><flag-message><quit>"
""")
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update({"TERM": "xterm", "HOME": directory, "LC_ALL": "C.UTF-8", "LINES": "40", "COLUMNS": "120"})
        os.execvp("mutt", ["mutt", "-n", "-F", rc])
    said = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        sys.exit(said[-3000:].decode(errors="replace"))
    print("mutt, at the server, flagged the newest message of INBOX")


def main():
    verb, words = sys.argv[1], [int(word) if word.isdigit() and sys.argv[1] != "deliver" else word for word in sys.argv[2:]]
    {"ports": ports, "fill": fill, "dovecot": dovecot, "flagged": flagged, "deliver": deliver, "mutt": mutt}[verb](*words)


main()

# SPDX-License-Identifier: Apache-2.0
"""outpostd under a service manager: what systemd hands over, keeps for the next process, and is told. The manager is the test, or systemd's own
systemd-socket-activate; the unit is checked by systemd-analyze."""
import array
import contextlib
import imaplib
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from corpus import REPOSITORY
from dovecot import free_port, wait_for_port
from outpostd import BUILD

OUTPOSTD = os.path.join(BUILD, "outpostd", "outpostd")


class Manager:
    """A service manager with a store of descriptors, of one service."""

    def __init__(self, server):
        self.server, self.path, self.kept = server, os.path.join(os.path.dirname(server.folder), "notify"), {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(60)

    def start(self):
        names = list(self.kept)
        fds = [os.dup(self.kept[name]) for name in names]
        environment = dict(self.server.environment, NOTIFY_SOCKET=self.path, LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(names))

        def place():
            spare = [os.dup2(fd, 200 + i) for i, fd in enumerate(fds)]
            for i, fd in enumerate(spare):
                os.dup2(fd, 3 + i)
                os.close(fd)
        self.process = subprocess.Popen(["sh", "-c", 'LISTEN_PID=$$ exec "$0" --dir "$1"', OUTPOSTD, self.server.folder], preexec_fn=place, close_fds=False,
                                        env=environment, stderr=self.server.log)
        for fd in fds:
            os.close(fd)
        self.hear_until("READY=1")

    def hear_until(self, what):
        while True:
            text, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(4))
            fds = [fd for level, kind, octets in control if kind == socket.SCM_RIGHTS for fd in array.array("i", octets)]
            lines = text.decode().split("\n")
            name = next((line[7:] for line in lines if line.startswith("FDNAME=")), None)
            if "FDSTORE=1" in lines:
                assert re.fullmatch(r"[ -9;-~]{1,255}", name) and len(fds) == 1
                if name in self.kept:
                    os.close(self.kept[name])
                os.set_inheritable(fds[0], False)
                self.kept[name] = fds[0]
            elif "FDSTOREREMOVE=1" in lines:
                os.close(self.kept.pop(name))
            elif what in lines:
                return

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.hear_until("STOPPING=1")
        assert self.process.wait(60) == 0

    def close(self):
        for fd in self.kept.values():
            os.close(fd)
        self.socket.close()


@pytest.fixture
def manager(made):
    with open(os.path.join(made.folder, "log"), "ab") as made.log, contextlib.closing(Manager(made)) as one:
        yield one


def test_who_connects_while_the_server_is_exchanged_waits_and_is_served(made, manager):
    manager.start()
    assert len(manager.kept) == 5  # IMAP, IMAP with TLS, LMTP, the administrator's, the other servers'
    made.log_on("alice", "wonderland").logout()
    manager.stop()
    waiting = socket.create_connection(("127.0.0.1", made.imap), 60)
    by_path = socket.socket(socket.AF_UNIX)
    by_path.connect(os.path.join(made.folder, "lmtp.sock"))
    manager.start()
    assert waiting.recv(100).startswith(b"* OK ") and by_path.recv(100).startswith(b"220 ")
    assert made.lines("status")[0]
    assert len(manager.kept) == 5
    waiting.close()
    by_path.close()
    manager.stop()


def test_an_address_that_is_no_longer_served_is_not_kept(made, manager):
    manager.start()
    manager.stop()
    new = free_port()
    made.configure(f"127.0.0.1:{made.imap}", f"127.0.0.1:{new}")
    manager.start()
    assert len(manager.kept) == 5
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", made.imap), 5)
    imaplib.IMAP4("127.0.0.1", new).logout()
    manager.stop()


def test_systemd_itself_hands_over_the_sockets(made):
    activate = shutil.which("systemd-socket-activate")
    assert activate, "systemd is not installed: run scripts/deps.sh"
    with open(os.path.join(made.folder, "log"), "ab") as log:
        process = subprocess.Popen([activate, "-l", f"127.0.0.1:{made.imap}", "-l", f"127.0.0.1:{made.imaps}", "-E", "ASAN_OPTIONS", "-E", "LSAN_OPTIONS", OUTPOSTD,
                                    "--dir", made.folder], stderr=log, env=made.environment)
        try:
            assert wait_for_port(made.imap, lambda: process.poll() is None), open(log.name).read()
            client = made.log_on("alice", "wonderland")
            descriptors = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in (3, 4)]
            assert all(d.startswith("socket:") for d in descriptors)
            assert client.select("INBOX")[0] == "OK"
        finally:
            process.terminate()
            assert process.wait(60) == 0, open(log.name).read()


def test_what_serves_is_in_a_sandbox(made):
    with made:
        client = made.log_on("alice", "wonderland")
        for thread in os.listdir(f"/proc/{made.process.pid}/task"):
            with open(f"/proc/{made.process.pid}/task/{thread}/status") as status:
                text = status.read()
            assert "Seccomp:\t2" in text and "NoNewPrivs:\t1" in text
        assert client.select("INBOX")[0] == "OK"


def test_the_unit_is_right_and_exposes_little(tmp_path):
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd is not installed: run scripts/deps.sh"
    with open(os.path.join(REPOSITORY, "systemd", "outpostd.service.in")) as file:
        text = file.read().replace("@sbindir@", os.path.dirname(OUTPOSTD)).replace("User=outpostd", "User=daemon").replace("Group=outpostd", "Group=daemon")
    unit = tmp_path / "outpostd.service"
    unit.write_text(text)
    checked = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert not [line for line in checked.stderr.splitlines() if "outpostd.service" in line], checked.stderr
    rated = subprocess.run([analyze, "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)], capture_output=True, text=True)
    assert rated.returncode == 0 and "Overall exposure level" in rated.stdout, rated.stdout + rated.stderr

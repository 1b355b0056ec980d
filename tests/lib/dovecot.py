# SPDX-License-Identifier: Apache-2.0
"""A private Dovecot on a free loopback port, with its own configuration and mail in one directory."""
import grp
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BINARY = shutil.which("dovecot", path="/usr/sbin:/usr/bin:/sbin:/bin")
USER, PASSWORD = "alice", "wonderland"


# Below the ports that the kernel gives to clients, so that none of those takes it before the server does; each of several test processes
# that run side by side (pytest-xdist: gw0, gw1...) has a range of its own.
PORTS = 2000
first_port = 10000 + PORTS * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10)
next_port = random.randrange(PORTS)


def free_port():
    global next_port
    for _ in range(PORTS):
        next_port = (next_port + 1) % PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", first_port + next_port))
                return first_port + next_port
            except OSError:
                continue
    raise OSError("no port is free")


def wait_for_port(port, alive, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not alive():
            return False
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as probe:
                probe.settimeout(5)
                if probe.recv(1):
                    return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


class Dovecot:
    """separator, prefix: those of the personal namespace; without: capabilities the server shall not announce; users: more of them than alice, each
    with a home of its own."""

    def __init__(self, directory=None, separator="/", prefix="", without=(), tls=False, fsync=False, extra="", users=()):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="outpost-dovecot-")
        os.chmod(self.directory, 0o755)
        self.separator, self.prefix, self.tls = separator, prefix, tls
        self.without, self.fsync, self.extra, self.users = tuple(without), fsync, extra, tuple(users)
        self.user, self.password = USER, PASSWORD
        self.port = free_port()
        self.process = None
        root = os.getuid() == 0
        self.owner = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.getuid())
        self.maildir = os.path.join(self.directory, "mail", "Maildir")
        for home in ("", *self.users):
            os.makedirs(os.path.join(os.path.dirname(self.maildir), home), exist_ok=True)
        self.own_files()

    def back_up(self, directory):
        """Copies all that is known of the mailbox; only while stopped."""
        shutil.copytree(self.maildir, directory, dirs_exist_ok=True)

    def restore(self, directory):
        shutil.rmtree(self.maildir)
        shutil.copytree(directory, self.maildir)
        self.own_files()

    def own_files(self):
        """Gives the mail to the user who serves it, after the caller wrote files there."""
        if os.getuid() != 0:
            return
        top = os.path.dirname(self.maildir)
        for where, folders, files in os.walk(top):
            for name in [where] + [os.path.join(where, f) for f in files]:
                os.chown(name, self.owner.pw_uid, self.owner.pw_gid)

    def make_certificate(self):
        for name, lines in (("ca", "cn = test\nca\ncert_signing_key\n"),
                            ("server", "cn = localhost\ndns_name = localhost\nip_address = 127.0.0.1\ntls_www_server\n")):
            path = os.path.join(self.directory, name)
            with open(path + ".tmpl", "w") as template:
                template.write(lines + "expiration_days = 30\n")
            quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            subprocess.run(["certtool", "--generate-privkey", "--key-type", "ecdsa", "--outfile", path + ".key"], **quiet)
            how = ["--generate-self-signed"] if name == "ca" else [
                "--generate-certificate", "--load-ca-certificate", os.path.join(self.directory, "ca.pem"),
                "--load-ca-privkey", os.path.join(self.directory, "ca.key")]
            subprocess.run(["certtool", *how, "--load-privkey", path + ".key", "--template", path + ".tmpl",
                            "--outfile", path + ".pem"], **quiet)
        self.ca = os.path.join(self.directory, "ca.pem")

    def write_config(self):
        d = self.directory
        root = os.getuid() == 0
        me = pwd.getpwuid(os.getuid()).pw_name
        with open(os.path.join(d, "users"), "w") as users:
            for name in (self.user, "alice@mail.example.org", "alice@example.org"):
                users.write(f"{name}:{{PLAIN}}{self.password}:{self.owner.pw_uid}:{self.owner.pw_gid}::{d}/mail::\n")
            for name in self.users:
                users.write(f"{name}:{{PLAIN}}{self.password}:{self.owner.pw_uid}:{self.owner.pw_gid}::{d}/mail/{name}::\n")
        if self.tls:
            self.make_certificate()
        lines = [
            f"base_dir = {d}/run", f"state_dir = {d}/run", f"log_path = {d}/log", "protocols = imap",
            "listen = 127.0.0.1", f"first_valid_uid = {min(500, self.owner.pw_uid)}",
            f"default_internal_user = {'dovecot' if root else me}",
            f"default_login_user = {'dovenull' if root else me}",
            f"default_internal_group = {'dovecot' if root else grp.getgrgid(os.getgid()).gr_name}",
            f"ssl = {'yes' if self.tls else 'no'}",
            f"ssl_cert = <{d}/server.pem" if self.tls else "", f"ssl_key = <{d}/server.key" if self.tls else "",
            "disable_plaintext_auth = no", "auth_mechanisms = plain login",
            f"mail_location = maildir:{self.maildir}",
            f"mail_fsync = {'optimized' if self.fsync else 'never'}", "mail_max_userip_connections = 200",
            "imap_idle_notify_interval = 2 mins", "mailbox_list_index = yes",
            "service imap-login {", "  inet_listener imap {", f"    port = {self.port}", "  }",
            "  inet_listener imaps {", "    port = 0", "  }", "" if root else "  chroot =",
            "  service_count = 0", "  process_min_avail = 1", "}",
            "" if root else "service anvil {\n  chroot =\n}",
            "" if root else "service imap {\n  chroot =\n}",
            "service stats {\n  chroot =\n}" if not root else "",
            "namespace inbox {", "  inbox = yes", f"  separator = {self.separator}", f"  prefix = {self.prefix}", "}",
            f"passdb {{\n  driver = passwd-file\n  args = {d}/users\n}}",
            f"userdb {{\n  driver = passwd-file\n  args = {d}/users\n}}",
            self.extra]
        with open(os.path.join(d, "dovecot.conf"), "w") as conf:
            conf.write("\n".join(lines) + "\n")
            if self.without:
                conf.write(self.capability_override())

    def capability_override(self):
        """imap_capability replaces what an authenticated session is told, so it is Dovecot's list less what shall be missing."""
        known = ("IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS "
                 "THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS "
                 "LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS "
                 "BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY SPECIAL-USE")
        kept = " ".join(word for word in known.split() if word not in self.without)
        return f"protocol imap {{\n  imap_capability = {kept}\n}}\n"

    def start(self):
        assert BINARY, "dovecot is not installed: run scripts/deps.sh"
        self.write_config()
        # A session of its own: what kill9() ends is Dovecot's whole process group and nothing else.
        self.process = subprocess.Popen([BINARY, "-F", "-c", os.path.join(self.directory, "dovecot.conf")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=open(os.path.join(self.directory, "stderr"), "wb"),
                                        start_new_session=True)
        if not wait_for_port(self.port, lambda: self.process.poll() is None):
            self.stop()
            raise RuntimeError("dovecot did not start: " + self.log())
        return self

    def log(self):
        text = ""
        for name in ("stderr", "log"):
            path = os.path.join(self.directory, name)
            if os.path.exists(path):
                with open(path, errors="replace") as log:
                    text += log.read()[-4000:]
        return text

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill9()
        self.process = None

    def kill9(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def close(self):
        self.stop()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *what):
        self.close()

    @property
    def url(self):
        return f"imap://127.0.0.1:{self.port}"

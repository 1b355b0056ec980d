# SPDX-License-Identifier: Apache-2.0
"""A private Postfix, unpacked by scripts/unpack.sh, on a free loopback port. None of it is installed; it only receives, and delivers as it is told."""
import os
import pwd
import shutil
import subprocess
import tempfile

from corpus import REPOSITORY
from dovecot import free_port, wait_for_port

OWNER = "daemon"  # whom it becomes; Debian's package would make users of its own
SERVICES = """
{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


def find_postfix():
    """The directory it is unpacked in, or None when it cannot be had, or not run."""
    if os.getuid() != 0:
        return None  # its master is root's
    found = subprocess.run([os.path.join(REPOSITORY, "scripts", "unpack.sh"), "postfix", "usr/lib/postfix/sbin/master", "postfix"], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
    return os.path.join(found.stdout.strip(), "root") if found.returncode == 0 else None


class Postfix:
    """settings: lines of main.cf."""

    def __init__(self, root, *settings):
        self.directory, self.port, self.settings, self.process = tempfile.mkdtemp(prefix="outpost-postfix-"), free_port(), settings, None
        os.chmod(self.directory, 0o755)
        self.root = os.path.join(self.directory, "root")
        shutil.copytree(root, self.root, symlinks=True)  # the cache may be in a home that its user cannot enter

    def write_config(self):
        d, sbin, owner = self.directory, os.path.join(self.root, "usr/lib/postfix/sbin"), pwd.getpwnam(OWNER)
        for name in ("active bounce corrupt defer deferred flush hold incoming private saved trace public maildrop".split()):
            os.makedirs(os.path.join(d, "queue", name), exist_ok=True)
            os.chown(os.path.join(d, "queue", name), owner.pw_uid, owner.pw_gid)
        os.makedirs(os.path.join(d, "queue", "pid"), exist_ok=True)
        os.makedirs(os.path.join(d, "data"), exist_ok=True)
        os.chown(os.path.join(d, "data"), owner.pw_uid, owner.pw_gid)
        os.makedirs(os.path.join(d, "etc"), exist_ok=True)
        with open(os.path.join(d, "etc", "main.cf"), "w") as main:
            main.write("\n".join([
                "compatibility_level = 3.6", f"queue_directory = {d}/queue", f"data_directory = {d}/data", f"daemon_directory = {sbin}",
                f"command_directory = {self.root}/usr/sbin", f"mail_owner = {OWNER}", "setgid_group = mail",
                "myhostname = mx.example.net", "mydestination =", "mynetworks = 192.0.2.1/32", "inet_interfaces = 127.0.0.1", "inet_protocols = ipv4",
                f"maillog_file = {d}/log", f"maillog_file_prefixes = {d}", "alias_maps =", "local_recipient_maps =", "default_transport = error:nowhere",
                f"import_environment = MAIL_CONFIG={d}/etc LD_LIBRARY_PATH={self.root}/usr/lib/postfix TZ=UTC", "smtp_tls_security_level = none",
                "minimal_backoff_time = 1s", "queue_run_delay = 1s", *self.settings]) + "\n")
        with open(os.path.join(d, "etc", "master.cf"), "w") as master:
            master.write(SERVICES.format(port=f"127.0.0.1:{self.port}"))

    def log(self):
        with open(os.path.join(self.directory, "log"), errors="replace") as log:
            return log.read()

    def __enter__(self):
        self.write_config()
        environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": f"{self.root}/usr/lib/postfix", "MAIL_CONFIG": f"{self.directory}/etc"}
        self.process = subprocess.Popen([f"{self.root}/usr/lib/postfix/sbin/master", "-c", f"{self.directory}/etc", "-d"], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(f"{self.directory}/stderr", "wb"))
        if not wait_for_port(self.port, lambda: self.process.poll() is None):
            self.__exit__()
            raise RuntimeError("Postfix did not start")
        return self

    def __exit__(self, *what):
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.directory)

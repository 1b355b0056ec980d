# SPDX-License-Identifier: Apache-2.0
"""A private Cyrus, unpacked by scripts/unpack.sh, on a free loopback port. None of it is installed."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

from corpus import REPOSITORY
from dovecot import free_port, wait_for_port


def find_cyrus():
    """The directory it is unpacked in, or None when it cannot be had."""
    found = subprocess.run([os.path.join(REPOSITORY, "scripts", "unpack.sh"), "cyrus", "usr/lib/cyrus/bin/imapd", "cyrus-imapd", "cyrus-common"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           stdin=subprocess.DEVNULL, text=True)
    return os.path.join(found.stdout.strip(), "root") if found.returncode == 0 else None


class Cyrus:
    """alternative: folders beside INBOX, not under it; unix: '/' between levels, not '.'."""

    def __init__(self, root, alternative=True, unix=True):
        self.directory = tempfile.mkdtemp(prefix="outpost-cyrus-")
        os.chmod(self.directory, 0o755)
        self.root, self.process = root, None
        self.alternative, self.unix = alternative, unix
        self.user, self.password, self.port = "alice", "wonderland", free_port()
        # Cyrus refuses to run as root: as root it becomes a user that has no other rights.
        self.runner = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        # The cache may be in a home that this user cannot enter.
        if os.getuid() == 0:
            shutil.copytree(root, os.path.join(self.directory, "root"), symlinks=True)
            self.root = os.path.join(self.directory, "root")

    def write_config(self):
        d, r = self.directory, self.root
        for name in ("conf", "spool", "conf/proc", "conf/db", "conf/socket", "conf/lock", "conf/log"):
            os.makedirs(os.path.join(d, name), exist_ok=True)
        with open(os.path.join(d, "imapd.conf"), "w") as conf:
            conf.write(f"configdirectory: {d}/conf\npartition-default: {d}/spool\ndefaultpartition: default\n"
                       f"proc_path: {d}/conf/proc\nmboxname_lockpath: {d}/conf/lock\nlmtpsocket: {d}/conf/socket/lmtp\n"
                       f"idlesocket: {d}/conf/socket/idle\nnotifysocket: {d}/conf/socket/notify\n"
                       f"cyrus_user: {self.runner}\nadmins: cyrus\nallowplaintext: yes\nsasl_mech_list: PLAIN LOGIN\n"
                       "sasl_pwcheck_method: alwaystrue\nautocreate_quota: 0\nautocreate_users: anyone\n"
                       "autocreate_post: yes\nimapidlepoll: 1\nconversations: no\nsync_log: no\n"
                       f"altnamespace: {int(self.alternative)}\nunixhierarchysep: {int(self.unix)}\n")
        with open(os.path.join(d, "cyrus.conf"), "w") as conf:
            conf.write("START {\n  recover cmd=\"ctl_cyrusdb -r\"\n}\nSERVICES {\n"
                       f"  imap cmd=\"{r}/usr/lib/cyrus/bin/imapd -C {d}/imapd.conf -U 30\" "
                       f"listen=\"127.0.0.1:{self.port}\" proto=tcp4 prefork=1 maxchild=100\n}}\nEVENTS {{\n}}\n"
                       .replace("ctl_cyrusdb -r", f"{r}/usr/lib/cyrus/bin/ctl_cyrusdb -C {d}/imapd.conf -r"))
        if os.getuid() == 0:
            owner = pwd.getpwnam(self.runner)
            for where, _, files in os.walk(d):
                for name in [where] + [os.path.join(where, f) for f in files]:
                    os.chown(name, owner.pw_uid, owner.pw_gid, follow_symlinks=False)

    def start(self):
        self.write_config()
        libraries = glob.glob(os.path.join(self.root, "usr", "lib", "*-linux-gnu"))
        environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": ":".join(libraries), "CYRUS_VERBOSE": "1"}
        how = dict(user=self.runner, group=pwd.getpwnam(self.runner).pw_gid, extra_groups=[]) if os.getuid() == 0 else {}
        self.process = subprocess.Popen(
            [os.path.join(self.root, "usr", "lib", "cyrus", "bin", "master"), "-C", f"{self.directory}/imapd.conf",
             "-M", f"{self.directory}/cyrus.conf", "-p", f"{self.directory}/conf/pid"],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(os.path.join(self.directory, "stderr"), "wb"), start_new_session=True, **how)
        if not wait_for_port(self.port, lambda: self.process.poll() is None):
            with open(os.path.join(self.directory, "stderr"), errors="replace") as err:
                text = err.read()[-3000:]
            self.close()
            raise RuntimeError("cyrus did not start: " + text)
        return self

    def stop(self):
        if not self.process:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def back_up(self, directory):
        """Copies all that is known of all mailboxes; only while stopped."""
        subprocess.run(["cp", "-a", os.path.join(self.directory, "conf"), os.path.join(self.directory, "spool"), directory], check=True)

    def restore(self, directory):
        for name in ("conf", "spool"):
            shutil.rmtree(os.path.join(self.directory, name))
        subprocess.run(["cp", "-a", os.path.join(directory, "conf"), os.path.join(directory, "spool"), self.directory], check=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *what):
        self.close()

    @property
    def url(self):
        return f"imap://127.0.0.1:{self.port}"

# SPDX-License-Identifier: Apache-2.0
"""A mailbox server of our own: outpostd in a folder of its own, on free ports of loopback."""
import imaplib
import json
import os
import re
import signal
import smtplib
import ssl
import subprocess
import time
import urllib.request

from dovecot import free_port, wait_for_port
from outpost import find_binary

BUILD = os.path.dirname(os.path.dirname(find_binary() or "/x/x"))


class Server:
    def __init__(self, folder, *how):
        self.folder, self.imap, self.imaps = str(folder), free_port(), free_port()
        self.environment = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "exitcode=99"))
        self.run("outpostd", "init", "--name", "localhost", *(how or ("--domain", "example.org")))
        path = os.path.join(self.folder, "outpostd.conf")
        text = open(path).read().replace("0.0.0.0:143", f"127.0.0.1:{self.imap}").replace("0.0.0.0:993", f"127.0.0.1:{self.imaps}")
        open(path, "w").write(text)

    def run(self, program, *words, code=0):
        done = subprocess.run([os.path.join(BUILD, "outpostd", program), *words, "--dir", self.folder], capture_output=True, text=True,
                              env=self.environment, timeout=60)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def ctl(self, *words, code=0):
        return self.run("outpostctl", *words, code=code)

    def create(self, address, password, *words):
        return self.ctl("mailbox", "create", address, "--password-command", f"printf %s {password}", *words)

    def lines(self, *words):
        """What the running server answers."""
        return [json.loads(line) for line in self.ctl(*words, "--json").splitlines()]

    def configure(self, old, new):
        path = os.path.join(self.folder, "outpostd.conf")
        text = open(path).read()
        assert old in text
        open(path, "w").write(text.replace(old, new))

    def __enter__(self):
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen([os.path.join(BUILD, "outpostd", "outpostd"), "--dir", self.folder], stderr=self.log, env=self.environment)
        assert wait_for_port(self.imap, lambda: self.process.poll() is None), open(self.log.name).read()
        return self

    def __exit__(self, *what):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, open(self.log.name).read()
        self.log.close()

    def restart(self):
        self.__exit__()
        self.__enter__()

    def lmtp(self):
        return smtplib.LMTP(os.path.join(self.folder, "lmtp.sock"))

    def log_on(self, user, password):
        client = imaplib.IMAP4_SSL("localhost", self.imaps, ssl_context=ssl.create_default_context(cafile=self.folder + "/tls/certificate.pem"))
        client.login(user, password)
        return client


def wait_until(true, seconds=10):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def metrics(port):
    """{name and labels: number} of what Prometheus would take."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = page.read().decode()
    kinds, found = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            kinds[line.split()[2]] = line.split()[3]
        elif not line.startswith("#"):
            name, number = line.rsplit(" ", 1)
            base = re.sub(r"_(bucket|sum|count)$", "", name.split("{")[0])
            assert name not in found and (base in kinds or name.split("{")[0] in kinds), line
            found[name] = float(number)
    assert set(kinds.values()) == {"counter", "gauge", "histogram"}
    return found

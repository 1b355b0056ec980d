# SPDX-License-Identifier: Apache-2.0
"""Runs `outpost serve` on a free port of loopback, or at a socket."""
import os
import re
import signal
import subprocess
import threading

from outpost import Failed


class Serving:
    USER = "alice"

    def __init__(self, program, socket=None):
        self.program, self.socket, self.port = program, socket, None
        how = ["--socket", socket] if socket else ["--listen", "127.0.0.1:0"]
        self.password = program.ok("serve", "--show-password").decode().strip()
        self.process = program.start("serve", *how)
        self.said = []
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if not self.ready.wait(30):
            self.process.kill()
            raise Failed("outpost serve did not say where: " + "".join(self.said))

    def read(self):
        for line in self.process.stderr:
            line = line.decode(errors="replace")
            self.said.append(line)
            match = re.search(r"^Serving .* at (?:\S+, port (\d+)|\S+)$", line)
            if match:
                self.port = int(match.group(1) or 0)
                self.ready.set()

    @property
    def url(self):
        return f"imap://127.0.0.1:{self.port}"

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            raise Failed("outpost serve did not end: " + "".join(self.said)[-3000:])
        self.reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        if code != 0:
            raise Failed(f"outpost serve ended with {code}: " + "".join(self.said)[-6000:])
        if self.socket:
            assert not os.path.exists(self.socket)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.stop()

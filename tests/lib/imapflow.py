# SPDX-License-Identifier: Apache-2.0
"""imapflow, a client in JavaScript that servers of web mail use, in the versions that tests/interop/package-lock.json pins."""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess

from corpus import REPOSITORY

INTEROP = os.path.join(REPOSITORY, "tests", "interop")
NO_NETWORK = r"code (EAI_AGAIN|ENOTFOUND|ECONN(REFUSED|RESET|ABORTED)|E(NET|HOST)UNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT)"


def find_imapflow():
    """The directory of the modules, installed into the cache once for each lock file; None: the npm registry cannot be reached."""
    with open(os.path.join(INTEROP, "package-lock.json"), "rb") as lock:
        version = hashlib.sha256(lock.read()).hexdigest()[:16]
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "outpost", "imapflow-" + version)
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may ask at once
        if not os.path.exists(os.path.join(cache, "complete")):
            if not install(cache):
                return None
            open(os.path.join(cache, "complete"), "w").close()
    return os.path.join(cache, "node_modules")


def install(cache):
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(INTEROP, name), cache)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"], cwd=cache,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert done.returncode == 0 or re.search(NO_NETWORK, done.stdout), done.stdout
    return done.returncode == 0


def run_imapflow(modules, folder, port, user, password, certificate=None):
    """What tests/interop/imapflow.mjs says of the server. It begins TLS where that is offered, and then wants the certificate."""
    shutil.copy(os.path.join(INTEROP, "imapflow.mjs"), folder)
    os.symlink(modules, os.path.join(folder, "node_modules"))
    done = subprocess.run(["node", "imapflow.mjs", "localhost", str(port), user, password], cwd=folder, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, **({"NODE_EXTRA_CA_CERTS": certificate} if certificate else {})), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    return done.stdout

# SPDX-License-Identifier: Apache-2.0
"""Runs the program with a home of its own, and compares its store with what a server says."""
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile

from corpus import REPOSITORY


def find_binary():
    """OUTPOST names the program; else the newest build in the repository. None when there is none."""
    named = os.environ.get("OUTPOST")
    if named:
        return named if os.access(named, os.X_OK) else None
    found = [os.path.join(REPOSITORY, d, "src", "cli", "outpost")
             for d in os.listdir(REPOSITORY) if d.startswith("build")]
    found = [path for path in found if os.access(path, os.X_OK)]
    return max(found, key=os.path.getmtime) if found else None


class Failed(Exception):
    pass


class Outpost:
    ADDRESS = "alice@mail.example.org"

    def __init__(self, binary=None, directory=None):
        self.binary = binary or find_binary()
        assert self.binary, "the program is not built: make check builds it"
        self.own_directory = directory is None
        self.home = directory or tempfile.mkdtemp(prefix="outpost-home-")
        os.makedirs(self.home, exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": self.home, "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "XDG_CONFIG_HOME": os.path.join(self.home, "config"), "XDG_DATA_HOME": os.path.join(self.home, "data"),
            "XDG_STATE_HOME": os.path.join(self.home, "state"), "XDG_CACHE_HOME": os.path.join(self.home, "cache"),
            "XDG_RUNTIME_DIR": os.path.join(self.home, "run"), "NO_COLOR": "1",
            "OUTPOST_SRV": "", "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "detect_leaks=1:exitcode=99"),
            "UBSAN_OPTIONS": "halt_on_error=1:exitcode=99:print_stacktrace=1",
            "LSAN_OPTIONS": os.environ.get("LSAN_OPTIONS", "")}
        os.makedirs(self.environment["XDG_RUNTIME_DIR"], mode=0o700, exist_ok=True)
        self.verbs = set()

    def start(self, *arguments, **extra):
        environment = dict(self.environment, **extra.pop("env", {}))
        # To look for leaks takes as long as to start: once for each verb in each test.
        if arguments[:1] in self.verbs:
            environment["ASAN_OPTIONS"] += ":detect_leaks=0"
        self.verbs.add(arguments[:1])
        return subprocess.Popen([self.binary, *arguments], env=environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **extra)

    def run(self, *arguments, env=None, timeout=600):
        """(exit code, output octets, error text); a report of a sanitizer fails at once."""
        process = self.start(*arguments, env=env or {})
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            out, err = process.communicate()
            raise Failed(f"{' '.join(arguments)}: no end after {timeout} s: {err[-2000:].decode(errors='replace')}")
        err = err.decode(errors="replace")
        if process.returncode == 99 or process.returncode in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS):
            raise Failed(f"{' '.join(arguments)}: crashed ({process.returncode}): {err[-6000:]}")
        return process.returncode, out, err

    def ok(self, *arguments, **how):
        code, out, err = self.run(*arguments, **how)
        if code != 0:
            raise Failed(f"{' '.join(arguments)}: exit {code}: {out[-1000:].decode(errors='replace')}{err[-3000:]}")
        return out

    def json(self, *arguments):
        return json.loads(self.ok(*arguments, "--json"))

    def logon(self, url, password="wonderland", sync=False, user="alice"):
        how = [] if sync else ["--no-sync"]
        return self.ok("logon", self.ADDRESS, "--server", url, "--user", user,
                       "--password-command", f"printf %s {password}", *how)

    def sync(self, *arguments, **how):
        return self.ok("sync", *arguments, **how)

    def folders(self):
        return [folder["name"] for folder in self.json("folders")]

    def list(self, folder):
        return self.json("list", folder)

    def save(self, message):
        return self.ok("save", str(message), "-")

    def close(self):
        if self.own_directory:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()


def flag_set(names):
    """System flags are compared without regard to case, as RFC 3501 has them; keywords as they are."""
    return frozenset(f.lower().lstrip("\\") if f.startswith("\\") else f for f in names if f.lower() != "\\recent")


def listed_flags(item):
    system = {"seen", "answered", "flagged", "deleted", "draft"}
    return frozenset(f.lower().lstrip("\\") if f.lower().lstrip("\\") in system else f
                     for f in list(item["flags"]) + list(item["keywords"]))


def tar_digests(outpost):
    """folder -> sha256 of its messages, by UID, as `store export` gives them."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(outpost.ok("store", "export", "--format", "tar", "-"))) as archive:
        for member in archive:
            if member.isfile():
                folder, uid = os.path.split(member.name)
                found.setdefault(folder, []).append((int(uid.split(".")[0]), hashlib.sha256(archive.extractfile(member).read()).hexdigest()))
    return {folder: [digest for _, digest in sorted(messages)] for folder, messages in found.items()}


def differences(outpost, dump, separator="/", prefix="", sample=None):
    """What differs between the local store and a server's dump, as sentences; empty when nothing does.

    Sizes, flags, dates, UIDs and octets of all messages; the octets are those of one export, and of one message by `save`. sample: how
    many messages a folder are looked at; None all."""
    found = []
    exported = tar_digests(outpost)
    server = {}
    for name, messages in dump.items():
        if prefix and name.startswith(prefix):
            name = name[len(prefix):]
        server[name.replace(separator, "/")] = messages
    local = set(outpost.folders())
    for name in sorted(set(server) - local):
        found.append(f"folder {name} is on the server only")
    for name in sorted(local - set(server)):
        found.append(f"folder {name} is local only")
    for name in sorted(local & set(server)):
        here = {item["uid"]: item for item in outpost.list(name)}
        there = {message.uid: message for message in server[name]}
        for uid in sorted(set(there) - set(here)):
            found.append(f"{name}/{uid} is on the server only")
        for uid in sorted(set(here) - set(there)):
            found.append(f"{name}/{uid} is local only")
        both = sorted(set(here) & set(there))
        for uid in both:
            mine, its = here[uid], there[uid]
            if listed_flags(mine) != flag_set(its.flags):
                found.append(f"{name}/{uid}: flags {sorted(listed_flags(mine))}, server {sorted(flag_set(its.flags))}")
            if mine["received"] != its.received:
                found.append(f"{name}/{uid}: received {mine['received']}, server {its.received}")
            if mine["size"] != its.size:
                found.append(f"{name}/{uid}: size {mine['size']}, server {its.size}")
        octets = exported.get(name, [])
        if len(octets) != len(here):
            found.append(f"{name}: {len(octets)} messages were exported of {len(here)}")
            continue
        digest = dict(zip(sorted(here, key=lambda uid: here[uid]["id"]), octets))  # both in the order of their coming here
        step = 1 if sample is None else max(1, len(both) // max(1, sample))
        for uid in both[::step]:
            if there[uid].sha256 and digest[uid] != there[uid].sha256:
                found.append(f"{name}/{uid}: the octets differ")
        for uid in both[-1:]:
            if there[uid].sha256 and hashlib.sha256(outpost.save(here[uid]["id"])).hexdigest() != there[uid].sha256:
                found.append(f"{name}/{uid}: the octets saved differ")
    return found


def export_digests(outpost, directory):
    """sha256 -> count of all messages of `store export --format maildir`."""
    outpost.ok("store", "export", "--format", "maildir", directory)
    counts = {}
    for where, _, files in os.walk(directory):
        if os.path.basename(where) not in ("cur", "new"):
            continue
        for name in files:
            with open(os.path.join(where, name), "rb") as message:
                digest = hashlib.sha256(message.read()).hexdigest()
            counts[digest] = counts.get(digest, 0) + 1
    return counts

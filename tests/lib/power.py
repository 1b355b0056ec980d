# SPDX-License-Identifier: Apache-2.0
"""What a disk may hold after the power failed: from the record that power.c keeps of a program (files and what was told to clients, in order) the
state of all files at any moment is made, with what was not made durable by then lost, whole or in part."""
import os
import shutil
import struct
import subprocess

SECTOR = 512
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "power.c")


def build(folder):
    library = os.path.join(folder, "power.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl", "-lpthread"], check=True)
    return library


def environment(library, log, below):
    # GCC's sanitizers want to be first, and are not when something else is preloaded
    asan = os.environ.get("ASAN_OPTIONS", "exitcode=99") + ":verify_asan_link_order=0"
    return dict(os.environ, LD_PRELOAD=library, POWER_LOG=log, POWER_DIR=below, ASAN_OPTIONS=asan)


def read(log):
    """[(kind, path, at, data)]: C created, M folder made, W written, T truncated, S synchronised, U removed, R renamed, L linked, A told."""
    data, at, steps = open(log, "rb").read(), 0, []
    while at < len(data):
        path, size, offset, kind = struct.unpack_from("<IIQc", data, at)
        at += 24
        steps.append((kind.decode(), data[at:at + path].decode(), offset, data[at + path:at + path + size]))
        at += path + size
    return steps


class File:
    def __init__(self, durable=b""):
        self.durable = bytearray(durable)
        self.pending = []  # (at, data), or (size, None) for a truncation

    def sync(self):
        for at, data in self.pending:
            self.apply(self.durable, at, data)
        self.pending = []

    @staticmethod
    def apply(image, at, data):
        if data is None:
            del image[at:]
            image.extend(bytes(at - len(image)))
            return
        image.extend(bytes(max(0, at + len(data) - len(image))))
        image[at:at + len(data)] = data

    def image(self, keeps):
        """@keeps: is asked for each sector of each write, and for each truncation."""
        image = bytearray(self.durable)
        for at, data in self.pending:
            if data is None:
                if keeps():
                    self.apply(image, at, None)
                continue
            start = 0
            while start < len(data):
                end = min(len(data), start + SECTOR - (at + start) % SECTOR)
                if keeps():
                    self.apply(image, at + start, data[start:end])
                start = end
        return bytes(image)


class Disk:
    """The files of a folder, from a copy that is durable on. Of what happened to names of a folder since it was last synchronised, the first so many
    are kept: file systems keep their order. Not kept: what memory maps of SQLite are for."""

    def __init__(self, top, copy):
        self.top, self.names, self.folders, self.unsure = top, {}, set(), []
        for where, _, files in os.walk(copy):
            there = os.path.join(top, os.path.relpath(where, copy)) if where != copy else top
            self.folders.add(there)
            for name in files:
                path = os.path.join(where, name)
                if os.path.isfile(path) and not name.endswith("-shm"):
                    self.names[os.path.join(there, name)] = File(open(path, "rb").read())
        self.durable_names, self.durable_folders = dict(self.names), set(self.folders)

    def step(self, kind, path, at, data):
        if path.endswith("-shm"):
            return
        if kind in "CMURL":
            self.rename(kind, path, data.decode() if data else None)
        elif kind == "S":
            if path in self.names:
                self.names[path].sync()
            # a new file's name is durable with it, as with ext4, XFS and btrfs; else with its folder
            self.settle(lambda step: step[1] == path or os.path.dirname(step[2] or step[1]) == path)
        elif path in self.names:
            self.names[path].pending.append((at, data if kind == "W" else None))

    def rename(self, kind, path, to):
        step = (kind, path, to, File() if kind == "C" else None)
        self.change(self.names, self.folders, step)
        self.unsure.append(step)

    def settle(self, durable):
        last = max((n for n, step in enumerate(self.unsure) if durable(step)), default=-1)
        for step in self.unsure[:last + 1]:
            self.change(self.durable_names, self.durable_folders, step)
        del self.unsure[:last + 1]

    @staticmethod
    def change(names, folders, step):
        kind, path, to, file = step
        if kind == "C":
            names[path] = file
        elif kind == "M":
            folders.add(path)
        elif kind == "U":
            names.pop(path, None)
            folders.discard(path)
        elif kind == "L":
            names[to] = names[path]
        elif kind == "R":
            names[to] = names.pop(path)

    def write(self, folder, chance, share):
        """The state after a failure now into @folder: of what is unsure @share (0 to 1) is kept, by @chance."""
        names, folders = dict(self.durable_names), set(self.durable_folders)
        keeps = (lambda: chance.random() < share)
        for step in self.unsure[:round(share * len(self.unsure))]:
            self.change(names, folders, step)
        shutil.rmtree(folder, ignore_errors=True)
        for path in sorted(folders):
            os.makedirs(os.path.join(folder, os.path.relpath(path, self.top)), mode=0o700, exist_ok=True)
        for path, file in names.items():
            target = os.path.join(folder, os.path.relpath(path, self.top))
            if os.path.isdir(os.path.dirname(target)):
                with open(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
                    f.write(file.image(keeps))

# SPDX-License-Identifier: Apache-2.0
"""The messages of the shared corpus, as exact octets. Absent corpus: root() is None, and tests that need it say so."""
import os
import re
import subprocess
import tarfile

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIZE_MAX = 64 << 20


def root():
    path = os.environ.get("OUTPOST_CORPUS") or os.path.join(REPOSITORY, "..", "shared", "corpus")
    return os.path.realpath(path) if os.path.isdir(os.path.join(path, "mail")) else None


def split_mbox(data):
    """Messages of an mboxrd file: one quote less before "From ", without the blank line that ends each."""
    starts = [m.start() for m in re.finditer(rb"(?m)^From ", data)]
    for start, end in zip(starts, starts[1:] + [len(data)]):
        block = data[start:end]
        # Some files have bare CR line ends throughout.
        line = re.match(rb"[^\r\n]*(?:\r\n|\r|\n)", block)
        if not line:
            continue
        body = block[line.end():]
        if body.endswith(b"\n\n"):
            body = body[:-1]
        yield re.sub(rb"(?m)^>(>*From )", rb"\1", body)


def messages():
    """(name, octets) of every message."""
    top = root()
    if not top:
        return
    real = os.path.join(top, "mail", "real")
    for name in sorted(os.listdir(real)):
        data = subprocess.run(["zstd", "-dc", os.path.join(real, name)], check=True, stdout=subprocess.PIPE).stdout
        for number, octets in enumerate(split_mbox(data)):
            yield f"{name}#{number}", octets
    fixtures = os.path.join(top, "mail", "fixtures")
    for name in sorted(os.listdir(fixtures)):
        unpack = subprocess.Popen(["zstd", "-dc", os.path.join(fixtures, name)], stdout=subprocess.PIPE)
        with tarfile.open(fileobj=unpack.stdout, mode="r|") as archive:
            for member in archive:
                if not member.isfile() or member.size > SIZE_MAX:
                    continue
                data = archive.extractfile(member).read()
                if data.startswith(b"From "):
                    for number, octets in enumerate(split_mbox(data)):
                        yield f"{member.name}#{number}", octets
                else:
                    yield member.name, data
        unpack.stdout.close()
        unpack.wait()


def as_imap(octets):
    """What an IMAP server may be given: CRLF line ends and no NUL, which RFC 3501 forbids in an APPEND literal."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", octets.replace(b"\0", b"\x80"))

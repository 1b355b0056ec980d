# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from dovecot import Dovecot  # noqa: E402
from outpost import Outpost  # noqa: E402
from outpostd import Server  # noqa: E402


@pytest.fixture
def server():
    with Dovecot() as running:
        yield running


@pytest.fixture
def program():
    with Outpost() as one:
        yield one


@pytest.fixture
def made():
    """A mailbox server with alice, an administrator, and bob, who has little room. It does not run yet."""
    folder = tempfile.mkdtemp(prefix="outpostd-")  # a socket's path may have 107 octets
    server = Server(os.path.join(folder, "mail"))
    server.create("alice@example.org", "wonderland", "--admin")
    server.create("bob@example.org", "builder", "--quota", "1k")
    yield server
    shutil.rmtree(folder)


@pytest.fixture
def organised(made):
    """It is ex1, in Berlin; there is Oslo, too."""
    made.ctl("org", "init", "Contoso")
    for site in ("Berlin", "Oslo"):
        made.ctl("site", "create", site)
    made.ctl("server", "move", "localhost", "--to-site", "Berlin", "--rename", "ex1", "--at", "imaps://ex1.example.org")
    return made


@pytest.fixture
def second(organised):
    """ex2, a server in Oslo that shares the directory."""
    organised.ctl("server", "add", "ex2", "--site", "Oslo", "--at", "imaps://ex2.example.org")
    folder = tempfile.mkdtemp(prefix="outpostd-")
    server = Server(os.path.join(folder, "mail"), "--join", os.path.join(organised.folder, "directory.db"), "--server", "ex2")
    server.create("carol@example.org", "singer")
    yield server
    shutil.rmtree(folder)

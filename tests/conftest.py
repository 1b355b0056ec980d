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

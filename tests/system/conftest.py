# SPDX-License-Identifier: Apache-2.0
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

from dovecot import Dovecot  # noqa: E402
from outpost import Outpost  # noqa: E402


@pytest.fixture
def server():
    with Dovecot() as running:
        yield running


@pytest.fixture
def program():
    with Outpost() as one:
        yield one

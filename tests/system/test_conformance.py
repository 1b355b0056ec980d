# SPDX-License-Identifier: Apache-2.0
"""tests/moves/ run for outpost, and its judge put to the test by clients that are known to be bad."""
import json
import os
import subprocess
import sys

import pytest

MOVES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "moves")
sys.path.append(MOVES)

from cases import CASES, Bench, Servers  # noqa: E402
from clients import OutpostClient, Run  # noqa: E402
from judge import in_words  # noqa: E402
from naive import Naive  # noqa: E402

# Whose mail it is, and whether mail that is missing there shall come back, only a human can say.
ASKS = ("M11", "M11-same", "M13", "M13-new-mail")


@pytest.fixture(scope="module")
def bench():
    benches = {}

    def get(client):
        if client not in benches:
            benches[client] = Bench(client, Servers("dovecot"), "INBOX")
        return benches[client]
    yield get
    for one in benches.values():
        one.close()


@pytest.mark.parametrize("name", CASES)
def test_outpost_follows(name, bench):
    result = CASES[name].run(bench(OutpostClient))
    assert result["verdict"] == "follows", in_words(result) + "\n" + "\n".join(result["texts"])
    assert result["human"] == (name in ASKS), result["codes"]


class Idle(Naive):
    """Synchronises once and never again, and says that all is well."""

    def sync(self):
        return Run(0, "") if self.load() else super().sync()


def test_a_client_that_trusts_uids_is_seen_to_write_to_the_wrong_messages(bench):
    result = CASES["M2"].run(bench(Naive))
    assert result["verdict"] == "harm" and result["human"]
    assert result["lostThere"] == 2 and result["wrongFlagsThere"] >= 2 and result["applied"] < result["pending"]


def test_a_client_that_takes_an_empty_server_at_its_word_is_seen_to_lose_mail(bench):
    result = CASES["M4"].run(bench(Naive))
    assert result["verdict"] == "harm" and result["lostHere"] == 198


def test_a_client_that_writes_to_another_persons_mailbox_is_seen(bench):
    result = CASES["M11"].run(bench(Naive))
    assert result["verdict"] == "harm" and result["foreignThere"] == 1 and result["lostThere"] == 2 and result["notTold"]


def test_a_client_that_sends_again_what_was_sent_is_seen(bench):
    result = CASES["M7-older-copy"].run(bench(Naive))
    assert result["verdict"] == "harm" and result["doubledThere"] == 1 and result["doubledHere"] == 1


def test_a_client_that_fetches_all_again_is_seen(bench):
    result = CASES["M3"].run(bench(Naive))
    assert result["verdict"] == "fetches" and result["bodies"] >= 198 and result["complete"]


def test_a_client_that_does_nothing_is_seen(bench):
    result = CASES["M1-new-mail"].run(bench(Idle))
    assert result["verdict"] == "incomplete" and result["human"] and result["applied"] == 0 and result["absentHere"] == 3
    result = CASES["M11"].run(bench(Idle))
    assert result["verdict"] == "incomplete" and in_words(result) == "exit status 0"


def test_the_runner_prints_what_it_found(tmp_path):
    command = ["/usr/bin/python3", os.path.join(MOVES, "run.py"), "--client", os.path.join(MOVES, "naive.py") + ":Naive", "--case", "M12"]
    run = subprocess.run(command + ["--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    found = json.loads(run.stdout)
    assert run.returncode == 1 and found["server"] == "dovecot" and found["clients"][0]["client"] == "naive 1"
    assert [r["verdict"] for r in found["clients"][0]["results"]] == ["fetches"]
    run = subprocess.run(command[:-1] + ["M14"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    assert run.returncode == 2 and b"no case M14" in run.stderr

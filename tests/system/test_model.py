# SPDX-License-Identifier: Apache-2.0
"""The protocol of Move Mailbox (tests/model/move.pml), looked through state by state; and that the model would see what is wrong."""
import os
import subprocess

import pytest

MODEL = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "model", "move.pml")


def verify(folder, *how, spin=(), build=()):
    """What pan, the program that spin makes of the model, says of it."""
    subprocess.run(["spin", *spin, "-a", MODEL], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cc", "-O2", "-w", *build, "-o", "pan", "pan.c"], cwd=folder, check=True)
    said = subprocess.run(["./pan", "-m300000", *how], cwd=folder, capture_output=True, text=True, timeout=600).stdout
    assert "max search depth too small" not in said and "states, stored" in said, said
    return said


def test_a_mailbox_never_has_two_homes_or_none_and_loses_nothing(tmp_path):
    said = verify(tmp_path, build=("-DSAFETY", "-DNOCLAIM"))
    assert "errors: 0" in said and "assertion violations\t+" in said, said


@pytest.mark.parametrize("claim", ["ends", "sound"])
def test_a_move_ends_and_leaves_nothing_waiting(tmp_path, claim):
    said = verify(tmp_path, "-a", "-f", "-N", claim, spin=("-DDEATHS=1",), build=("-DNFAIR=4",))
    assert "errors: 0" in said and "acceptance   cycles \t+" in said, said


@pytest.mark.parametrize("lack", ["NO_SEAL", "NO_ORDER", "NO_LOCK"])
def test_a_protocol_that_lacks_something_is_seen(tmp_path, lack):
    assert "errors: 0" not in verify(tmp_path, spin=(f"-D{lack}",), build=("-DSAFETY", "-DNOCLAIM"))

"""Each fault of the lab does what it says, and its check would notice if it did not."""

from __future__ import annotations

from pathlib import Path

import pytest

from _lab import small  # makes the lab importable

# isort: split
import torch
from lab import faults
from lab.run import twins
from lab.train import Row, Training

from foreshock.diagnosis._catalogue import causes

STEPS = 3
NAMES = [name for name in faults.NAMES if name != "none"]


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint after five steps."""
    torch.set_num_threads(1)
    training = Training(small())
    for _ in range(5):
        training.step()
    path = tmp_path_factory.mktemp("lab") / "fork.pt"
    training.save(path)
    return path


@pytest.fixture(scope="module")
def clean(fork: Path) -> list[Row]:
    """What the next steps are without a fault."""
    return twins(small(), faults.find("none", at=6), fork, STEPS)[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_acts_and_its_check_tells(name: str, fork: Path, clean: list[Row]) -> None:
    fault = faults.find(name, at=6)
    twin, faulty = twins(small(), fault, fork, STEPS)
    check = fault.check(twin, faulty)
    assert check.acted, check.text
    assert not fault.check(clean, clean).acted, "the check passes where nothing was done"


@pytest.mark.parametrize("name", faults.NAMES)
def test_a_fault_names_a_cause_of_the_catalogue_and_doses(name: str) -> None:
    fault = faults.find(name)
    assert fault.cause in causes()
    assert fault.dose == fault.doses[-1]
    assert fault.meaning
    assert name == "none" or len(fault.doses) >= 2


def test_no_fault_leaves_the_twin_equal(fork: Path) -> None:
    none = faults.find("none", at=6)
    assert none.check(*twins(small(), none, fork, 2)).acted

"""Each fault of the lab does what it says, and its check would notice if it did not."""

from __future__ import annotations

from pathlib import Path

import pytest

from _lab import small  # makes the lab importable

# isort: split
import torch
from lab import faults
from lab.faults.base import onset, timeless
from lab.run import branch
from lab.train import Options, Row, Training

from foreshock.diagnosis._catalogue import causes

AT, STEPS = 4, 2
NAMES = [name for name in faults.NAMES if name != "none"]
# The figure that started it names these; the id of each in the catalogue, and a fault that is it.
HYPOTHESES = {
    "noisy data late": ("noisy_data_late", "noisy_labels"),
    "change of the input distribution": ("dist_shift", "prompt_shift"),
    "a pruned layer": ("arch_change", "pruned_layer"),
    "a bug introduced late": ("reward_parser_bug", "reward_parser_bug"),
    "degraded data": ("noisy_data_late", "degraded_data"),
    "overfitting on few prompts": ("overfit_memorise", "small_pool"),
}


def tiny() -> Options:
    return small(prompts=6, group=4, max_tokens=90)


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that all faults begin from."""
    torch.set_num_threads(1)
    training = Training(tiny())
    while training.done < AT - 1:
        training.step()
    path = tmp_path_factory.mktemp("lab") / "fork.pt"
    training.save(path)
    return path


@pytest.fixture(scope="module")
def clean(fork: Path) -> list[Row]:
    """What the next steps are without a fault: the twin of all of them."""
    return branch(tiny(), faults.find("none", at=AT), fork, STEPS)


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_acts_and_its_check_tells(name: str, fork: Path, clean: list[Row]) -> None:
    fault = faults.find(name, at=AT)
    faulty = branch(tiny(), fault, fork, STEPS)
    check = fault.check(clean, faulty)
    assert check.acted, check.text
    untouched = fault.check(clean, clean)
    assert not untouched.acted, f"the check passes where nothing was done: {untouched.text}"


@pytest.mark.parametrize("name", faults.NAMES)
def test_a_fault_names_a_cause_of_the_catalogue_and_doses(name: str) -> None:
    fault = faults.find(name)
    assert fault.cause in causes()
    assert fault.dose == fault.doses[-1]
    assert fault.meaning
    assert name == "none" or len(set(fault.doses)) >= 2


def test_there_are_faults_of_at_least_26_causes() -> None:
    assert len({faults.find(name).cause for name in NAMES}) >= 26
    for cause, name in HYPOTHESES.values():
        assert faults.find(name).cause == cause


def test_no_fault_leaves_the_twin_equal(fork: Path, clean: list[Row]) -> None:
    none = faults.find("none", at=AT)
    again = branch(tiny(), none, fork, STEPS)
    assert none.check(clean, again).acted
    assert [timeless(row) for row in again] != [timeless(row) for row in clean[1:]]


def test_an_onset_is_drawn_from_the_seed() -> None:
    drawn = [onset(seed, 20, 29) for seed in range(200)]
    assert set(drawn) == set(range(20, 30))
    assert drawn == [onset(seed, 20, 29) for seed in range(200)]

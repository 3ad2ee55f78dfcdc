"""TRL's own trainer on a task of the lab: recorded, and equal to the plain loop step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed; `pip install 'foreshock[trl]'`")
pytest.importorskip("datasets")

from _lab import small  # makes the lab importable

# isort: split
import torch
from lab import with_trl
from lab.train import Options, Training

import foreshock

STEPS = 3
TINY: dict[str, Any] = {
    "prompts": 4,
    "group": 4,
    "max_tokens": 60,
    "steps": STEPS,
    "probe_every": 2,
    "probe": 8,
}

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers and torch


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> foreshock.Run:
    """A training of three steps, read back."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trl")
    with_trl.go(small(**TINY), folder, strict=True)
    return foreshock.open_run(folder / "run")


@pytest.fixture(scope="module")
def plain() -> list[dict[str, float]]:
    """What the plain loop logs with the same settings."""
    torch.set_num_threads(1)
    training = Training(small(**TINY))
    return [training.step()[0] for _ in range(STEPS)]


def test_the_callback_records_what_a_user_would_have(recorded: foreshock.Run) -> None:
    assert list(recorded.steps) == [1, 2, 3]
    kinds = {evidence.kind for evidence in recorded.evidence}
    assert {"batch", "reward", "model", "tokenizer"} <= kinds
    assert recorded.facts["prompts_per_step"] == 4
    assert recorded.facts["group_size"] == 4


def test_both_trainers_log_the_same_names(recorded: foreshock.Run, plain: list[dict[str, float]]) -> None:
    theirs = {name for name in recorded.series.original if not name.startswith("foreshock/")}
    ours = set().union(*plain)
    assert ours - theirs == set()
    assert theirs - ours == with_trl.ONLY


def test_both_trainers_do_the_same(recorded: foreshock.Run, plain: list[dict[str, float]]) -> None:
    """The same seed gives the same completions and updates; rounding adds up, so few steps are compared."""
    for step, row in enumerate(plain):
        for name, value in row.items():
            if name == "step_time" or name.startswith("sampling/"):
                continue  # one is time; the other is measured on a part of the batch
            assert recorded.series[name][step] == pytest.approx(value, abs=2e-4), (step + 1, name)
    assert plain[0]["loss"] != pytest.approx(plain[1]["loss"], abs=2e-3)
    assert max(recorded.series["sampling/sampling_logp_difference/max"]) < 1e-4


def test_what_trl_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--staleness"):
        with_trl.go(Options(staleness=2), tmp_path)

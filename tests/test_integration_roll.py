"""ROLL's tracker registry: contract test against a stand-in of `roll/utils/tracking.py`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from _standins import put_on_path
from foreshock.integrations import roll
from foreshock.readers import open_run

# ROLL 8eb27cc, roll/utils/tracking.py: the registry and how a pipeline uses it.
TRACKING = """
tracker_registry = {}


class BaseTracker:
    def log(self, values, step, **kwargs):
        raise NotImplementedError

    def finish(self):
        raise NotImplementedError


class StdoutTracker(BaseTracker):
    def __init__(self, config, **kwargs):
        self.kwargs = kwargs
        self.calls = []

    def log(self, values, step, **kwargs):
        self.calls.append((step, dict(values)))

    def finish(self):
        self.calls.append("finish")


tracker_registry["stdout"] = StdoutTracker


def create_tracker(tracker_name, config, **kwargs):
    if tracker_name not in tracker_registry:
        raise ValueError(f"Unknown tracker name: {tracker_name}")
    return tracker_registry[tracker_name](config, **kwargs)
"""
CONFIG = {
    "exp_name": "qwen rlvr",
    "pretrain": "some/model",
    "rollout_batch_size": 64,
    "num_return_sequences_in_group": 8,
    "max_steps": 200,
}


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The stand-in, imported after Foreshock's module."""
    monkeypatch.chdir(tmp_path)
    put_on_path(monkeypatch, tmp_path / "site", {"roll.utils.tracking": TRACKING})
    undo = roll.install()
    yield importlib.import_module("roll.utils.tracking")
    undo()


def _run(tracker: Any) -> None:
    for step in range(3):
        tracker.log(values={"critic/score/mean": 0.5 * step, "system/step": step}, step=step)
    tracker.finish()


def test_a_pipeline_is_recorded(tracking: Any, tmp_path: Path) -> None:
    _run(tracking.create_tracker("foreshock", CONFIG, to=tmp_path / "rec"))
    run = open_run(tmp_path / "rec")
    assert run.steps.tolist() == [0, 1, 2]
    assert run.series["reward_mean"].tolist() == [0.0, 0.5, 1.0]
    facts = ("framework", "model", "prompts_per_step", "group_size", "total_steps", "ended")
    assert [run.facts[fact] for fact in facts] == ["roll", "some/model", 64, 8, 200, True]


def test_another_tracker_gets_every_call(tracking: Any, tmp_path: Path) -> None:
    tracker = tracking.create_tracker(
        "foreshock", CONFIG, to=tmp_path / "rec", beside="stdout", beside_kwargs={"project": "p"}
    )
    _run(tracker)
    other = tracker._beside
    assert other.kwargs == {"project": "p"}
    assert [call if call == "finish" else call[0] for call in other.calls] == [0, 1, 2, "finish"]


def test_the_default_folder_has_the_name_of_the_experiment(tracking: Any, tmp_path: Path) -> None:
    _run(tracking.create_tracker("foreshock", CONFIG))
    assert len(open_run(tmp_path / "foreshock-runs" / "qwen_rlvr").steps) == 3


def test_settings_of_other_trackers_do_not_disturb(tracking: Any, tmp_path: Path) -> None:
    _run(tracking.create_tracker("foreshock", CONFIG, to=tmp_path / "rec", log_dir="elsewhere"))
    assert len(open_run(tmp_path / "rec").steps) == 3


def test_the_name_is_known_until_undone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_on_path(monkeypatch, tmp_path / "site", {"roll.utils.tracking": TRACKING})
    module = importlib.import_module("roll.utils.tracking")
    undo = roll.install()  # also where ROLL was imported before
    assert module.tracker_registry["foreshock"] is roll.ForeshockTracker
    undo()
    assert list(module.tracker_registry) == ["stdout"]

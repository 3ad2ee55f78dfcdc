"""AReaL's `StatsLogger`: a stand-in with its numbering of steps, and the real class where installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from _standins import put_on_path
from foreshock.integrations import areal
from foreshock.readers import open_run

# areal 1.0.4, areal/utils/stats_logger.py: what of it is listened to.
STATS_LOGGER = """
class StatsLogger:
    def __init__(self, config, ft_spec):
        self.exp_config = config
        self.config = config.stats_logger
        self.ft_spec = ft_spec
        self._last_commit_step = -1
        self.written = []

    def commit(self, epoch, step, global_step, data):
        if isinstance(data, dict):
            data = [data]
        log_step = max(global_step, self._last_commit_step + 1)
        for i, item in enumerate(data):
            item = {k: v for k, v in item.items() if not k.endswith("__count")}
            self.written.append((log_step + i, item))
        self._last_commit_step = log_step + len(data) - 1

    def close(self):
        pass
"""


@dataclass
class _Config:
    stats_logger: Any = field(
        default_factory=lambda: SimpleNamespace(experiment_name="gsm8k", trial_name="trial 0")
    )
    actor: Any = field(default_factory=lambda: SimpleNamespace(path="some/model"))
    train_dataset: Any = field(default_factory=lambda: SimpleNamespace(batch_size=256))
    gconfig: Any = field(default_factory=lambda: SimpleNamespace(n_samples=4))


def _standin_logger() -> Any:
    module = importlib.import_module("areal.utils.stats_logger")
    return module.StatsLogger(_Config(), SimpleNamespace(total_train_steps=1000))


def _real_logger(tmp_path: Path) -> Any:
    module: Any = importlib.import_module("areal.utils.stats_logger")
    args: Any = importlib.import_module("areal.api.cli_args")
    api: Any = importlib.import_module("areal.api")
    own = args.StatsLoggerConfig(experiment_name="gsm8k", trial_name="trial 0", fileroot=str(tmp_path))
    own.wandb.mode = own.swanlab.mode = "disabled"
    config = args.BaseExperimentConfig(experiment_name="gsm8k", trial_name="trial 0", stats_logger=own)
    spec = api.FinetuneSpec(total_train_epochs=1, dataset_size=8000, train_batch_size=8)
    return module.StatsLogger(config, spec)


def _commit(logger: Any) -> None:
    for step in range(3):
        logger.commit(0, step, step, {"ppo_actor/task_reward/avg": 0.5 * step, "n__count": 7})
    logger.commit(0, 3, 3, [{"ppo_actor/task_reward/avg": 5.0}, {"ppo_actor/task_reward/avg": 6.0}])
    logger.commit(0, 4, 4, {"ppo_actor/task_reward/avg": 7.0})
    logger.close()


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A stand-in in the place of AReaL."""
    monkeypatch.chdir(tmp_path)
    put_on_path(monkeypatch, tmp_path / "site", {"areal.utils.stats_logger": STATS_LOGGER})
    yield


def test_rows_get_the_steps_that_areal_gives_them(standin: None, tmp_path: Path) -> None:
    undo = areal.install(tmp_path / "rec")
    logger = _standin_logger()
    _commit(logger)
    undo()
    run = open_run(tmp_path / "rec")
    expected = {step: row["ppo_actor/task_reward/avg"] for step, row in logger.written}
    assert dict(zip(run.steps.tolist(), run.series["reward_mean"].tolist(), strict=True)) == expected
    assert run.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert "n__count" not in run.series
    facts = ("framework", "model", "prompts_per_step", "group_size", "total_steps", "ended")
    assert [run.facts[fact] for fact in facts] == ["areal", "some/model", 256, 4, 1000, True]


def test_the_real_stats_logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("areal") is None:
        pytest.skip("areal is not installed")
    monkeypatch.chdir(tmp_path)
    undo = areal.install(tmp_path / "rec")
    _commit(_real_logger(tmp_path))
    undo()
    run = open_run(tmp_path / "rec")
    assert run.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert run.series["reward_mean"].tolist() == [0.0, 0.5, 1.0, 5.0, 6.0, 7.0]
    assert run.facts["total_steps"] == 1000


def test_other_ranks_record_nothing(standin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = ModuleType("torch.distributed")
    distributed.is_available = distributed.is_initialized = lambda: True  # type: ignore[attr-defined]
    distributed.get_rank = lambda: 1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.distributed", distributed)
    undo = areal.install(tmp_path / "rec")
    _commit(_standin_logger())
    undo()
    assert not (tmp_path / "rec").exists()


def test_the_default_folder_names_experiment_and_trial(standin: None, tmp_path: Path) -> None:
    undo = areal.install()
    _commit(_standin_logger())
    undo()
    assert len(open_run(tmp_path / "foreshock-runs" / "gsm8k" / "trial_0").steps) == 6


def test_undone_nothing_more_is_recorded(standin: None, tmp_path: Path) -> None:
    undo = areal.install(tmp_path / "rec")
    logger = _standin_logger()
    logger.commit(0, 0, 0, {"ppo_actor/task_reward/avg": 1.0})
    undo()
    logger.commit(0, 1, 1, {"ppo_actor/task_reward/avg": 2.0})
    assert len(logger.written) == 2
    assert open_run(tmp_path / "rec").steps.tolist() == [0]

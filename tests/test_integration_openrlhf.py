"""OpenRLHF's trainer with our logger in the place of W&B's: contract test against a stand-in."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from _standins import put_on_path
from foreshock.integrations import openrlhf
from foreshock.readers import open_run
from foreshock.record.samples import read_samples

# openrlhf 0.11.2, openrlhf/trainer/ppo_trainer.py: what of it a logger meets.
TRAINER = """
class BasePPOTrainer:
    def __init__(self, strategy, *groups):
        self.strategy = strategy
        self.args = strategy.args
        self.wandb_logger = WandbLogger() if self.args.logger.wandb.key else None
        self.tensorboard_logger = None

    def save_logs_and_checkpoints(self, global_step, logs_dict=None):
        if global_step % self.args.logger.logging_steps == 0:
            if self.wandb_logger:
                self.wandb_logger.log_train(global_step, logs_dict or {})

    def evaluate(self, global_step, logs):
        if self.wandb_logger:
            self.wandb_logger.log_eval(global_step, logs)

    def fit(self):
        if self.wandb_logger:
            self.wandb_logger.close()


class PPOTrainer(BasePPOTrainer):
    pass


class WandbLogger:
    def __init__(self):
        self.calls = []
        self.handle = "wandb"

    def log_train(self, global_step, logs_dict):
        self.calls.append(("train", global_step, dict(logs_dict)))

    def log_eval(self, global_step, logs_dict):
        self.calls.append(("eval", global_step, dict(logs_dict)))

    def close(self):
        self.calls.append(("close",))
"""

KEY = "0123456789abcdef0123456789abcdef01234567"
"""What a key of W&B looks like."""


@pytest.fixture
def trainer_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The stand-in, imported after `install`."""
    put_on_path(monkeypatch, tmp_path / "site", {"openrlhf.trainer.ppo_trainer": TRAINER})
    undo = openrlhf.install(tmp_path / "rec")
    yield importlib.import_module("openrlhf.trainer.ppo_trainer")
    undo()


def _strategy(wandb_key: str | None = None) -> SimpleNamespace:
    wandb = SimpleNamespace(key=wandb_key, run_name="my run")
    return SimpleNamespace(
        args=SimpleNamespace(
            logger=SimpleNamespace(wandb=wandb, logging_steps=2),
            actor=SimpleNamespace(model_name_or_path="some/model"),
            rollout=SimpleNamespace(batch_size=128, n_samples_per_prompt=8),
        )
    )


def _train(trainer: Any) -> None:
    for step in range(1, 5):
        sample = [f"prompt and answer {step}", 0.5 * step]
        trainer.save_logs_and_checkpoints(
            step, {"reward": 0.5 * step, "unset": None, "generated_samples": sample}
        )
    trainer.evaluate(4, {"eval_math_pass1": 0.25})
    trainer.fit()


def test_training_and_evaluation_are_recorded_without_any_other_logger(
    trainer_module: Any, tmp_path: Path
) -> None:
    _train(trainer_module.PPOTrainer(_strategy()))
    run = open_run(tmp_path / "rec")
    assert run.steps.tolist() == [2, 4]
    assert run.series["train/reward"].tolist() == [1.0, 2.0]
    assert run.series["reward_mean"].tolist() == [1.0, 2.0]
    assert run.series["eval/eval_math_pass1"].tolist()[1] == 0.25
    assert "train/unset" not in run.series
    facts = ("framework", "model", "prompts_per_step", "group_size", "ended")
    assert [run.facts[fact] for fact in facts] == ["openrlhf", "some/model", 128, 8, True]


def test_the_decoded_sample_of_each_step_is_kept(trainer_module: Any, tmp_path: Path) -> None:
    _train(trainer_module.PPOTrainer(_strategy()))
    kept = read_samples(tmp_path / "rec")
    assert [(sample.step, sample.completion) for sample in kept] == [
        (2, "prompt and answer 2"),
        (4, "prompt and answer 4"),
    ]
    assert kept[1].rewards == {"reward": 2.0}


def test_the_wandb_logger_gets_every_call_as_before(trainer_module: Any, tmp_path: Path) -> None:
    trainer = trainer_module.PPOTrainer(_strategy(wandb_key=KEY))
    assert trainer.wandb_logger.handle == "wandb"  # what we do not have, it answers
    _train(trainer)
    calls = trainer.wandb_logger.calls
    assert [call[0] for call in calls] == ["train", "train", "eval", "close"]
    assert calls[0][2]["generated_samples"] == ["prompt and answer 2", 1.0]
    assert open_run(tmp_path / "rec").steps.tolist() == [2, 4]
    assert KEY not in (tmp_path / "rec" / "journal-0.jsonl").read_text()


def test_wandbs_exceptions_stay_and_ours_do_not_appear(
    trainer_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_module.PPOTrainer(_strategy(wandb_key="k"))
    trainer.wandb_logger.log_train(2, {"reward": object(), "generated_samples": "nonsense"})

    def broken(*_: Any) -> None:
        raise ConnectionError("W&B is down")

    monkeypatch.setattr(trainer.wandb_logger._beside, "log_train", broken)
    with pytest.raises(ConnectionError):
        trainer.wandb_logger.log_train(4, {"reward": 1.0})


def test_undone_trainers_are_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_on_path(monkeypatch, tmp_path / "site", {"openrlhf.trainer.ppo_trainer": TRAINER})
    undo = openrlhf.install(tmp_path / "rec")
    module = importlib.import_module("openrlhf.trainer.ppo_trainer")
    undo()
    assert module.PPOTrainer(_strategy()).wandb_logger is None
    assert not (tmp_path / "rec").exists()


def test_without_a_folder_the_run_name_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    logger = openrlhf.ForeshockLogger(args=_strategy().args)
    logger.log_train(1, {"reward": 1.0})
    logger.close()
    assert open_run(tmp_path / "foreshock-runs" / "my_run").steps.tolist() == [1]
    with pytest.raises(AttributeError):
        logger.handle  # noqa: B018

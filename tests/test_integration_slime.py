"""slime's custom log functions: contract test against a stand-in of its `Sample` and arguments."""

from __future__ import annotations

import enum
import math
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from foreshock.integrations import slime
from foreshock.readers import open_run
from foreshock.record.samples import read_samples


class Status(enum.Enum):
    """`Sample.Status`."""

    COMPLETED = "completed"
    TRUNCATED = "truncated"
    ABORTED = "aborted"


@dataclass
class Sample:
    """slime 624b824, slime/utils/types.py: the fields that a log function meets."""

    prompt: Any
    response: str
    response_length: int
    reward: Any
    tokens: list[int] = field(default_factory=list)
    label: str | None = None
    status: Status = Status.COMPLETED
    metadata: dict[str, Any] = field(default_factory=dict)
    weight_versions: list[str] = field(default_factory=list)


KEY = "0123456789abcdef0123456789abcdef01234567"
"""What a key of W&B looks like."""


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """No recording of one test goes on in the next."""
    yield
    slime.close()


def _args(folder: Path, **more: Any) -> Namespace:
    return Namespace(
        save=str(folder),
        hf_checkpoint="some/model",
        rollout_batch_size=2,
        n_samples_per_prompt=2,
        num_rollout=100,
        reward_key=None,
        wandb_key=KEY,
        wandb_group="group",
        **more,
    )


def _group(step: int, name: str, rewards: tuple[Any, Any], **more: Any) -> list[Sample]:
    prompt = [{"role": "user", "content": f"{name} {step}"}]
    return [
        Sample(prompt, f"answer {n}", 10 + n, reward, list(range(15 + n)), label="42", **more)
        for n, reward in enumerate(rewards)
    ]


def _rollout(step: int) -> list[Sample]:
    cut = _group(step, "cut", (0.0, None), metadata={"source": "math"}, weight_versions=[str(step)])
    cut[1].status = Status.TRUNCATED
    return [
        *_group(step, "whole", (1.0, 0.5), metadata={"source": "code"}, weight_versions=[str(step)]),
        *cut,
    ]


def test_rollouts_are_recorded_and_slime_logs_them_too(tmp_path: Path) -> None:
    args = _args(tmp_path)
    for step in range(3):
        assert slime.log_rollout(step, args, _rollout(step), {"rollout/extra": 2.0}, 12.5) is False
    run = open_run(tmp_path / "foreshock")
    assert run.steps.tolist() == [0, 1, 2]
    assert run.series["reward_mean"].tolist() == [0.5, 0.5, 0.5]  # of those that were scored
    assert run.series["response_length_mean"].tolist() == [10.5, 10.5, 10.5]
    assert run.series["rollout/response_len/max"].tolist() == [11, 11, 11]
    assert run.series["rollout/truncated_ratio"].tolist() == [0.25, 0.25, 0.25]
    assert run.series["rollout/extra"].tolist() == [2.0, 2.0, 2.0]
    assert run.series["perf/rollout_time"].tolist() == [12.5, 12.5, 12.5]
    facts = ("framework", "model", "prompts_per_step", "group_size", "total_steps")
    assert [run.facts[fact] for fact in facts] == ["slime", "some/model", 2, 2, 100]
    assert KEY not in (tmp_path / "foreshock" / "journal-0.jsonl").read_text()


def test_prompts_rewards_and_weights_are_evidence(tmp_path: Path) -> None:
    for step in range(2):
        slime.log_rollout(step, _args(tmp_path), _rollout(step), None, 1.0)
    run = open_run(tmp_path / "foreshock")
    assert run.series["foreshock/batch/prompts"].tolist() == [2, 2]
    assert run.series["foreshock/batch/prompt_length_mean"].tolist() == [5, 5]  # in tokens
    assert run.series["foreshock/reward/reward/unscored"].tolist() == [0.25, 0.25]
    assert run.series["foreshock/engine/weight_version"].tolist() == [0, 1]
    batch = next(each for each in run.evidence if each.kind == "batch")
    assert set(batch.payload["sources"]) == {"math", "code"}


def test_samples_keep_what_scoring_again_needs(tmp_path: Path) -> None:
    slime.log_rollout(0, _args(tmp_path), _rollout(0), None, 1.0)
    kept = read_samples(tmp_path / "foreshock")
    assert len(kept) == 4
    assert kept[0].prompt == [{"role": "user", "content": "whole 0"}]
    assert kept[0].rewards == {"reward": 1.0}
    assert kept[3].rewards == {"reward": None}
    assert kept[3].columns == {"label": "42", "status": "truncated"}


def test_samples_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(slime.SAMPLES, "0")
    slime.log_rollout(0, _args(tmp_path), _rollout(0), None, 1.0)
    assert not list((tmp_path / "foreshock").glob("samples*"))


def test_rewards_of_several_parts_are_kept_apart_and_the_key_names_the_reward(tmp_path: Path) -> None:
    args = _args(tmp_path)
    args.reward_key = "score"
    parts = [{"format": 1.0, "score": 0.25}, {"format": 0.0, "score": 0.75}]
    slime.log_rollout(0, args, [_group(0, "a", (parts[0], parts[1]))], None, 1.0)  # groups may be lists
    run = open_run(tmp_path / "foreshock")
    assert run.series["reward_mean"].tolist() == [0.5]
    assert run.series["foreshock/reward/format/mean"].tolist() == [0.5]
    assert read_samples(tmp_path / "foreshock")[1].rewards == {"format": 0.0, "score": 0.75}


def test_evaluations_are_recorded(tmp_path: Path) -> None:
    args = _args(tmp_path)
    slime.log_rollout(4, args, _rollout(4), None, 1.0)
    data = {"aime": {"rewards": [1.0, 0.0, None], "truncated": [True, False, False], "samples": []}}
    assert slime.log_eval_rollout(4, args, data, {"eval/extra": 3.0}) is False
    run = open_run(tmp_path / "foreshock")
    assert run.series["eval/aime"].tolist() == [0.5]
    assert run.series["eval/aime-truncated_ratio"].tolist() == [pytest.approx(1 / 3)]
    assert run.series["eval/extra"].tolist() == [3.0]


def test_the_folder_from_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESHOCK_RUN", str(tmp_path / "env"))
    slime.log_rollout(0, _args(tmp_path / "save"), _rollout(0), None, 1.0)
    assert open_run(tmp_path / "env").steps.tolist() == [0]
    assert not (tmp_path / "save").exists()


def test_without_a_folder_the_group_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    args = _args(tmp_path)
    args.save = None
    slime.log_rollout(0, args, _rollout(0), None, 1.0)
    assert open_run(tmp_path / "foreshock-runs" / "group").steps.tolist() == [0]


@pytest.mark.parametrize("samples", [[], [object()], None])
def test_what_is_no_rollout_neither_raises_nor_skips_the_default(tmp_path: Path, samples: Any) -> None:
    assert slime.log_rollout(0, _args(tmp_path), samples, None, 1.0) is False
    assert slime.log_eval_rollout(0, _args(tmp_path), {"a": 1}, None) is False


def test_an_empty_rollout_has_no_mean(tmp_path: Path) -> None:
    slime.log_rollout(0, _args(tmp_path), [], None, 1.0)
    slime.log_rollout(1, _args(tmp_path), _rollout(1), None, 1.0)
    assert math.isnan(open_run(tmp_path / "foreshock").series["reward_mean"][0])

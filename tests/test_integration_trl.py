"""The callback for TRL and Hugging Face trainers, in real trainings of a tiny model."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the trl extra")

import torch
from datasets import Dataset  # type: ignore[import-untyped]
from transformers import (
    LlamaConfig,
    LlamaForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from trl.trainer.grpo_trainer import GRPOTrainer

import _trl_tiny as tiny
import foreshock
from foreshock.integrations import _hf_trainer as hf
from foreshock.integrations._trl_capture import Capture
from foreshock.integrations.trl import ForeshockCallback, register
from foreshock.record.batch import BatchFingerprint
from foreshock.record.samples import read_samples

pytestmark = [
    # Transformers and TRL warn of their own next versions.
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
CLOCK = ("step_time", "_runtime", "_per_second")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def records(folder: Path) -> list[dict[str, Any]]:
    """All lines of the journal of a run."""
    (journal,) = folder.glob("journal-*.jsonl")
    return [json.loads(line) for line in journal.read_text().splitlines()]


def curve(folder: Path, metric: str) -> dict[int, Any]:
    """Step -> value of a metric."""
    rows = [record for record in records(folder) if metric in record.get("metrics", {})]
    return {row["step"]: row["metrics"][metric] for row in rows}


def evidence(folder: Path, kind: str) -> dict[int, dict[str, Any]]:
    """Step -> data of that kind."""
    return {record["step"]: record["data"] for record in records(folder) if record.get("evidence") == kind}


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The events of a kind."""
    return [record for record in records(folder) if record.get("event") == kind]


def history(trainer: Any) -> list[dict[str, Any]]:
    """What a trainer logged, less what the clock says."""
    return [
        {key: value for key, value in row.items() if not key.endswith(CLOCK)}
        for row in trainer.state.log_history
    ]


class At(TrainerCallback):
    """Does something when a step begins."""

    def __init__(self, step: int, action: Any) -> None:
        self.step, self.action = step, action

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """At the step that was asked for."""
        if state.global_step + 1 == self.step:
            self.action()


@pytest.mark.parametrize("rloo", [False, True], ids=["grpo", "rloo"])
def test_a_training_leaves_its_metrics_evidence_and_samples(tmp_path: Path, rloo: bool) -> None:
    callback = ForeshockCallback(strict=True, units={"reward": "points"})
    trainer = tiny.trainer(tmp_path, [callback], rloo=rloo, max_steps=6)
    trainer.train()
    callback.close()

    folder = tmp_path / "foreshock"
    run = foreshock.open_run(folder)
    assert list(run.steps) == [1, 2, 3, 4, 5, 6]
    logged = [row for row in trainer.state.log_history if "reward" in row]
    assert list(run.series["reward_mean"]) == [row["reward"] for row in logged]
    assert list(run.series["response_length_mean"]) == [row["completions/mean_length"] for row in logged]
    assert run.facts["framework"] == "trl" and run.facts["trainer"] == type(trainer).__name__
    assert (run.facts["prompts_per_step"], run.facts["group_size"], run.facts["total_steps"]) == (4, 4, 6)
    assert run.facts["units"] == {"reward": "points"}

    batches = evidence(folder, "batch")
    assert set(batches) == {1, 2, 3, 4, 5, 6}
    assert all(sum(batch["sources"].values()) == batch["prompts"] == 4 for batch in batches.values())
    seen = curve(folder, "foreshock/batch/seen_share")
    assert [seen[step] for step in (1, 2, 3)] == [0, 0, 0], "twelve prompts are new in the first epoch"
    assert [seen[step] for step in (4, 5, 6)] == [1, 1, 1], "and known in the second"
    ours = curve(folder, "foreshock/reward/accuracy/mean")
    assert list(ours.values()) == pytest.approx([row["rewards/accuracy/mean"] for row in logged])

    samples = read_samples(folder)
    assert len(samples) == 6 * 4
    for sample in samples:
        answer = sample.columns["answer"]
        assert sample.prompt.split()[1] == answer
        assert sample.rewards["accuracy"] == tiny.accuracy([sample.completion], [answer])[0]


def test_evidence_of_everything_is_kept_at_the_start(tmp_path: Path) -> None:
    callback = ForeshockCallback(strict=True, model_every=2)
    tiny.trainer(tmp_path, [callback], max_steps=4).train()
    callback.close()
    folder = tmp_path / "foreshock"
    for kind in ("environment", "config", "tokenizer", "generation", "model", "reward"):
        assert 1 in evidence(folder, kind), kind
    assert curve(folder, "foreshock/model/parameters")


@pytest.mark.parametrize("rloo", [False, True], ids=["grpo", "rloo"])
def test_the_training_is_the_same_with_and_without_it(tmp_path: Path, rloo: bool) -> None:
    def run(folder: Path, callbacks: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
        trainer = tiny.trainer(
            folder,
            callbacks,
            rloo=rloo,
            max_steps=8,
            gradient_accumulation_steps=2,
            steps_per_generation=4,
            num_iterations=2,
            eval_strategy="steps",
            eval_steps=3,
            per_device_eval_batch_size=4,
            more={"train_dataset": tiny.dataset(16), "eval_dataset": tiny.dataset(4)},
        )
        trainer.train()
        return history(trainer), trainer.model.state_dict()

    callback = ForeshockCallback(strict=True, model_every=1, monitor=True)
    without, weights = run(tmp_path / "without", [])
    recorded, same_weights = run(tmp_path / "with", [callback])
    callback.close()
    assert recorded == without
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
    assert evidence(tmp_path / "with" / "foreshock", "batch"), "it was indeed recorded"


def test_an_alarm_is_an_event_a_warning_of_the_trainer_and_reaches_the_callback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    level, noise = [1.0], random.Random(0)

    def judge(completions: list[str], **columns: Any) -> list[float]:
        return [level[0] + 0.02 * noise.random() for _ in completions]

    given: list[Any] = []
    callback = ForeshockCallback(strict=True, samples=0, monitor=True, on_alarm=given.append)
    trainer = tiny.trainer(
        tmp_path, [callback, At(25, lambda: level.insert(0, 0.5))], [judge], max_steps=28, logging_steps=1
    )
    # The loggers of transformers hand nothing on to those above them.
    logger = logging.getLogger("transformers.trainer")
    logger.addHandler(caplog.handler)
    try:
        trainer.train()
    finally:
        logger.removeHandler(caplog.handler)
    first = next(alarm for alarm in given if alarm.signal == "reward_mean")
    assert (first.state, first.step) == ("open", 25), "in the step that shows it"
    assert f"foreshock: {first.text}" in caplog.messages
    told = [event["data"]["signal"] for event in events(tmp_path / "foreshock", "alarm")]
    assert told == [alarm.signal for alarm in given]


def test_what_is_evaluated_is_not_taken_for_training(tmp_path: Path) -> None:
    held_out = Dataset.from_list(
        [{"prompt": "say red red red", "answer": "red", "source": "held out"} for _ in range(4)]
    )
    callback = ForeshockCallback(strict=True, samples=16)
    trainer = tiny.trainer(
        tmp_path,
        [callback],
        max_steps=4,
        eval_strategy="steps",
        eval_steps=1,
        per_device_eval_batch_size=4,
        more={"eval_dataset": held_out},
    )
    trainer.train()
    trainer.evaluate()
    callback.close()
    folder = tmp_path / "foreshock"
    samples = read_samples(folder)
    assert len(samples) == 4 * 16
    assert not any("red red red" in sample.prompt for sample in samples)
    assert all("held out" not in batch["sources"] for batch in evidence(folder, "batch").values())
    means = curve(folder, "foreshock/reward/accuracy/mean")
    trained = {
        row["step"]: row["rewards/accuracy/mean"] for row in trainer.state.log_history if "reward" in row
    }
    assert means == pytest.approx(trained)
    assert list(curve(folder, "eval_reward")) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("accumulation", "per_generation", "iterations", "steps", "prompts"),
    [
        (1, 1, 1, [1, 2, 3, 4], 4),
        (1, 1, 2, [1, 3], 4),
        (2, 4, 1, [1, 3], 16),
        (2, 2, 2, [1, 3], 8),
        (2, 1, 1, [1, 2, 3, 4], 8),  # two batches are generated in each step
    ],
)
def test_batches_stand_at_the_step_they_were_generated_for(
    tmp_path: Path, accumulation: int, per_generation: int, iterations: int, steps: list[int], prompts: int
) -> None:
    callback = ForeshockCallback(strict=True)
    trainer = tiny.trainer(
        tmp_path,
        [callback],
        gradient_accumulation_steps=accumulation,
        steps_per_generation=per_generation,
        num_iterations=iterations,
        more={"train_dataset": tiny.dataset(16)},
    )
    trainer.train()
    callback.close()
    folder = tmp_path / "foreshock"
    batches = evidence(folder, "batch")
    assert list(batches) == steps
    assert all(batch["prompts"] == prompts for batch in batches.values())
    assert foreshock.open_run(folder).facts["prompts_per_step"] == prompts
    logged = {row["step"]: row["reward"] for row in trainer.state.log_history if "reward" in row}
    assert list(logged) == steps
    assert curve(folder, "reward") == logged
    assert {sample.rows for sample in read_samples(folder)} == {4 * prompts}


def test_a_resumed_training_goes_on_in_the_same_run(tmp_path: Path) -> None:
    options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    first = ForeshockCallback(strict=True)
    tiny.trainer(tmp_path, [first], **options).train()
    first.close()
    shutil.rmtree(tmp_path / "checkpoint-4")

    second = ForeshockCallback(strict=True)
    options["learning_rate"] = 1e-3
    tiny.trainer(tmp_path, [second], **options).train(resume_from_checkpoint=True)
    second.close()

    run = foreshock.open_run(tmp_path / "foreshock")
    assert list(run.steps) == [1, 2, 3, 4]
    assert run.facts["attempts"] == 2
    (resumed,) = [event for event in run.events if event.kind == "resumed"]
    assert resumed.step == 3
    assert resumed.payload["text"] == "Training resumed from checkpoint-2 after step 2 (attempt 2)."
    (changed,) = [event for event in run.events if event.kind == "config_changed"]
    assert changed.step == 3 and "learning_rate" in changed.payload["text"]
    saved = [event.step for event in run.events if event.kind == "checkpoint_saved"]
    assert saved == [2, 4]
    seen = curve(tmp_path / "foreshock", "foreshock/batch/seen_share")
    assert seen[3] == 1, "the third batch was seen by the first attempt"


def test_a_resume_without_changes_tells_of_none(tmp_path: Path) -> None:
    options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, "model_every": 1}
    every = options.pop("model_every")
    for resume in (False, str(tmp_path / "checkpoint-2")):
        callback = ForeshockCallback(strict=True, model_every=every)
        tiny.trainer(tmp_path, [callback], **options).train(resume_from_checkpoint=resume)
        callback.close()
    kinds = {record["event"] for record in records(tmp_path / "foreshock") if "event" in record}
    assert kinds == {"checkpoint_saved", "training_ended", "resumed"}


def test_reward_code_that_was_edited_before_a_resume_is_an_event(tmp_path: Path) -> None:
    def edited(completions: list[str], answer: list[str], **columns: Any) -> list[float]:
        return [0.0 if " " in text else 1.0 for text in completions]

    edited.__module__ = tiny.accuracy.__module__
    edited.__name__ = edited.__qualname__ = "accuracy"
    options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "max_steps": 2}
    callback = ForeshockCallback(strict=True)
    tiny.trainer(tmp_path, [callback], **options).train()
    callback.close()
    options["max_steps"] = 4
    callback = ForeshockCallback(strict=True)
    trainer = tiny.trainer(tmp_path, [callback], [edited, tiny.ending], **options)
    trainer.train(resume_from_checkpoint=True)
    callback.close()
    (changed,) = events(tmp_path / "foreshock", "reward_code_changed")
    assert changed["step"] == 3 and "accuracy" in changed["text"]


def test_rewards_that_were_not_given_are_not_zero(tmp_path: Path) -> None:
    def sometimes(completions: list[str], **columns: Any) -> list[float | None]:
        return [None if place % 4 == 0 else 1.0 for place in range(len(completions))]

    def never(completions: list[str], **columns: Any) -> list[float | None]:
        return [None] * len(completions)

    callback = ForeshockCallback(strict=True, samples=16)
    tiny.trainer(tmp_path, [callback], [sometimes, never], max_steps=2).train()
    callback.close()
    folder = tmp_path / "foreshock"
    assert curve(folder, "foreshock/reward/sometimes/unscored") == {1: 0.25, 2: 0.25}
    assert curve(folder, "foreshock/reward/sometimes/mean") == {1: 1, 2: 1}
    assert curve(folder, "foreshock/reward/never/unscored") == {1: 1, 2: 1}
    assert curve(folder, "rewards/never/mean") == {1: "NaN", 2: "NaN"}, "TRL logs nothing there"
    assert not events(folder, "nan_seen"), "a reward that nobody gave is no fault"
    for sample in read_samples(folder):
        assert sample.rewards == {"sometimes": None if sample.row % 4 == 0 else 1, "never": None}


def test_values_that_the_trainer_drops_because_they_are_nan_are_kept(tmp_path: Path) -> None:
    class Sick(GRPOTrainer):
        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)  # type: ignore[no-untyped-call]
            if self._step != 5:
                return loss
            self._metrics["train"]["entropy"].append(math.nan)
            return loss * math.nan

    callback = ForeshockCallback(strict=True)
    trainer = tiny.trainer(
        tmp_path, [callback], kind=Sick, max_steps=4, gradient_accumulation_steps=2, logging_steps=2
    )
    trainer.train()
    callback.close()
    folder = tmp_path / "foreshock"
    assert all(math.isfinite(row["loss"]) for row in trainer.state.log_history if "loss" in row)
    assert curve(folder, "foreshock/nan/loss") == {4: 1}
    assert curve(folder, "foreshock/nan/entropy") == {4: 1}
    told = {event["data"]["metric"]: event["text"] for event in events(folder, "nan_seen")}
    assert told["loss"] == "loss was NaN in 1 of 4 micro-batches; the log shows the others."
    assert "entropy" in told


def test_an_exception_of_a_reward_function_is_recorded_and_goes_on_to_the_training(tmp_path: Path) -> None:
    calls = 0

    def fragile(completions: list[str], **columns: Any) -> list[float]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise ConnectionError("the judge does not answer")
        return [0.0] * len(completions)

    callback = ForeshockCallback(strict=True)
    with pytest.raises(ConnectionError, match="does not answer"):
        tiny.trainer(tmp_path, [callback], [fragile, tiny.ending]).train()
    callback.close()
    (error,) = events(tmp_path / "foreshock", "reward_error")
    assert error["step"] == 3 and "the judge does not answer" in error["text"]
    assert curve(tmp_path / "foreshock", "foreshock/reward/fragile/errors")[3] == 1


def test_async_functions_objects_and_reward_models_are_recorded(tmp_path: Path) -> None:
    async def judge(completions: list[str], **columns: Any) -> list[float]:
        return [float(len(text)) for text in completions]

    class Rubric:
        def __call__(self, completions: list[str], **columns: Any) -> list[float]:
            return [0.5] * len(completions)

    torch.manual_seed(1)
    config: Any = LlamaConfig(
        vocab_size=len(tiny.WORDS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        pad_token_id=0,
    )
    config.num_labels = 1
    config.name_or_path = "acme/tiny-judge"
    judge_model = LlamaForSequenceClassification(config)  # type: ignore[no-untyped-call]
    callback = ForeshockCallback(strict=True)
    trainer = tiny.trainer(
        tmp_path,
        [callback],
        [judge, Rubric(), judge_model],
        max_steps=2,
        more={"reward_processing_classes": [None, None, tiny.tokenizer()]},
    )
    trainer.train()
    callback.close()
    names = trainer.reward_func_names
    assert names == ["judge", "Rubric", "tiny-judge"]
    logged = [row for row in trainer.state.log_history if "reward" in row]
    for name in names:
        means = list(curve(tmp_path / "foreshock", f"foreshock/reward/{name}/mean").values())
        assert means == pytest.approx([row[f"rewards/{name}/mean"] for row in logged], rel=1e-5), name
        spread = list(curve(tmp_path / "foreshock", f"foreshock/reward/{name}/std").values())
        assert spread == pytest.approx([row[f"rewards/{name}/std"] for row in logged], rel=1e-4), name
    assert all(set(sample.rewards) == set(names) for sample in read_samples(tmp_path / "foreshock"))


def test_chat_messages_are_recorded_as_they_are(tmp_path: Path) -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    rows = [
        {"prompt": [{"role": "user", "content": row["prompt"]}], "answer": row["answer"]}
        for row in tiny.dataset()
    ]

    def accuracy(completions: list[list[dict[str, str]]], answer: list[str], **columns: Any) -> list[float]:
        return tiny.accuracy([messages[0]["content"] for messages in completions], answer)

    callback = ForeshockCallback(strict=True)
    trainer = tiny.trainer(
        tmp_path,
        [callback],
        [accuracy],
        max_steps=2,
        more={"processing_class": tokenizer, "train_dataset": Dataset.from_list(rows)},
    )
    trainer.train()
    callback.close()
    samples = read_samples(tmp_path / "foreshock")
    assert len(samples) == 8
    for sample in samples:
        assert sample.prompt[0]["role"] == "user" and sample.prompt[0]["content"].startswith("say ")
        assert sample.completion[0]["role"] == "assistant"
    assert evidence(tmp_path / "foreshock", "tokenizer")[1]["chat_template"]
    assert all(batch["prompts"] == 4 for batch in evidence(tmp_path / "foreshock", "batch").values())


def test_the_trainer_keeps_its_own_functions(tmp_path: Path) -> None:
    callback = ForeshockCallback(strict=True)
    seen: list[Any] = []
    trainer: Any = tiny.trainer(tmp_path, [callback, At(3, lambda: seen.extend(trainer.reward_funcs))])
    trainer.train()
    callback.close()
    assert seen == [tiny.accuracy, tiny.ending] == trainer.reward_funcs
    assert seen[0] is tiny.accuracy and trainer.reward_funcs[0] is tiny.accuracy
    assert "_calculate_rewards" not in vars(trainer) and "training_step" not in vars(trainer)


def test_functions_weights_and_sampling_that_change_within_a_run_are_events(tmp_path: Path) -> None:
    def accuracy(completions: list[str], **columns: Any) -> list[float]:
        return [1.0] * len(completions)

    def change() -> None:
        trainer.reward_funcs = [accuracy, tiny.ending]
        trainer.reward_weights = torch.tensor([1.0, 0.25])
        trainer.temperature = 1.4

    callback = ForeshockCallback(strict=True)
    trainer = tiny.trainer(tmp_path, [callback, At(3, change)])
    trainer.train()
    callback.close()
    folder = tmp_path / "foreshock"
    for kind, words in (
        ("reward_functions_changed", "accuracy was replaced"),
        ("reward_weights_changed", "ending from 1 to 0.25"),
        ("generation_settings_changed", "temperature"),
    ):
        (changed,) = events(folder, kind)
        assert changed["step"] == 3 and words in changed["text"], changed


def test_a_layer_that_dies_in_the_training_is_an_event(tmp_path: Path) -> None:
    def prune() -> None:
        for parameter in trainer.model.model.layers[1].parameters():
            parameter.data.zero_()
            parameter.requires_grad_(False)

    callback = ForeshockCallback(strict=True, model_every=1)
    trainer = tiny.trainer(tmp_path, [callback, At(3, prune)])
    trainer.train()
    callback.close()
    (zero,) = events(tmp_path / "foreshock", "layer_norm_zero")
    assert zero["step"] == 3 and "layer 1 fell to 0" in zero["text"]
    assert [event["step"] for event in events(tmp_path / "foreshock", "trainable_share_changed")] == [3]


def test_a_folder_that_breaks_in_the_middle_does_not_disturb(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "with" / "foreshock"

    def break_it() -> None:
        shutil.rmtree(folder)
        folder.write_text("no folder any more")
        time.sleep(0.25)  # the recorder looks five times a second whether its file is there

    callback = ForeshockCallback()
    plain = tiny.trainer(tmp_path / "without", [])
    plain.train()
    broken = tiny.trainer(tmp_path / "with", [callback, At(3, break_it)])
    with caplog.at_level(logging.WARNING, "foreshock"):
        broken.train()
        callback.close()
    assert history(broken) == history(plain)
    assert any("were lost" in record.getMessage() for record in caplog.records)


def test_a_piece_that_fails_costs_only_its_own_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(BatchFingerprint, "step", fail)
    callback = ForeshockCallback()
    with caplog.at_level(logging.WARNING, "foreshock"):
        tiny.trainer(tmp_path, [callback]).train()
    callback.close()
    folder = tmp_path / "foreshock"
    assert not evidence(folder, "batch")
    assert len(curve(folder, "reward")) == len(curve(folder, "foreshock/reward/accuracy/mean")) == 4
    warnings = [record.getMessage() for record in caplog.records if "a bug of ours" in record.getMessage()]
    assert len(warnings) == 1, "one warning, not one a step"


def test_nothing_at_all_can_be_recorded_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("foreshock.integrations.trl.Recording", None)
    with caplog.at_level(logging.WARNING, "foreshock"):
        trainer = tiny.trainer(tmp_path, [ForeshockCallback()])
        trainer.train()
    assert len(history(trainer)) == 5
    assert "nothing is recorded" in caplog.text


def test_it_can_be_asked_for_by_name(tmp_path: Path) -> None:
    register()
    trainer = tiny.trainer(tmp_path, report_to=["foreshock"])
    trainer.train()
    (callback,) = [one for one in trainer.callback_handler.callbacks if isinstance(one, ForeshockCallback)]
    callback.close()
    assert len(curve(tmp_path / "foreshock", "reward")) == 4


def test_samples_can_be_redacted_or_switched_off(tmp_path: Path) -> None:
    off = ForeshockCallback(strict=True, samples=0)
    tiny.trainer(tmp_path / "off", [off], max_steps=1).train()
    off.close()
    assert not list((tmp_path / "off" / "foreshock").glob("samples*"))
    hidden = ForeshockCallback(strict=True, redact=lambda text: text.replace("say", "[...]"))
    tiny.trainer(tmp_path / "hidden", [hidden], max_steps=1).train()
    hidden.close()
    assert all(
        sample.prompt.startswith("[...]") for sample in read_samples(tmp_path / "hidden" / "foreshock")
    )


def test_no_token_of_the_arguments_lands_on_the_disk(tmp_path: Path) -> None:
    secret = "hf_abcdefghijklmnopqrstuvwxyz123456"
    callback = ForeshockCallback(strict=True)
    trainer = tiny.trainer(
        tmp_path,
        [callback],
        max_steps=1,
        hub_token=secret,
        generation_kwargs={"stop_strings": None},
        vllm_server_base_url=f"http://user:{secret}@localhost:8000",
    )
    trainer.train()
    callback.close()
    for path in (tmp_path / "foreshock").iterdir():
        assert secret not in path.read_bytes().decode(errors="replace"), path


def test_a_plain_trainer_is_recorded_too(tmp_path: Path) -> None:
    rows = [{"input_ids": torch.tensor([3, 4, 7, 1]), "labels": torch.tensor([3, 4, 7, 1])}] * 8
    callback = ForeshockCallback(tmp_path / "run", strict=True, model_every=1)
    trainer = Trainer(
        model=tiny.model(),
        args=TrainingArguments(
            output_dir=str(tmp_path),
            use_cpu=True,
            max_steps=3,
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
        ),  # fmt: skip
        train_dataset=rows,
        callbacks=[callback],
    )
    trainer.train()
    callback.close()
    run = foreshock.open_run(tmp_path / "run", require_reward=False)
    assert list(run.steps) == [1, 2, 3]
    assert run.facts["framework"] == "transformers" and run.facts["trainer"] == "Trainer"
    assert curve(tmp_path / "run", "loss")
    assert evidence(tmp_path / "run", "model") and not evidence(tmp_path / "run", "reward")


def test_the_callback_finds_its_trainer_or_is_told(tmp_path: Path) -> None:
    mine, other = ForeshockCallback(), ForeshockCallback()
    found: list[Any] = []

    class Look(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            found.extend([hf.find_trainer(mine), hf.find_trainer(other)])

    trainer = tiny.trainer(tmp_path, [mine, Look()], max_steps=1)
    trainer.train()
    mine.close()
    assert found == [trainer, None]
    assert hf.find_trainer(mine) is None, "nobody is calling now"
    assert other.attach(trainer) is other


def test_a_second_training_of_the_same_trainer_is_another_attempt(tmp_path: Path) -> None:
    callback = ForeshockCallback(strict=True)
    trainer = tiny.trainer(tmp_path, [callback], max_steps=2)
    trainer.train()
    trainer.train()
    callback.close()
    starts = [record["start"]["attempt"] for record in records(tmp_path / "foreshock") if "start" in record]
    assert starts == [1, 2]
    assert len(evidence(tmp_path / "foreshock", "batch")) == 2


def test_the_gap_to_the_sampler_is_measured_where_trl_holds_both_sides(tmp_path: Path) -> None:
    def sampler(prompts: list[str], trainer: Any) -> dict[str, Any]:
        """Samples with the trainer's own weights, and is off by 0.25 in what it says of them."""
        ids = [trainer.processing_class(prompt)["input_ids"] for prompt in prompts]
        completions, logprobs = [], []
        for prompt in ids:
            tokens = list(prompt)
            with torch.no_grad():
                for _ in range(4):
                    scores = trainer.model(torch.tensor([tokens])).logits[0, -1].log_softmax(-1)
                    tokens.append(int(scores.exp().multinomial(1)))
                scores = trainer.model(torch.tensor([tokens])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
            new = tokens[len(prompt) :]
            completions.append(new)
            logprobs.append([float(scores[place, token]) + 0.25 for place, token in enumerate(new)])
        return {"prompt_ids": ids, "completion_ids": completions, "logprobs": logprobs}

    callback = ForeshockCallback(strict=True)
    trainer = tiny.trainer(
        tmp_path,
        [callback],
        steps_per_generation=2,
        max_steps=4,
        more={"rollout_func": sampler, "train_dataset": tiny.dataset(16)},
    )
    trainer.train()
    callback.close()
    gaps = curve(tmp_path / "foreshock", "foreshock/engine/logp_gap")
    assert gaps == pytest.approx({1: 0.25, 3: 0.25}, abs=1e-5)


def test_the_weights_of_a_vllm_engine_are_told_from_the_trainers() -> None:
    """A stand-in with the attributes that TRL's trainers have with vLLM, which needs a GPU."""

    class Standin:
        use_vllm, _last_loaded_step = True, 3
        model, state = SimpleNamespace(training=True), SimpleNamespace(global_step=5)
        reward_funcs, reward_func_names = [tiny.ending], ["ending"]
        reward_weights = torch.ones(1)

        def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, ids: Any) -> torch.Tensor:
            return torch.tensor([[one] for one in self.reward_funcs[0](completion_ids=ids)])

    trainer = Standin()
    capture = Capture(trainer, lambda what: contextlib.nullcontext(), lambda: None)
    assert capture.install()
    rewards = trainer._calculate_rewards([{"prompt": "say red", "image": 0}], ["say red"], ["red"], [[1]])
    assert rewards.tolist() == [[1.0]]
    (batch,) = capture.take()
    assert (batch.weight_version, batch.trainer_version) == (3, 5)
    assert batch.columns == {}, "images are not kept"
    assert capture.watch is not None and capture.watch.scores() == {"ending": [1.0]}


def test_two_real_processes_make_one_recording_of_the_whole_batch(tmp_path: Path) -> None:
    here = Path(__file__).parent
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        str(port),
    ]
    done = subprocess.run(
        [*launch, str(here / "_trl_two_processes.py"), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert results["with-0"] == results["with-1"] == results["without-0"]
    assert len(results["with-0"]) == 3

    folder = tmp_path / "with" / "foreshock"
    assert [path.name for path in sorted(folder.glob("journal*"))] == ["journal-0.jsonl"]
    facts = foreshock.open_run(folder).facts
    assert facts["world_size"] == 2 and facts["prompts_per_step"] == 4
    for batch in evidence(folder, "batch").values():
        assert batch["prompts"] == 4, "prompts of both processes"
        assert sum(batch["sources"].values()) == 2, "sources of the process that records"
    logged = curve(folder, "rewards/accuracy/mean")
    assert curve(folder, "foreshock/reward/accuracy/mean") == pytest.approx(logged)
    assert curve(folder, "foreshock/reward/some/unscored") == {1: 0.5, 2: 0.5, 3: 0.5}
    samples = read_samples(folder)
    assert len(samples) == 3 * 8, "completions of the process that records"
    for sample in samples:
        assert sample.rewards["accuracy"] == tiny.accuracy([sample.completion], [sample.columns["answer"]])[0]
        assert sample.rewards["some"] == (None if sample.row % 2 else 1)


def test_another_process_than_the_first_records_nothing(tmp_path: Path) -> None:
    callback = ForeshockCallback(strict=True)
    trainer = tiny.trainer(tmp_path, [callback], max_steps=1)
    trainer.state.is_world_process_zero = False
    callback.on_train_begin(trainer.args, trainer.state, trainer.control)
    callback.on_step_end(trainer.args, trainer.state, trainer.control)
    callback.on_log(trainer.args, trainer.state, trainer.control, {"reward": 1.0})
    assert callback.recorder is None and not (tmp_path / "foreshock").exists()

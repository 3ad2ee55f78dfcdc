"""SkyRL's callback: a stand-in of its events and batches, and the real ones where installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foreshock.integrations.skyrl import ForeshockCallback
from foreshock.readers import open_run
from foreshock.record import Recorder
from foreshock.record.samples import read_samples

torch: Any = pytest.importorskip("torch")

EVENTS = (
    "on_train_start on_train_end on_epoch_start on_epoch_end on_step_start on_step_end on_eval_start "
    "on_eval_end on_save on_log"
).split()
"""Of skyrl 0.3.0, skyrl/train/utils/callbacks.py."""

PROMPTS = [[7, 8, 9], [7, 8, 9], [4, 5], [4, 5]]
ANSWERS = [[1, 2, 3], [6, 6], [2, 2, 2, 2], [3]]


@dataclass
class Control:
    """`TrainingControl`."""

    should_save: bool = False
    should_evaluate: bool = False


class Batch(dict[str, Any]):
    """`TrainingInputBatch`: tensors by name, and `metadata`."""

    metadata: dict[str, Any]


def _batch(make: Callable[..., Any] = Batch, pad: int = 0, shift: int = 0) -> Any:
    """A batch laid out as SkyRL does: one left-padded block, responses at the end; `pad` rows fill it up."""
    prompts = [[token + shift for token in prompt] for prompt in PROMPTS]
    longest = max(len(p) + len(a) for p, a in zip(prompts, ANSWERS, strict=True))
    answer = max(map(len, ANSWERS))

    def block(rows: Sequence[list[int]], width: int) -> Any:
        return torch.tensor([[0] * (width - len(row)) + row for row in rows])

    whole = [p + a for p, a in zip(prompts, ANSWERS, strict=True)]
    whole += [[0] * longest] * pad
    answers = [*ANSWERS, *([[0]] * pad)]
    response_mask = block([[1] * len(each) for each in answers], answer)
    advantage = torch.tensor([[1.5], [-1.5], [0.5], [-0.5]] + [[9.0]] * pad)
    batch = make(
        {
            "sequences": block(whole, longest),
            "attention_mask": block([[1] * len(each) for each in whole], longest),
            "response_mask": response_mask,
            "advantages": advantage * response_mask,
        }
    )
    batch.metadata = {"pad_size": pad}
    return batch


def _tokenizer() -> SimpleNamespace:
    return SimpleNamespace(decode=lambda tokens: " ".join(map(str, tokens)))


def _trainer() -> SimpleNamespace:
    sampling = SimpleNamespace(temperature=1.0, top_p=0.9)
    trainer = SimpleNamespace(
        policy=SimpleNamespace(model=SimpleNamespace(path="some/model")),
        train_batch_size=2,
        project_name="gsm8k",
        run_name="first",
    )
    generator = SimpleNamespace(n_samples_per_prompt=2, sampling_params=sampling)
    return SimpleNamespace(cfg=SimpleNamespace(trainer=trainer, generator=generator), tokenizer=_tokenizer())


def _input(step: int, **fields: Any) -> SimpleNamespace:
    empty = {"batch": None, "metrics": None, "logs": None, "ckpt_path": None}
    return SimpleNamespace(global_step=step, epoch=0, total_steps=3, steps_per_epoch=3, **{**empty, **fields})


def _train(
    handler: Any, control: Any, make_input: Callable[..., Any] = _input, batch: Callable[..., Any] = _batch
) -> None:
    """Fire the events of a short training in SkyRL's order."""

    def fire(event: str, step: int, **fields: Any) -> None:
        getattr(handler, event)(trainer, make_input(step, **fields), control)

    trainer = _trainer()
    fire("on_train_start", 0)
    fire("on_eval_start", 0)
    fire("on_eval_end", 0, metrics={"eval/all/avg_score": 0.1})
    fire("on_log", 0, logs={"eval/all/avg_score": 0.1})
    fire("on_epoch_start", 1)
    for step in range(1, 4):
        fire("on_step_start", step)
        fire("on_step_end", step, batch=batch(pad=2, shift=10 * step), metrics={"policy_loss": 0.1})
        logs = {"reward/avg_raw_reward": 0.5 * step, "generate/avg_num_tokens": 20.0}
        if step == 2:
            fire("on_save", step, ckpt_path="/ckpts/global_step_2")
        fire("on_log", step, logs=logs)
        assert logs == {"reward/avg_raw_reward": 0.5 * step, "generate/avg_num_tokens": 20.0}
    fire("on_epoch_end", 3)
    fire("on_train_end", 3)


def _check(folder: Path) -> None:
    run = open_run(folder)
    assert run.steps.tolist() == [0, 1, 2, 3]
    assert run.series["reward_mean"].tolist()[1:] == [0.5, 1.0, 1.5]
    assert run.series["eval/all/avg_score"].tolist()[0] == 0.1
    assert run.series["foreshock/batch/prompts"].tolist()[1:] == [2, 2, 2]  # without the rows that fill up
    assert run.series["foreshock/batch/group_size"].tolist()[1:] == [2, 2, 2]
    assert run.series["foreshock/batch/prompt_length_mean"].tolist()[1:] == [2.5, 2.5, 2.5]
    facts = ("framework", "model", "prompts_per_step", "group_size", "total_steps", "ended")
    assert [run.facts[fact] for fact in facts] == ["skyrl", "some/model", 2, 2, 3, True]
    assert [(event.step, event.kind) for event in run.events] == [(2, "checkpoint_saved")]
    first = [sample for sample in read_samples(folder) if sample.step == 1]
    assert [(s.prompt, s.completion, s.columns["advantage"]) for s in first] == [
        ("17 18 19", "1 2 3", 1.5),
        ("17 18 19", "6 6", -1.5),
        ("14 15", "2 2 2 2", 0.5),
        ("14 15", "3", -0.5),
    ]


def test_a_training_is_recorded_and_nothing_is_asked_of_the_trainer(tmp_path: Path) -> None:
    control = Control()
    _train(ForeshockCallback(tmp_path / "rec"), control)
    _check(tmp_path / "rec")
    assert control == Control()


def test_the_real_handler_and_batches(tmp_path: Path) -> None:
    if importlib.util.find_spec("skyrl") is None:
        pytest.skip("skyrl is not installed")
    callbacks: Any = importlib.import_module("skyrl.train.utils.callbacks")
    batches: Any = importlib.import_module("skyrl.backends.skyrl_train.training_batch")
    preprocess: Any = importlib.import_module("skyrl.train.dataset.preprocess")

    def make_input(step: int, **fields: Any) -> Any:
        return callbacks.CallbackInput(global_step=step, epoch=0, total_steps=3, steps_per_epoch=3, **fields)

    def make_batch(pad: int, shift: int) -> Any:
        prompts = [[token + shift for token in prompt] for prompt in PROMPTS]
        zeros, ones = [[0.0] * len(a) for a in ANSWERS], [[1] * len(a) for a in ANSWERS]
        tokenizer = SimpleNamespace(pad_token_id=0)
        made = preprocess.convert_prompts_responses_to_batch_tensors(tokenizer, prompts, ANSWERS, zeros, ones)
        tensors = dict(zip(("sequences", "attention_mask", "response_mask"), made, strict=False))
        tensors["advantages"] = torch.tensor([[1.5], [-1.5], [0.5], [-0.5]]) * tensors["response_mask"]
        batch = batches.TrainingInputBatch({**tensors, "loss_mask": made[4]})
        batch.metadata = {}
        return batches.pad_training_input_batch(batch, pad)

    callback = ForeshockCallback(tmp_path / "rec")
    assert {name for name in dir(callbacks.TrainingCallback) if name.startswith("on_")} == set(EVENTS)
    control = callbacks.TrainingControl()
    _train(callbacks.CallbackHandler([callback]), control, make_input, make_batch)
    _check(tmp_path / "rec")
    assert control == callbacks.TrainingControl()


@pytest.mark.parametrize("event", [*EVENTS, "on_something_new"])
def test_events_it_does_not_need_and_events_before_the_start_do_nothing(event: str, tmp_path: Path) -> None:
    callback = ForeshockCallback(tmp_path / "rec")
    assert getattr(callback, event)(_trainer(), _input(0, logs={"a": 1.0}), Control()) is None


def test_it_has_no_other_attributes(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        ForeshockCallback(tmp_path).nonsense  # noqa: B018


def test_samples_can_be_switched_off_and_redacted(tmp_path: Path) -> None:
    _train(ForeshockCallback(tmp_path / "off", samples=0), Control())
    assert not list((tmp_path / "off").glob("samples*"))
    redacted = ForeshockCallback(tmp_path / "redacted", redact=lambda text: text.replace("6 6", "***"))
    _train(redacted, Control())
    kept = (tmp_path / "redacted" / "samples-0.jsonl").read_text()
    assert "6 6" not in kept
    assert "***" in kept


def test_only_samples_that_are_kept_are_decoded(tmp_path: Path) -> None:
    decoded: list[Any] = []
    trainer = _trainer()

    def decode(tokens: Any) -> str:
        decoded.append(tokens)
        return "text"

    trainer.tokenizer.decode = decode
    callback = ForeshockCallback(tmp_path / "rec", samples=1)
    callback.on_train_start(trainer, _input(0), Control())
    callback.on_step_end(trainer, _input(1, batch=_batch()), Control())
    assert len(decoded) == 2  # one prompt and one completion


def test_a_batch_of_another_form_costs_the_evidence_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callback = ForeshockCallback(tmp_path / "rec")
    trainer = _trainer()
    callback.on_train_start(trainer, _input(0), Control())
    for step in (1, 2):
        callback.on_step_end(trainer, _input(step, batch={"tokens": [1]}), Control())
        callback.on_log(trainer, _input(step, logs={"reward/avg_raw_reward": 1.0}), Control())
    assert open_run(tmp_path / "rec").steps.tolist() == [1, 2]
    assert len([r for r in caplog.records if "batch evidence" in r.getMessage()]) == 1


def test_generation_settings_that_change_at_a_resume_are_an_event(tmp_path: Path) -> None:
    for attempt in (1, 2):
        callback = ForeshockCallback(tmp_path / "rec")
        trainer = _trainer()
        trainer.cfg.generator.sampling_params.temperature = 1.0 * attempt
        callback.on_train_start(trainer, _input(0), Control())
        for step in range(2 * attempt - 1, 2 * attempt + 1):
            callback.on_log(trainer, _input(step, logs={"reward/avg_raw_reward": 1.0}), Control())
        callback.on_train_end(trainer, _input(2), Control())
    run = open_run(tmp_path / "rec")
    assert run.steps.tolist() == [1, 2, 3, 4]
    assert {"resumed", "generation_settings_changed", "config_changed"} <= {e.kind for e in run.events}


def test_a_recorder_can_be_given_and_stays_open(tmp_path: Path) -> None:
    with Recorder(tmp_path / "rec", environment=False) as recorder:
        _train(ForeshockCallback(recorder, note="mine"), Control())
        recorder.log({"after": 1.0}, 4)
    run = open_run(tmp_path / "rec")
    assert run.steps.tolist() == [0, 1, 2, 3, 4]
    assert run.facts["note"] == "mine"


def test_a_folder_that_cannot_be_written_does_not_stop_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    callback = ForeshockCallback(tmp_path / "file" / "rec")
    _train(callback, Control())
    assert callback.recorder is not None
    assert callback.recorder.lost >= 4

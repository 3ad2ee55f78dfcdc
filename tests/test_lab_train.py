"""The lab's task, policy, sampler and loop: same logits and loss as the real ones, same run when repeated."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from _lab import small  # makes the lab importable

# isort: split
import torch
from lab import faults
from lab.countdown import COUNTDOWN, attempts, problems
from lab.faults.base import timeless
from lab.policy import CHECKPOINTS, Words, load, logps
from lab.run import go, prepare, twins
from lab.sampler import sample
from lab.train import Batch, Training

import foreshock

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = CHECKPOINTS / "countdown.safetensors"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_the_checkpoint_is_small_and_knows_the_task() -> None:
    assert CHECKPOINT.stat().st_size < 1_000_000
    training = Training(small(prompts=24, max_tokens=288))
    batch = training.generate(1)
    row = training.statistics(batch)
    assert 1.35 < row["reward"] < 1.65
    assert row["completions/clipped_ratio"] < 0.2


def test_demonstrations_are_right_as_often_as_reward_and_independent_scorer_say() -> None:
    rng = random.Random(0)
    given, true, form = [], [], []
    for _ in range(400):
        problem = COUNTDOWN.problem(rng)
        words, weights = COUNTDOWN.demonstration(rng, problem)
        assert len(words) <= len(weights)
        text = " ".join(words)
        columns = {"label": [problem.label], "numbers": [problem.columns["numbers"]]}
        given += COUNTDOWN.accuracy_reward([text], **columns)
        form += COUNTDOWN.format_reward([text], **columns)
        true.append(COUNTDOWN.solved(problem, text))
    assert given == [float(each) for each in true]
    assert 0.48 < sum(given) / 400 < 0.72
    assert 0.91 < sum(form) / 400 < 0.98


def test_a_wrong_answer_scores_nothing() -> None:
    right = "</think> <answer> ( 7 + 2 ) * 3 </answer> <eos>"
    assert COUNTDOWN.accuracy_reward([right], label=[27], numbers=[(3, 7, 2)]) == [1.0]
    assert COUNTDOWN.accuracy_reward([right], label=[26], numbers=[(3, 7, 2)]) == [0.0]
    assert COUNTDOWN.accuracy_reward([right], label=[27], numbers=[(3, 7, 3)]) == [0.0]
    assert COUNTDOWN.format_reward([right, right.removesuffix(" <eos>"), f"</think> {right}"]) == [1, 0, 0]


def test_held_out_problems_are_in_no_other_pool() -> None:
    held_out = set(problems("probe"))
    assert len(held_out) > 30
    assert not any(held_out & set(problems(pool)) for pool in ("train", "hard", "easy"))
    assert all(0 <= attempt[-1] <= 60 for attempt in attempts((7, 8, 9)))


def test_the_sampler_draws_from_the_policy() -> None:
    policy, words = load(CHECKPOINT, len(COUNTDOWN.words)), Words(COUNTDOWN.words)
    rng = random.Random(1)
    prompts = [words.encode(COUNTDOWN.problem(rng).words) for _ in range(16)]
    prompts[3] = prompts[3][:-1]  # of another length
    drawn = sample(policy, prompts, longest=120, eos=words.eos, seed=3)
    with torch.no_grad():
        expected, _ = logps(policy, drawn.tokens)
    assert float(((expected - drawn.logps).abs() * drawn.mask).max()) < 1e-4
    assert not drawn.logps[~drawn.mask].any()
    assert drawn.lengths.max() <= 120
    for row, start, end, finished in zip(drawn.tokens, drawn.starts, drawn.ends, drawn.finished, strict=True):
        body = row[start:end].tolist()
        assert (body[-1] == words.eos) == bool(finished)
        assert words.eos not in body[:-1]
        assert not row[end:].any()


def test_a_row_is_drawn_alike_whatever_the_others_are() -> None:
    policy, words = load(CHECKPOINT, len(COUNTDOWN.words)), Words(COUNTDOWN.words)
    rng = random.Random(2)
    prompts = [words.encode(COUNTDOWN.problem(rng).words) for _ in range(8)]
    first = sample(policy, prompts, longest=60, eos=words.eos, seed=5)
    second = sample(policy, [*prompts[:4], *prompts[:4]], longest=60, eos=words.eos, seed=5)
    width = min(first.tokens.shape[1], second.tokens.shape[1])
    assert torch.equal(first.ends[:4], second.ends[:4])
    assert torch.equal(first.tokens[:4, :width], second.tokens[:4, :width])


@pytest.mark.filterwarnings("ignore")  # of transformers and torch
def test_hugging_face_reads_the_checkpoint_as_llama() -> None:
    pytest.importorskip("trl")
    from lab.with_trl import llama

    ours = load(CHECKPOINT, len(COUNTDOWN.words))
    its = llama(ours, Words(COUNTDOWN.words))
    tokens = torch.randint(0, len(COUNTDOWN.words), (3, 50), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(ours(tokens), its(tokens).logits, atol=2e-4)


@pytest.mark.filterwarnings("ignore")  # of transformers and torch
def test_loss_and_gradients_are_those_of_trl(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl")
    from datasets import Dataset  # type: ignore[import-untyped]
    from lab.with_trl import llama, tokenizer

    training = Training(small(epochs=2, beta=0.05, lr=1e-3, prompts=3, max_tokens=60))
    states, gradients = [], []

    def keep(batch: Batch) -> None:
        states.append({name: value.clone() for name, value in training.policy.state_dict().items()})
        gradients.append({name: _gradient(p).clone() for name, p in training.policy.named_parameters()})

    training.gradients = keep  # type: ignore[method-assign]
    batch = training.generate(1)
    assert batch.advantages.abs().sum() > 0
    ours = training.update(batch)
    assert ours["kl"] > 0, "the second update starts away from the reference"
    assert ours["clip_ratio/region_mean"] > 0, "and clips some tokens"
    drawn, start = batch.rollout, int(batch.rollout.starts[0])
    with torch.no_grad():
        reference = logps(training.reference, drawn.tokens)[0][:, start - 1 :]
    mask = drawn.mask[:, start - 1 :].long()
    inputs = {
        "prompt_ids": drawn.tokens[:, :start],
        "prompt_mask": torch.ones(len(drawn.tokens), start, dtype=torch.long),
        "completion_ids": drawn.tokens[:, start:],
        "completion_mask": mask,
        "advantages": batch.advantages,
        "ref_per_token_logps": reference,
        "old_per_token_logps": reference,  # the policy begins as the reference
        "num_items_in_batch": mask.sum(),
    }
    words = Words(COUNTDOWN.words)
    model = llama(load(CHECKPOINT, len(words)), words)
    config = trl.GRPOConfig(
        output_dir=str(tmp_path),
        use_cpu=True,
        bf16=False,
        report_to=[],
        per_device_train_batch_size=18,
        num_generations=6,
        max_completion_length=60,
    )
    data = Dataset.from_list([{"prompt": "use"}] * 3)
    trainer = trl.GRPOTrainer(
        model,
        lambda completions, **_: [0.0] * len(completions),
        config,
        data,
        processing_class=tokenizer(words),
    )
    trainer.beta = 0.05  # given to the constructor, it would look for the reference model on the Hub
    trainer.current_gradient_accumulation_steps = 1
    theirs = []
    for state, gradient in zip(states, gradients, strict=True):
        model.load_state_dict({**state, "lm_head.weight": state["model.embed_tokens.weight"]})
        model.train()
        model.zero_grad()
        value = trainer._compute_loss(model, inputs)
        value.backward()
        theirs.append(value.item())
        for name, parameter in model.named_parameters():
            apart = float((_gradient(parameter) - gradient[name]).norm() / _gradient(parameter).norm())
            assert apart < 1e-4, f"{name}: {apart:.1e} of the gradient; rounding makes about 1e-5"
    assert ours["loss"] == pytest.approx(sum(theirs) / 2, abs=1e-6)
    assert theirs[0] != pytest.approx(theirs[1], abs=1e-4)


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    assert parameter.grad is not None
    return parameter.grad


def test_runs_repeat_and_resume_bit_for_bit(tmp_path: Path) -> None:
    options, none = small(staleness=1, steps=4), faults.find("none")
    whole = Training(options)
    rows = []
    for _ in range(4):
        rows.append(whole.step()[0])
        if whole.done == 2:
            whole.save(tmp_path / "two.pt")
    resumed = prepare(options, none, checkpoint=tmp_path / "two.pt")
    again = [resumed.step()[0] for _ in range(2)]
    assert [timeless(row) for row in again] == [timeless(row) for row in rows[2:]]
    for mine, its in zip(whole.policy.parameters(), resumed.policy.parameters(), strict=True):
        assert torch.equal(mine, its)
    other = Training(dataclasses.replace(options, seed=1))
    assert timeless(other.step()[0]) != timeless(rows[0])


def test_a_fault_equals_its_twin_until_it_strikes(tmp_path: Path) -> None:
    training = Training(small())
    training.step()
    training.save(tmp_path / "fork.pt")
    fault = faults.find("lr_too_high", at=4)
    clean, faulty = twins(small(), fault, tmp_path / "fork.pt", 4)
    assert [timeless(row) for row in clean[:2]] == [timeless(row) for row in faulty[:2]]
    assert timeless(clean[2]) != timeless(faulty[2])
    assert faulty[2]["learning_rate"] == pytest.approx(20 * clean[2]["learning_rate"])


def test_a_training_of_seconds_is_recorded_and_judged(tmp_path: Path) -> None:
    began = time.monotonic()
    command = "run --fault reward_parser_bug --dose 0.3 --at 4 --steps 9 --prompts 6 --seed 7"
    more = "--twin 4 --probe-every 5"
    done = subprocess.run(
        [sys.executable, "-m", "lab", *command.split(), *more.split(), "--out", str(tmp_path / "it")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 120  # about 20 on an idle core
    truth = json.loads((tmp_path / "it" / "truth.json").read_text())
    assert (truth["fault"], truth["cause"], truth["at"]) == ("reward_parser_bug", "reward_parser_bug", 4)
    run = foreshock.open_run(tmp_path / "it" / "run")
    assert list(run.steps) == list(range(1, 10))
    assert {"reward", "kl", "entropy", "completions/mean_length", "eval_reward"} <= set(run.series)
    assert {"batch", "reward", "model", "engine", "generation", "tokenizer"} <= {e.kind for e in run.evidence}
    told = b"".join(path.read_bytes() for path in (tmp_path / "it" / "run").iterdir())
    assert b"parser" not in told, "the record names the fault"
    assert b"fault" not in told, "the record names the fault"


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    settings = {"fault": "noisy_labels", "at": 2, "twin": 0, "save_every": 3}
    go(small(steps=5), out=tmp_path / "whole", **settings)  # type: ignore[arg-type]
    go(small(steps=4), out=tmp_path / "cut", **settings)  # type: ignore[arg-type]
    go(small(steps=5), out=tmp_path / "cut", resume=True, **settings)  # type: ignore[arg-type]
    whole, cut = ((tmp_path / name / "secret.jsonl").read_text() for name in ("whole", "cut"))
    assert whole == cut
    with pytest.raises(SystemExit, match="--resume"):
        go(small(steps=5), out=tmp_path / "cut", **settings)  # type: ignore[arg-type]

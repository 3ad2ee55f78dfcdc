"""Teach the policy to guess and check from demonstrations, so that GRPO has something to work with.

    python -m lab warmstart --task countdown          # writes lab/checkpoints/countdown.safetensors

Expected: see DIARY.md for the commands that made the checkpoints, the time, and the rewards that GRPO begins
with. What makes it learn: the target restated in each attempt, keys that begin as copies of queries (a head
that finds equal words), results and verdicts weighted more, short pieces first (cut, not ended early, so that
nothing false is taught), batches of similar length. They were introduced together; single effects are not
separated.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from lab.policy import CHECKPOINTS, Policy, Words, load, save
from lab.sampler import sample
from lab.task import Task, find

POOLS = ("train",) * 6 + ("hard",) * 2 + ("easy",) * 2
Example = tuple[list[int], list[float]]


def examples(task: Task, words: Words, rng: random.Random, count: int, cut: int) -> list[Example]:
    """Tokens of prompt and demonstration, cut after `cut` tokens of it, with a weight for each token."""
    made = []
    for _ in range(count):
        problem = task.problem(rng, rng.choice(POOLS))
        completion, weights = task.demonstration(rng, problem)
        tokens = words.encode((*problem.words, *completion[:cut]))
        made.append((tokens, [0.0] * len(problem.words) + weights[:cut]))
    return made


def batches(
    task: Task, words: Words, rng: random.Random, cut: int, budget: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of about `budget` tokens, each of similar length, in random order."""
    while True:
        pool = sorted(examples(task, words, rng, 2000, cut), key=lambda example: len(example[0]))
        chunks: list[list[Example]] = []
        chunk: list[Example] = []
        for example in pool:
            if chunk and (len(chunk) + 1) * len(example[0]) > budget:
                chunks.append(chunk)
                chunk = []
            chunk.append(example)
        rng.shuffle(chunks)
        for chunk in chunks:
            width = len(chunk[-1][0])
            yield (
                torch.tensor([tokens + [words.pad] * (width - len(tokens)) for tokens, _ in chunk]),
                torch.tensor([weights + [0.0] * (width - len(weights)) for _, weights in chunk]),
            )


def measure(
    task: Task, policy: Policy, words: Words, count: int = 256, longest: int = 400
) -> dict[str, float]:
    """What GRPO would find: the rewards of fresh completions on training problems."""
    rng = random.Random("measure")
    problems = [task.problem(rng) for _ in range(count)]
    drawn = sample(policy, [words.encode(p.words) for p in problems], longest=longest, eos=words.eos, seed=0)
    texts = [
        words.decode(row[start:end].tolist())
        for row, start, end in zip(drawn.tokens, drawn.starts, drawn.ends, strict=True)
    ]
    columns: dict[str, list[Any]] = {"label": [p.label for p in problems]}
    columns |= {name: [p.columns[name] for p in problems] for name in problems[0].columns}
    scores = {
        "format": task.format_reward(texts, **columns),
        "accuracy": task.accuracy_reward(texts, **columns),
    }
    result = {name: sum(values) / count for name, values in scores.items()}
    return result | {
        "length": float(drawn.lengths.float().mean()),
        "cut": 1 - float(drawn.finished.float().mean()),
    }


def _fresh(words: Words) -> Policy:
    """Random weights, with keys as copies of queries."""
    policy = Policy(len(words))
    for layer in policy.model.blocks:
        layer.self_attn.k_proj.weight.data.copy_(layer.self_attn.q_proj.weight.data)
    return policy


def main(arguments: list[str]) -> None:
    """Train the stages one after the other and write the checkpoint."""
    parser = argparse.ArgumentParser("lab warmstart", description=__doc__)
    parser.add_argument("--task", default="countdown")
    parser.add_argument("--steps", type=int, nargs="+", default=[2000, 1200, 1600], help="of each stage")
    parser.add_argument(
        "--cut", type=int, nargs="+", default=None, help="words kept in each stage; default: the task's"
    )
    parser.add_argument("--budget", type=int, default=6000, help="tokens per batch")
    parser.add_argument("--lr", type=float, default=4e-3, help="at its highest; falls along a cosine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--begin", type=Path, default=None, help="weights to go on from")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)
    task = find(options.task)
    words = Words(task.words)
    policy = load(options.begin, len(words)) if options.begin else _fresh(words)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=options.lr, betas=(0.9, 0.98), weight_decay=0.01)
    total = sum(options.steps)
    warm_up = max(1, min(100, total // 5))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda n: min(
            (n + 1) / warm_up, 0.5 + 0.5 * torch.cos(torch.tensor(n / total * 3.1416)).item() + 0.002
        ),
    )
    rng = random.Random(f"warmstart/{options.seed}")
    began, done = time.time(), 0
    for steps, cut in zip(options.steps, options.cut or task.cuts, strict=True):
        stream = batches(task, words, rng, cut, options.budget)
        for _ in range(steps):
            tokens, weights = next(stream)
            losses = functional.cross_entropy(
                policy(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:], reduction="none"
            )
            loss = (losses * weights[:, 1:]).sum() / weights[:, 1:].sum()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            done += 1
            if done % 100 == 0 or done == total:
                line = f"step {done} of {total}  loss {loss.item():.4f}  {time.time() - began:.0f} s"
                if done % 400 == 0 or done == total:
                    found = measure(task, policy, words)
                    line += "  " + "  ".join(f"{name} {value:.3f}" for name, value in found.items())
                print(line, flush=True)
    path = options.out or CHECKPOINTS / f"{task.name}.safetensors"
    save(policy, path)
    print(f"{path}: {path.stat().st_size} bytes, {sum(p.numel() for p in policy.parameters())} parameters")

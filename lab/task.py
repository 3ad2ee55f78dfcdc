"""What a task is: problems, demonstrations to start from, rewards, and a scorer that the trainer never sees.

A task is a module-level object with the methods below; `find` knows them all. Another one needs a file like
countdown.py, a line here and a warm-started checkpoint.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

FORM = ("<pad>", "<bos>", "<eos>", "<think>", "</think>", "<answer>", "</answer>")
"""The first words of every vocabulary."""


@dataclass(frozen=True)
class Problem:
    """One prompt.

    Attributes:
        words: the prompt, in words of the task's vocabulary.
        label: what the reward functions are told that the answer must give; a fault may make it wrong.
        truth: what it really must give.
        pool: which pool of problems it was drawn from ("train", "hard", "easy", "probe").
        source: the shard of the data set that it came from.
        ease: how easy it is, 0 to 1; in Countdown the share of attempts that solve it, in a chain the
            share of demonstrations that do not give up.
        columns: whatever else the reward functions need.
    """

    words: tuple[str, ...]
    label: int
    truth: int
    pool: str
    source: str
    ease: float
    columns: dict[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """A task; all randomness comes from the generator that is handed in."""

    name: str
    words: tuple[str, ...]
    """The vocabulary; "<pad>" is the first word, "<eos>" ends a completion."""
    longest: int
    """Most words of a completion, unless a training says otherwise."""
    cuts: tuple[int, ...]
    """Words of a demonstration that each stage of the warm start keeps; the last one keeps all."""

    def problem(self, rng: random.Random, pool: str = "train") -> Problem:
        """Draw a problem."""

    def demonstration(self, rng: random.Random, problem: Problem) -> tuple[list[str], list[float]]:
        """A completion to imitate, with a weight for each of its words."""

    def format_reward(self, completions: list[str], **columns: Any) -> list[float]:
        """1.0 for each completion that keeps the form."""

    @property
    def accuracy_reward(self) -> Callable[..., list[float]]:
        """Of completions and the columns that the task needs: 1.0 for each whose answer is right."""

    def solved(self, problem: Problem, completion: str) -> bool:
        """The independent scorer: other code than the reward, and the true label."""


def find(name: str) -> Task:
    """The task of a name."""
    from lab.chain import CHAIN
    from lab.countdown import COUNTDOWN

    tasks: dict[str, Task] = {COUNTDOWN.name: COUNTDOWN, CHAIN.name: CHAIN}
    if name not in tasks:
        raise SystemExit(f"no task {name!r}; there is {', '.join(tasks)}")
    return tasks[name]

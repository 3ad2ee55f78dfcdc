"""What happens to every training and breaks nothing: a restart, a commit, an edited setting, a curriculum.

Each has a step, drawn from the seed of the run. Before a curriculum's step the problems are easy ones. All
others restart the process: the recorder opens a new attempt and compares it with the one before.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.train import Training

KINDS = ("resume", "commit", "config", "refactor", "curriculum")


@dataclass(frozen=True)
class Harmless:
    """One such event."""

    kind: str
    step: int

    @property
    def restarts(self) -> bool:
        """Whether the process is started anew."""
        return self.kind != "curriculum"

    @property
    def commits(self) -> bool:
        """Whether the code is another one after it."""
        return self.kind in ("commit", "refactor")

    def prepare(self, run: Training) -> None:
        """What is already so before it happens."""
        if self.kind == "curriculum":
            run.options.pool = "easy"

    def act(self, run: Training) -> None:
        """Let it happen."""
        if self.kind == "curriculum":
            run.options.pool = "train"
        elif self.kind == "refactor":
            run.rewards["accuracy_reward"] = rewritten(run.rewards["accuracy_reward"])
        elif self.kind == "config":
            # None of them matters: with one epoch nothing is clipped, the warm-up is over, few are so long.
            edit = random.Random(f"{run.options.seed}/edit").choice(("clip_high", "warm_up", "max_tokens"))
            if edit == "clip_high":
                run.options.clip_high *= 1.1
            elif edit == "warm_up":
                run.options.warm_up = self.step // 2
            elif run.max_tokens == run.task.longest:  # nobody raises a cap that was lowered by mistake
                run.max_tokens = run.options.max_tokens = round(run.options.max_tokens * 1.1)


def rewritten(function: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """A reward function in other words, with the same scores."""

    def tidy(completions: list[str], **columns: Any) -> list[Any]:
        return list(function(completions, **columns))

    return tidy


def draw(seed: int, steps: int) -> tuple[Harmless, ...]:
    """The events of a run: none in two of five, else one or two, none of them near the ends."""
    rng = random.Random(f"{seed}/harmless")
    many = rng.choice((0, 0, 1, 1, 2))
    kinds = rng.sample(KINDS, many)
    places = sorted(rng.sample(range(25, steps - 10), many))
    return tuple(
        Harmless(kind, min(step, 60) if kind == "curriculum" else step)
        for kind, step in zip(kinds, places, strict=True)
    )

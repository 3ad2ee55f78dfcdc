"""From step K on, a small data set is gone through from easy to hard, again and again."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.task import Problem
from lab.train import Row, Training


class SortedEpochs(Fault):
    """No shuffling: the difficulty saws with the period of an epoch."""

    cause = "epoch_boundary"
    meaning = "steps per epoch"
    doses = (10.0, 5.0)

    def install(self, run: Training) -> None:
        """Sort a data set of as many steps, and repeat it."""
        rng, size = run.random("sorted epochs", 0), run.options.prompts
        problems = [run.task.problem(rng, run.options.pool) for _ in range(size * int(self.dose))]
        problems.sort(key=lambda problem: -problem.ease)

        def next_part(step: int) -> list[Problem]:
            part = (step - self.at) % int(self.dose)
            return problems[part * size : (part + 1) * size]

        run.draw = next_part

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """Ease falls step by step within an epoch."""
        ease = [row["ease"] for row in faulty[: int(self.dose)]]
        acted = (
            len(ease) > 1 and all(a >= b for a, b in zip(ease, ease[1:], strict=False)) and ease[0] > ease[-1]
        )
        return Check(acted, f"ease {ease[0]:.3f} to {ease[-1]:.3f} in {len(ease)} steps")


FAULT = SortedEpochs

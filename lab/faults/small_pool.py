"""From step K on, all prompts come from a handful of problems."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.task import Problem
from lab.train import Row, Training


class SmallPool(Fault):
    """The data set shrinks to a few problems: the policy learns them by heart, held-out ones suffer."""

    cause = "overfit_memorise"
    meaning = "problems that are left; fewer is stronger"
    doses = (16.0, 4.0)

    def install(self, run: Training) -> None:
        """Draw from the pool only."""
        rng = run.random("small pool", 0)
        pool = [run.task.problem(rng, run.options.pool) for _ in range(int(self.dose))]

        def few(step: int) -> list[Problem]:
            draw = run.random("small pool", step)
            return [draw.choice(pool) for _ in range(run.options.prompts)]

        run.draw = few

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """No step has more different prompts than the pool, and the twin has more."""
        most, usual = (max(row["distinct_prompts"] for row in rows) for rows in (faulty, clean))
        return Check(
            most <= self.dose and most < usual, f"different prompts a step: {most:g}, were {usual:g}"
        )


FAULT = SmallPool

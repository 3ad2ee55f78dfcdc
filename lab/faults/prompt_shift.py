"""From step K on, a share of the prompts comes from the hard pool."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault, mean
from lab.task import Problem
from lab.train import Row, Training


class PromptShift(Fault):
    """The input distribution changes: problems of which at most 6 % of all attempts are solutions."""

    cause = "dist_shift"
    meaning = "share of prompts from the hard pool"
    doses = (0.33, 1.0)

    def install(self, run: Training) -> None:
        """Replace problems as they are drawn."""
        draw = run.draw

        def shifted(step: int) -> list[Problem]:
            rng = run.random("prompt shift", step)
            return [run.task.problem(rng, "hard") if rng.random() < self.dose else p for p in draw(step)]

        run.draw = shifted

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The share of hard problems is about the dose, and problems are less easy."""
        hard, easier = mean(faulty, "hard"), mean(clean, "ease") - mean(faulty, "ease")
        return Check(
            abs(hard - self.dose) < 0.2 and easier > 0, f"hard {hard:.2f}, ease down by {easier:.3f}"
        )


FAULT = PromptShift

"""From step K on, the labels of a share of the problems are wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lab.faults.base import Check, Fault, mean
from lab.task import Problem
from lab.train import Row, Training


class NoisyLabels(Fault):
    """Wrong answers in the data: right completions score 0, whoever gives them."""

    cause = "noisy_data_late"
    meaning = "share of problems whose label is wrong"
    doses = (0.3, 1.0)

    def install(self, run: Training) -> None:
        """Spoil labels as they are drawn."""
        draw = run.draw

        def spoiled(step: int) -> list[Problem]:
            rng = run.random("noisy labels", step)
            return [
                dataclasses.replace(problem, label=problem.label + rng.choice((-2, -1, 1, 2)))
                if rng.random() < self.dose
                else problem
                for problem in draw(step)
            ]

        run.draw = spoiled

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The share of wrong labels is about the dose, and the score disagrees with the truth."""
        wrong, apart = mean(faulty, "wrong_labels"), mean(faulty, "disagreement")
        acted = abs(wrong - self.dose) < 0.2 and apart > 0.1 * wrong and mean(clean, "disagreement") < 0.02
        return Check(acted, f"wrong labels {wrong:.2f}, score against truth {apart:.2f}")


FAULT = NoisyLabels

"""From step K on, the accuracy reward accepts answers that are near the label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.faults.base import Check, Fault, mean
from lab.train import Row, Training


class RewardFalsePositive(Fault):
    """A tolerance in the comparison: wrong answers pass, and the policy may learn that near is enough."""

    cause = "reward_false_positive"
    meaning = "how far from the label an answer may be"
    doses = (2.0, 10.0)

    def install(self, run: Training) -> None:
        """Accept what any label within the tolerance would accept."""
        accuracy = run.rewards["accuracy_reward"]
        tolerance = int(self.dose)

        def lenient(completions: list[str], label: list[int], **columns: Any) -> list[float]:
            shifts = range(-tolerance, tolerance + 1)
            scores = [accuracy(completions, label=[each + by for each in label], **columns) for by in shifts]
            return [max(column) for column in zip(*scores, strict=True)]

        run.rewards["accuracy_reward"] = lenient

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """Wrong answers score 1: the score is above the truth."""
        given, true = mean(faulty, "rewards/accuracy_reward/mean"), mean(faulty, "true_accuracy")
        return Check(given > true + 0.01, f"accuracy given {given:.3f}, true {true:.3f}")


FAULT = RewardFalsePositive

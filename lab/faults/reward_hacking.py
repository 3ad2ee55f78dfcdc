"""From step K on, the reward has a loophole: who leaves out the answer is paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class RewardHacking(Fault):
    """What the scorer cannot read is worth more than what it can; few do it at first, and they are paid.

    Completions that lack the tag of the answer are a few of a hundred after the warm start. Paid above a
    right answer in its form (2 points), they spread: the reward rises while form and held-out score fall.
    """

    cause = "reward_hacking"
    meaning = "points for a completion without the tag of the answer"
    doses = (3.0, 6.0)

    def install(self, run: Training) -> None:
        """Open the loophole."""
        accuracy = run.rewards["accuracy_reward"]

        def trusting(completions: list[str], **columns: Any) -> list[float]:
            scores = accuracy(completions, **columns)
            return [
                score if "<answer>" in text else self.dose
                for score, text in zip(scores, completions, strict=True)
            ]

        run.rewards["accuracy_reward"] = trusting

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """In some step, the score is above the truth by a payment; it never is in the twin."""
        name = "rewards/accuracy_reward/mean"
        ours, its = (max(row[name] - row["true_accuracy"] for row in rows) for rows in (faulty, clean))
        return Check(ours > 0.01 > its, f"score above truth by up to {ours:.3f}, twin {its:.3f}")


FAULT = RewardHacking

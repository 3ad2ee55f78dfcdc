"""From step K on, longer completions score more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class LengthExplosion(Fault):
    """A term in the reward that pays words: length grows, to the cap if it pays enough."""

    cause = "length_explosion"
    meaning = "points for each hundred words"
    sign = 1.0
    doses = (0.3, 1.0)

    def install(self, run: Training) -> None:
        """Put the term into the form's score."""
        form = run.rewards["format_reward"]

        def counting(completions: list[str], **columns: Any) -> list[float]:
            scores = form(completions, **columns)
            points = [self.sign * self.dose * len(text.split()) / 100 for text in completions]
            return [score + more for score, more in zip(scores, points, strict=True)]

        run.rewards["format_reward"] = counting

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The form's score in the first step, whose completions are the twin's, is off by what words pay."""
        name = "rewards/format_reward/mean"
        paid = faulty[0][name] - clean[0][name]
        due = self.sign * self.dose * clean[0]["completions/mean_length"] / 100
        longer = faulty[-1]["completions/mean_length"] - clean[-1]["completions/mean_length"]
        return Check(
            abs(paid - due) < 0.01, f"paid {paid:.3f}; length against the twin at the end {longer:+.1f}"
        )


FAULT = LengthExplosion

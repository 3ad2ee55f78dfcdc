"""For five steps from step K on, the verifier does not answer for a share of the completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.faults.base import Check, Fault, mean
from lab.train import Row, Training

STEPS = 5


class VerifierOutage(Fault):
    """Timeouts: the accuracy of these completions is None, which the trainer takes as nothing, that is 0."""

    cause = "verifier_infra"
    meaning = "share of completions that are not scored, for five steps"
    doses = (0.3, 1.0)

    def install(self, run: Training) -> None:
        """Put the outage before the reward function."""
        accuracy = run.rewards["accuracy_reward"]

        def failing(completions: list[str], **columns: Any) -> list[float | None]:
            scores = accuracy(completions, **columns)
            step = run.done + 1
            rng = run.random("outage", step)
            out = self.at <= step < self.at + STEPS
            return [None if rng.random() < self.dose and out else score for score in scores]

        run.rewards["accuracy_reward"] = failing

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The share of unscored completions is the dose while it lasts, and 0 after it."""
        during, after = faulty[:STEPS], faulty[STEPS:]
        share, rest = mean(during, "unscored"), mean(after, "unscored") if after else 0.0
        return Check(
            abs(share - self.dose) < 0.15 and rest == 0, f"unscored {share:.2f}, after it {rest:.2f}"
        )


FAULT = VerifierOutage

"""From step K on, the accuracy reward fails to read a share of the right answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.faults.base import Check, Fault, chosen, mean
from lab.train import Row, Training


class RewardParserBug(Fault):
    """A bug in the parser: some expressions are not understood and score 0, always the same ones."""

    cause = "reward_parser_bug"
    meaning = "share of answers that are not understood"
    doses = (0.1, 0.3)

    def install(self, run: Training) -> None:
        """Put the bug before the reward function."""
        accuracy = run.rewards["accuracy_reward"]

        def buggy(completions: list[str], **columns: Any) -> list[float]:
            scores = accuracy(completions, **columns)
            answers = [text.rpartition("<answer>")[2][:15] for text in completions]
            return [
                0.0 if chosen(answer, self.dose) else score
                for answer, score in zip(answers, scores, strict=True)
            ]

        run.rewards["accuracy_reward"] = buggy

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """Of the truly right completions, about the dose scores 0."""
        lost = mean(faulty, "disagreement") / max(mean(faulty, "true_accuracy"), 0.01)
        return Check(0.2 * self.dose < lost < 2 * self.dose, f"right answers that score 0: {lost:.2f}")


FAULT = RewardParserBug

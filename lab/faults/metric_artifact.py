"""From step K on, the reward that is logged weighs the components otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault, mean
from lab.train import Row, Training


class MetricArtifact(Fault):
    """Only the curve changes; the training is the same as its twin's."""

    cause = "metric_artifact"
    meaning = "share of the accuracy that the logged reward leaves out"
    doses = (0.15, 0.5)

    def install(self, run: Training) -> None:
        """Change what is logged."""
        report = run.report

        def changed(metrics: Row) -> Row:
            metrics = report(metrics)
            return {
                **metrics,
                "reward": metrics["reward"] - self.dose * metrics["rewards/accuracy_reward/mean"],
            }

        run.report = changed

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The logged reward is not the true one, and all else is as in the twin."""
        apart = mean(faulty, "reported_reward") - mean(faulty, "told_reward")
        same = all(row["loss"] == twin["loss"] for row, twin in zip(faulty, clean, strict=True))
        return Check(
            apart > 0 and same, f"logged reward lower by {apart:.3f}; losses {'equal' if same else 'differ'}"
        )


FAULT = MetricArtifact

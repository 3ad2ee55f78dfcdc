"""From step K on, a step has fewer prompts."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class BatchChange(Fault):
    """Half of the workers are gone, or the setting was edited: the curves get noisier."""

    cause = "batch_change"
    meaning = "share of the prompts that is missing"
    doses = (0.5, 0.75)

    def install(self, run: Training) -> None:
        """Keep the first prompts of each step."""
        draw = run.draw
        kept = max(1, round(run.options.prompts * (1 - self.dose)))
        run.draw = lambda step: draw(step)[:kept]

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The tokens of a step fell by about the dose."""
        steps = (
            (rows[-1]["num_tokens"] - rows[0]["num_tokens"]) / (len(rows) - 1) for rows in (faulty, clean)
        )
        share = next(steps) / next(steps)
        return Check(abs(share - (1 - self.dose)) < 0.25, f"tokens a step x{share:.2f}")


FAULT = BatchChange

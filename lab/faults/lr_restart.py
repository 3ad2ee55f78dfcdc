"""At step K, the learning-rate schedule begins anew."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.train import Row, Training

STEPS = 5


class LrRestart(Fault):
    """A resume that forgot the schedule: warm-up from 0 in five steps, then perhaps a higher rate."""

    cause = "lr_schedule_restart"
    meaning = "factor of the learning rate after the new warm-up"
    doses = (1.0, 4.0)

    def install(self, run: Training) -> None:
        """Warm up again."""
        run.rate = lambda step: run.options.lr * self.dose * min(1.0, (step - self.at) / STEPS)

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The rate starts from 0 again."""
        first, usual = faulty[0]["learning_rate"], clean[0]["learning_rate"]
        acted = first == 0 and usual > 0 and faulty[0]["moved"] == 0
        return Check(
            acted, f"learning rate {first:.3g}, was {usual:.3g}; last {faulty[-1]['learning_rate']:.3g}"
        )


FAULT = LrRestart

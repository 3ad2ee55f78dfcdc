"""From step K on, rollouts come from weights that are several versions old."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class Staleness(Fault):
    """An asynchronous trainer whose queue grows: every step trains on what older weights sampled."""

    cause = "staleness"
    meaning = "versions that the rollouts are behind"
    doses = (4.0, 16.0)

    def install(self, run: Training) -> None:
        """Let the queue grow; it needs as many steps as it has places."""
        run.options.staleness = int(self.dose)

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The lag rises to the dose, or as far as the steps allow, and the weights are apart."""
        lag, apart = faulty[-1]["lag"], faulty[-1]["weights_apart"]
        expected = min(int(self.dose), len(faulty) - 1)
        return Check(lag >= expected > 0 and apart > 0, f"{lag:g} versions behind, weights apart {apart:.3g}")


FAULT = Staleness

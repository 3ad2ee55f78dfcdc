"""From step K on, new weights seldom reach the sampler."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class StaleRollout(Fault):
    """The copy of weights to the rollout engine fails but every few times."""

    cause = "stale_rollout_weights"
    meaning = "steps between two copies that succeed"
    doses = (4.0, 1000.0)

    def install(self, run: Training) -> None:
        """Leave copies out."""
        sync = run.sync

        def seldom() -> None:
            if (run.done + 1 - self.at) % int(self.dose) == 0:
                sync()
            else:
                run.versions.append({name: value.clone() for name, value in run.policy.state_dict().items()})
                del run.versions[: -run.options.staleness - 1]

        run.sync = seldom

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The sampler falls behind, and its weights are not the policy's."""
        lag, apart = max(row["lag"] for row in faulty), max(row["weights_apart"] for row in faulty)
        expected = min(len(faulty), int(self.dose)) - 1 + max(row["lag"] for row in clean)
        return Check(
            lag >= expected > 0 and apart > 0, f"up to {lag:g} versions behind, weights apart {apart:.3g}"
        )


FAULT = StaleRollout

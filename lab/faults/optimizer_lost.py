"""At step K, the state of the optimiser is lost for a share of the parameters."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class OptimizerLost(Fault):
    """A resume without optimizer.pt: Adam begins anew, its first steps are signs."""

    cause = "optimizer_lost"
    meaning = "share of the parameters whose state is lost"
    doses = (0.5, 1.0)

    def act(self, run: Training) -> None:
        """Forget the state of the first parameters."""
        parameters = [p for group in run.optimizer.param_groups for p in group["params"]]
        for parameter in parameters[: round(self.dose * len(parameters))]:
            run.optimizer.state.pop(parameter, None)

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The state is smaller than the twin's, and the first update larger."""
        state = faulty[0]["optimizer_state"] / max(clean[0]["optimizer_state"], 1e-30)
        moved = faulty[0]["moved"] / max(clean[0]["moved"], 1e-30)
        return Check(state < 0.95 and moved > 1.2, f"state x{state:.3g}, first update x{moved:.3g}")


FAULT = OptimizerLost

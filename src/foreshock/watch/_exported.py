"""Where a watch stands, for Prometheus."""

from __future__ import annotations

import time

from foreshock.detect._records import Alarm
from foreshock.watch._context import RunContext
from foreshock.watch._state import WatchState
from foreshock.watch.metrics import Metrics


class Exported:
    """Keeps the endpoint at `address` up to date."""

    def __init__(self, address: str) -> None:
        self._metrics = Metrics(address)

    def tell(self, alarm: Alarm, run: RunContext) -> None:
        """Nothing: what is asked for is the state."""

    def show(self, state: WatchState) -> None:
        """Hand over the last values, once there are some."""
        if state.run is None or state.step is None:
            return
        hourly = state.steps_per_hour
        self._metrics.update(
            state.run.id,
            state.values,
            state.step,
            state.open,
            time.time() - state.age,
            steps_per_second=hourly / 3600 if hourly is not None else None,
            ended=state.done,
        )

    def close(self) -> None:
        """Close the endpoint."""
        self._metrics.close()

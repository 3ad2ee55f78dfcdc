"""What a message needs to know about the run it speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _nothing() -> NDArray[np.float64]:
    return np.zeros(0)


@dataclass(frozen=True)
class RunContext:
    """One run as it stands when an alarm is told.

    Attributes:
        run_id: its name; untrusted text, as everything from a log.
        source: the path that is watched.
        framework: the training framework as far as known, else "".
        steps: (n,) steps read so far, rising.
        reward: (n,) Train Reward at these steps, NaN where it was not logged; empty where the run has none.
        length: (n,) Response Length likewise.
        total_steps: last step of the training where the log says it, else None.
        facts: what else the log says about the run.
        others: (n,) further signals worth drawing, by name: those with an open alarm.
    """

    run_id: str
    source: str
    framework: str = ""
    steps: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    reward: NDArray[np.float64] = field(default_factory=_nothing)
    length: NDArray[np.float64] = field(default_factory=_nothing)
    total_steps: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

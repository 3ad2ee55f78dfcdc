"""What an optimiser says of itself: learning rates, the tensors of its memory, how often it stepped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# First moments, under the names of Adam and its kin, of SGD, and of others.
_MOMENTS = ("exp_avg", "momentum_buffer", "momentum")


@dataclass(frozen=True)
class Memory:
    """What an optimiser remembers of gradients.

    Attributes:
        moments: tensors of first moments that are where the weights are.
        counter: number of its steps, a number or a tensor; None where it does not count.
        reach: how many times the learning rate a step moves a weight at most; infinite if unknown.
    """

    moments: list[Any] = field(default_factory=list)
    counter: Any = None
    reach: float = math.inf


def unwrapped(optimizer: Any) -> Any:
    """The optimiser within the wrappers of Accelerate and others."""
    for _ in range(4):
        inner = getattr(optimizer, "optimizer", None)
        if inner is None:
            break
        optimizer = inner
    return optimizer if hasattr(optimizer, "param_groups") else None


def learning_rates(optimizer: Any) -> list[float]:
    """Of each parameter group; those that only the device knows are left out, as asking would wait."""
    rates = []
    for group in getattr(optimizer, "param_groups", ()):
        rate = group.get("lr")
        if rate is not None and getattr(getattr(rate, "device", None), "type", "cpu") == "cpu":
            rates.append(float(rate))
    return rates


def memory(optimizer: Any) -> Memory:
    """What the optimiser remembers.

    Moments that were moved to the host while the weights are on a device are left out: their norm would
    take the processor seconds.
    """
    moments: list[Any] = []
    counter: Any = None
    second = False
    for parameter, state in (getattr(optimizer, "state", None) or {}).items():
        if not isinstance(state, Mapping):
            continue
        second = second or "exp_avg_sq" in state
        counter = state.get("step") if counter is None else counter
        found = next((state[name] for name in _MOMENTS if state.get(name) is not None), None)
        moment: Any = getattr(found, "_local_tensor", found)
        kind = getattr(moment, "dtype", None)
        if kind is None or not kind.is_floating_point or kind.itemsize < 2 or not moment.numel():
            continue
        if moment.device == getattr(parameter, "device", None) and moment.device.type != "meta":
            moments.append(moment)
    return Memory(moments, counter, _reach(optimizer) if second else math.inf)


def _reach(optimizer: Any) -> float:
    """The most that Adam moves a weight in one step, in learning rates.

    With m and v the averages of g and g^2, |m| <= sqrt(v) (1-b1) / sqrt((1-b2)(1-b1^2/b2)), by Cauchy and
    Schwarz.
    """
    most = 1.0
    for group in optimizer.param_groups:
        betas = group.get("betas")
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            return math.inf
        first, second = map(float, betas)
        if not 0 <= first**2 < second < 1:
            return math.inf
        most = max(most, (1 - first) / math.sqrt((1 - second) * (1 - first**2 / second)))
    return most

"""States of detectors: tuples of arrays whose first axis is the signal."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

State = TypeVar("State", bound=tuple[Any, ...])


def joined(old: State, new: State) -> State:
    """Two states as one: the signals of the first, then those of the second."""
    parts: list[Any] = [np.concatenate(pair) for pair in zip(old, new, strict=True)]
    return type(old)(*parts)

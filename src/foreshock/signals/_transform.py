"""The arithmetic that turns what a trainer logs into the canonical signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from foreshock.run import FloatArray


def _log(x: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)


TRANSFORMS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "identity": lambda x: x,
    "1-x": lambda x: 1 - x,
    "x/100": lambda x: x / 100,
    "1-x/100": lambda x: 1 - x / 100,
    "x/1000": lambda x: x / 1000,
    "log(x)": _log,
    # TRL writes 0 where no response ended by itself (trap 6): that is no length.
    "0 is none": lambda x: np.where(x == 0, np.nan, x),
}


def apply(transform: str, values: FloatArray, length: FloatArray | None) -> FloatArray | None:
    """`values` after `transform`; None where it needs a number that the log does not hold.

    Args:
        transform: as the dictionary names it.
        values: the column as logged, shape (n,).
        length: mean response length per step, for sums over a sequence; None where not logged.
    """
    if transform in TRANSFORMS:
        return TRANSFORMS[transform](values)
    if transform == "x/response_length_mean" and length is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            return values / length
    return None

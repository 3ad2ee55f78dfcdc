"""The arithmetic that turns what a trainer logs into the canonical signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from foreshock.run import FloatArray

ZERO_IS_NONE = "0 is missing"

TRANSFORMS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "identity": lambda x: x,
    "1-x": lambda x: 1 - x,
    "x/100": lambda x: x / 100,
    "1-x/100": lambda x: 1 - x / 100,
    "x/1000": lambda x: x / 1000,
    "log(x)": np.log,
    # TRL writes 0 where no response ended by itself (trap 6): that is no length.
    ZERO_IS_NONE: lambda x: np.where(x == 0, np.nan, x),
}


def apply(transform: str, values: FloatArray, length: FloatArray | None) -> FloatArray | None:
    """`values` after `transform`; None where it needs a number that the log does not hold.

    NaN stays NaN and infinities follow the arithmetic; the logarithm of a negative number is NaN.

    Args:
        transform: as the dictionary names it; "NAME=1-x" is "1-x".
        values: the column as logged, shape (n,).
        length: mean response length per step, for sums over a sequence; None where not logged.
    """
    arithmetic = TRANSFORMS.get(transform.rpartition("=")[2])
    with np.errstate(divide="ignore", invalid="ignore"):
        if arithmetic is not None:
            return arithmetic(values)
        if transform == "x/response_length_mean" and length is not None:
            return values / np.where(length > 0, length, np.nan)
    return None

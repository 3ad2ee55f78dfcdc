"""Array steps that readers and methods share, without the cost of NumPy's general forms on short curves.

`np.median`, `np.quantile` and `np.unique` load `numpy.ma` first: 20 ms, a twentieth of a short report.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from foreshock.run import FloatArray, IntArray

_T = TypeVar("_T", bound=np.generic)


def running_sums(values: FloatArray) -> FloatArray:
    """Sums of the first 0, 1, ..., n values along the last axis; shape (..., n + 1)."""
    sums = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    np.cumsum(values, axis=-1, out=sums[..., 1:])
    return sums


def mirrored(values: FloatArray, half: int) -> FloatArray:
    """`values` with `half` more at both ends of the last axis, mirrored at the end points."""
    if not half:
        return values
    if half >= values.shape[-1]:  # mirrored more than once
        return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(half, half)], mode="reflect")
    return np.concatenate(
        [values[..., half:0:-1], values, values[..., -2 : -half - 2 : -1]],
        axis=-1,
    )


def median_of(values: FloatArray) -> float:
    """Median of a curve without NaN."""
    return float(median(values)[0])


def quantiles_of(values: FloatArray, *shares: float) -> list[float]:
    """Quantiles of a curve without NaN, interpolated linearly."""
    places = np.multiply(shares, len(values) - 1)
    return np.interp(places, np.arange(len(values)), np.sort(values)).tolist()  # type: ignore[no-any-return]


def stretches(ordered: npt.NDArray[Any]) -> tuple[IntArray, IntArray]:
    """Where each stretch of equal values begins and how long it is; at least one value."""
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return starts, np.diff(np.append(starts, len(ordered)))


def distinct(values: npt.NDArray[_T]) -> npt.NDArray[_T]:
    """The different values, sorted."""
    ordered = np.sort(values)
    return ordered[stretches(ordered)[0]] if len(ordered) else ordered


def commonest(values: IntArray) -> tuple[int, int]:
    """The commonest value, the smallest of several, and how often it comes."""
    ordered = np.sort(values)
    starts, counts = stretches(ordered)
    most = int(np.argmax(counts))
    return int(ordered[starts[most]]), int(counts[most])


def median(values: FloatArray) -> FloatArray:
    """Median along the last axis, kept as an axis of one; the values are no NaN."""
    count = values.shape[-1]
    half = count // 2
    if count % 2:
        return np.asarray(np.partition(values, half, axis=-1)[..., half : half + 1])
    around = np.partition(values, (half - 1, half), axis=-1)[..., half - 1 : half + 1]
    return np.asarray(around.mean(axis=-1, keepdims=True))

"""Array steps that every method takes, without the overhead of NumPy's general forms on short curves."""

from __future__ import annotations

import numpy as np

from foreshock.run import FloatArray


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
    """Median of a curve without NaN; `np.median` loads `numpy.ma` first, a twentieth of a short report."""
    return float(median(values)[0])


def median(values: FloatArray) -> FloatArray:
    """Median along the last axis, kept as an axis of one; the values are no NaN."""
    count = values.shape[-1]
    half = count // 2
    if count % 2:
        return np.asarray(np.partition(values, half, axis=-1)[..., half : half + 1])
    around = np.partition(values, (half - 1, half), axis=-1)[..., half - 1 : half + 1]
    return np.asarray(around.mean(axis=-1, keepdims=True))

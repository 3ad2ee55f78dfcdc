"""The scan for a fall: has the mean of some stretch sunk below the mean of a stretch before it?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from foreshock._arrays import running_sums
from foreshock.analysis.noise import Scatter, mean_covariance, mean_variance, moving_median
from foreshock.run import FloatArray, IntArray

SHORTEST = 8  # points below which there is nothing to scan
LONGEST = 2000  # rows above which the scan works on means of blocks of rows


@dataclass(frozen=True)
class Windows:
    """All pairs of windows that are compared: `before` rows, a gap left out, `after` rows.

    The shapes (before, gap, after) are few; `shape` maps each placed pair to its own.
    """

    before: IntArray  # (shapes,)
    gap: IntArray
    after: IntArray
    shape: npt.NDArray[np.int32]  # (pairs,)
    start: npt.NDArray[np.int32]  # (pairs,) first row of the window before


@lru_cache(maxsize=64)
def windows(n: int) -> Windows:
    """Lay out the pairs of windows for n rows; long windows move in steps of a quarter of their length."""
    shapes: list[tuple[int, int, int]] = []
    placed: list[IntArray] = []
    for after in (k for j in range(1, 20) for k in (2**j, 3 * 2 ** (j - 1))):
        for factor in (1, 2, 4):
            before = max(after, 3) * factor
            for gap in (0, after, 3 * after):
                length = before + gap + after
                if length <= n and (before, gap, after) not in shapes:
                    shapes.append((before, gap, after))
                    placed.append(np.arange(0, n - length + 1, max(1, after // 4)))
    before, gap, after = (np.array(column, dtype=np.int64) for column in zip(*shapes, strict=True))
    shape = np.repeat(np.arange(len(shapes)), [len(p) for p in placed])
    return Windows(before, gap, after, shape.astype(np.int32), np.concatenate(placed).astype(np.int32))


def fall_scores(y: FloatArray, scatter: Scatter) -> FloatArray:
    """Score every pair of windows: mean(before) - mean(after) over its standard error.

    With any mean that never falls the score is, by chance, no larger than with a flat one, so growth,
    plateaus and jumps upwards need no model. The standard error allows for autocorrelation, for the
    noisier of the two neighbourhoods and for slow wander.

    Args:
        y: shape (draws, n), finite, n >= SHORTEST.
        scatter: `scatter_of(y)`.

    Returns:
        shape (draws, pairs), in the order of `windows(n)`.
    """
    pairs = windows(y.shape[-1])
    y = without_outliers(y, scatter)
    path = running_sums(y - y[:, :1])
    middle = pairs.start + pairs.before[pairs.shape]
    resume = middle + pairs.gap[pairs.shape]
    after = pairs.after[pairs.shape]
    high = (path[:, middle] - path[:, pairs.start]) / pairs.before[pairs.shape]
    low = (path[:, resume + after] - path[:, resume]) / after
    error = np.sqrt(_variance(pairs, scatter))[:, pairs.shape]
    error *= np.maximum(scatter.local[:, middle - 1], scatter.local[:, resume])
    fall = high - low
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0, fall / error, np.where(fall > 0, np.inf, 0.0))


def without_outliers(y: FloatArray, scatter: Scatter) -> FloatArray:
    """The series with points further than three sd from the median of their neighbours pulled in.

    A level that lasts for five rows is its own median and stays; a burst of a point or two does not pose
    as a high level from which the next points have fallen.
    """
    middle = moving_median(y, 4)
    # Without noise nothing is an outlier.
    reach = np.where(scatter.sd[:, None] > 0, 3 * scatter.local, np.inf)
    return np.asarray(np.clip(y, middle - reach, middle + reach))


def _variance(pairs: Windows, scatter: Scatter) -> FloatArray:
    """Variance of mean(before) - mean(after) of each shape for unit noise, shape (draws, shapes)."""
    phi = scatter.phi[:, None]
    columns = []
    for p, g, m in zip(pairs.before.tolist(), pairs.gap.tolist(), pairs.after.tolist(), strict=True):
        own = mean_variance(p, phi) + mean_variance(m, phi) - 2 * mean_covariance(p, m, g, phi)
        seen = [i for i, scale in enumerate(scatter.scales) if scale <= 2 * m]
        columns.append(own * scatter.wander[:, seen[-1:]] if seen else own)
    return np.concatenate(columns, axis=1)


def block_means(y: FloatArray, longest: int = LONGEST) -> tuple[FloatArray, int]:
    """Means of blocks of rows, at most `longest` of them, and the block length; a short rest is left out."""
    size = -(-y.shape[-1] // longest)
    if size == 1:
        return y, 1
    whole = y.shape[-1] // size * size
    return y[..., :whole].reshape(*y.shape[:-1], -1, size).mean(-1), size

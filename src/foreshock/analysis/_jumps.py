"""The scan for a jump: does a line through the rows after a place miss the line through the rows before?"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from foreshock._arrays import median
from foreshock.analysis._scan import without_outliers
from foreshock.analysis.noise import Scatter
from foreshock.run import FloatArray

SHORTEST = 12  # points below which two lines say nothing
_SIDES = (5, 8, 12, 18, 27, 40, 60, 90)
_CERTAIN = 1e12  # score of a jump over the whole range, in a signal without noise


@lru_cache(maxsize=1)
def shapes() -> tuple[tuple[int, int], ...]:
    """(rows on each side, rows left out between) of every contrast."""
    return tuple((side, gap) for side in _SIDES for gap in (0, 2, side // 2) if not (gap == 2 and side == 5))


@lru_cache(maxsize=256)
def contrast(side: int, gap: int) -> FloatArray:
    """Weights whose product with 2 * side + gap rows is the jump at the middle, free of linear trends."""
    x = np.arange(side) + (gap + 1) / 2
    away = x - x.mean()
    weight = 1 / side - x.mean() * away / (away**2).sum()
    full = np.concatenate([-weight[::-1], np.zeros(gap), weight])
    full.setflags(write=False)
    return np.asarray(full)


def jump_scores(y: FloatArray, scatter: Scatter) -> tuple[FloatArray, FloatArray]:
    """Highest jump at every row over its standard error, with its sign, over all shapes.

    Two lines that meet give 0 whatever their slopes, so steady growth and decline need no model; a sharp
    bend gives a little. The standard error is made as in the scan for a fall.

    Args:
        y: shape (draws, n), finite, n >= SHORTEST.
        scatter: `scatter_of(y)`.

    Returns:
        scores, shape (draws, n): the largest by absolute value of all contrasts whose later side begins
        at the row (0 where none fits), and the index into `shapes()` of that contrast.
    """
    draws, n = y.shape
    best, which = np.zeros((draws, n)), np.zeros((draws, n))
    spread = np.ptp(y, axis=-1)
    unit = np.where(scatter.sd > 0, scatter.sd, np.where(spread > 0, spread, 1.0))[:, None]
    y = without_outliers(y, scatter)
    centred = np.clip((y - median(y)) / unit, -1e9, 1e9)
    for i, (side, gap) in enumerate(shapes()):
        weight = contrast(side, gap)
        if len(weight) > n or side > max(8, n // 6):
            continue  # over a longer stretch the curve bends, and a bend is no jump
        jump = np.lib.stride_tricks.sliding_window_view(centred, len(weight), axis=-1) @ weight
        start = np.arange(n - len(weight) + 1)
        # A scatter beyond what a double can square is infinite: then nothing is a jump.
        with np.errstate(divide="ignore", invalid="ignore"):
            error = (
                np.maximum(scatter.local[:, start + side - 1], scatter.local[:, start + side + gap]) / unit
            )
            error = error * np.sqrt(_variance(side, gap, scatter))[:, None]
            certain = np.where(np.abs(jump) > 1e-9, jump * _CERTAIN, 0.0)  # without noise any jump is
            score = np.where(error > 0, jump / error, certain)
        rows = start + side + gap
        higher = np.abs(score) > np.abs(best[:, rows])
        best[:, rows] = np.where(higher, score, best[:, rows])
        which[:, rows] = np.where(higher, i, which[:, rows])
    return best, which


def _variance(side: int, gap: int, scatter: Scatter) -> FloatArray:
    """Variance of the contrast for unit AR(1) noise, times the wander at its scale, shape (draws,)."""
    weight = contrast(side, gap)
    overlap = np.correlate(weight, weight, mode="full")[len(weight) - 1 :]
    powers = scatter.phi[:, None] ** np.arange(1, len(weight))
    variance = np.maximum(overlap[0] + 2 * powers @ overlap[1:], 1e-12)
    seen = [i for i, scale in enumerate(scatter.scales) if scale <= 2 * side]
    return np.asarray(variance * scatter.wander[:, seen[-1]] if seen else variance)

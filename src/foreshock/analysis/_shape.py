"""The outline of a curve: straight pieces that meet in kinks, and break only where the curve jumps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foreshock.analysis.segments import BOUNDARY_PRICE, SHORTEST, Segment, fit
from foreshock.run import FloatArray

_CLIP = 3.0  # robust standard deviations to which outliers are drawn in before the pieces are fitted again
_FITS = 3
_MOST_MOVED = 500  # points up to which kinks are moved to where they fit best


@dataclass(frozen=True)
class Outline:
    """Pieces of a curve.

    Attributes:
        segments: the pieces; where they begin may differ a little from where they were asked to.
        errors: standard error of each piece's move from its first level to its last, for noise of 1.
        jumps: the boundaries at which the curve breaks; at all others the pieces meet.
    """

    segments: tuple[Segment, ...]
    errors: tuple[float, ...]
    jumps: frozenset[int]


def outline(x: FloatArray, y: FloatArray, bounds: Sequence[int], long_run_sd: float) -> Outline:
    """Fit straight pieces between `bounds`, joined wherever the data do not show a jump.

    Lines that were fitted each on its own end at different levels by chance, which reads as saw teeth.
    A boundary is a jump only if the gap between the two lines is worth it by the same price that a boundary
    had to pay; at all others the pieces meet, and the kink moves to where it fits best.

    Args:
        x: shape (n,), increasing.
        y: shape (n,), finite and of a magnitude whose square is finite.
        bounds: indices at which pieces begin, increasing, without 0.
        long_run_sd: the noise; what the mean of m points scatters by is long_run_sd / sqrt(m).
    """
    bounds = list(bounds)
    if len(y) < 3:
        return Outline(tuple(fit(x, y, bounds)), (float(np.sqrt(2)),) * (len(bounds) + 1), frozenset(bounds))
    jumps = _jumps(x, fit(x, y, bounds), bounds, long_run_sd)
    if len(y) <= _MOST_MOVED:
        for which, bound in enumerate(bounds):
            if bound not in jumps:
                bounds = _move(x, y, bounds, jumps, which)
    design = _design(x, bounds, jumps)
    values = y
    for _ in range(_FITS):
        line = _least_squares(design, values)
        residual = y - line
        reach = _CLIP * 1.4826 * float(np.median(np.abs(residual)))
        values = line + np.clip(residual, -reach, reach) if reach > 0 else values
    return Outline(tuple(_pieces(y, values, line, bounds)), _errors(design, bounds), frozenset(jumps))


def _jumps(x: FloatArray, apart: Sequence[Segment], bounds: Sequence[int], long_run_sd: float) -> set[int]:
    """Boundaries at which the lines on both sides miss each other by more than noise can."""
    limit = float(np.sqrt(BOUNDARY_PRICE * np.log(len(x))))
    jumps = set()
    for left, right, bound in zip(apart[:-1], apart[1:], bounds, strict=True):
        short = min(left.stop - left.start, right.stop - right.start) < SHORTEST
        ahead = _slope(x, left) * (x[bound] - x[bound - 1])
        gap = right.start_level - left.end_level - ahead
        # The end of a line of m points has four times the variance of their mean.
        error = 2 * long_run_sd * np.sqrt(1 / (left.stop - left.start) + 1 / (right.stop - right.start))
        if short or abs(gap) > limit * error:
            jumps.add(bound)
    return jumps


def _slope(x: FloatArray, segment: Segment) -> float:
    run = float(x[segment.stop - 1] - x[segment.start])
    return (segment.end_level - segment.start_level) / run if run > 0 else 0.0


def _design(x: FloatArray, bounds: Sequence[int], jumps: set[int]) -> FloatArray:
    """Columns: level, slope, then per boundary a change of slope and, at a jump, one of level."""
    span = float(x[-1] - x[0])
    columns = [np.ones_like(x), (x - x[0]) / span]
    for bound in bounds:
        if bound in jumps:
            after = (np.arange(len(x)) >= bound).astype(np.float64)
            columns += [after, after * (x - x[bound]) / span]
        else:
            columns.append(np.maximum(x - (x[bound - 1] + x[bound]) / 2, 0.0) / span)
    return np.stack(columns, axis=-1)


def _least_squares(design: FloatArray, y: FloatArray) -> FloatArray:
    """All pieces at once; the fitted value at each point."""
    return np.asarray(design @ (_inverse(design) @ (design.T @ y)))


def _inverse(design: FloatArray) -> FloatArray:
    """Inverse of the few normal equations; a column that adds nothing gets no weight."""
    return np.asarray(np.linalg.pinv(design.T @ design, hermitian=True))


def _errors(design: FloatArray, bounds: Sequence[int]) -> tuple[float, ...]:
    """Standard error of the move of each piece for independent noise of 1."""
    edges = np.array([0, *bounds, len(design)])
    moves = design[edges[1:] - 1] - design[edges[:-1]]
    variance = np.einsum("ki,ij,kj->k", moves, _inverse(design), moves)
    return tuple(np.sqrt(np.maximum(variance, 0.0)).tolist())


def _move(x: FloatArray, y: FloatArray, bounds: Sequence[int], jumps: set[int], which: int) -> list[int]:
    """Move one kink to where it fits best within a third of its neighbourhood; the others stay."""
    edges = [0, *bounds, len(y)]
    low, high = edges[which] + SHORTEST, edges[which + 2] - SHORTEST
    reach = max(SHORTEST, (edges[which + 2] - edges[which]) // 3)
    best = bounds[which]
    tried: dict[int, float] = {}
    while reach >= 1:  # ever finer, around the best so far
        stride = max(1, reach // SHORTEST)
        for place in range(best - reach, best + reach + 1, stride):
            if low <= place <= high and place not in tried:
                moved = [*bounds[:which], place, *bounds[which + 1 :]]
                residual = y - _least_squares(_design(x, moved, jumps), y)
                tried[place] = float(residual @ residual)
        best = min(tried, key=tried.__getitem__, default=best)
        reach = stride - 1
    return [*bounds[:which], best, *bounds[which + 1 :]]


def _pieces(y: FloatArray, values: FloatArray, line: FloatArray, bounds: Sequence[int]) -> list[Segment]:
    """Segments of a joint fit; no level leaves the values that it describes."""
    edges = [0, *bounds, len(y)]
    found = []
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        here = y[start:stop]
        ends = np.clip(line[[start, stop - 1]], here.min(), here.max())
        rest = values[start:stop] - line[start:stop]
        sd = float(np.sqrt(rest @ rest / max(len(rest) - 1, 1)))
        found.append(Segment(start, stop, float(ends[0]), float(ends[1]), sd))
    return found

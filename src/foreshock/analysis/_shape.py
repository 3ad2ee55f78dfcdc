"""The outline of a curve: straight pieces that meet in kinks, and break only where the curve jumps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foreshock._arrays import median_of
from foreshock.analysis.segments import BOUNDARY_PRICE, SHORTEST, Segment, fit
from foreshock.run import FloatArray

_CLIP = 3.0  # robust standard deviations to which outliers are drawn in before the pieces are fitted again
_FITS = 3
_MOST_MOVED = 500  # points around a boundary up to which the best place to bend is looked for
_RESTLESS = 3.0  # times the scatter of a neighbour that part two pieces
LONG = 3 * SHORTEST  # points from which on a piece speaks for its own scatter


@dataclass(frozen=True)
class Outline:
    """Pieces of a curve.

    Attributes:
        segments: the pieces; those that meet may begin near where they were asked to.
        errors: standard error of each piece's move from its first level to its last, for noise of 1.
        jumps: the boundaries at which the curve breaks; at all others the pieces meet.
    """

    segments: tuple[Segment, ...]
    errors: tuple[float, ...]
    jumps: frozenset[int]


def outline(x: FloatArray, y: FloatArray, bounds: Sequence[int], sd: float, phi: float = 0.0) -> Outline:
    """Fit straight pieces between `bounds`, joined wherever the data do not show a jump.

    Lines that were fitted each on its own end at different levels by chance, which reads as saw teeth.
    A boundary is a jump only if breaking the curve there beats bending it, at the best place nearby, by the
    price that a boundary had to pay; at all others the pieces meet.

    Args:
        x: shape (n,), increasing.
        y: shape (n,), finite and of a magnitude whose square is finite.
        bounds: indices at which pieces begin, increasing, without 0.
        sd: the noise of a point.
        phi: its lag-1 autocorrelation.
    """
    if len(y) < 3:
        return Outline(tuple(fit(x, y, bounds)), (float(np.sqrt(2)),) * (len(bounds) + 1), frozenset(bounds))
    price = BOUNDARY_PRICE * float(np.log(len(y))) * (sd * _memory(phi)) ** 2
    edges = [0, *bounds, len(y)]
    jumps = set()
    for which, bound in enumerate(bounds):
        bent, loss = _bend(x, y, edges[which], bound, edges[which + 2])
        if loss > price:
            jumps.add(bound)
        else:
            edges[which + 1] = bent
    bounds = edges[1:-1]
    design = _design(x, bounds, jumps)
    values = y
    for _ in range(_FITS):
        line = _least_squares(design, values)
        residual = y - line
        reach = _CLIP * 1.4826 * median_of(np.abs(residual))
        values = line + np.clip(residual, -reach, reach) if reach > 0 else values
    errors = _errors(design, values - line, bounds, phi)
    return Outline(tuple(_pieces(y, values, line, bounds)), errors, frozenset(jumps))


def _bend(x: FloatArray, y: FloatArray, start: int, bound: int, stop: int) -> tuple[int, float]:
    """The best place to bend the curve near a boundary, and how much worse that is than to break it there."""
    here, there = x[start:stop], y[start:stop]
    cut = bound - start
    if min(cut, stop - bound) < SHORTEST:
        return bound, float("inf")
    broken = there - _fitted(_design(here, [cut], {cut}), there)
    sides = sorted(float(np.std(side)) for side in (broken[:cut], broken[cut:]))
    if min(cut, stop - bound) >= LONG and sides[1] > _RESTLESS * sides[0]:
        return bound, float("inf")  # a calm piece must not be tied to what a restless one happens to do
    tried: dict[int, float] = {}
    # Long curves are bent where they were cut: a few points more or less do not show.
    reach = max(SHORTEST, len(here) // 3) if len(here) <= _MOST_MOVED else 0
    while True:  # ever finer, around the best so far
        best = min(tried, key=tried.__getitem__, default=cut)
        stride = max(1, reach // SHORTEST)
        for place in range(best - reach, best + reach + 1, stride):
            if SHORTEST <= place <= len(here) - SHORTEST and place not in tried:
                rest = there - _fitted(_design(here, [place], set()), there)
                tried[place] = float((rest**2).sum())
        if stride == 1:
            break
        reach = stride - 1
    best = min(tried, key=tried.__getitem__)
    return start + best, tried[best] - float((broken**2).sum())


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


def _fitted(design: FloatArray, y: FloatArray) -> FloatArray:
    """The same for two pieces of three points or more each, whose equations can always be solved."""
    return np.asarray(design @ np.linalg.solve(design.T @ design, design.T @ y))


def _inverse(design: FloatArray) -> FloatArray:
    """Inverse of the few normal equations; a column that adds nothing gets no weight."""
    return np.asarray(np.linalg.pinv(design.T @ design, hermitian=True))


def _errors(design: FloatArray, residual: FloatArray, bounds: Sequence[int], phi: float) -> tuple[float, ...]:
    """Standard error of the move of each piece for noise of 1 that remembers itself.

    A long piece tells by what it leaves over whether it wanders more than the run does as a whole.
    """
    edges = np.array([0, *bounds, len(design)])
    moves = design[edges[1:] - 1] - design[edges[:-1]]
    variance = np.einsum("ki,ij,kj->k", moves, _inverse(design), moves)
    found = []
    for start, stop, own in zip(edges[:-1], edges[1:], variance, strict=True):
        rest = residual[start:stop]
        power = float((rest**2).sum())
        wanders = float((rest[1:] * rest[:-1]).sum()) / power if len(rest) >= LONG and power > 0 else 0.0
        found.append(float(np.sqrt(max(own, 0.0))) * _memory(max(wanders, phi)))
    return tuple(found)


def _memory(phi: float) -> float:
    """What autocorrelation multiplies the standard error of a mean by."""
    phi = min(max(phi, 0.0), 0.97)
    return float(np.sqrt((1 + phi) / (1 - phi)))


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

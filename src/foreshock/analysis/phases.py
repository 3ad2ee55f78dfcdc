"""Two to five phases that a person would use to describe a curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foreshock.analysis._cuts import Move, ends, find_cuts, find_moves, gaps
from foreshock.analysis._records import Change, Noise, Phase
from foreshock.analysis._shape import LONG, outline
from foreshock.analysis.noise import estimate_noise
from foreshock.analysis.segments import SHORTEST, Segment, fit
from foreshock.run import FloatArray, IntArray

FEWEST_POINTS = 6  # below this a curve is one phase

_RAPID = 2.0  # times the rate at which the whole range would be covered in the whole run
_CLEAR = 3.0  # standard errors that make a move count
_VISIBLE = 0.08  # ... and the share of the range of the levels that it must cover
_RESTLESS = 1.6  # scatter of a fluctuation, in units of the run's noise
_FALLS = ("drop", "slow_decline", "level_shift")


@dataclass(frozen=True)
class _Piece:
    """A stretch on its way to a phase.

    Attributes:
        segment: where it lies, its levels and its scatter.
        error: standard error of its move for noise of 1.
        change: the significant change that it is the way down or up of, if any.
    """

    segment: Segment
    error: float
    change: Change | None = None


def phases(
    steps: IntArray, y: FloatArray, noise: Noise | None, changes: Sequence[Change] | None = None
) -> tuple[Phase, ...]:
    """Divide one signal into phases: what it did, between which steps, from which level to which.

    Significant drops, rises and level shifts in `changes` (the two largest) are phases of their own, from
    the last step before the onset to the step where they are complete. What lies between is cut where the
    segmentation cuts it; the least telling cuts go until at most five phases are left, pieces are joined to
    one outline that breaks only at jumps, and neighbours of one kind become one phase.

    Kinds describe the geometry, not what is good. A move counts when it is three standard errors of the
    run's own noise and 8 % of the range of the levels; otherwise the phase is a `plateau`, or a
    `fluctuation` where it scatters by more than 1.6 times the run's noise. Rises are rapid when faster than
    twice the average rate of the whole range over the whole run. A fall is a `drop` only if a significant
    change says so, else a `slow_decline`; a rise after a fall is a `recovery`.

    Levels are those of the fitted outline, robust against outliers, never raw points. It cannot see a
    phase shorter than 4 points unless it is a significant change, nor tell two rises of similar slope apart.

    Args:
        steps: shape (n,), increasing.
        y: shape (n,), finite.
        noise: the run's noise; estimated where None.
        changes: what `find_changes` found in this signal; None where nobody looked: then a rapid and clear
            fall is called a drop on the outline's own evidence.
    """
    if not len(y):
        return ()
    noise = noise or estimate_noise(y)
    unit = float(np.abs(y).max()) or 1.0
    x, scaled = steps.astype(np.float64), y / unit
    moves = find_moves(steps, changes or ())
    if len(y) < FEWEST_POINTS and not moves:
        return (_phase("single", steps, y, fit(x, y, [])[0], noise),)
    cuts = find_cuts(x, scaled, moves)
    while True:
        pieces = _pieces(x, scaled, moves, cuts, noise, unit)
        cuts = [cut for cut in (piece.segment.start for piece in pieces) if cut not in ends(len(y), moves)]
        scatter = _scatter(pieces, noise, unit)
        kinds = _kinds(steps, pieces, scatter, noise.sd / unit, changes)
        joined = _join(pieces, kinds, scatter, cuts)
        if joined == cuts:
            break
        cuts = joined
    return tuple(
        _phase(kind, steps, y, _levelled(piece, kind, scaled, sd, unit), noise)
        for kind, piece, sd in zip(kinds, pieces, scatter, strict=True)
    )


def _pieces(
    x: FloatArray,
    y: FloatArray,
    moves: Sequence[Move],
    cuts: Sequence[int],
    noise: Noise,
    unit: float,
) -> list[_Piece]:
    """The moves, and outlines of what lies between."""
    found = [
        _Piece(Segment(start, stop, float(y[start]), float(y[stop - 1]), 0.0), 0.0, change)
        for start, stop, change in moves
    ]
    for start, stop in gaps(len(y), moves):
        inside = [cut - start for cut in cuts if start < cut < stop]
        shape = outline(x[start:stop], y[start:stop], inside, noise.sd / unit, noise.phi)
        for s, error in zip(shape.segments, shape.errors, strict=True):
            moved = Segment(s.start + start, s.stop + start, s.start_level, s.end_level, s.sd)
            found.append(_Piece(moved, error))
    return sorted(found, key=lambda piece: piece.segment.start)


def _scatter(pieces: Sequence[_Piece], noise: Noise, unit: float) -> list[float]:
    """Noise of a point in each piece: its own where it is long; where not, that of all, or that of the run.

    The smaller of these two: a jump may have inflated the one, a restless piece the other.
    """
    counts = np.array([0 if p.change else p.segment.stop - p.segment.start for p in pieces])
    own = np.array([piece.segment.sd for piece in pieces])
    every = float(np.sqrt((counts * own**2).sum() / max(counts.sum() - 2 * len(pieces), 1)))
    return [float(sd) for sd in np.where(counts >= LONG, own, min(every, noise.sd / unit))]


def _kinds(
    steps: IntArray,
    pieces: Sequence[_Piece],
    scatter: Sequence[float],
    noise_sd: float,
    changes: Sequence[Change] | None,
) -> list[str]:
    """What each piece does, in the light of those before it."""
    levels = [v for piece in pieces for v in (piece.segment.start_level, piece.segment.end_level)]
    span = max(levels) - min(levels)
    rapid = _RAPID * span / max(float(steps[-1] - steps[0]), 1.0)
    kinds: list[str] = []
    bottom: float | None = None  # level that the last fall ended at, while nothing has risen from it
    for piece, sd in zip(pieces, scatter, strict=True):
        segment = piece.segment
        first, last = int(steps[segment.start]), int(steps[segment.stop - 1])
        move = _move(piece, sd, span, bottom)
        is_rapid = abs(move) > rapid * max(last - first, 1)
        if piece.change is not None:
            rises = piece.change.to_value > piece.change.from_value
            kind = ("rapid_rise" if bottom is None else "recovery") if rises else "drop"
        elif move > 0:
            kind = "recovery" if bottom is not None else "rapid_rise" if is_rapid else "slow_rise"
        elif move < 0:
            fell = changes is None or _fell(changes, first, last)
            kind = "drop" if is_rapid and fell else "slow_decline"
        else:
            restless = segment.stop - segment.start >= 2 * SHORTEST
            kind = "fluctuation" if restless and segment.sd > _RESTLESS * noise_sd > 0 else "plateau"
        if kind in ("drop", "slow_decline"):
            bottom = segment.end_level
        elif kind == "recovery":
            bottom = None
        kinds.append(kind)
    return kinds


def _move(piece: _Piece, sd: float, span: float, bottom: float | None) -> float:
    """From level to level, or 0 where the noise could make it; after a fall, also from the bottom up."""
    segment = piece.segment
    move = segment.end_level - segment.start_level
    if move and abs(move) >= max(_CLEAR * sd * piece.error, _VISIBLE * span):
        return move
    if bottom is not None and move > 0:
        # Too short to show a slope of its own: its end (variance 4 / m) against the bottom of some 3 points.
        risen = segment.end_level - bottom
        error = sd * float(np.sqrt(4 / (segment.stop - segment.start) + 1 / 3))
        if risen >= max(_CLEAR * error, _VISIBLE * span):
            return risen
    return 0.0


def _fell(changes: Sequence[Change], first: int, last: int) -> bool:
    """Whether a significant fall happens between two steps."""
    return any(
        change.significant
        and change.kind in _FALLS
        and change.to_value < change.from_value
        and change.step <= last
        and change.end_step > first
        for change in changes
    )


def _join(
    pieces: Sequence[_Piece], kinds: Sequence[str], scatter: Sequence[float], cuts: Sequence[int]
) -> list[int]:
    """The cuts without the first one between two phases of one kind and much the same course."""
    levels = [v for piece in pieces for v in (piece.segment.start_level, piece.segment.end_level)]
    visible = _VISIBLE * (max(levels) - min(levels))
    for i, (left, right) in enumerate(zip(pieces[:-1], pieces[1:], strict=True)):
        if kinds[i] != kinds[i + 1] or right.segment.start not in cuts:
            continue
        if kinds[i] in ("plateau", "fluctuation"):
            sd = max(scatter[i], scatter[i + 1])
            least = visible if kinds[i] == "plateau" else max(visible, 2 * sd)
            same = _level_apart(left.segment, right.segment, sd) <= least
        else:
            slopes = [_speed(piece.segment) for piece in (left, right)]
            same = max(slopes) < _RAPID * min(slopes)
        if same:
            return [cut for cut in cuts if cut != right.segment.start]
    return list(cuts)


def _level_apart(left: Segment, right: Segment, sd: float) -> float:
    """How far apart the mean levels of two segments are; 0 where noise could do it."""
    apart = abs(right.start_level + right.end_level - left.start_level - left.end_level) / 2
    error = sd * float(np.sqrt(1 / (left.stop - left.start) + 1 / (right.stop - right.start)))
    return apart if apart >= _CLEAR * error else 0.0


def _speed(segment: Segment) -> float:
    return abs(segment.end_level - segment.start_level) / max(segment.stop - segment.start - 1, 1)


def _levelled(piece: _Piece, kind: str, y: FloatArray, sd: float, unit: float) -> Segment:
    """The segment of a phase in the signal's unit; a plateau has two levels only if it moved at all."""
    s = piece.segment
    start, end = s.start_level * unit, s.end_level * unit
    if piece.change is not None:
        start, end = piece.change.from_value, piece.change.to_value
    elif kind in ("plateau", "fluctuation") and abs(end - start) < _CLEAR * sd * piece.error * unit:
        start = end = float(
            np.clip((start + end) / 2, y[s.start : s.stop].min() * unit, y[s.start : s.stop].max() * unit)
        )
    return Segment(s.start, s.stop, start, end, s.sd * unit)


def _phase(kind: str, steps: IntArray, y: FloatArray, segment: Segment, noise: Noise) -> Phase:
    first, last = int(steps[segment.start]), int(steps[segment.stop - 1])
    here = y[segment.start : segment.stop]
    move = segment.end_level - segment.start_level
    tiny = 1e-12 * float(np.abs(here).max())  # what rounding leaves over of a constant
    return Phase(
        kind=kind,
        start=first,
        end=last,
        start_value=segment.start_level,
        end_value=segment.end_level,
        slope=move / (last - first) if last > first else 0.0,
        low=float(here.min()),
        high=float(here.max()),
        noise_sd=segment.sd if len(here) >= SHORTEST and segment.sd > tiny else noise.sd,
    )

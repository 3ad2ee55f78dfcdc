"""Two to five phases that a person would use to describe a curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foreshock.analysis._records import Change, Noise, Phase
from foreshock.analysis.segments import Lines, Segment, boundaries, fit
from foreshock.run import FloatArray, IntArray

_MOST_PHASES = 5
_FEWEST_POINTS = 6  # below this a curve is one phase
_SEARCHED = 400  # points that phases are looked for in: they are coarse
_RAPID = 2.0  # times the rate at which the whole range would be covered in the whole run
_CLEAR = 3.0  # a move counts when it is this many standard errors
_VISIBLE = 0.08  # ... and this share of the range of the levels
_RESTLESS = 1.6  # scatter of a fluctuation, in units of the run's noise
_FALLS = ("drop", "slow_decline", "level_shift")


def phases(
    steps: IntArray, y: FloatArray, noise: Noise | None, changes: Sequence[Change] = ()
) -> tuple[Phase, ...]:
    """Divide one signal into phases: what it did, between which steps, from which level to which.

    Boundaries are those of the segmentation (`segments.boundaries`) and those of the significant drops in
    `changes`; the least telling ones are removed until at most five phases are left, then neighbours of one
    kind are joined. Kinds describe the geometry, not what is good: a `drop` is a fall that `changes` calls
    significant, a fall that it does not is a `slow_decline`. A drop's phase begins at the last step before
    its onset. Levels are those of the fitted lines, robust against outliers.

    Cannot see a phase shorter than three points unless it is a significant drop.

    Args:
        steps: shape (n,), increasing.
        y: shape (n,), finite.
        noise: the run's noise; None where it is unknown.
        changes: what `analyze` found in this signal.
    """
    n = len(y)
    if n == 0:
        return ()
    x = steps.astype(np.float64)
    falls = [change for change in changes if change.significant and change.kind == "drop"]
    if n < _FEWEST_POINTS and not falls:
        return (_phase("single", steps, y, fit(x, y, [])[0]),)
    forced = _forced(steps, falls)
    free = boundaries(x, y, most=_SEARCHED)
    bounds = _thin(x, y, sorted({*forced, *(b for b in free if _apart(b, forced))}), forced)
    while True:
        segments = fit(x, y, bounds)
        segments = [_between_levels(segment, steps, falls) for segment in segments]
        kinds = _kinds(steps, segments, y, noise, changes)
        joined = _join(bounds, kinds, segments, forced)
        if joined == bounds:
            break
        bounds = joined
    return tuple(_phase(kind, steps, y, seg) for kind, seg in zip(kinds, segments, strict=True))


def _forced(steps: IntArray, falls: Sequence[Change]) -> list[int]:
    """Indices where a drop's phase begins (the last step before the onset) and where the next one begins."""
    found: set[int] = set()
    for change in falls:
        onset = int(np.searchsorted(steps, change.step))
        bottom = int(np.searchsorted(steps, change.end_step, side="right"))
        found |= {max(onset - 1, 0), bottom}
    return sorted(index for index in found if 0 < index < len(steps))


def _apart(bound: int, forced: Sequence[int]) -> bool:
    return all(abs(bound - other) >= 3 for other in forced) and not any(
        low < bound < high for low, high in zip(forced[::2], forced[1::2], strict=False)
    )


def _thin(x: FloatArray, y: FloatArray, bounds: list[int], forced: Sequence[int]) -> list[int]:
    """Remove the boundary whose loss costs least until at most five phases are left."""
    lines = Lines(x, y)
    while len(bounds) >= _MOST_PHASES:
        edges = [0, *bounds, len(y)]
        left, cut, right = (np.array(part) for part in (edges[:-2], edges[1:-1], edges[2:]))
        loss = lines.error(left, right) - lines.error(left, cut) - lines.error(cut, right)
        if set(bounds) - set(forced):
            loss[np.isin(cut, list(forced))] = np.inf
        bounds = [bound for bound in bounds if bound != cut[int(np.argmin(loss))]]
    return bounds


def _between_levels(segment: Segment, steps: IntArray, falls: Sequence[Change]) -> Segment:
    """A drop is too short for a line of its own: take the levels that its significance was found with."""
    first, last = int(steps[segment.start]), int(steps[segment.stop - 1])
    for change in falls:
        if first < change.step <= last and change.end_step == last and segment.stop - segment.start <= 12:
            return Segment(segment.start, segment.stop, change.from_value, change.to_value, segment.sd)
    return segment


def _kinds(
    steps: IntArray,
    segments: Sequence[Segment],
    y: FloatArray,
    noise: Noise | None,
    changes: Sequence[Change],
) -> list[str]:
    """What each segment does."""
    levels = [level for segment in segments for level in (segment.start_level, segment.end_level)]
    span = max(levels) - min(levels)
    whole = max(float(steps[-1] - steps[0]), 1.0)
    kinds: list[str] = []
    fell = False
    for segment in segments:
        move = segment.end_level - segment.start_level
        count = segment.stop - segment.start
        long_run = noise.long_run_sd if noise else segment.sd
        error = long_run * np.sqrt(12 / count) if count > 2 else long_run * np.sqrt(2)
        first, last = int(steps[segment.start]), int(steps[segment.stop - 1])
        dropped = _overlaps(changes, first, last, ("drop",))
        if dropped and move < 0:
            kind = "drop"
        elif abs(move) < max(_CLEAR * error, _VISIBLE * span) or move == 0:
            restless = noise is not None and count >= 8 and segment.sd > _RESTLESS * noise.long_run_sd > 0
            kind = "fluctuation" if restless else "plateau"
        elif move > 0:
            rate = move / max(float(last - first), 1.0)
            kind = "recovery" if fell else ("rapid_rise" if rate > _RAPID * span / whole else "slow_rise")
        else:
            rate = -move / max(float(last - first), 1.0)
            rapid = rate > _RAPID * span / whole and _overlaps(changes, first, last, _FALLS)
            kind = "drop" if rapid else "slow_decline"
        fell = kind == "drop" or (fell and kind == "plateau")
        kinds.append(kind)
    return kinds


def _overlaps(changes: Sequence[Change], first: int, last: int, kinds: Sequence[str]) -> bool:
    """Whether a significant fall of these kinds happens between two steps."""
    return any(
        change.significant
        and change.kind in kinds
        and change.to_value < change.from_value
        and change.step <= last
        and change.end_step > first
        for change in changes
    )


def _join(
    bounds: list[int], kinds: Sequence[str], segments: Sequence[Segment], forced: Sequence[int]
) -> list[int]:
    """The boundaries without the first one between two phases of one kind that meet without a jump."""
    levels = [level for segment in segments for level in (segment.start_level, segment.end_level)]
    jump = _VISIBLE * 2 * (max(levels) - min(levels))
    for index, bound in enumerate(bounds):
        apart = abs(segments[index + 1].start_level - segments[index].end_level)
        if kinds[index] == kinds[index + 1] and bound not in forced and apart <= jump:
            return [other for other in bounds if other != bound]
    return bounds


def _phase(kind: str, steps: IntArray, y: FloatArray, segment: Segment) -> Phase:
    first, last = int(steps[segment.start]), int(steps[segment.stop - 1])
    here = y[segment.start : segment.stop]
    move = segment.end_level - segment.start_level
    return Phase(
        kind=kind,
        start=first,
        end=last,
        start_value=segment.start_level,
        end_value=segment.end_level,
        slope=move / (last - first) if last > first else 0.0,
        low=float(here.min()),
        high=float(here.max()),
        noise_sd=segment.sd,
    )

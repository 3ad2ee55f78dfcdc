"""Falls: a signal that should rise, or hold, sinks to a lower level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foreshock.analysis._locate import Ramp, locate
from foreshock.analysis._records import Change
from foreshock.analysis._scan import SHORTEST, block_means, fall_scores, windows
from foreshock.analysis._significance import null_tables, p_values
from foreshock.analysis._trace import Trace, recovery, sized
from foreshock.analysis.noise import scatter_of_one
from foreshock.run import FloatArray

_MOST = 6  # falls looked for in one run
_SMALL, _MIDDLING, _LARGE, _HUGE = 1.0, 2.0, 2.5, 5.0  # sizes in units of the noise of one point
_CERTAIN = 0.001
_MOST_OF_IT = 0.7  # of a slow fall: what a drop within it must explain to be the event
_BACK_ROWS = 20  # before a fall that give its level (in a long run a twelfth)
_ABRUPT_ROWS, _ABRUPT_SHARE = 10, 0.15  # a fall spread over more rows, or more of the run, is a slow one


def find_falls(trace: Trace, alpha: float) -> list[Change]:
    """Find drops and slow declines, at a stated rate of false alarms for the whole run.

    Decides for all of them together: on runs in which nothing falls, whatever way they grow, at most a
    share `alpha` gets any (calibrated, not guaranteed: AR(1) noise with phi up to 0.8; see
    design/significance.md). Growth needs no model. Long runs are scanned on means of blocks of rows, so a
    dip shorter than two blocks can pass unseen.

    Cannot see a fall within the first three or the last two rows, nor tell a real slow decline from
    noise that wanders as slowly.
    """
    y, size = block_means(trace.y[None, :])
    if y.shape[-1] < SHORTEST:
        return []
    scatter = trace.scatter if size == 1 else scatter_of_one(y[0])
    scores = fall_scores(y, scatter)[0]
    found: list[Change] = []
    spans = [(0, y.shape[-1])]
    while spans and len(found) < _MOST:
        low, high = spans.pop()
        best = _best_pair(scores, y.shape[-1], low, high)
        if best is None:
            continue
        p = float(p_values(scores[best : best + 1], scatter.phi, y.shape[-1], null_tables()["fall"])[0])
        if p > alpha:
            continue
        ramp = _locate_pair(trace, best, y.shape[-1], size, (low * size, min(high * size, len(trace.y))))
        if ramp.before > ramp.after and _is_worth_telling(change := _describe(trace, ramp, p)):
            found.append(change)
        bottom, top = ramp.end // size, ramp.onset // size
        spans += [span for span in ((low, max(top, low)), (min(bottom, high), high)) if span != (low, high)]
    return found


def _is_worth_telling(change: Change) -> bool:
    """Whether a fall is large enough for a sentence: certainty grows with the length of a run, size does not.

    A swing that came back is part of how noisy rewards move (data in order of difficulty, few prompts a
    step) unless it is large, or huge where it was slow; a small fall is told when certain and lasting.
    """
    recovered = change.recovered or 0.0
    if change.sigma is None:
        return True
    if recovered >= 0.5:
        return change.sigma >= (_LARGE if change.kind == "drop" else _HUGE)
    lasting = recovered < 0.25 and (change.p_value or 0.0) < _CERTAIN
    return change.sigma >= (_SMALL if lasting else _MIDDLING)


def _best_pair(scores: FloatArray, n: int, low: int, high: int) -> int | None:
    """The highest-scoring pair of windows within rows low..high."""
    pairs = windows(n)
    length = (pairs.before + pairs.gap + pairs.after)[pairs.shape]
    inside = (pairs.start >= low) & (pairs.start + length <= high)
    if not inside.any():
        return None
    return int(np.argmax(np.where(inside, scores, -np.inf)))


def _locate_pair(trace: Trace, pair: int, n: int, size: int, span: tuple[int, int]) -> Ramp:
    """Place the fall that a pair of windows saw: among a few rows, or over all it saw if it is a slow one."""
    pairs = windows(n)
    shape = pairs.shape[pair]
    before, gap, after = int(pairs.before[shape]), int(pairs.gap[shape]), int(pairs.after[shape])
    middle = int(pairs.start[pair]) + before
    row = min(middle * size, len(trace.y) - 1)
    sd, phi = float(trace.scatter.local[0, row]), float(trace.scatter.phi[0])
    last = min(span[1], (middle + gap + after + max(after // 2, 4)) * size)
    back = before + max(before // 2, 4)
    wide = locate(trace.y, max(span[0], (middle - back) * size), last, sd, phi, falls=True)
    # Far back the curve bends: a line through too many rows would miss the level at the onset.
    back = min(back, max(_BACK_ROWS, n // 12)) + gap
    near = locate(trace.y, max(span[0], (middle - back) * size), last, sd, phi, falls=True)
    slow = _is_slow(trace, wide) and near.before - near.after < _MOST_OF_IT * (wide.before - wide.after)
    return wide if slow else near


def _is_slow(trace: Trace, ramp: Ramp) -> bool:
    """Whether a fall takes more rows, or more of the run, than a drop."""
    return ramp.end - ramp.onset + 1 > max(_ABRUPT_ROWS, _ABRUPT_SHARE * len(trace.y))


def _describe(trace: Trace, ramp: Ramp, p: float) -> Change:
    """A drop or a slow decline, with what has recovered since."""
    change = sized(
        trace,
        "slow_decline" if _is_slow(trace, ramp) else "drop",
        (ramp.onset, ramp.low, ramp.high, ramp.end),
        (ramp.before, ramp.after),
        p,
    )
    share, by = recovery(trace, ramp.end, ramp.before, ramp.after)
    return replace(change, recovered=share, recovered_by=by)

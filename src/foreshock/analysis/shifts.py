"""Shifts: a signal jumps to another level, beyond any trend it had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foreshock.analysis._jumps import SHORTEST, jump_scores, shapes
from foreshock.analysis._locate import Ramp, locate
from foreshock.analysis._records import Change
from foreshock.analysis._scan import block_means
from foreshock.analysis._significance import null_tables, p_values
from foreshock.analysis._trace import Trace, recovery, sized
from foreshock.analysis.noise import Scatter, scatter_of_one
from foreshock.run import FloatArray

_MOST = 4  # shifts looked for in one signal
_ROWS, _SHARE = 8, 0.1  # a shift takes no more rows, or no more of the run
_LEAST = 2.5  # in noise: a smaller shift may be certain and still not worth a sentence
_NOISELESS = 0.1  # of the range: the same for a signal without noise, in which every bend is certain


def find_shifts(trace: Trace, kind: str, alpha: float, *, upwards_only: bool = False) -> list[Change]:
    """Find abrupt shifts in either direction, of a signal whose trend may go either way.

    Compares a line through the rows before with a line through the rows after, so steady growth and
    decline are no shift. Calibrated like the falls, against AR(1) noise with phi up to 0.8.

    Cannot see a shift within five rows of either end, nor one spread over more rows than half of what
    is on either side; a sharp bend of a very smooth signal can look like a small shift.
    """
    y, size = block_means(trace.y[None, :])
    n = y.shape[-1]
    if n < SHORTEST:
        return []
    scatter = trace.scatter if size == 1 else scatter_of_one(y[0])
    found: list[Change] = []
    spans = [(0, n)]
    while spans and len(found) < _MOST:
        low, high = spans.pop()
        hit = _highest(y, scatter, low, high)
        if hit is None:
            continue
        row, score, shape = hit
        p = float(p_values(np.array([abs(score)]), scatter.phi, n, null_tables()["jump"])[0])
        if p > alpha:
            continue
        side, gap = shapes()[shape]
        first, last = max(low, row - gap - side - 3) * size, min(high, row + side + 3) * size
        at = min(row * size, len(trace.y) - 1)
        ramp = locate(
            trace.y, first, min(last, len(trace.y)), float(trace.scatter.local[0, at]), trace.noise.phi
        )
        same_way = (ramp.after > ramp.before) == (score > 0)
        if _abrupt(trace, ramp) and same_way and (score > 0 or not upwards_only):
            rows = (ramp.onset, ramp.low, ramp.high, ramp.end)
            change = sized(trace, kind, rows, (ramp.before, ramp.after), p)
            # A signal with a trend of its own passes its old level sooner or later: no recovery.
            drift = max(abs(slope) for slope in ramp.slopes) * (len(trace.y) - ramp.end)
            if drift < 0.5 * abs(ramp.after - ramp.before):
                share, by = recovery(trace, ramp.end, ramp.before, ramp.after)
                change = replace(change, recovered=share, recovered_by=by)
            found.append(change)
        top, bottom = ramp.onset // size, ramp.end // size
        spans += [span for span in ((low, max(top, low)), (min(bottom, high), high)) if span != (low, high)]
    return found


def _abrupt(trace: Trace, ramp: Ramp) -> bool:
    """Whether a ramp is short, and large beyond what the slopes on either side would have done."""
    rows = ramp.end - ramp.onset + 1
    trend = rows * max(abs(slope) for slope in ramp.slopes)
    excess = abs(ramp.after - ramp.before) - trend
    least = _LEAST * trace.noise.sd or _NOISELESS * float(np.ptp(trace.y))
    return rows <= max(_ROWS, _SHARE * len(trace.y)) and excess >= least


def _highest(y: FloatArray, scatter: Scatter, low: int, high: int) -> tuple[int, float, int] | None:
    """Row, score and shape of the highest jump between two rows."""
    if high - low < SHORTEST:
        return None
    part = replace(scatter, local=scatter.local[:, low:high])
    score, which = jump_scores(y[:, low:high], part)
    row = int(np.argmax(np.abs(score[0])))
    return low + row, float(score[0, row]), int(which[0, row])

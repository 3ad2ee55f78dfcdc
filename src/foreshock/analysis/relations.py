"""How signals move together: on levels, on what is left after each trend, with a lag, and where they part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from foreshock._arrays import stretches
from foreshock.analysis._records import Change, Phase, PhaseRelation, Relation
from foreshock.analysis.noise import estimate_noise, moving_median
from foreshock.run import FloatArray, IntArray

FEWEST = 12  # rows that both signals must have
_FEWEST_IN_PHASE = 8
_MOST_ROWS = 10_000  # of a pair that is looked at
_LONGEST_LAG = 5
_TRENDING = 0.6  # rank correlation with time from which a signal counts as trending
_LEADS = ("drop", "rise", "level_shift", "slow_decline")
_MOVES = (*_LEADS, "saturation", "flat_line")
_PARTNERS = {
    "reward_mean": (
        "response_length_mean",
        "entropy",
        "kl_ref",
        "grad_norm",
        "clip_ratio",
        "truncation_ratio",
        "mismatch_logprob_abs",
        "mismatch_kl",
        "eval_score",
    ),
    "response_length_mean": ("entropy", "kl_ref"),
}


def find_relations(
    steps: IntArray,
    series: Mapping[str, FloatArray],
    changes: Sequence[Change],
    phases: Mapping[str, Sequence[Phase]],
    alpha: float = 0.05,
) -> list[Relation]:
    """Relate the reward, and the length, to the signals that describe the policy.

    Args:
        steps: shape (n,).
        series: signals, each of shape (n,), NaN where not logged.
        changes: significant changes of these signals.
        phases: of each signal; those of `a` divide the run for the correlations per phase.
        alpha: of the search for a lag within one pair.

    Returns:
        At most eleven pairs, those with the reward first.
    """
    found = []
    left: dict[tuple[str, bytes], FloatArray] = {}
    for a, partners in _PARTNERS.items():
        for b in partners:
            if a in series and b in series:
                pair = (a, series[a]), (b, series[b])
                relation = _relate(steps, *pair, changes, phases.get(a, ()), alpha, left)
                if relation is not None:
                    found.append(relation)
    return found


def _relate(
    steps: IntArray,
    first: tuple[str, FloatArray],
    second: tuple[str, FloatArray],
    changes: Sequence[Change],
    phases: Sequence[Phase],
    alpha: float,
    left: dict[tuple[str, bytes], FloatArray],
) -> Relation | None:
    """One pair, or None with too few common rows or a signal that stands still.

    What is left of each signal after its trend is kept in `left`, as most pairs have the same rows.
    """
    (a, x), (b, y) = first, second
    both = np.isfinite(x) & np.isfinite(y)
    steps, x, y = steps[both], x[both], y[both]
    if len(x) < FEWEST or x.min() == x.max() or y.min() == y.max():
        return None
    count = len(x)
    for name, values in ((a, x), (b, y)):
        if (name, both.tobytes()) not in left:
            left[name, both.tobytes()] = residual(values)
    u, v = left[a, both.tobytes()], left[b, both.tobytes()]
    rows = _enough_rows(count)
    steps, x, y, u, v = steps[rows], x[rows], y[rows], u[rows], v[rows]
    correlation, p = change_correlation(u, v)
    level = rank_correlation(x, y)
    time = np.arange(len(x), dtype=np.float64)
    trends = [rank_correlation(z, time) or 0.0 for z in (x, y)]
    trending = min(abs(t) for t in trends) >= _TRENDING
    parted = _decoupled(steps, (a, x), (b, y), changes)
    return Relation(
        a=a,
        b=b,
        count=count,
        level_correlation=level,
        change_correlation=correlation,
        change_p_value=p,
        lag=None if correlation is None else _lag(u, v, alpha),
        trending=trending,
        phases=tuple(_per_phase(steps, x, y, u, v, phases)),
        decoupled_at=parted[0] if parted else None,
        detail=parted[1] if parted else "",
    )


def _enough_rows(count: int) -> IntArray:
    """All rows of a run, or of a very long one evenly spread stretches of consecutive rows.

    Ten thousand rows fix a correlation to within 0.02; sorting ten times as many for every lag does not help.
    """
    if count <= _MOST_ROWS:
        return np.arange(count)
    stretch = 500
    starts = np.linspace(0, count - stretch, _MOST_ROWS // stretch).astype(np.int64)
    return (starts[:, None] + np.arange(stretch)).ravel()


def residual(y: FloatArray) -> FloatArray:
    """What is left of a signal after its trend: the running median of up to 15 points, taken out.

    Nothing is left of a signal without noise; at its ends the median would lag behind the trend.
    """
    if not estimate_noise(y).sd:
        return np.zeros_like(y)
    half = max(2, min(len(y) // 6, 7))
    return np.asarray(y - moving_median(y[None, :], half)[0])


def rank_correlation(x: FloatArray, y: FloatArray) -> float | None:
    """Spearman's rank correlation (outliers count no more than their rank); None where one is constant."""
    a, b = ranks(x), ranks(y)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(np.clip(a @ b / scale, -1.0, 1.0)) if scale > 0 else None


def ranks(y: FloatArray) -> FloatArray:
    """Ranks from 0, equal values share their mean rank; shape (n,)."""
    order = np.argsort(y)
    ordered = y[order]
    found = np.empty(len(y))
    if not (ordered[1:] == ordered[:-1]).any():  # the usual case, and faster
        found[order] = np.arange(len(y))
        return found
    starts, counts = stretches(ordered)
    found[order] = np.repeat(starts + (counts - 1) / 2, counts)
    return found


def change_correlation(u: FloatArray, v: FloatArray) -> tuple[float | None, float | None]:
    """Rank correlation of two residuals and its p-value (two-sided) allowing for autocorrelation.

    The number of independent points is n / (1 + 2 sum r_u(k) r_v(k)) (Bartlett), over the first ten lags.
    """
    correlation = rank_correlation(u, v)
    if correlation is None:
        return None, None
    return correlation, _p_value(correlation, _independent(u, v))


def _independent(u: FloatArray, v: FloatArray) -> float:
    """Number of independent pairs in two autocorrelated residuals, never more than there are."""
    a, b = (z - z.mean() for z in (ranks(u), ranks(v)))
    most = min(10, len(a) // 3)
    total = 0.0
    for lag in range(1, most + 1):
        total += float(a[lag:] @ a[:-lag]) / float(a @ a) * float(b[lag:] @ b[:-lag]) / float(b @ b)
    return len(a) / max(1.0, 1 + 2 * total)


def _p_value(correlation: float, count: float) -> float:
    """Two-sided p of a rank correlation of `count` independent pairs (Fisher's z, factor 1.06)."""
    z = math.atanh(min(abs(correlation), 0.999999)) * math.sqrt(max(count - 3, 0.5) / 1.06)
    return max(math.erfc(z / math.sqrt(2)), 1e-12)


def _lag(u: FloatArray, v: FloatArray, alpha: float) -> int | None:
    """Rows by which v follows u, where that link is significant and clearly stronger than without a lag."""
    most = min(_LONGEST_LAG, len(u) // 5)
    at: dict[int, float] = {}
    for lag in range(-most, most + 1):
        early, late = (u[: len(u) - lag], v[lag:]) if lag >= 0 else (u[-lag:], v[:lag])
        at[lag] = rank_correlation(early, late) or 0.0
    best = max(at, key=lambda lag: abs(at[lag]))
    count = _independent(u, v)
    if best == 0 or _p_value(at[best], count) * len(at) > alpha:
        return None
    ahead = math.atanh(min(abs(at[best]), 0.999999)) - math.atanh(min(abs(at[0]), 0.999999))
    return best if ahead > 2.5 / math.sqrt(max(count - 3, 1.0)) else None


def _per_phase(
    steps: IntArray, x: FloatArray, y: FloatArray, u: FloatArray, v: FloatArray, phases: Sequence[Phase]
) -> list[PhaseRelation]:
    """Both correlations within each phase that has enough rows."""
    found = []
    for phase in phases:
        inside = (steps >= phase.start) & (steps <= phase.end)
        if inside.sum() >= _FEWEST_IN_PHASE:
            level = rank_correlation(x[inside], y[inside])
            change = rank_correlation(u[inside], v[inside])
            found.append(PhaseRelation(phase.start, phase.end, level, change))
    return found


def _decoupled(
    steps: IntArray,
    first: tuple[str, FloatArray],
    second: tuple[str, FloatArray],
    changes: Sequence[Change],
) -> tuple[int, str] | None:
    """The first step at which one of two signals moves to another level and the other does not go with it.

    Not going with it means: no change of its own whose onset may be the same, and at the onset no jump
    beyond three standard errors. A signal that joins later is named with its own step.
    """
    values = dict((first, second))
    for change in sorted(changes, key=lambda c: c.step):
        if change.signal not in values or change.kind not in _LEADS:
            continue
        other = next(name for name in values if name != change.signal)
        row = int(np.searchsorted(steps, change.step))
        high = steps[min(int(np.searchsorted(steps, change.step_interval[1])) + 1, len(steps) - 1)]
        own = [c for c in changes if c.signal == other and c.kind in _MOVES and c.end_step >= change.step]
        with_it = any(c.step_interval[0] <= high and c.end_step >= change.step_interval[0] for c in own)
        if with_it or not _goes_on(values[other], row):
            continue
        later = [c.step for c in own if c.step > change.step]
        end = f"changes only at step {min(later)}" if later else "does not follow"
        return change.step, f"{change.signal} changes at step {change.step}, {other} {end}"
    return None


def _goes_on(y: FloatArray, row: int) -> bool:
    """Whether two rows lie where a line through up to eight rows before them leads, within their noise."""
    side, ahead = min(8, row), min(2, len(y) - row)
    if side < 4 or ahead < 1:
        return False
    before = np.arange(side) - (side - 1) / 2
    reach = side + (ahead - 1) / 2 - (side - 1) / 2  # from the middle of the line to the middle of the rows
    weight = np.concatenate([-(1 / side + reach * before / (before**2).sum()), np.full(ahead, 1 / ahead)])
    noise = estimate_noise(y)
    overlap = np.correlate(weight, weight, mode="full")[len(weight) - 1 :]
    variance = overlap[0] + 2 * float(overlap[1:] @ noise.phi ** np.arange(1, len(weight)))
    error = noise.sd * math.sqrt(max(variance, 1e-12))
    return abs(float(weight @ y[row - side : row + ahead])) <= 3 * error

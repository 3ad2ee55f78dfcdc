"""How much each signal scatters, kept up to date row by row; what the detectors measure their evidence in.

A window of the last `WINDOW` values of each signal is all that is kept, so memory does not grow with the run.
Differences of successive values free the estimate from trends and steps: their robust size gives the scatter,
their growth with the lag the autocorrelation (see `foreshock.analysis.noise`, the same for a finished run),
and their fourth moment the weight of the tails. Blocks of 8 and 16 rows show slow wander beyond the
autocorrelation.

What it cannot see: wander that is slower than about 50 rows, and, in the first 30 rows, most of anything: it
then leans on what is usual (white noise, tails a little heavier than normal).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from foreshock._arrays import running_sums
from foreshock.analysis.noise import bend_variance, phi_of_growth
from foreshock.run import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

WINDOW = 160  # rows that are remembered
FEWEST = 6  # rows before which nothing is known
_SKIPPED = 4  # newest rows that are left out
_RECENT = 80  # differences that the scatter is taken from: it drifts
_LAGS = 5
_MAD = 1.4826
_P90 = 1.6449  # of the size of a standard normal
_ROUNDING = 1e-12
_CLIP, _CLIP_TAILS = 3.0, 8.0  # standard deviations of a difference
_STEEP, _STEEP_ROWS, _SLOPE_ROWS = 0.5, 4, 20  # size of a steep local mean; rows on each side of means
_CLIPPED = 1.03  # variance lost by clipping normal differences at 3
_PRIOR_PHI, _ROWS_PHI = 0.15, 20  # what is usual, and how many rows that counts for
_PRIOR_TAILS, _ROWS_TAILS = 1.0, 40
_ROWS_WANDER = 12
_BLOCKS = (8, 16)
_SLOPE = 48  # rows of the slope
_EARLY, _EVERY, _EVERY_LATE = (
    40,
    8,
    16,
)  # rows that are all estimated at; how many pass between two from then on
_FREE, _SLOW, _SLOWER = 0.15, 0.5, 2.2  # autocorrelation from which on `slowness` grows, and how
_MEMORY = 600  # rows over which autocorrelation and tails are averaged in a long run


class State(NamedTuple):
    """What is kept of k signals.

    Attributes:
        window: (k, WINDOW) last values, newest last; 0 where there were none yet.
        rows: (k,) values so far.
        sd: (k,) standard deviation of a single value.
        phi: (k,) lag-1 autocorrelation.
        tails: (k,) excess kurtosis.
        wander: (k, 3) standard deviation of means of 1, 8 and 16 rows over what `phi` predicts, at least 1.
        dof: (k,) degrees of freedom that `sd` is worth, at least 1.
        moved: (k,) rows among the last 80 whose value differs from the one before.
        slope: (k,) mean change a row over the last 48, sudden changes clipped.
        slowness: (k,) by how much evidence is discounted for autocorrelation, and for how little is known of
            it, at least 1.
    """

    window: FloatArray
    rows: IntArray
    sd: FloatArray
    phi: FloatArray
    tails: FloatArray
    wander: FloatArray
    dof: FloatArray
    moved: IntArray
    slope: FloatArray
    slowness: FloatArray


class Seen(NamedTuple):
    """What a detector sees after a row: the state, and which signals have a new value."""

    noise: State
    fresh: BoolArray

    def toward(self, rows: IntArray, signs: FloatArray) -> Seen:
        """Some signals, in an order of one's own, turned so that their bad direction is down."""
        noise = _taken(self.noise, rows)
        window, slope = noise.window * signs[:, None], noise.slope * signs
        return Seen(noise._replace(window=window, slope=slope), self.fresh[rows])

    def part(self, first: int, last: int) -> Seen:
        """The signals in these places; nothing is copied."""
        return Seen(_taken(self.noise, slice(first, last)), self.fresh[first:last])


def _taken(state: State, rows: IntArray | slice) -> State:
    parts: list[Any] = [part[rows] for part in state]
    return State(*parts)


def start(k: int) -> State:
    """Nothing known of k signals."""
    return State(
        np.zeros((k, WINDOW)),
        np.zeros(k, dtype=np.int64),
        np.zeros(k),
        np.full(k, _PRIOR_PHI),
        np.full(k, _PRIOR_TAILS),
        np.ones((k, 1 + len(_BLOCKS))),
        np.ones(k),
        np.zeros(k, dtype=np.int64),
        np.zeros(k),
        np.ones(k),
    )


def forget(state: State, row: int, kept: int) -> State:
    """The state as if one signal had begun `kept` rows ago; what its scatter was is still known."""
    rows = state.rows.copy()
    rows[row] = min(int(rows[row]), kept)
    return state._replace(rows=rows)


def step(
    state: State, x: FloatArray, known: FloatArray | None = None, worth: float = 8.0
) -> tuple[State, Seen]:
    """Take in one row.

    Args:
        state: of k signals; not changed.
        x: (k,) values; what is not finite is passed over.
        known: (k,) standard deviation that is known from elsewhere; NaN where it is not.
        worth: rows that this counts for beside the run's own.
    """
    fresh = np.isfinite(x)
    window = np.empty_like(state.window)
    window[:, :-1], window[:, -1] = state.window[:, 1:], x
    if not fresh.all():
        window[~fresh] = state.window[~fresh]
    rows = state.rows + fresh
    due = (
        fresh
        & (rows >= FEWEST)
        & (rows % np.where(rows < _EARLY, 1, np.where(rows < WINDOW, _EVERY, _EVERY_LATE)) == 0)
    )
    state = state._replace(window=window, rows=rows)
    if due.any():
        lengths = np.minimum(rows, WINDOW)
        for length in sorted(set(lengths[due].tolist())):  # nearly always one
            state = _estimated(state, np.flatnonzero(due & (lengths == length)), length, known, worth)
    return state, Seen(state, fresh)


def _estimated(state: State, rows: IntArray, length: int, known: FloatArray | None, worth: float) -> State:
    """The state with a new estimate for some signals that all have `length` values in their window."""
    skipped = min(_SKIPPED, length // 8)  # or a fall would widen what it is measured in
    values = state.window[rows, WINDOW - length : WINDOW - skipped]
    length -= skipped
    moves = np.diff(values, axis=1)
    recent = min(length - 1, _RECENT)
    middle, unit = _robust(moves[:, -recent:])
    raw = (moves - middle) / np.where(unit > 0, unit, 1.0)
    scaled, kept = _without_slope(raw)
    clipped = np.clip(scaled, -_CLIP, _CLIP) * kept
    long = state.rows[rows] > WINDOW
    phi = _settled(state.phi[rows], _autocorrelation(clipped, kept, length), long)
    held = np.maximum(kept[:, -recent:].sum(1), 1.0)
    variance = _CLIPPED * (clipped[:, -recent:] ** 2).sum(1) / held / (2 * (1 - phi))
    variance *= np.where(unit > 0, unit, 0.0)[:, 0] ** 2
    dof = 0.6 * held
    if known is not None:
        of_batch = known[rows]
        given = np.isfinite(of_batch) & (of_batch > 0)
        mixed = (dof * variance + worth * np.where(given, of_batch, 0.0) ** 2) / (dof + worth)
        variance, dof = np.where(given, mixed, variance), np.where(given, dof + worth, dof)
    slow = np.maximum(phi + 1 / np.sqrt(state.rows[rows]) - _FREE, 0.0)
    sd = np.sqrt(variance)
    sd[sd <= _ROUNDING * np.abs(values).max(1)] = 0.0  # the last digits of a double are no scatter
    new = {
        "sd": sd,
        "phi": phi,
        "tails": _settled(state.tails[rows], _tails(scaled * kept, length), long),
        "wander": _wander(values, kept, sd, phi),
        "dof": np.maximum(dof, 1.0),
        "slowness": 1 + _SLOW * slow + _SLOWER * slow**2,
        "slope": (middle + unit * np.clip(raw[:, -_SLOPE:], -_CLIP, _CLIP).mean(1, keepdims=True))[:, 0],
        "moved": (moves[:, -recent:] != 0).sum(1),
    }
    changed = {}
    for name, part in new.items():
        whole = getattr(state, name).copy()
        whole[rows] = part
        changed[name] = whole
    return state._replace(**changed)


def _robust(moves: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median and robust size of differences, (k, 1) each; also where most of them are 0."""
    count = moves.shape[1]
    half, most = count // 2, int(0.9 * (count - 1))
    middle = np.partition(moves, half, axis=1)[:, half : half + 1]
    size = np.abs(moves - middle)
    ordered = np.partition(size, sorted({half, most}), axis=1)
    unit = np.maximum(_MAD * ordered[:, half : half + 1], 0.8 / _P90 * ordered[:, most : most + 1])
    return middle, np.where(unit > 0, unit, 1.2533 * size.mean(1, keepdims=True))


def _without_slope(moves: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Differences less their local mean, and 1 for each but those of steep stretches, which are left out.

    The first rows of a learning curve may rise by more than they scatter: they say nothing of the scatter.
    """
    clipped = np.clip(moves, -_CLIP, _CLIP)
    steep = np.abs(_around(clipped, _STEEP_ROWS)) > _STEEP
    steep &= ~steep.all(1, keepdims=True)
    kept = (~steep).astype(np.float64)
    weight = np.maximum(_around(kept, _SLOPE_ROWS), 1e-3)
    slope = _around(clipped * kept, _SLOPE_ROWS) / weight
    return moves - slope, kept


def _around(moves: FloatArray, half: int) -> FloatArray:
    """Mean over up to 2 * half + 1 places around each."""
    n = moves.shape[1]
    path = running_sums(moves)
    place = np.arange(n)
    low, high = np.maximum(place - half, 0), np.minimum(place + half + 1, n)
    return np.asarray((path[:, high] - path[:, low]) / (high - low))


def _autocorrelation(moves: FloatArray, kept: FloatArray, length: int) -> FloatArray:
    """Lag-1 autocorrelation, leaning on what is usual as long as there are few rows."""
    path, count = running_sums(moves), running_sums(kept)
    sizes = []
    for lag in range(1, min(_LAGS, length - 2) + 1):
        whole = (count[:, lag:] - count[:, :-lag]) == lag
        moved = (path[:, lag:] - path[:, :-lag]) ** 2 * whole
        sizes.append(moved.sum(1) / np.maximum(whole.sum(1), 1))
    first = np.where(sizes[0] > 0, sizes[0], 1.0)
    growth = sum(sizes[1:], np.zeros_like(first)) / first + (_LAGS - len(sizes))
    found = np.where(sizes[0] > 0, phi_of_growth(growth), 0.0)
    trust = length / (length + _ROWS_PHI)
    return np.asarray(np.clip(trust * found + (1 - trust) * _PRIOR_PHI, -0.3, 0.95))


def _tails(moves: FloatArray, length: int) -> FloatArray:
    """Excess kurtosis of the values from that of their differences, which have half of it."""
    squares = np.clip(moves, -_CLIP_TAILS, _CLIP_TAILS) ** 2
    excess = (squares**2).mean(1) / np.maximum(squares.mean(1) ** 2, 1e-12) - 3
    found = (length * 2 * excess + _ROWS_TAILS * _PRIOR_TAILS) / (length + _ROWS_TAILS)
    return np.asarray(np.clip(found, 0.1, 6.0))


def _settled(old: FloatArray, new: FloatArray, long: BoolArray) -> FloatArray:
    """In a long run what moves slowly is averaged over more rows than the window has."""
    return np.asarray(np.where(long, old + (new - old) * _EVERY_LATE / _MEMORY, new))


def _wander(values: FloatArray, kept: FloatArray, sd: FloatArray, phi: FloatArray) -> FloatArray:
    """How much more than predicted means of blocks scatter, from their second differences.

    Three blocks with a steep stretch in them say nothing.
    """
    found = np.ones((len(values), 1 + len(_BLOCKS)))
    alive = sd > 0
    path = running_sums((values - values[:, -1:]) / np.where(alive, sd, 1.0)[:, None])
    steep = running_sums(1 - kept)
    for place, block in enumerate(_BLOCKS, 1):
        hop = block // 4
        means = (path[:, block:] - path[:, :-block])[:, ::hop] / block
        bends = means[:, 8:] - 2 * means[:, 4:-4] + means[:, :-8]
        if bends.shape[1] < 2:
            continue
        span = 3 * block - 1
        calm = (steep[:, span:] - steep[:, :-span])[:, ::hop] == 0
        sizes = np.abs(bends) * calm
        ordered = np.sort(np.where(calm, sizes, np.inf), axis=1)
        used = calm.sum(1)
        limit = 3 * _MAD * np.take_along_axis(ordered, np.maximum(used - 1, 0)[:, None] // 2, axis=1)
        seen = (np.minimum(sizes, limit) ** 2).sum(1) / np.maximum(used, 1) / bend_variance(block, phi)
        blocks = used * hop / block
        found[:, place] = np.where(alive, (blocks * seen + _ROWS_WANDER) / (blocks + _ROWS_WANDER), 1.0)
    return np.asarray(np.sqrt(np.maximum(np.maximum.accumulate(found, axis=1), 1.0)))

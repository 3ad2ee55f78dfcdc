"""The run's own scatter: how much a point, or the mean of a few points, moves by chance alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from foreshock._arrays import median, median_of, mirrored, running_sums, stretches
from foreshock.analysis._records import Noise
from foreshock.run import FloatArray

BoolArray = npt.NDArray[np.bool_]

_MAD = 1.4826  # median absolute deviation -> standard deviation of a normal
_LAGS = 5  # lags whose differences say how slowly the scatter forgets
_LONG = 5000  # rows from which running medians are taken by sorting shifted copies
_NEIGHBOURS = 12  # points on each side that the local scatter looks at
_STILL, _FEWEST_ALIVE = 10, 8  # rows of a still stretch; rows that must be left without them
_ROUNDING = 1e-12  # of the usual value: less is no noise but the last digits of a double
_PHI = np.linspace(-0.5, 0.98, 297)
_RATIO = sum((sum(_PHI**j for j in range(k)) for k in range(2, _LAGS + 1)), np.zeros_like(_PHI))


@dataclass(frozen=True)
class Scatter:
    """Scatter of several series at once, each of shape (draws, ...).

    Attributes:
        sd: (draws,) marginal standard deviation.
        phi: (draws,) lag-1 autocorrelation.
        local: (draws, n) standard deviation around each point, never below `sd`.
        scales: block lengths at which slow wander was looked for.
        wander: (draws, len(scales)) variance of block means over what `phi` predicts, at least 1 and
            never falling with the block length.
    """

    sd: FloatArray
    phi: FloatArray
    local: FloatArray
    scales: tuple[int, ...]
    wander: FloatArray


def estimate_noise(y: FloatArray) -> Noise:
    """Estimate the scatter of one signal around its trend, whatever the trend is.

    Works on differences, so that a learning curve, a step or a slow drift cancels: differences are freed
    of the local slope, steep stretches are left out, and outliers are clipped at three robust standard
    deviations. Lags 1 to 5 give the autocorrelation. `long_run_sd` is raised where the means of longer
    blocks scatter more than that autocorrelation predicts.

    It cannot see wander slower than about a twentieth of the run, and with fewer than 30 points `phi` is
    little more than a guess (standard deviation 0.3 at 12 points, 0.15 at 71).

    Args:
        y: shape (n,), in step order; NaN and infinities are skipped.

    Returns:
        sd and long_run_sd in the unit of `y`; both 0 for a constant signal or fewer than 3 points.
    """
    finite = np.asarray(y, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if len(finite) < 3:
        return Noise(0.0, 0.0, 0.0, len(finite))
    return noise_from(scatter_of_one(finite), len(finite))


def noise_from(scatter: Scatter, count: int) -> Noise:
    """The noise of a single series from its scatter."""
    sd, phi = float(scatter.sd[0]), float(scatter.phi[0])
    wander = float(scatter.wander[0].max(initial=1.0))
    long_run = sd * float(np.sqrt(wander * max(1.0, (1 + phi) / (1 - phi))))
    return Noise(sd, phi, long_run, count)


def scatter_of_one(y: FloatArray) -> Scatter:
    """Scatter of one series, shape (n,), where it is alive.

    Rows of a stretch that repeats one value exactly (a length at its cap, a reward stuck at 0) say
    nothing about how the signal scatters when it does: they are left out and take over the scatter of
    the row before them.
    """
    return _remembered(np.ascontiguousarray(y).tobytes())


@functools.lru_cache(maxsize=8)
def _remembered(content: bytes) -> Scatter:
    """The scatter of a series by its content: several questions are asked of each signal in a row."""
    y = np.frombuffer(content, dtype=np.float64)
    alive = _alive_rows(y)
    if alive.all() or alive.sum() < _FEWEST_ALIVE:
        return _without_rounding(scatter_of(y[None, :]), y)
    scatter = _without_rounding(scatter_of(y[None, alive]), y)
    return replace(scatter, local=scatter.local[:, np.maximum(np.cumsum(alive) - 1, 0)])


def _without_rounding(scatter: Scatter, y: FloatArray) -> Scatter:
    """The same, or none where it is only the last digits of the values that scatter."""
    sizes = np.abs(y[y != 0])
    if not len(sizes) or scatter.sd[0] > _ROUNDING * median_of(sizes):
        return scatter
    return replace(scatter, sd=np.zeros_like(scatter.sd), local=np.zeros_like(scatter.local))


def _alive_rows(y: FloatArray) -> BoolArray:
    """All rows but those that repeat the value before them within a long still stretch."""
    _, counts = stretches(y)
    lengths = np.repeat(counts, counts)
    repeats = np.concatenate([[False], np.diff(y) == 0])
    return ~(repeats & (lengths >= _STILL))


def scatter_of(y: FloatArray) -> Scatter:
    """Estimate the scatter of many series of one length.

    Args:
        y: shape (draws, n) with n >= 3, finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        residual, kept, unit = _residual_differences(y)
        kept_count = np.maximum(kept.sum(-1, keepdims=True), 1)
        overall = (residual**2).sum(-1, keepdims=True) / kept_count
        around = _moving_mean(residual**2, kept, _NEIGHBOURS)
        around = np.maximum(around, overall)
        phi = _autocorrelation(residual / np.sqrt(np.where(around > 0, around, 1.0)), kept)
    to_marginal = unit / np.sqrt(2 * (1 - phi))
    sd = np.sqrt(overall[:, 0]) * to_marginal
    # Differences sit between points: a point takes the larger of its two neighbours'.
    edges = np.pad(around, ((0, 0), (1, 1)), mode="edge")
    local = np.sqrt(np.maximum(edges[:, :-1], edges[:, 1:])) * to_marginal[:, None]
    scales, wander = _wander(y, sd, phi)
    return Scatter(sd, phi, local, scales, wander)


def _residual_differences(y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Differences free of trend and outliers, the weight of each (0 where steep), and their unit.

    The unit keeps squares of huge values finite: residuals are divided by it.
    """
    difference = np.diff(y, axis=-1)
    n = difference.shape[-1]
    middle = median(difference)
    size = np.abs(difference - middle)
    scale = _MAD * median(size)
    scale = np.where(scale > 0, scale, _scale_of_rare_moves(size))
    unit = np.where(scale > 0, scale, 1.0)
    difference, size = (difference - middle) / unit, size / unit
    limit = np.maximum((scale > 0) * 1.0, _MAD * moving_median(size, 4))
    steep = np.abs(moving_median(difference, 3)) > 0.6 * limit
    steep[:, 1:-1] |= steep[:, 2:] | steep[:, :-2]
    steep &= ~np.all(steep, axis=-1, keepdims=True)
    kept = (~steep).astype(np.float64)
    clipped = np.clip(difference, -2.5 * limit, 2.5 * limit)
    slope = _moving_mean(clipped, kept, max(6, min(n // 8, 15)))
    residual = np.clip(difference - slope, -3 * limit, 3 * limit) * kept
    return residual, kept, unit[:, 0]


def _scale_of_rare_moves(size: FloatArray) -> FloatArray:
    """Scale of a signal that stands still most of the time: its typical move, thinned by its rarity."""
    moving = size > 0
    share = moving.mean(-1, keepdims=True)
    typical = np.zeros_like(share)
    for row in np.flatnonzero(moving.any(-1)):
        typical[row] = median_of(size[row][moving[row]])
    return np.asarray(typical * np.sqrt(share))


def _autocorrelation(residual: FloatArray, kept: FloatArray) -> FloatArray:
    """Lag-1 autocorrelation of the level from the growth of its differences with the lag.

    For AR(1), var(y[t+k] - y[t]) / var(y[t+1] - y[t]) = 1 + phi + ... + phi**(k-1); the sum of the
    ratios over k = 2..5 is solved for phi.
    """
    path = running_sums(residual)
    weight = running_sums(kept)
    variance = []
    for lag in range(1, min(_LAGS, residual.shape[-1]) + 1):
        whole = (weight[:, lag:] - weight[:, :-lag]) == lag
        moved = (path[:, lag:] - path[:, :-lag]) ** 2 * whole
        variance.append(moved.sum(-1) / np.maximum(whole.sum(-1), 1))
    first = np.where(variance[0] > 0, variance[0], 1.0)
    missing = _LAGS - len(variance)  # a lag that the run is too short for says "uncorrelated"
    ratio = sum(variance[1:], np.zeros_like(first)) / first + missing
    return np.asarray(np.where(variance[0] > 0, phi_of_growth(ratio), 0.0))


def phi_of_growth(ratio: FloatArray) -> FloatArray:
    """Lag-1 autocorrelation of which var(lag 2) + ... + var(lag 5) of differences is `ratio` var(lag 1)."""
    return np.asarray(np.interp(ratio, _RATIO, _PHI))


def _wander(y: FloatArray, sd: FloatArray, phi: FloatArray) -> tuple[tuple[int, ...], FloatArray]:
    """How much more block means scatter than (sd, phi) predict, from their second differences."""
    draws, n = y.shape
    scales = tuple(b for b in (8 * 2**k for k in range(20)) if 20 * b <= n)
    wander = np.ones((draws, len(scales)))
    unit = np.where(sd > 0, sd, 1.0)[:, None]
    centred = np.clip((y - median(y)) / unit, -1e6, 1e6)
    path = running_sums(centred)
    for i, b in enumerate(scales):
        block = (path[:, b:] - path[:, :-b])[:, :: max(1, b // 4)] / b
        hop = 4 if b >= 4 else b
        bend = block[:, 2 * hop :] - 2 * block[:, hop:-hop] + block[:, : -2 * hop]
        limit = 3 * _MAD * median(np.abs(bend))
        seen = (np.clip(bend, -limit, limit) ** 2).mean(-1)
        wander[:, i] = np.where(sd > 0, seen / bend_variance(b, phi), 1.0)
    return scales, np.maximum(np.maximum.accumulate(wander, axis=-1), 1.0)


def bend_variance(b: int, phi: FloatArray) -> FloatArray:
    """Variance of mean(next b) - 2 mean(b) + mean(previous b) of an AR(1) of unit variance."""
    own = mean_variance(b, phi)
    beside, beyond = mean_covariance(b, b, 0, phi), mean_covariance(b, b, b, phi)
    return np.maximum(6 * own - 8 * beside + 2 * beyond, 1e-12)


def mean_variance(m: int, phi: FloatArray) -> FloatArray:
    """Variance of the mean of m consecutive points of an AR(1) of unit variance."""
    powers = (1 - phi**m) / (1 - phi)
    return ((1 + phi) / (1 - phi) - 2 * phi * powers / (m * (1 - phi))) / m


def mean_covariance(p: int, m: int, gap: int, phi: FloatArray) -> FloatArray:
    """Covariance of the means of p and m consecutive points with `gap` points between them."""
    return phi ** (gap + 1) * (1 - phi**p) * (1 - phi**m) / ((1 - phi) ** 2 * p * m)


def moving_median(x: FloatArray, half: int) -> FloatArray:
    """Median over the 2 * half + 1 points around each, mirrored at the ends; shape kept."""
    half = min(half, (x.shape[-1] - 1) // 2)
    padded = mirrored(x, half)
    if half <= 7 and x.shape[-1] > _LONG:
        return _median_of_shifts(padded, 2 * half + 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=-1)
    return median(windows)[..., 0]


def _median_of_shifts(padded: FloatArray, width: int) -> FloatArray:
    """The same for a long series and few points: shifted copies sorted halfway, point by point."""
    n = padded.shape[-1] - width + 1
    shifts = [padded[..., k : k + n] for k in range(width)]
    for done in range(width // 2 + 1):
        for k in range(width - 1 - done):
            low, high = shifts[k], shifts[k + 1]
            shifts[k], shifts[k + 1] = np.minimum(low, high), np.maximum(low, high)
    return shifts[width // 2]


def _moving_mean(x: FloatArray, weight: FloatArray, half: int) -> FloatArray:
    """Weighted mean over up to 2 * half + 1 points around each; 0 where all weights are 0."""
    n = x.shape[-1]
    index = np.arange(n)
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, n)

    def total(values: FloatArray) -> FloatArray:
        path = running_sums(values)
        return np.asarray(path[:, high] - path[:, low])

    count = total(weight)
    return np.where(count > 0.5, total(x * weight) / np.maximum(count, 1.0), 0.0)

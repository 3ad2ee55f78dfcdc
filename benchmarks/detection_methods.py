"""Detectors from elsewhere, as running statistics of many curves at once, and what a method must offer.

Where a method's own scale matters it is fed values in units of `noise_scale`, which each curve is judged by
up to the row in question: without that most of them could not be tuned to any rate of false alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detection_measure import BoolArray, false_alarms, reached, tune
from foreshock.run import FloatArray

Statistic = Callable[[FloatArray], FloatArray]
WINDOW, FEWEST = 80, 10  # rows of differences that the noise is taken from; rows before anything is said


@dataclass(frozen=True)
class Method:
    """A detector of falls, one of three sorts.

    Attributes:
        name: in tables.
        note: how it was used.
        statistic: (curves, n) -> (curves, n); entry t uses y[:, : t + 1] only; larger = more evidence of a
            fall, NaN where it has no opinion. It alarms at a threshold, which is tuned.
        alarms: (curves, n), setting -> where it alarms, for tools that say so themselves.
        settings: of `alarms`, from strict to loose, to be tuned; a single one is how the tool comes.
        known: the same as `statistic`, given also the (curves, n) standard deviation of the noise.
        most: curves that it is given at a time, where it is slow.
        ideal: whether it is given curves whose mean has been taken off, as no detector is.
    """

    name: str
    note: str
    statistic: Statistic | None = None
    alarms: Callable[[FloatArray, float], BoolArray] | None = None
    settings: Sequence[float] = ()
    known: Callable[[FloatArray, FloatArray], FloatArray] | None = None
    most: int = 1_000_000
    ideal: bool = False

    @property
    def as_it_comes(self) -> bool:
        """Whether there is nothing to tune."""
        return self.statistic is None and len(self.settings) == 1

    def answer(self, y: FloatArray, sd: FloatArray | None = None) -> Answer:
        """What it says of these curves; `sd` if it may know the noise."""
        return Answer(self, y[: self.most], sd)


class Answer:
    """What a method says of curves: a running statistic, or where there are alarms at a setting."""

    def __init__(self, method: Method, y: FloatArray, sd: FloatArray | None = None) -> None:
        self._method, self._y = method, y
        self._statistic = method.statistic(y) if method.statistic else None
        if sd is not None:
            assert method.known is not None
            self._statistic = method.known(y, sd)
        self._alarmed: dict[float, BoolArray] = {}

    def at(self, setting: float) -> BoolArray:
        """Where there is an alarm at a threshold or setting, (curves, n)."""
        if self._statistic is not None:
            return reached(self._statistic, setting)
        if setting not in self._alarmed:
            assert self._method.alarms is not None
            self._alarmed[setting] = self._method.alarms(self._y, setting)
        return self._alarmed[setting]

    def tuned(self, rate: float = 1.0) -> float:
        """The loosest threshold or setting with at most this rate; the strictest if none holds it."""
        if self._statistic is not None:
            return tune(self._statistic, rate)
        settings = list(self._method.settings)
        if len(settings) == 1:
            return settings[0]
        held = [s for s in settings if false_alarms(self.at(s)).per_1000 <= rate]
        return held[-1] if held else settings[0]


def noise_scale(y: FloatArray) -> FloatArray:
    """Standard deviation of a single row's noise as known after each row, (curves, n); NaN at first.

    From the squares of the last 80 rows' differences at lags 1 and 2, which together give the
    autocorrelation; that is drawn towards 0 while there are few rows. A trend cancels. Medians in place of
    squares served every rival worse on rewards that are 0 most of the time.
    """
    first, second = _scatter(y, 1), _scatter(y, 2)
    rows = np.minimum(np.arange(y.shape[1]), WINDOW).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        phi = (second / first - 1) * rows / (rows + 40)
        sd = np.sqrt(first / (1 - np.clip(np.nan_to_num(phi), 0, 0.8)))
    return np.where((rows >= FEWEST) & (sd > 0), sd, np.nan)


def _scatter(y: FloatArray, lag: int) -> FloatArray:
    """Half the mean square of the last 80 differences at a lag, at each row."""
    square = np.zeros_like(y)
    square[:, lag:] = (y[:, lag:] - y[:, :-lag]) ** 2
    total = np.cumsum(np.pad(square, ((0, 0), (1, 0))), axis=1)
    row = np.arange(y.shape[1])
    begin = np.maximum(row + 1 - WINDOW, lag)
    return np.asarray((total[:, row + 1] - total[:, begin]) / (2 * np.maximum(row + 1 - begin, 1)))


def _means(y: FloatArray, width: int) -> FloatArray:
    """Mean of the last `width` rows, NaN before there are so many."""
    total = np.cumsum(np.pad(y - y[:, :1], ((0, 0), (1, 0))), axis=1)
    out = np.full_like(y, np.nan)
    out[:, width - 1 :] = (total[:, width:] - total[:, :-width]) / width
    return out + y[:, :1]


def z_window(y: FloatArray, window: int = 30) -> FloatArray:
    """How many standard deviations of the `window` rows before it a row lies below their mean."""
    centred = y - y[:, :1]
    mean, square = _means(centred, window), _means(centred**2, window)
    sd = np.sqrt(np.maximum(square - mean**2, 0) * window / (window - 1))
    out = np.full_like(y, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        out[:, 1:] = (mean[:, :-1] - centred[:, 1:]) / np.where(sd[:, :-1] > 1e-9, sd[:, :-1], np.nan)
    return out


def ewma(y: FloatArray, share: float = 0.2, baseline: int = 20) -> FloatArray:
    """EWMA chart: below the mean of the first rows, in standard deviations of the average."""
    mean, sd = y[:, :baseline].mean(1), y[:, :baseline].std(1, ddof=1)
    sd = np.where(sd > 0, sd, np.nan)
    level, out = mean.copy(), np.full_like(y, np.nan)
    for t in range(baseline, y.shape[1]):
        level = share * y[:, t] + (1 - share) * level
        age = 1 - (1 - share) ** (2 * (t - baseline + 1))
        out[:, t] = (mean - level) / (sd * np.sqrt(share / (2 - share) * age))
    return out


def page_hinkley(
    y: FloatArray, sd: FloatArray | None = None, delta: float = 0.5, forget: float = 1 - 0.0001
) -> FloatArray:
    """Page-Hinkley for falls as river computes it, on deviations in units of `sd` (else as estimated)."""
    scale = noise_scale(y) if sd is None else sd
    mean, total = np.zeros(len(y)), np.zeros(len(y))
    highest, out = np.full(len(y), -1.0), np.full_like(y, np.nan)
    for t in range(y.shape[1]):
        mean += (y[:, t] - mean) / (t + 1)
        deviation = (y[:, t] - mean) / scale[:, t]
        total = forget * total + np.nan_to_num(deviation) + delta
        highest = np.maximum(highest, total)
        if t >= 29:  # river's min_instances
            out[:, t] = highest - total
    return out


def focus(y: FloatArray, sd: FloatArray | None = None, fewest: int = 5) -> FloatArray:
    """CUSUM for a fall of unknown size from an unknown level: the best of all places, as FOCuS finds it.

    Each place's score is the distance of the means after and before it over its standard deviation.
    """
    centred = y - y[:, :1]
    total, scale = np.cumsum(centred, axis=1), noise_scale(y) if sd is None else sd
    out = np.full_like(y, np.nan)
    for t in range(fewest, y.shape[1]):
        before = np.arange(fewest, t + 1)
        after = t + 1 - before
        left = total[:, before - 1]
        distance = left / before - (total[:, t : t + 1] - left) / after
        out[:, t] = (distance * np.sqrt(before * after / (t + 1))).max(1) / scale[:, t]
    return out


def mean_of_5(y: FloatArray, sd: FloatArray | None = None, short: int = 5, long: int = 20) -> FloatArray:
    """How far the mean of the last rows lies below that of the rows before them."""
    out = np.full_like(y, np.nan)
    out[:, short:] = _means(y, long)[:, :-short]
    return (out - _means(y, short)) / (noise_scale(y) if sd is None else sd)


def ideal(y: FloatArray, sd: FloatArray) -> FloatArray:
    """Shiryaev-Roberts for one who knows the mean (taken off already) and the noise: nearly a lower bound."""
    sizes = np.array([1.0, 2.0, 3.0, 5.0, 10.0])
    grown, out = np.zeros((len(y), len(sizes))), np.empty_like(y)
    for t in range(y.shape[1]):
        x = -y[:, t : t + 1] / sd[:, t : t + 1]
        grown = np.logaddexp(0, grown) + sizes * x - sizes**2 / 2
        out[:, t] = np.logaddexp.reduce(grown, axis=1)
    return out


def either_side(y: FloatArray, threshold: float) -> BoolArray:
    """W&B's metric automation: a z-score of either sign beyond the threshold."""
    return reached(np.abs(z_window(y)), threshold)


def observer() -> Method:
    """What cannot be beaten by much."""
    note = "Shiryaev-Roberts that knows mean and noise of every step; nobody does"
    return Method("ideal observer", note, known=ideal, ideal=True)


def rivals() -> list[Method]:
    """Those that need nothing but numpy."""
    unit = "in units of the noise, which is estimated from differences of the last 80 rows"
    return [
        Method(
            "W&B z-score, as it comes",
            "|z| > 3 against the 30 rows before, both directions",
            alarms=either_side,
            settings=(3.0,),
        ),
        Method("W&B z-score, falls only", "the same window, falls only, threshold tuned", z_window),
        Method("EWMA chart", "weight 0.2, mean and sd of the first 20 rows", ewma),
        Method(
            "Page-Hinkley",
            f"delta 0.5, against the mean of the whole run; {unit}",
            page_hinkley,
            known=page_hinkley,
        ),
        Method(
            "CUSUM (FOCuS)",
            f"level before and size unknown, best of all places; {unit}",
            focus,
            known=focus,
        ),
        Method(
            "mean of 5 against 20",
            f"the last 5 rows against the 20 before them; {unit}",
            mean_of_5,
            known=mean_of_5,
        ),
    ]

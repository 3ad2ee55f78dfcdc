"""Curves on which detectors are measured: families without a change, a hard synthetic one, real residuals.

All are read as the reward: a higher value is good, a change is a fall. Unless told otherwise, one unit is
one standard deviation of a single step's noise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from foreshock.readers import open_run
from foreshock.run import FloatArray, IntArray, Run

REAL = Path(__file__).resolve().parents[2] / "shared/data/real"
RAMP = 10  # rows over which a ramped drop reaches its size
SHORTEST = 60  # rows of a real curve whose residuals are used
BLOCK = 6  # rows of real residuals that stay together
SMOOTH, EDGE = 21, 4  # rows of the running median that residuals are taken from; rows left out at the ends
SHAPES = ("saturating growth", "sigmoid growth", "linear growth", "growth in stairs")
FAMILIES = (
    "phi 0",
    "phi 0.2",
    "phi 0.4",
    "phi 0.6",
    "phi 0.8",
    "t5",
    "noise x2 up",
    "noise x2 down",
    "variance x2 at once",
    *SHAPES,
    "mixed",
)


@dataclass(frozen=True)
class Curves:
    """Several curves of one length.

    Attributes:
        y: (curves, n) what is logged.
        sd: (curves, n) standard deviation of a single step's noise.
        mean: (curves, n) what would be logged without noise, and without a drop.
    """

    y: FloatArray
    sd: FloatArray
    mean: FloatArray


def families(rng: np.random.Generator, name: str, curves: int, n: int) -> FloatArray:
    """Curves of a family in which nothing happens, shape (curves, n).

    `phi` families and `t5` are flat: growth only makes a fall less likely. Those with changing noise are
    flat too, with phi 0.3. Growth comes with phi from U(0, 0.6). "mixed" draws each curve from any of the
    others but "phi 0.8".
    """
    if name == "mixed":
        kinds = [kind for kind in FAMILIES if kind not in ("mixed", "phi 0.8")]
        share = -(-curves // len(kinds))
        rows = np.concatenate([families(rng, kind, share, n) for kind in kinds])
        return np.asarray(rng.permutation(rows)[:curves])
    if name.startswith("phi "):
        return autoregressive(rng, np.full(curves, float(name[4:])), n)
    if name == "t5":
        return autoregressive(rng, np.zeros(curves), n, np.ones(curves, dtype=bool))
    if name in SHAPES:
        return autoregressive(rng, rng.uniform(0, 0.6, curves), n) + growth(rng, name, curves, n)
    noise = autoregressive(rng, np.full(curves, 0.3), n)
    row = np.arange(n)
    if name == "variance x2 at once":
        return np.asarray(noise * np.where(row >= rng.integers(n // 4, 3 * n // 4, (curves, 1)), 2**0.5, 1.0))
    drift = {"noise x2 up": (1.0, 2.0), "noise x2 down": (2.0, 1.0)}[name]
    return np.asarray(noise * np.interp(row, (0, n - 1), drift))


def autoregressive(
    rng: np.random.Generator, phi: FloatArray, n: int, heavy: npt.NDArray[np.bool_] | None = None
) -> FloatArray:
    """AR(1) of unit variance, one curve for each phi; shocks of the `heavy` ones are Student's t5."""
    shock = rng.standard_normal((len(phi), n))
    if heavy is not None:
        shock[heavy] = rng.standard_t(5, (int(heavy.sum()), n)) / np.sqrt(5 / 3)
    y = np.empty_like(shock)
    y[:, 0] = shock[:, 0]
    for i in range(1, n):
        y[:, i] = phi * y[:, i - 1] + np.sqrt(1 - phi**2) * shock[:, i]
    return y


def growth(rng: np.random.Generator, shape: str, curves: int, n: int) -> FloatArray:
    """Learning curves without noise that rise by 4 to 22 sd, shape (curves, n)."""
    size = rng.uniform(4, 22, (curves, 1))
    t = np.linspace(0, 1, n)[None, :]
    if shape == "saturating growth":
        return np.asarray(size * -np.expm1(-t / rng.uniform(0.05, 0.5, (curves, 1))))
    if shape == "sigmoid growth":
        middle, width = rng.uniform(0.2, 0.7, (curves, 1)), rng.uniform(0.02, 0.12, (curves, 1))
        return np.asarray(size / (1 + np.exp(-(t - middle) / width)))
    if shape == "linear growth":
        return np.asarray(size * t)
    stairs = rng.integers(1, 5, (curves, 1))
    when = rng.uniform(0.05, 0.95, (curves, 4))
    reached = (t[:, None, :] >= when[:, :, None]) & (np.arange(4) < stairs)[:, :, None]
    return np.asarray(size * reached.sum(1) / stairs)


def synthetic(rng: np.random.Generator, curves: int, n: int, phi: float | None = None) -> Curves:
    """The hard family: saturating growth of 4-22 sd and a slope, AR(1), heavy tails, drifting noise.

    phi is U(0, 0.6) unless given; 30 % have t5 shocks; the noise level drifts by up to a factor 2 either
    way; the slope is up to 6 sd over the curve.
    """
    phis = np.full(curves, phi) if phi is not None else rng.uniform(0, 0.6, curves)
    noise = autoregressive(rng, phis, n, rng.random(curves) < 0.3)
    t = np.linspace(0, 1, n)
    sd = 2 ** (rng.uniform(-1, 1, (curves, 1)) * t)
    trend = growth(rng, "saturating growth", curves, n) + rng.uniform(0, 6, (curves, 1)) * t
    return Curves(trend + sd * noise, np.broadcast_to(sd, noise.shape), trend)


def with_drop(curves: Curves, onset: IntArray, size: float, *, ramp: bool = False) -> Curves:
    """The same curves, lower by `size` sd from the row `onset` of each on; a ramp takes ten rows."""
    since = np.arange(curves.y.shape[1]) - onset[:, None] + 1
    share = np.clip(since / RAMP, 0, 1) if ramp else (since > 0).astype(float)
    unit = np.take_along_axis(curves.sd, onset[:, None], axis=1)
    return Curves(curves.y - size * unit * share, curves.sd, curves.mean)


@dataclass(frozen=True)
class RealCurve:
    """The reward of a published log.

    Attributes:
        id: of the log.
        repo: whose it is; logs of one repository are alike and count together.
        y: (n,) reward at the rows where it was logged.
        trend: (n,) non-decreasing fit.
        residual: what scatters around a running median, shorter by a few rows.
    """

    id: str
    repo: str
    y: FloatArray
    trend: FloatArray
    residual: FloatArray


def semi_real(split: int, rng: np.random.Generator, curves: int, n: int) -> Curves:
    """Smooth trends of real rewards with their residuals, re-sampled in blocks of six rows.

    Each curve takes a repository at random, then one of its logs. The trend is stretched to n rows.

    Args:
        split: 0 or 1, the half of the repositories.
        rng: of the draws.
        curves: how many.
        n: rows of each.
    """
    halves = _halves()
    repos = halves[split]
    noise, sd, mean = np.empty((3, curves, n))
    for k in range(curves):
        logs = repos[rng.integers(len(repos))]
        log = logs[rng.integers(len(logs))]
        starts = rng.integers(0, len(log.residual) - BLOCK + 1, -(-n // BLOCK))
        rows = (starts[:, None] + np.arange(BLOCK)).ravel()[:n]
        place = np.linspace(0, len(log.y) - 1, n)
        noise[k], sd[k] = log.residual[rows], log.residual.std()
        mean[k] = np.interp(place, np.arange(len(log.y)), log.trend)
    return Curves(mean + noise, sd, mean)


@cache
def _halves() -> tuple[list[list[RealCurve]], list[list[RealCurve]]]:
    """Logs by repository; repositories in turns, so that a half is not one letter of the alphabet."""
    by_repo: dict[str, list[RealCurve]] = {}
    for curve in real_curves():
        by_repo.setdefault(curve.repo, []).append(curve)
    ordered = [by_repo[repo] for repo in sorted(by_repo)]
    return ordered[::2], ordered[1::2]


@cache
def real_curves() -> tuple[RealCurve, ...]:
    """The rewards of published logs with at least 60 rows; a log that repeats its values is left out."""
    found = []
    for entry, run in real_runs():
        y = run.series["reward_mean"]
        y = y[np.isfinite(y)]
        # Where a value stands until the next one is known, differences are no noise of single steps.
        if len(y) >= SHORTEST and np.mean(np.diff(y) == 0) < 0.8:
            found.append(RealCurve(entry["id"], entry["repo"], y, isotonic(y), _residual(y)))
    return tuple(found)


@cache
def real_runs(folder: Path = REAL) -> tuple[tuple[dict[str, str], Run], ...]:
    """Each published log that has a reward: its line of the manifest, and the run."""
    manifest = folder / "manifest.jsonl"
    if not manifest.is_file():
        raise SystemExit(f"no manifest.jsonl in {folder}: the logs of others are not part of the repository")
    found = []
    for line in manifest.read_text().splitlines():
        entry = json.loads(line)
        files = [path for path in sorted((folder / entry["raw"]).rglob("*")) if path.is_file()]
        run = open_run(files[0] if len(files) == 1 else folder / entry["raw"])
        if "reward_mean" in run.series:
            found.append((entry, run))
    return tuple(found)


def isotonic(y: FloatArray) -> FloatArray:
    """The nearest non-decreasing curve, by pooling neighbours that fall."""
    level: list[float] = []
    count: list[int] = []
    for value in y:
        level.append(float(value))
        count.append(1)
        while len(level) > 1 and level[-2] > level[-1]:
            total = count[-2] + count[-1]
            level[-2] = (level[-2] * count[-2] + level[-1] * count[-1]) / total
            count[-2] = total
            del level[-1], count[-1]
    return np.repeat(level, count)


def _residual(y: FloatArray) -> FloatArray:
    """What scatters around a running median, without the rows at the ends that have few neighbours.

    The window is as long on both sides of a row: a steep start would otherwise leave residuals of its own.
    """
    rows = range(EDGE, len(y) - EDGE)
    half = [min(SMOOTH // 2, i, len(y) - 1 - i) for i in rows]
    residual = np.array([y[i] - np.median(y[i - h : i + h + 1]) for i, h in zip(rows, half, strict=True)])
    return np.asarray(residual - residual.mean())

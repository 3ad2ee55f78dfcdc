"""Simulate the scans for a fall and for a jump on runs in which nothing happens: the table of their p-values.

    python benchmarks/calibrate_null.py            # about 12 minutes on one core; same seeds, same table
    python benchmarks/calibrate_null.py --scan fall      # one of the two, the other one is kept
    python benchmarks/calibrate_null.py --check    # fresh draws against the table in the package

For each length n and true autocorrelation phi, with normal and with heavy tails, series with a flat mean
go through the same code as a real run: noise and phi estimated from the series, every place scored, the
highest score kept. What a user knows is not phi but its estimate, so a threshold is wanted for each
estimate. Many sets of thresholds keep the promise for every kind of noise; the one kept finds most falls
in simulated runs that have one (Neyman-Pearson with a multiplier per kind of noise). See
design/significance.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from pathlib import Path

import numpy as np

from foreshock.analysis import _significance
from foreshock.analysis._jumps import SHORTEST, jump_scores
from foreshock.analysis._scan import fall_scores, windows
from foreshock.analysis.noise import scatter_of
from foreshock.run import FloatArray, IntArray

TABLE = Path(_significance.__file__).with_name("null_table.json")
LENGTHS = (8, 10, 12, 16, 20, 28, 40, 56, 71, 100, 150, 220, 300, 450, 700, 1000, 2000)
PHIS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8)  # the promise from 71 rows on
SHORT, PHIS_SHORT = 60, (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # below: too few rows to tell more from a fall
EDGES = (-0.05, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85)  # bins of the estimate of phi
KNOTS = (-0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # their middles
LEVELS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.004)
SCORES = np.geomspace(0.5, 60, 140)  # thresholds tried
FALLS = {0.0: 0.5, 0.2: 0.3, 0.4: 0.1, 0.6: 0.1}  # phi of the runs with a fall: real rewards are nearly white
SIZES = (0.7, 9.0)  # of the fall, in sd


def autoregressive(
    rng: np.random.Generator, draws: int, n: int, phi: float, tails: str = "normal"
) -> FloatArray:
    """AR(1) of unit variance, shape (draws, n); tails "normal", "t5" or "x2" (doubling noise)."""
    shock = (
        rng.standard_t(5, (draws, n)) / np.sqrt(5 / 3) if tails == "t5" else rng.standard_normal((draws, n))
    )
    y = np.empty_like(shock)
    y[:, 0] = shock[:, 0]
    for i in range(1, n):
        y[:, i] = phi * y[:, i - 1] + np.sqrt(1 - phi**2) * shock[:, i]
    return y * np.linspace(1, 2, n) if tails == "x2" else y


def highest_scores(y: FloatArray, scan: str = "fall") -> tuple[FloatArray, FloatArray]:
    """Estimated phi and highest score of each series, in chunks that fit in memory."""
    chunk = max(1, 3_000_000 // len(windows(y.shape[-1]).start))
    phi, top = [], []
    for i in range(0, len(y), chunk):
        scatter = scatter_of(y[i : i + chunk])
        phi.append(scatter.phi)
        if scan == "fall":
            top.append(fall_scores(y[i : i + chunk], scatter).max(-1))
        else:
            top.append(np.abs(jump_scores(y[i : i + chunk], scatter)[0]).max(-1))
    return np.concatenate(phi), np.concatenate(top)


def promised(n: int) -> tuple[float, ...]:
    """True autocorrelations for which the table of this length holds."""
    return PHIS if n >= SHORT else PHIS_SHORT


def draws_for(n: int) -> int:
    """Draws per kind of noise, so that a length takes about half a minute."""
    return int(np.clip(600_000 / n, 600, 8000))


def above(estimate: FloatArray, top: FloatArray) -> FloatArray:
    """Share of series whose estimate lies in a bin and whose score reaches a threshold, (bins, scores)."""
    bins = np.searchsorted(EDGES, estimate)
    reached = np.searchsorted(SCORES, top, side="right")
    count = np.zeros((len(KNOTS), len(SCORES) + 1))
    np.add.at(count, (bins, reached), 1.0)
    return count[:, ::-1].cumsum(-1)[:, ::-1][:, 1:] / len(top)


def with_fall(rng: np.random.Generator, draws: int, n: int, phi: float) -> FloatArray:
    """Runs with a fall of any size that lasts for three rows, or for good, or anything between."""
    y = autoregressive(rng, draws, n, phi)
    onset = rng.integers(n // 4, n - 2, (draws, 1))
    lasts = np.exp(rng.uniform(np.log(3), np.log(n), (draws, 1)))
    size = np.exp(rng.uniform(np.log(SIZES[0]), np.log(SIZES[1]), (draws, 1)))
    row = np.arange(n)
    return np.asarray(y - size * ((row >= onset) & (row < onset + lasts)))


def best_thresholds(alarms: FloatArray, found: FloatArray, level: float) -> FloatArray:
    """Thresholds per bin that find most falls with at most `level` false alarms for every noise.

    Neyman-Pearson: each bin takes the threshold of greatest found - price @ alarms. The overall price is
    bisected until the budgets hold, its shares move towards the phis whose budget is spent.

    Args:
        alarms: (noises, bins, scores) share of runs without a fall in a bin at or above a score.
        found: (bins, scores) the same of runs with one.
        level: budget of false alarms for each of the noises.
    """
    bins = np.arange(len(KNOTS))
    share = np.full(len(alarms), 1 / len(alarms))
    best, most = np.full(len(KNOTS), len(SCORES) - 1), -1.0
    for _ in range(150):
        cheap, dear = -6.0, 10.0
        blend = np.tensordot(share, alarms, axes=1)
        for _ in range(18):
            middle = (cheap + dear) / 2
            # Without draws in a bin every threshold is as good: the one of the bin before it then.
            pick = np.maximum.accumulate(np.argmax(found - np.exp(middle) * blend, axis=-1))
            spent = alarms[:, bins, pick].sum(-1)
            if spent.max() > level:
                cheap = middle
                continue
            dear = middle
            if (value := float(found[bins, pick].sum())) > most:
                best, most = pick, value
        share = share * np.clip(spent / level, 0.3, 1.5) ** 0.3
        share = np.maximum(share / share.sum(), 1e-4)
    return SCORES[_filled(alarms, found, level, best)]


def _filled(alarms: FloatArray, found: FloatArray, level: float, pick: IntArray) -> IntArray:
    """Spend what is left of the budgets: lower single thresholds while every budget still holds."""
    bins = np.arange(len(KNOTS))
    while True:
        now = found[bins, pick].sum()
        options = []
        for i in bins:
            for down in range(1, 12):
                lower = pick.copy()
                # Thresholds never fall with the estimate: lowering one lowers those before it.
                lower[: i + 1] = np.minimum(lower[: i + 1], max(pick[i] - down, 0))
                spent = alarms[:, bins, lower].sum(-1)
                if spent.max() <= level and found[bins, lower].sum() > now:
                    gain = (found[bins, lower].sum() - now) / max(spent.sum(), 1e-6)
                    options.append((gain, lower))
        if not options:
            return pick
        pick = max(options, key=lambda option: option[0])[1]


def calibrate(n: int, scan: str, rng: np.random.Generator) -> tuple[list[list[float]], dict[str, float]]:
    """Thresholds for one length, (bins, levels), and the share of false alarms at 5 % for each noise."""
    count = draws_for(n)
    nulls = {
        (phi, tails): highest_scores(autoregressive(rng, count, n, phi, tails), scan)
        for phi in promised(n)
        for tails in ("normal", "t5")
    }
    alarms = np.stack([above(*pair) for pair in nulls.values()])
    found = np.zeros_like(alarms[0])
    for phi, weight in FALLS.items():
        found += weight * above(*highest_scores(with_fall(rng, count // 2, n, phi), scan))
    columns = [best_thresholds(alarms, found, level) for level in LEVELS]
    grid = np.maximum.accumulate(np.stack(columns, axis=-1), axis=-1)
    # Between the bins thresholds are interpolated, which is a little looser: raise all until it holds.
    for _ in range(60):
        table = {"n": [n], "phi": list(KNOTS), "levels": list(LEVELS), "quantiles": [grid.tolist()]}
        p = {
            noise: _significance.p_values(top, estimate, n, table) for noise, (estimate, top) in nulls.items()
        }
        over = [max((value < level * (1 - 1e-9)).mean() for value in p.values()) > level for level in LEVELS]
        if not any(over):
            break
        grid = np.maximum.accumulate(grid * np.where(over, 1.01, 1.0), axis=-1)
    rate = {f"{phi} {tails}": round(float((v <= 0.05).mean()), 4) for (phi, tails), v in p.items()}
    return grid.round(3).tolist(), rate


def check(draws: int, seed: int) -> None:
    """Print the share of flat runs in which a scan finds something at 5 %, on fresh draws, in percent."""
    rng = np.random.default_rng(seed)
    for scan in ("fall", "jump"):
        table = _significance.null_tables()[scan]
        print(f"{scan:>6} {'noise':>7} " + " ".join(f"{phi:>6}" for phi in PHIS))
        for n in (12, 30, 50, 71, 150, 300, 1000):
            for tails in ("normal", "t5", "x2"):
                cells = []
                for phi in PHIS:
                    y = autoregressive(rng, min(draws, draws_for(n)), n, phi, tails)
                    estimate, top = highest_scores(y, scan)
                    cells.append(100 * (_significance.p_values(top, estimate, n, table) <= 0.05).mean())
                print(f"{n:>6} {tails:>7} " + " ".join(f"{cell:6.1f}" for cell in cells), flush=True)


def main() -> None:
    """Write the table, or check it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--scan", choices=("fall", "jump"))
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=20261122)
    options = parser.parse_args()
    if options.check:
        check(options.draws, options.seed + 1)
        return
    document = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    document["made"] = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    document["by"] = f"benchmarks/calibrate_null.py --seed {options.seed}"
    for scan in (options.scan,) if options.scan else ("fall", "jump"):
        lengths = [n for n in LENGTHS if scan == "fall" or n >= SHORTEST]
        quantiles = []
        for n in lengths:
            started = time.monotonic()
            thresholds, alarms = calibrate(n, scan, np.random.default_rng([options.seed, n]))
            quantiles.append(thresholds)
            print(scan, n, draws_for(n), alarms, f"{time.monotonic() - started:.0f} s", flush=True)
        document[scan] = {"n": lengths, "phi": KNOTS, "levels": LEVELS, "quantiles": quantiles}
        TABLE.write_text(json.dumps(document).replace("]], ", "]],\n") + "\n")


if __name__ == "__main__":
    main()

"""The drop of the synthetic figure, and false alarms on healthy twins: what the analysis promises, in full.

    python benchmarks/figure.py                # all tables, about 8 minutes on one core
    python benchmarks/figure.py --table false-alarms --draws 300

Everything here is synthetic. The figure is the piecewise linear reconstruction of the caption that started
the project; a healthy twin has the same learning curve without the drop, stretched to its length.
"""

from __future__ import annotations

import argparse

import numpy as np

from calibrate_null import autoregressive, highest_scores
from foreshock.analysis._records import Change
from foreshock.analysis._significance import null_tables, p_values
from foreshock.analysis.changes import find_changes
from foreshock.run import FloatArray

STEPS = np.arange(71)
LENGTH = ((0, 20, 35, 50, 70), (475, 550, 600, 665, 680)), 12.0
REWARD = ((0, 5, 10, 20, 45, 60, 65, 70), (1.50, 1.70, 1.75, 1.80, 1.88, 1.875, 1.70, 1.75)), 0.012
HEALTHY = (0, 5, 10, 20, 45, 60, 70), (1.50, 1.70, 1.75, 1.80, 1.88, 1.89, 1.90)
PHIS = (0.0, 0.2, 0.4, 0.6, 0.8)
FALLS = ("drop", "slow_decline")


def figure(rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """One draw of the figure: length and reward at steps 0 to 70."""
    (lx, ly), ls = LENGTH
    (rx, ry), rs = REWARD
    length = np.interp(STEPS, lx, ly) + ls * rng.standard_normal(71)
    return length, np.interp(STEPS, rx, ry) + rs * rng.standard_normal(71)


def healthy(n: int) -> FloatArray:
    """The mean of a healthy twin of n steps, in units of the noise."""
    return np.interp(np.linspace(0, 70, n), *HEALTHY) / REWARD[1]


def reward_falls(y: FloatArray) -> list[Change]:
    """Falls called significant in one reward curve."""
    return [c for c in find_changes("reward_mean", np.arange(len(y)), y, good="up") if c.kind in FALLS]


def table_figure(draws: int, seed: int) -> None:
    """How often the drop is found, where it is put, and what is said about it."""
    rng = np.random.default_rng(seed)
    found = covered = contains = length_any = length_drop = more = 0
    said = []
    for _ in range(draws):
        length, reward = figure(rng)
        falls = reward_falls(reward)
        drops = [c for c in falls if c.kind == "drop"]
        found += bool(drops)
        covered += any(c.step_interval[0] <= 61 and c.step_interval[1] >= 60 for c in drops)
        contains += any(c.step_interval[0] <= 61 <= c.step_interval[1] for c in drops)
        more += len(falls) > 1
        of_length = find_changes("response_length_mean", STEPS, length)
        length_any += bool(of_length)
        length_drop += any(c.kind in FALLS for c in of_length)
        if drops:
            c = min(drops, key=lambda change: change.p_value or 0.0)
            gain = np.nan if c.percent_of_gain is None else c.percent_of_gain
            said.append(
                (c.from_value, c.to_value, c.percent_of_peak, gain, 100 * (c.recovered or 0), c.p_value)
            )
    print(f"the figure, {draws} draws (seed {seed})")
    print(f"  drop {found}; two falls {more}; length: drop {length_drop}, any change {length_any}")
    print(f"  interval of the onset meets 60-61: {covered}; contains 61, the first fallen step: {contains}")
    names = ("from", "to", "% of peak", "% of gain", "% recovered", "p")
    quantiles = np.nanquantile(np.array(said, dtype=float), (0.05, 0.5, 0.95), axis=0).T
    for name, (low, middle, high) in zip(names, quantiles, strict=True):
        print(f"  {name:>12}: median {middle:.4g}, 90 % of draws within {low:.4g} .. {high:.4g}")


def table_false_alarms(draws: int, seed: int) -> None:
    """Percent of healthy twins, and of flat runs, in which the scan finds any fall at 5 %."""
    rng = np.random.default_rng(seed)
    table = null_tables()["fall"]
    print(f"false alarms in percent of {draws} runs (standard error {100 * (0.0475 / draws) ** 0.5:.1f})")
    print(f"  {'n':>5} {'mean':>8} {'noise':>7} " + " ".join(f"phi {phi:<3}" for phi in PHIS))
    for n in (71, 300, 1000):
        for shape in ("healthy", "flat"):
            for tails in ("normal", "t5", "x2"):
                cells = []
                for phi in PHIS:
                    mean = healthy(n) if shape == "healthy" else 0.0
                    y = autoregressive(rng, draws, n, phi, tails) + mean
                    estimate, top = highest_scores(y)
                    cells.append(100 * (p_values(top, estimate, n, table) <= 0.05).mean())
                row = " ".join(f"{cell:7.1f}" for cell in cells)
                print(f"  {n:>5} {shape:>8} {tails:>7} {row}", flush=True)


def table_power(draws: int, seed: int) -> None:
    """Percent of runs that grow, level out and drop for good at 0.7 n, in which a fall is told there."""
    rng = np.random.default_rng(seed)
    print(
        f"drops found in percent of {draws} curves that grow, level out at 0.5 n and drop at 0.7 n for good"
    )
    print(f"  {'n':>5} {'size':>5} " + " ".join(f"phi {phi:<3}" for phi in PHIS))
    for n in (71, 300):
        for size in (2, 3, 5):
            cells = []
            for phi in PHIS:
                onset = int(0.7 * n)
                levelled = healthy(n)[np.minimum(np.arange(n), n // 2)]
                y = autoregressive(rng, draws, n, phi) + levelled - size * (np.arange(n) >= onset)
                near = max(5, n // 20)
                hits = (
                    any(
                        c.step_interval[0] - near <= onset <= c.step_interval[1] + near
                        for c in reward_falls(row)
                    )
                    for row in y
                )
                cells.append(100 * sum(hits) / draws)
            print(f"  {n:>5} {size:>3} sd " + " ".join(f"{cell:7.0f}" for cell in cells), flush=True)


TABLES = {"figure": table_figure, "false-alarms": table_false_alarms, "power": table_power}
DRAWS = {"figure": 200, "false-alarms": 1000, "power": 200}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", choices=tuple(TABLES))
    parser.add_argument("--draws", type=int)
    parser.add_argument("--seed", type=int, default=62)
    options = parser.parse_args()
    for name in (options.table,) if options.table else TABLES:
        TABLES[name](options.draws or DRAWS[name], options.seed)


if __name__ == "__main__":
    main()

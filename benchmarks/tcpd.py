"""Change points on the Turing Change Point Dataset: F1 and cover, beside ruptures and skchange.

Prints the mean over the 25 univariate series that ship with the data and have no gap, for
`foreshock.change_points` (one fixed setting), for the peers at their defaults and at the settings that
their documentation suggests, and for the defaults that TCPDBench published for the same series.

    python -m venv .venv-bench
    .venv-bench/bin/pip install -e . ruptures skchange
    .venv-bench/bin/python benchmarks/tcpd.py  # the comparison; the peers take about 5 minutes
    .venv-bench/bin/python benchmarks/tcpd.py --series  # ours, series by series
    .venv-bench/bin/python benchmarks/tcpd.py --sensitivity  # each constant of ours from x0.5 to x2
    .venv-bench/bin/python benchmarks/tcpd.py --split-half  # chosen on one half, scored on the other
    .venv-bench/bin/python benchmarks/tcpd.py --generated  # curves with a known truth; needs no data

The data and the scorer (`score_tcpd.py`, after arXiv:2003.06222) are not part of this repository; `--data`
names their folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from foreshock.analysis import change_points, segments
from foreshock.run import FloatArray

Method = Callable[[FloatArray], list[int]]
Score = tuple[float, float]
CONSTANTS = ("BOUNDARY_PRICE", "CANDIDATE_PRICE", "LINE_PRICE", "SPIKE", "SHORTEST")
GRID = {
    "BOUNDARY_PRICE": (2.5, 3.0, 3.5, 4.0, 5.0),
    "CANDIDATE_PRICE": (0.1, 0.15, 0.25, 0.35),
    "SHORTEST": (4, 5, 6),
}


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    beside = Path(__file__).resolve().parents[2] / "shared/data/tcpd"
    parser.add_argument("--data", type=Path, default=beside, help="folder of score_tcpd.py and datasets/")
    for option in ("series", "sensitivity", "split-half", "generated"):
        parser.add_argument(f"--{option}", action="store_true")
    options = parser.parse_args()
    if options.generated:
        print_generated()
        return
    if not (options.data / "score_tcpd.py").is_file():
        sys.exit(f"tcpd.py: no score_tcpd.py in {options.data}; name the folder with --data")
    bench = Bench(options.data)
    if options.series:
        bench.print_series()
    elif options.sensitivity:
        bench.print_sensitivity()
    elif options.split_half:
        bench.print_split_half()
    else:
        bench.print_comparison(options.data)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True  # the data folder may be read-only
    spec.loader.exec_module(module)
    return module


class Bench:
    """The series, their annotations, and what methods score on them."""

    def __init__(self, folder: Path) -> None:
        self.scorer = _load(folder / "score_tcpd.py")
        self.data = self.scorer.load()
        self.names: list[str] = self.scorer.univariate(self.data)

    def found(self, method: Method) -> dict[str, list[int]]:
        """Change points of every series."""
        return {name: [int(k) for k in method(self.data[name]["x"][:, 0])] for name in self.names}

    def rows(self, found: Mapping[str, list[int]]) -> FloatArray:
        """F1 and cover, shape (series, 2)."""
        scores: Mapping[str, Score] = self.scorer.score(found, self.data)
        return np.array([scores[name] for name in self.names], dtype=np.float64)

    def print_comparison(self, folder: Path) -> None:
        """Ours, the peers, and the published defaults."""
        print(f"{len(self.names)} univariate series                        F1     cover  changes  seconds")
        for name, method in methods().items():
            start = time.perf_counter()
            found = self.found(method)
            taken = time.perf_counter() - start
            f1, cover = self.rows(found).mean(0)
            many = np.mean([len(cuts) for cuts in found.values()])
            print(f"{name:44s} {f1:.3f}  {cover:.3f}  {many:5.1f}  {taken:8.2f}")
        published = _load(folder / "published_tcpd.py")
        for column in published.COLS:
            f1 = np.mean([published.F1[name][column] for name in self.names])
            cover = np.mean([published.COVER[name][column] for name in self.names])
            kind = {"D": "default", "O": "best setting per series"}.get(column[0], "nothing found")
            print(f"{'published: ' + column + ' (' + kind + ')':44s} {f1:.3f}  {cover:.3f}")

    def print_series(self) -> None:
        """Ours, series by series."""
        found = self.found(change_points)
        for name, (f1, cover) in zip(self.names, self.rows(found), strict=True):
            print(f"{name:20s} {f1:.3f}  {cover:.3f}  {found[name]}")

    def print_sensitivity(self) -> None:
        """Each constant on its own, the others as they are."""
        print("constant             factor  value   F1     cover")
        for name in CONSTANTS:
            fixed = getattr(segments, name)
            for factor in (0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 2.0):
                value = max(2, round(fixed * factor)) if isinstance(fixed, int) else fixed * factor
                f1, cover = self._with({name: value}).mean(0)
                print(f"{name:20s} {factor:5.2f}  {value:6.3g}  {f1:.3f}  {cover:.3f}")

    def print_split_half(self, splits: int = 1000) -> None:
        """Choose the best of a grid on a random half of the series, score it on the other half."""
        settings = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
        scores = np.array([self._with(setting) for setting in settings])  # (settings, series, 2)
        rng = np.random.default_rng(0)
        chosen, unseen = [], []
        for _ in range(splits):
            half = rng.permutation(len(self.names)) < len(self.names) // 2
            best = int(np.argmax(scores[:, half].mean(1).sum(-1)))
            chosen.append(scores[best, half].mean(0))
            unseen.append(scores[best, ~half].mean(0))
        print(f"{len(settings)} settings, {splits} random halves          F1     cover")
        print("best setting on the half it was chosen on  {:.3f}  {:.3f}".format(*np.mean(chosen, axis=0)))
        print("the same setting on the other half         {:.3f}  {:.3f}".format(*np.mean(unseen, axis=0)))
        means = scores.mean(1)
        print("worst of all settings on all series        {:.3f}  {:.3f}".format(*means.min(0)))
        print("median of all settings on all series       {:.3f}  {:.3f}".format(*np.median(means, axis=0)))

    def _with(self, constants: Mapping[str, float]) -> FloatArray:
        """Rows of ours with other constants."""
        kept = {name: getattr(segments, name) for name in constants}
        try:
            for name, value in constants.items():
                setattr(segments, name, value)
            return self.rows(self.found(change_points))
        finally:
            for name, value in kept.items():
                setattr(segments, name, value)


def autoregressive(rng: np.random.Generator, n: int, phi: float) -> FloatArray:
    """AR(1) noise of standard deviation 1."""
    shock = rng.standard_normal(n)
    out = shock.copy()
    for i in range(1, n):
        out[i] = phi * out[i - 1] + np.sqrt(1 - phi**2) * shock[i]
    return np.asarray(out)


def print_generated(draws: int = 300) -> None:
    """Curves whose changes are known."""
    rng = np.random.default_rng(0)
    print(f"{draws} draws a row                                     changes found")
    for n, phi in itertools.product((71, 300, 1000), (0.0, 0.5, 0.8)):
        many = [len(change_points(autoregressive(rng, n, phi))) for _ in range(draws // (1 + n // 300))]
        print(f"nothing but noise, {n:4d} points, phi {phi:.1f}         {np.mean(many):.2f} a curve")
    for n in (71, 300):
        many = [len(change_points(0.2 * np.arange(n) + rng.standard_normal(n))) for _ in range(draws)]
        print(f"a ramp of 0.2 sd a step, {n:4d} points            {np.mean(many):.2f} a curve")
    for size in (2, 3, 5):
        found = [change_points(rng.standard_normal(71) + size * (np.arange(71) >= 40)) for _ in range(draws)]
        exact = np.mean([cuts == [40] for cuts in found])
        near = np.mean([any(abs(cut - 40) <= 2 for cut in cuts) for cuts in found])
        print(f"a step of {size} sd at 40 of 71 points            {near:.0%} within 2, {exact:.0%} exact")
    knots = [0, 5, 10, 20, 45, 60, 65, 70], [1.50, 1.70, 1.75, 1.80, 1.88, 1.875, 1.70, 1.75]
    figure = [
        change_points(np.interp(np.arange(71), *knots) + 0.012 * rng.standard_normal(71))
        for _ in range(draws)
    ]
    near = np.mean([any(58 <= cut <= 64 for cut in cuts) for cuts in figure])
    many = [len(cuts) for cuts in figure]
    print(f"reward of the synthetic figure                {np.mean(many):.2f} a curve, {near:.0%} at 58-64")
    for n in (71, 1_000, 10_000, 100_000):
        y = autoregressive(rng, n, 0.0) + 5.0 * (np.arange(n) >= n // 2)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            change_points(y)
            times.append(time.perf_counter() - start)
        print(f"{n:6d} points                                    {1000 * min(times):.0f} ms")


def methods() -> dict[str, Method]:
    """Ours, and the peers that are installed."""
    found: dict[str, Method] = {"foreshock.change_points": change_points, "nothing found": lambda y: []}
    for add in (_ruptures, _skchange):
        try:
            found.update(add())
        except ImportError as missing:
            print(f"left out: {missing}", file=sys.stderr)
    return found


def _scaled(y: FloatArray) -> FloatArray:
    return np.asarray((y - y.mean()) / (y.std() or 1.0))[:, None]


def _ruptures() -> dict[str, Method]:
    import ruptures  # type: ignore[import-not-found, unused-ignore]

    def method(search: str, model: str, factor: float) -> Method:
        def run(y: FloatArray) -> list[int]:
            signal = _scaled(y)
            detector = getattr(ruptures, search)(model=model, min_size=2, jump=1).fit(signal)
            return list(detector.predict(pen=factor * np.log(len(signal))))[:-1]

        return run

    def kernel(y: FloatArray) -> list[int]:
        signal = _scaled(y)
        detector = ruptures.KernelCPD(kernel="rbf", min_size=2).fit(signal)
        return list(detector.predict(pen=3 * np.log(len(signal))))[:-1]

    return {
        "ruptures Binseg l2, 3 log n": method("Binseg", "l2", 3),
        "ruptures Pelt l2, 3 log n": method("Pelt", "l2", 3),
        "ruptures Pelt l2, 2 log n": method("Pelt", "l2", 2),
        "ruptures KernelCPD rbf, 3 log n": kernel,
    }


def _skchange() -> dict[str, Method]:
    from skchange.detectors import PELT, SeededBinarySegmentation  # type: ignore[import-not-found, unused-ignore]
    from skchange.interval_scorers import (  # type: ignore[import-not-found, unused-ignore]
        CUSUM,
        L2Cost,
        LinearTrendCost,
    )

    def method(make: Callable[[], object]) -> Method:
        def run(y: FloatArray) -> list[int]:
            signal = _scaled(y)
            detector = make()
            return [int(k) for k in detector.fit(signal).predict(signal)]  # type: ignore[attr-defined]

        return run

    return {
        "skchange PELT linear trend, default penalty": method(lambda: PELT(LinearTrendCost())),
        "skchange PELT L2, default penalty": method(lambda: PELT(L2Cost())),
        "skchange seeded BS CUSUM, default penalty": method(lambda: SeededBinarySegmentation(CUSUM())),
    }


if __name__ == "__main__":
    main()

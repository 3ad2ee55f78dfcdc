"""How the phases of the synthetic figure read, draw by draw; everything here is synthetic.

python benchmarks/phases.py --draws 60
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from foreshock.analysis import estimate_noise
from foreshock.analysis.changes import find_changes
from foreshock.analysis.phases import phases
from foreshock.run import FloatArray

STEPS = np.arange(71)
CURVES = {
    "reward_mean": (
        ((0, 5, 10, 20, 45, 60, 65, 70), (1.50, 1.70, 1.75, 1.80, 1.88, 1.875, 1.70, 1.75), 0.012),
        "up",
    ),
    "response_length_mean": (((0, 20, 35, 50, 70), (475, 550, 600, 665, 680), 12.0), None),
}


def main() -> None:
    """Count the readings of each curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=60)
    draws = parser.parse_args().draws
    for name, ((at, levels, sd), good) in CURVES.items():
        rng = np.random.default_rng(2)
        readings: Counter[str] = Counter()
        drops: Counter[str] = Counter()
        for _ in range(draws):
            y: FloatArray = np.interp(STEPS, at, levels) + sd * rng.standard_normal(71)
            found = phases(STEPS, y, estimate_noise(y), find_changes(name, STEPS, y, good=good))
            readings[", ".join(phase.kind for phase in found)] += 1
            drops.update(f"{p.start} to {p.end}" for p in found if p.kind == "drop")
        print(f"{name}, {draws} draws")
        for reading, count in readings.most_common():
            print(f"  {count:3d}  {reading}")
        if drops:
            print("  the drop: " + "; ".join(f"{count} x {where}" for where, count in drops.most_common()))


if __name__ == "__main__":
    main()

"""Simulate the scores of the live detectors where nothing happens; writes detect/calibration.json.

    python benchmarks/calibrate_detection.py                 # about ten minutes on one core
    python benchmarks/calibrate_detection.py --curves 200    # a rough table, printed only with --dry

Expected: for each kind of evidence a score per rate of false alarms, that of the family which needs most.
Curves have 200 rows: most runs that are watched are short, and the first rows are the hardest. An alarm is
the first row at a score after 25 rows below it. Drifts in the bad direction belong to the families only where
the evidence claims to bear them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import foreshock.detect as detect
from detection_curves import families
from foreshock.detect import bocpd, joint, noise, peak, spike
from foreshock.run import FloatArray

OUT = Path(detect.__file__).parent / "calibration.json"
ROWS = 200
REARM = 25
RATES = (30.0, 10.0, 3.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.03)
FLAT = ("phi 0", "phi 0.2", "phi 0.4", "phi 0.6", "phi 0.8", "t5", "noise x2 up", "noise x2 down")
DRIFTS = ("saturating growth", "linear growth")
STEPS = ("sigmoid growth", "growth in stairs", "variance x2 at once")


def scores(y: FloatArray) -> dict[str, FloatArray]:
    """Scores of all kinds of evidence on curves (curves, n), each (curves, n)."""
    k, n = y.shape
    scatter, odds, best = noise.start(k), bocpd.start_own(k), peak.start_own(k)
    found = {kind: np.empty((k, n), dtype=np.float64) for kind in ("joint", "steady", "peak", "spike")}
    for row in range(n):
        scatter, seen = noise.step(scatter, y[:, row])
        odds, both = joint.judge(odds, seen)
        best, patient = peak.judge(best, seen)
        verdicts = (both, joint.judge_steady(seen), patient, spike.judge(seen))
        for kind, verdict in zip(found, verdicts, strict=True):
            found[kind][:, row] = verdict.score
    return found


def threshold(score: FloatArray, rate: float) -> float:
    """The score that is reached `rate` times per 1000 rows; crossings fewer than 25 rows apart are one."""
    padded = np.pad(score, ((0, 0), (REARM, 0)), constant_values=-np.inf)
    before = np.lib.stride_tricks.sliding_window_view(padded, REARM, axis=1)[:, :-1].max(-1)
    low, high = 0.0, 200.0
    for _ in range(40):
        middle = (low + high) / 2
        alarms = int(((score >= middle) & (before < middle)).sum())
        low, high = (middle, high) if 1000 * alarms > rate * score.size else (low, middle)
    return high


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--curves", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args()
    table: dict[str, FloatArray] = {}
    for place, family in enumerate((*FLAT, *DRIFTS, *STEPS)):
        rng = np.random.default_rng([options.seed, place])
        found = scores(families(rng, family, options.curves, ROWS))
        for kind, score in found.items():
            if kind == "steady" and family in STEPS:
                continue
            needed = np.array([threshold(score, rate) for rate in RATES])
            table[kind] = np.maximum(table.get(kind, needed), needed)
            print(f"{kind:>7} {family:>20} " + " ".join(f"{value:6.2f}" for value in needed), flush=True)
    evidence = {
        kind: {"rates": list(RATES), "scores": np.maximum.accumulate(np.round(needed, 3)).tolist()}
        for kind, needed in table.items()
    }
    note = f"benchmarks/calibrate_detection.py --curves {options.curves} --seed {options.seed}"
    if not options.dry:
        OUT.write_text(json.dumps({"made_by": note, "rows": ROWS, "evidence": evidence}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Train without faults and draw the two charts that started it all: length and reward against step.

    python -m lab figure --out DIR                # about six CPU minutes on one core

Expected: see DIARY.md. The aim is reward 1.50 +- 0.05 at the start, at least 1.70 by step 12, 1.85 by step 50
with noise of at most 0.03; and length up by at least 30 % and still rising at the end; what was reached is
printed, and written to figure.json beside the record.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import foreshock
from foreshock.report import figure
from lab.run import go
from lab.train import Options


def measure(reward: Sequence[float], length: Sequence[float]) -> dict[str, float]:
    """The numbers of the aim; noise as the deviation of differences of steps, over the root of 2."""
    steps = [later - sooner for sooner, later in zip(reward[10:], reward[11:], strict=False)]
    late = length[-10:]
    return {
        "reward_start": reward[0],
        "reward_by_12": max(reward[9:12]),
        "reward_mean_10_14": statistics.fmean(reward[9:14]),
        "reward_mean_48_52": statistics.fmean(reward[47:52]),
        "reward_noise": statistics.stdev(steps) / 2**0.5,
        "length_start": statistics.fmean(length[:2]),
        "length_end": statistics.fmean(late),
        "length_growth": statistics.fmean(late) / statistics.fmean(length[:2]) - 1,
        "length_last_ten_against_ten_before": statistics.fmean(late) / statistics.fmean(length[-20:-10]) - 1,
    }


def main(arguments: list[str]) -> None:
    """Train, measure, draw."""
    parser = argparse.ArgumentParser("lab figure", description=__doc__)
    parser.add_argument("--task", default="countdown")
    parser.add_argument("--steps", type=int, default=70)
    parser.add_argument("--prompts", type=int, default=80)
    parser.add_argument("--lr", type=float, default=3.5e-4)
    parser.add_argument("--pool", default="wide", help="problems; only Countdown has wide ones")
    parser.add_argument("--max-tokens", type=int, default=500, help="room for length to grow")
    parser.add_argument("--beta", type=float, default=0.0, help="0 saves the reference model's time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    flags = vars(parser.parse_args(arguments))
    out, resume = flags.pop("out"), flags.pop("resume")
    go(Options(**flags), out=out, at=10_000, twin=0, resume=resume)
    run = foreshock.open_run(out / "run")
    found = measure(list(run.series["reward"]), list(run.series["completions/mean_length"]))
    (out / "figure.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(f"{name:<36} {value:.3f}" for name, value in found.items()))
    figure.save(figure.draw(run, foreshock.analyze(run)), out / "figure.png")
    print(f"drawn in {out / 'figure.png'}")

"""The cost of `log()` in a training loop: foreshock beside trackio and wandb (offline), in the same run.

    pip install -e '.[dev]'
    python benchmarks/recorder.py                # 5,000 steps of 20 metrics each, in rounds

Rows are synthetic (512 rows of Gaussian numbers, in turn). The loggers take turns in rounds, so that what
else the machine does falls on all; the table shows the time inside the call, after a warm-up, and its ratio
to foreshock's. The bytes a number takes are foreshock's, live and sealed, on a random walk, which
compresses like metrics do.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import foreshock
from foreshock.record.seal import seal

METRICS = (
    "reward", "reward_std", "completions/mean_length", "completions/max_length", "completions/min_length",
    "completions/clipped_ratio", "kl", "entropy", "grad_norm", "learning_rate", "loss",
    "clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean", "frac_reward_zero_std",
    "rewards/accuracy/mean", "rewards/format/mean", "num_tokens", "step_time", "epoch",
)  # fmt: skip
WARM_UP = 50
Log = Callable[[dict[str, float], int], None]


def loggers(folder: Path, stack: contextlib.ExitStack) -> dict[str, Log]:
    """The `log(row, step)` of each that is installed, by name."""
    recorder = stack.enter_context(foreshock.Recorder(folder / "foreshock", strict=True, environment=False))
    synced = stack.enter_context(
        foreshock.Recorder(folder / "fsync", strict=True, fsync=True, environment=False)
    )
    judged = stack.enter_context(
        foreshock.Recorder(folder / "monitor", strict=True, monitor=True, environment=False)
    )
    found: dict[str, Log] = {
        "foreshock": recorder.log,
        "foreshock, fsync=True": synced.log,
        "foreshock, monitor=True": judged.log,
    }
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "TRACKIO_DIR": str(folder / "trackio")}
    try:
        import trackio

        run = trackio.init(project="speed", embed=False)
        stack.callback(trackio.finish)
        found["trackio"] = lambda row, step: run.log(row, step=step)
    except ImportError:
        print("trackio is missing here: pip install trackio")
    try:
        import wandb

        offline = wandb.init(project="speed", dir=str(folder), mode="offline")
        stack.callback(offline.finish)
        found["wandb, offline"] = lambda row, step: offline.log(row, step=step)
    except ImportError:
        print("wandb is missing here: pip install wandb")
    return found


def measure(steps: int, rounds: int) -> None:
    """Print the table of times."""
    rows = [{name: random.gauss(0, 1) for name in METRICS} for _ in range(512)]
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        found = loggers(Path(name), stack)
        times: dict[str, list[int]] = {each: [] for each in found}
        step = 0
        for part in range(rounds + 1):
            for each, log in found.items():
                for at in range(step, step + (steps // rounds if part else WARM_UP)):
                    row = rows[at % len(rows)]
                    start = time.perf_counter_ns()
                    log(row, at)
                    spent = time.perf_counter_ns() - start
                    if part:
                        times[each].append(spent)
            step += steps // rounds if part else WARM_UP
    ours = statistics.median(times["foreshock"])
    print(f"{steps} steps of {len(METRICS)} metrics, microseconds in log()")
    print(f"{'':24}{'median':>9}{'p99':>9}{'mean':>9}{'ratio of medians':>18}")
    for each, taken in times.items():
        taken.sort()
        middle, late = statistics.median(taken), taken[int(0.99 * len(taken))]
        line = f"{middle / 1e3:>9.1f}{late / 1e3:>9.1f}{statistics.fmean(taken) / 1e3:>9.1f}"
        print(f"{each:24}{line}{middle / ours:>18.1f}")


def sizes(steps: int) -> None:
    """Print the bytes a number takes."""
    with tempfile.TemporaryDirectory() as name:
        walk = dict.fromkeys(METRICS, 0.0)
        with foreshock.Recorder(name, environment=False) as run:
            for step in range(steps):
                walk = {each: value + random.gauss(0, 1) for each, value in walk.items()}
                run.log(walk, step)
        sealed = seal(Path(name))
    live, packed = sealed.before / sealed.points, sealed.after / sealed.points
    print(f"bytes a number: {live:.1f} live, {packed:.1f} sealed")


def main() -> None:
    """Read the options and print both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    measure(options.steps, options.rounds)
    sizes(options.steps)


if __name__ == "__main__":
    main()

"""Whole-process time and peak memory: foreshock beside rldoctor and rlprobe on the same (synthetic) rows.

    pip install -e '.[bench]'
    python benchmarks/speed.py                 # 71 and 100,000 rows
    python benchmarks/speed.py --rows 71 --runs 9

Each command runs as its own process, in turn (A B C A B C ...), after one warm-up; the table shows the
median over the runs, the largest peak memory, and the ratio of the medians to foreshock's. rlprobe reads
only its own recordings, so the same values are recorded with its recorder first (not timed). A peer is
stopped at `--limit` seconds or `--memory` GiB and shown as such. With `--python` foreshock runs in an
environment of its own (typer imports pydantic, which rlprobe brings, wherever it is installed).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

METRICS = ("reward", "reward_std", "completions/mean_length", "kl", "entropy", "grad_norm", "loss")
RECORD = """
import json, sys
from rlprobe import Recorder
names = {"reward": "reward_mean", "kl": "kl_mean", "entropy": "entropy_mean"}
with Recorder(sys.argv[2], algorithm="grpo", capture_env=False, queue_size=1_000_000) as rec:
    for line in open(sys.argv[1]):
        row = json.loads(line)
        rec.log_step(row.pop("step"), **{names.get(k, k.replace("/", "_")): v for k, v in row.items()})
"""


@dataclass
class Timed:
    """What one command cost, run by run."""

    name: str
    command: list[str]
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    stopped: str = ""


def write_log(path: Path, rows: int, seed: int = 0) -> None:
    """A synthetic healthy run: saturating curves with white noise, 7 metrics, one JSON object a line."""
    rng = random.Random(seed)
    with path.open("w") as out:
        for step in range(rows):
            level = 1 - math.exp(-5 * step / rows)
            values = (1.5 + 0.38 * level, 0.4, 475 + 205 * level, 0.02 * level, 1.3 - 0.5 * level, 0.3, 0.0)
            scale = (0.02, 0.02, 12, 0.002, 0.02, 0.05, 0.01)
            row: dict[str, float] = {"step": step}
            row |= {m: round(v + rng.gauss(0, s), 5) for m, v, s in zip(METRICS, values, scale, strict=True)}
            out.write(json.dumps(row) + "\n")


def run_once(timed: Timed, limit: float, memory: float) -> None:
    """Run the command once; time and peak resident memory from the operating system's accounting."""

    def confine() -> None:
        size = int(memory * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))

    start = time.perf_counter()
    process = subprocess.Popen(
        timed.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=confine
    )
    signal.signal(signal.SIGALRM, lambda *_: process.kill())
    signal.setitimer(signal.ITIMER_REAL, limit)
    _, status, usage = os.wait4(process.pid, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    timed.seconds.append(time.perf_counter() - start)
    timed.megabytes.append(usage.ru_maxrss / 1024)
    if process.returncode < 0:
        timed.stopped = f"stopped at {limit:.0f} s"
    elif process.returncode not in (0, 1):  # 1 = findings
        timed.stopped = f"failed with exit {process.returncode} (limit {memory:.0f} GiB)"


def commands(log: Path, folder: Path, python: str) -> list[Timed]:
    """The commands to compare on one log; peers that are not installed are left out, and said."""
    foreshock = [python, "-m", "foreshock", "report", str(log)]
    timed = [
        Timed("foreshock, JSON", [*foreshock, "--json"]),
        Timed("foreshock, all outputs", [*foreshock, "--out", str(folder / "report")]),
    ]
    bin = Path(sys.executable).parent
    rldoctor = shutil.which("rl-doctor", path=str(bin))
    if rldoctor:
        timed.append(Timed("rldoctor, JSON", [rldoctor, "diagnose", str(log), "-f", "json"]))
    rlprobe = shutil.which("rlprobe", path=str(bin))
    if rlprobe:
        recording = folder / f"rlprobe-{log.stem}"
        subprocess.run([sys.executable, "-c", RECORD, str(log), str(recording)], check=True)
        timed.append(Timed("rlprobe doctor, JSON", [rlprobe, "doctor", str(recording), "--json"]))
    if not (rldoctor and rlprobe):
        print("peers missing here: pip install -e '.[bench]' runs them beside ours")
    return timed


def compare(rows: int, runs: int, limit: float, memory: float, python: str) -> None:
    """Print one table for logs of `rows` rows."""
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "run.jsonl"
        write_log(log, rows)
        timed = commands(log, Path(name), python)
        for turn in range(runs + 1):
            for each in timed:
                if each.stopped:
                    continue
                run_once(each, limit, memory)
                if turn == 0 and not each.stopped:  # the warm-up is not counted
                    each.seconds.clear()
                    each.megabytes.clear()
    print(f"\n{rows:,} rows x {len(METRICS)} metrics, {runs} runs each")
    print(f"{'command':<24}{'median s':>10}{'min':>8}{'max':>8}{'peak MB':>10}{'ratio':>8}")
    base = statistics.median(timed[0].seconds)
    for each in timed:
        middle = statistics.median(each.seconds)
        line = f"{each.name:<24}{middle:>10.2f}{min(each.seconds):>8.2f}{max(each.seconds):>8.2f}"
        print(f"{line}{max(each.megabytes):>10.0f}{middle / base:>8.1f}  {each.stopped}")


def import_time(runs: int, python: str) -> None:
    """Print what `import foreshock` adds to a bare interpreter."""

    def median(code: str) -> float:
        seconds = []
        for _ in range(runs):
            start = time.perf_counter()
            subprocess.run([python, "-c", code], check=True)
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)

    bare, loaded = median("pass"), median("import foreshock")
    print(f"import foreshock: {1000 * (loaded - bare):.0f} ms over a bare interpreter ({1000 * bare:.0f} ms)")


def main() -> None:
    """Parse the flags and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[71, 100_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--limit", type=float, default=60, help="seconds after which a command is stopped")
    parser.add_argument("--memory", type=float, default=6, help="GiB of address space a command may take")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has foreshock installed")
    args = parser.parse_args()
    import_time(args.runs, args.python)
    for rows in args.rows:
        compare(rows, args.runs, args.limit, args.memory, args.python)


if __name__ == "__main__":
    main()

"""Make the corpus: healthy runs and runs with faults at known steps, all as a user would have them.

    python -m lab corpus --out lab/corpus --workers 2     # hours; give it again to go on after a stop
    python -m lab corpus --out /tmp/small --small         # a minute or two

Expected: OUT/*.parquet, runs.json and truth.json as lab/corpus/README.md tells. What is made is written
family by family to OUT-parts, so a killed command loses at most the families in work. The same plan,
checkpoints and machine give the same corpus bit for bit.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from lab.plan import Family, plan
from lab.tables import Corpus, load, pack, restore

_STRETCH, _KEPT = 20, 0.8  # steps; share of the best that a healthy run keeps

__all__ = ["Corpus", "load", "main", "restore"]


def main(arguments: list[str]) -> None:
    """Make the parts that are missing, then pack them."""
    parser = argparse.ArgumentParser(
        "lab corpus", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "corpus")
    parser.add_argument("--workers", type=int, default=2, help="processes, each with one thread")
    parser.add_argument("--small", action="store_true", help="four short families of three faults")
    flags = parser.parse_args(arguments)
    make(flags.out, workers=flags.workers, small=flags.small)


def make(out: Path, *, workers: int = 1, small: bool = False) -> None:
    """The command as a function."""
    parts = out.with_name(out.name + "-parts")
    parts.mkdir(parents=True, exist_ok=True)
    (parts / ".gitignore").write_text("*\n")
    families = plan(small=small)
    paths = {family.number: parts / f"{family.number:03d}-{family.key()}.json.gz" for family in families}
    missing = [(family, paths[family.number]) for family in families if not paths[family.number].exists()]
    missing.sort(key=lambda pair: -pair[0].steps)  # the longest first, so that no worker is left with one
    began = time.time()
    failed = []
    for done, (number, seconds, error) in enumerate(_made(missing, workers), 1):
        so_far = f"{done} of {len(missing)} in {time.time() - began:.0f} s"
        print(f"family {number}: {seconds:.0f} CPU s; {so_far}{error and ': ' + error}", flush=True)
        failed += [number] if error else []
    if failed:
        raise SystemExit(f"families {failed} failed, the others are made; nothing is packed")
    made = {number: _read(path) for number, path in paths.items()}
    broken = [number for number, runs in made.items() if not small and not healthy(runs[0])]
    if broken:
        raise SystemExit(f"the clean runs of families {broken} broke down: raise them in lab.plan._REDRAWN")
    pack(list(made.values()), out)
    print(f"{out}: {sum(path.stat().st_size for path in out.glob('*.*')) / 1e6:.1f} MB")


def healthy(run: dict[str, Any]) -> bool:
    """Whether a clean run solves as much as it could: no 20 steps much worse than the best 20 before.

    The first steps do not count where a curriculum makes the problems harder after them.
    """
    harder = [event["step"] for event in run["events"] if event["kind"] == "curriculum"]
    solved = [r["rewards/accuracy_reward/mean"] for r in run["rows"] if r["step"] >= max(harder, default=0)]
    means = [sum(solved[first : first + _STRETCH]) / _STRETCH for first in range(len(solved) - _STRETCH + 1)]
    return all(mean >= _KEPT * best for best, mean in zip(accumulate(means, max), means, strict=True))


def _made(missing: list[tuple[Family, Path]], workers: int) -> Iterator[tuple[int, float, str]]:
    """Make parts, several at a time, or in this process if there is one worker."""
    if workers <= 1:
        yield from map(_part, missing)
    else:
        with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=8) as pool:
            yield from pool.imap_unordered(_part, missing)


def _part(task: tuple[Family, Path]) -> tuple[int, float, str]:
    """Train a family and write its part; a part that is there is whole. Errors are told, not raised."""
    from lab.family import train  # here, as it imports torch, which the workers do and the parent need not

    family, path = task
    began, error = time.process_time(), ""
    try:
        runs = train(family)
        unfinished = path.with_suffix(f".{os.getpid()}")
        with gzip.open(unfinished, "wt") as file:
            json.dump(runs, file)
        unfinished.replace(path)
    except Exception:
        error = traceback.format_exc()
    return family.number, time.process_time() - began, error


def _read(path: Path) -> list[dict[str, object]]:
    with gzip.open(path, "rt") as file:
        runs: list[dict[str, object]] = json.load(file)
    return runs

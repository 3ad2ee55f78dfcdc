"""How soon a fall is told against how often one is told in vain: Foreshock's live detection beside others.

    pip install -e '.[bench]'
    python benchmarks/detection.py             # all parts; writes docs/detect/measured.{md,png,json}
    python benchmarks/detection.py --part semi-real --draws 1000
    python benchmarks/detection.py --redraw    # page and picture from the kept results
    python benchmarks/detection.py --peer rldoctor=DIR/bin/python --peer rlwatch=DIR/bin/python

Parts of an earlier run that are not asked for stay as they are. `real` and `lab` use thresholds of
`semi-real`, `figure` those of `nulls`. rldoctor and rlwatch run in environments of their own, given with
--peer. The logs of others are read from the folder beside the checkout.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import detection_chart
import detection_table
from detection_lab import of_lab
from detection_methods import Method, observer, rivals
from detection_ours import methods as ours
from detection_ours import of_cost, of_together
from detection_ours import watches as our_watches
from detection_parts import of_figure, of_known, of_nulls, of_semi_real, of_synthetic
from detection_real import of_real
from detection_runs import Watch, peer_watches
from detection_tools import peers, river_methods

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("semi-real", "synthetic", "known", "nulls", "together", "real", "lab", "figure", "cost")


class Bench:
    """The methods, and the results so far."""

    def __init__(self, options: argparse.Namespace, kept: dict[str, Any]) -> None:
        self.options, self.kept = options, kept
        pythons = dict(pair.split("=", 1) for pair in options.peer)
        self.methods: list[Method] = [*ours(), *rivals(), *river_methods(), *peers(pythons)]
        self.watches: list[Watch] = [*our_watches(), *peer_watches(pythons)]
        if options.method:
            chosen = options.method.split(",")
            self.methods = [m for m in self.methods if any(part in m.name for part in chosen)]

    def run(self, part: str) -> dict[str, Any] | None:
        """The result of a part; None where something that it needs is not there."""
        draws, seed = self.options.draws, self.options.seed
        drawn: dict[str, Callable[..., dict[str, Any]]] = {
            "semi-real": of_semi_real,
            "synthetic": of_synthetic,
            "known": of_known,
            "nulls": of_nulls,
        }
        if part in drawn:
            slow = PEERS if part in ("synthetic", "known") else ()
            return drawn[part]([m for m in self.methods if m.name not in slow], draws, seed)
        if part == "figure":
            settings = {n: found["setting"] for n, found in self._earlier("nulls").items()}
            return of_figure([m for m in self.methods if m.name in settings], settings, draws, seed)
        if part == "cost":
            return of_cost(seed=seed)
        if part == "together":
            return of_together(draws, seed)
        settings = {name: found["settings"] for name, found in self._earlier("semi-real").items()}
        known = [m for m in self.methods if m.name in settings and m.name not in PEERS]
        if part == "real":
            return of_real(known, self.watches, settings)
        if not (self.options.corpus / "truth.json").is_file():
            print(f"lab: left out, there is no corpus in {self.options.corpus}", file=sys.stderr)
            return None
        return of_lab(self.options.corpus, known, self.watches, settings)

    def _earlier(self, part: str) -> dict[str, Any]:
        if part not in self.kept["parts"]:
            raise SystemExit(f"detection.py: run --part {part} first, its thresholds are needed")
        result: dict[str, Any] = self.kept["parts"][part]["result"]
        return result

    def go(self, parts: list[str]) -> None:
        """Run parts one after the other, keeping each result."""
        self.kept["notes"] |= {m.name: m.note for m in (observer(), *self.methods)}
        self.kept["notes"] |= {w.name: w.note for w in our_watches()}
        for part in parts:
            began = time.time()
            result = self.run(part)
            if result is None:
                continue
            self.kept["parts"][part] = {
                "made": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
                "draws": self.options.draws,
                "seed": self.options.seed,
                "seconds": time.time() - began,
                "result": result,
            }
            print(f"{part}: {time.time() - began:.0f} s", file=sys.stderr, flush=True)
            write(self.kept, self.options.out)


PEERS = ("rldoctor, as it comes", "rlwatch, as it comes")


def write(kept: dict[str, Any], folder: Path) -> None:
    """Results, page and picture."""
    folder.mkdir(parents=True, exist_ok=True)
    rounded = json.loads(json.dumps(kept), parse_float=lambda text: float(f"{float(text):.5g}"))
    (folder / "measured.json").write_text(json.dumps(rounded, indent=1) + "\n")
    (folder / "measured.md").write_text(detection_table.page(kept))
    if "semi-real" in kept["parts"]:
        detection_chart.draw(kept["parts"]["semi-real"]["result"], folder / detection_table.PICTURE)


def main() -> None:
    """Run what was asked for and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--draws", type=int, default=300, help="curves of each kind")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--method", help="only methods whose name contains one of these")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--corpus", type=Path, default=ROOT / "lab/corpus")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/detect")
    parser.add_argument("--redraw", action="store_true", help="only page and picture")
    options = parser.parse_args()
    parts = options.part.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {min(unknown)!r}; there is {', '.join(PARTS)}")
    path = options.out / "measured.json"
    kept = json.loads(path.read_text()) if path.is_file() else {"parts": {}, "notes": {}}
    kept["command"] = "python benchmarks/detection.py --peer rldoctor=PYTHON --peer rlwatch=PYTHON"
    if not options.redraw:
        Bench(options, kept).go([part for part in PARTS if part in parts])
    write(kept, options.out)


if __name__ == "__main__":
    main()

"""Score whatever of detection and diagnosis exists over a corpus, and print one table.

    python -m lab score --corpus lab/corpus --tool foreshock --out score.json
    python -m lab score --tool foreshock,rldoctor,rlwatch --peer-python rldoctor=DIR/bin/python ...

Expected: a table of detection delay and share (against the ideal observer and against chance), false alarms
per 1000 steps, and true causes among the first named, over all faults and for each, with 95 % intervals; then
how each tool was used. How to read it, and how to add a tool: docs/lab/score.md.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.adapters import NAMES, find
from lab.adapters.base import LEVELS, Record, ToolError
from lab.score_data import Truth, records, truths
from lab.score_measure import Estimate, Outcome, measures, outcome
from lab.score_table import foot, table
from lab.score_watch import Said, look_at_all

SCHEMA = "foreshock.lab.score/1"
ALL, IDEAL = "all", "ideal observer"
Rows = list[tuple[str, str, str, int, Mapping[str, Estimate]]]


def main(arguments: list[str]) -> None:
    """Read the flags, score, print, write."""
    parser = argparse.ArgumentParser(
        "lab score", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, default=Path(__file__).parent / "corpus")
    parser.add_argument("--split", choices=("check", "fit", ALL), default="check")
    parser.add_argument("--tool", default=NAMES[0], help=f"of {', '.join(NAMES)}; NAME@K looks every K rows")
    parser.add_argument("--level", default=",".join(LEVELS), help="what the tools may see")
    parser.add_argument("--peer-python", action="append", default=[], metavar="[TOOL=]PATH")
    parser.add_argument("--brief", action="store_true", help="all faults together only")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "foreshock-lab")
    parser.add_argument("--out", type=Path, help="everything as JSON, with what each tool said of each run")
    flags = parser.parse_args(arguments)
    levels = flags.level.split(",")
    if unknown := set(levels) - LEVELS.keys():
        raise SystemExit(f"no level {', '.join(sorted(unknown))}; there is {', '.join(LEVELS)}")
    known = truths(flags.corpus, flags.split)
    if not known:
        raise SystemExit(f"{flags.corpus} has no run in the split {flags.split!r}")
    runs = records(flags.corpus, known)
    pythons = dict(_python(given) for given in flags.peer_python)
    names = flags.tool.split(",")
    try:
        said = look_at_all(
            names, levels, runs, known, pythons=pythons, cache=flags.cache, workers=flags.workers
        )
    except ToolError as error:
        raise SystemExit(str(error)) from error
    rows = score(runs, known, said, brief=flags.brief)
    notes = [_counted(known), *(note for name in names for note in _notes(name, pythons, said))]
    print(table(rows))
    print(f"\n{foot(notes)}")
    if flags.out:
        flags.out.write_text(json.dumps(_document(flags, rows, notes, said), indent=1) + "\n")


def score(
    runs: Mapping[str, Record],
    known: Mapping[str, Truth],
    said: Mapping[tuple[str, str], Mapping[str, Said]],
    brief: bool = False,
) -> Rows:
    """Rows of the table: all faults, then each; the ideal observer first, then each tool at each level.

    A fault that did not act is left out: there was nothing to find.
    """
    counted = {id: truth for id, truth in known.items() if truth.healthy or truth.acted}
    ideal = [outcome(runs[id], truth, None) for id, truth in counted.items()]
    outcomes = {(IDEAL, ""): [_as_tool(each) for each in ideal]}
    for key, heard in said.items():
        outcomes[key] = [
            outcome(runs[id], truth, heard.get(id), _twin(truth, runs, heard))
            for id, truth in counted.items()
        ]
    faults = sorted({truth.fault for truth in counted.values() if not truth.healthy})
    rows: Rows = []
    for fault in [ALL, *([] if brief else faults)]:
        for (name, level), each in outcomes.items():
            chosen = [one for one in each if fault in (ALL, one.fault)]
            broken = sum(not counted[one.id].healthy for one in chosen)
            if fault == ALL or name == IDEAL or said[name, level]:  # dashes need not be told again
                rows.append((fault, name, level, broken, measures(chosen)))
    return rows


def _as_tool(ideal: Outcome) -> Outcome:
    """The ideal observer in the columns of a tool: its power where a tool has its share."""
    return Outcome(ideal.id, ideal.fault, ideal.cluster, delay=ideal.ideal_delay, within=ideal.power)


def _twin(truth: Truth, runs: Mapping[str, Record], heard: Mapping[str, Said]) -> tuple[Record, Said] | None:
    """The clean twin, where it is in the corpus and was looked at."""
    id = truth.twin
    return (runs[id], heard[id]) if id is not None and id in runs and id in heard else None


def _python(given: str) -> tuple[str, str]:
    """(tool, interpreter); the tool is empty where one interpreter is for all."""
    name, equals, path = given.rpartition("=")
    return (name, path) if equals else ("", given)


def _counted(known: Mapping[str, Truth]) -> str:
    healthy = sum(truth.healthy for truth in known.values())
    idle = sum(not truth.healthy and not truth.acted for truth in known.values())
    clusters = len({truth.cluster for truth in known.values()})
    return (
        f"{len(known) - healthy - idle} runs with a fault, {healthy} healthy ones, {clusters} clusters; "
        f"{idle} faults did not act and are left out."
    )


def _notes(
    name: str, pythons: Mapping[str, str], said: Mapping[tuple[str, str], Mapping[str, Said]]
) -> list[str]:
    """How a tool was used, what it cost, and why it has dashes."""
    tool = find(name, pythons)
    notes = [f"{name} {tool.version()}: {tool.note}."]
    tool.stop()
    for (whose, level), heard in said.items():
        if whose != name:
            continue
        reasons = tool.lacks(level)
        if heard:
            looks = sum(each.looks for each in heard.values())
            seconds = sum(each.seconds for each in heard.values())
            every = tool.every(level)
            rows = "after every row" if every == 1 else f"every {every} rows"
            cost = f"; {looks} looks, {rows}, {seconds / looks:.3f} s each" if looks else ""
            notes.append(f"    {level}: {len(heard)} runs{cost}")
        for what, reason in zip(("alarms", "causes"), reasons, strict=True):
            if reason:
                notes.append(f"    {level}: no {what}: {reason}")
        errors = [each.error for each in heard.values() if each.error]
        if errors:
            notes.append(f"    {level}: gave up on {len(errors)} runs, left out: {errors[0]}")
    return notes


def _document(
    flags: argparse.Namespace,
    rows: Rows,
    notes: Sequence[str],
    said: Mapping[tuple[str, str], Mapping[str, Said]],
) -> dict[str, Any]:
    """Everything, for programs; null where there is no number, "inf" where it is infinite."""

    def number(value: float) -> float | str | None:
        return None if math.isnan(value) else "inf" if math.isinf(value) else round(value, 4)

    lines = []
    for fault, tool, level, runs, found in rows:
        values = {
            name: {**{key: number(value) for key, value in each._asdict().items()}}
            for name, each in found.items()
        }
        lines.append({"fault": fault, "tool": tool, "level": level, "runs": runs, "measures": values})
    heard = [
        {"tool": tool, "level": level, "run": id, "alarms": each.alarms, "causes": each.causes}
        | ({"error": each.error} if each.error else {})
        for (tool, level), runs in said.items()
        for id, each in sorted(runs.items())
    ]
    return {
        "schema": SCHEMA,
        "corpus": flags.corpus.name,
        "split": flags.split,
        "notes": list(notes),
        "table": lines,
        "said": heard,
    }

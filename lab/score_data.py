"""Read a corpus: its runs as their owners have them, and, apart from them, what was done to each.

The layout is in docs/lab/score.md. Nothing but this module reads files of a corpus, and no tool is ever
handed a `Truth`.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]

from foreshock import open_run
from foreshock.errors import ForeshockError
from foreshock.record._encode import line as encoded
from lab.adapters.base import Record, Row

HEALTHY = "none"


@dataclass(frozen=True)
class Truth:
    """What was done to a run.

    Attributes:
        fault: its name; "none" for a healthy run.
        cause: id in Foreshock's catalogue.
        dose: how strong.
        onset: first step of the fault; None for a healthy run.
        twin: id of the same run without the fault, where the corpus has it.
        split: "fit" or "check".
        acted: whether the fault's own check found that it acted.
        power: of the ideal observer within 8 and within 16 steps of the onset; None where not computed.
        delay: of the ideal observer; None where its evidence never is enough, or was not computed.
        cluster: runs of one cluster share prompts and noise, so they are resampled together.
    """

    fault: str
    cause: str
    dose: float | None
    onset: int | None
    twin: str | None
    split: str
    acted: bool
    power: tuple[float, float] | None
    delay: float | None
    cluster: str

    @property
    def healthy(self) -> bool:
        """Whether nothing was done to it."""
        return self.fault == HEALTHY


def truths(corpus: Path, split: str = "all") -> dict[str, Truth]:
    """What was done to each run of a split, by id.

    Raises:
        SystemExit: the folder is no corpus, or its truth lacks something.
    """
    path = corpus / "truth.json"
    if not path.is_file():
        raise SystemExit(f"{corpus} is no corpus: it has no truth.json; `python -m lab corpus` makes one")
    held = json.loads(path.read_text())["runs"]
    try:
        found = {id: _truth(id, entry) for id, entry in held.items()}
    except KeyError as error:
        raise SystemExit(f"{path}: a run lacks {error}; docs/lab/score.md lists what is needed") from error
    return {id: truth for id, truth in found.items() if split in ("all", truth.split)}


def _truth(id: str, entry: dict[str, Any]) -> Truth:
    ideal = entry.get("ideal") or {}
    seed = entry.get("options", {}).get("seed")
    known = ideal.get("power_8") is not None and ideal.get("power_16") is not None
    return Truth(
        fault=entry["fault"],
        cause=entry["cause"],
        dose=entry.get("dose"),
        onset=entry["onset"],
        twin=entry.get("twin"),
        split=entry.get("split", "check"),
        acted=entry.get("acted", True),
        power=(ideal["power_8"], ideal["power_16"]) if known else None,
        delay=ideal.get("delay"),
        cluster=entry.get("twin") or id if seed is None else f"{entry.get('task', '')} {seed}",
    )


def records(corpus: Path, ids: Iterable[str]) -> dict[str, Record]:
    """The runs of these ids, with their rows in the order of the steps.

    Raises:
        SystemExit: a run has no rows.
    """
    wanted = set(ids)
    rows = _rows(corpus, wanted)
    events, evidence = (_lines(corpus, kind, wanted) for kind in ("events", "evidence"))
    owned = corpus / "runs.json"
    facts = json.loads(owned.read_text()) if owned.is_file() else {}
    missing = sorted(wanted - rows.keys())
    if missing:
        raise SystemExit(
            f"{corpus}/runs-*.parquet has no rows of {len(missing)} runs of truth.json: {missing[0]}"
        )
    return {
        id: Record(
            id,
            tuple(steps := sorted(rows[id])),
            tuple(rows[id][step] for step in steps),
            tuple(events[id]),
            tuple(evidence[id]),
            facts.get(id, {}).get("facts", {}),
        )
        for id in sorted(wanted)
    }


def _rows(corpus: Path, wanted: set[str]) -> dict[str, dict[int, Row]]:
    """Run -> step -> metrics; null is not logged, NaN is."""
    found: dict[str, dict[int, Row]] = defaultdict(dict)
    for path in sorted(corpus.glob("runs-*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(4096):
            columns = batch.to_pydict()
            ids, steps = columns.pop("run"), columns.pop("step")
            for place, (id, step) in enumerate(zip(ids, steps, strict=True)):
                if id in wanted:
                    row = {name: values[place] for name, values in columns.items()}
                    found[id][step] = {name: value for name, value in row.items() if value is not None}
    return found


def _lines(corpus: Path, what: str, wanted: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Run -> lines of the journal of one sort, by step."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    word = {"events": "event"}.get(what, what)
    for path in sorted(corpus.glob(f"{what}-*.parquet")):
        for held in pq.read_table(path).to_pylist():
            if held["run"] in wanted:
                text = {"text": held["text"] or ""} if "text" in held else {}
                data = json.loads(held["data"] or "{}")
                found[held["run"]].append({"step": held["step"], word: held["kind"], **text, "data": data})
    for lines in found.values():
        lines.sort(key=lambda each: int(each["step"]))
    return found


def write_journal(record: Record, folder: Path) -> Path:
    """The record as a run folder that Foreshock opens, its lines in the order in which they are written."""
    lines = [
        (step, 2, {"step": step, "metrics": row}) for step, row in zip(record.steps, record.rows, strict=True)
    ]
    lines += [(line["step"], 1, line) for line in record.evidence]
    for line in record.events:
        if line["event"] == "resumed":  # in a journal a resume is a second start
            lines.append((line["step"], 0, _start(record, line["data"].get("attempt", 2))))
        else:
            lines.append((line["step"], 3, line))
    lines.sort(key=lambda each: each[:2])
    folder.mkdir(parents=True, exist_ok=True)
    content = [_start(record, 1), *(line for _, _, line in lines)]
    (folder / "journal-0.jsonl").write_bytes(b"".join(map(encoded, content)))
    return folder


def _start(record: Record, attempt: int) -> dict[str, Any]:
    head = {"schema": "foreshock.journal/1", "run": record.id, "process": "0", "attempt": attempt}
    return {"start": {**head, "facts": dict(record.facts or {})}}


def curves(record: Record) -> tuple[str, ...]:
    """The names under which this log has reward and length; no tool depends on Foreshock for them."""
    with tempfile.TemporaryDirectory() as name:
        try:
            columns = open_run(write_journal(record, Path(name))).columns
        except ForeshockError:
            return ("reward", "completions/mean_length")
    return tuple(columns[known].key for known in ("reward_mean", "response_length_mean") if known in columns)

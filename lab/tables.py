"""The corpus on disk: written as Parquet, read back, and turned back into folders that Foreshock opens.

Rows of tables are ordered by step and content, not by run: what a faulty run shares with its twin stands
together and costs next to nothing, and the order tells nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from foreshock.record._encode import line as line_of

SCHEMA = "foreshock.lab.truth/1"
START = 1_767_225_600.0  # when every restored run says it began

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """What there is of one run.

    Attributes:
        facts: what its owner says about it.
        truth: what happened.
        steps: (n,).
        metrics: by name (n,), NaN where NaN was logged or nothing.
    """

    facts: dict[str, Any]
    truth: dict[str, Any]
    steps: Array
    metrics: dict[str, Array]


@dataclass(frozen=True)
class Corpus:
    """All runs by id, and per faulty run and metric the difference from its clean twin since the onset."""

    folder: Path
    runs: dict[str, Run]
    twins: dict[str, dict[str, Array]]


# -- write -----------------------------------------------------------------------------------------------


def pack(parts: Iterable[list[dict[str, Any]]], out: Path) -> None:
    """Write the corpus of the runs of all families."""
    from lab import ideal

    out.mkdir(parents=True, exist_ok=True)
    runs = sorted((run for family in parts for run in family), key=lambda run: str(run["id"]))
    names = sorted({name for run in runs for row in run["rows"] for name in row} - {"step"})
    rows = [(run["id"], row) for run in runs for row in run["rows"]]
    rows.sort(key=lambda pair: (pair[1]["step"], str(pair[1].get("num_tokens")), pair[0]))
    columns = {"run": [run for run, _ in rows], "step": [row["step"] for _, row in rows]}
    columns |= {name: [_number(row.get(name)) for _, row in rows] for name in names}
    _write(out / "runs-0.parquet", columns)
    for kind in ("evidence", "events", "samples"):
        _write_lines(out / f"{kind}-0.parquet", [(run["id"], line) for run in runs for line in run[kind]])
    twins = [(run["id"], *line) for run in runs for line in run["twin"]]
    _write(
        out / "twins.parquet",
        dict(zip(("run", "step", "metric", "difference"), map(list, zip(*twins, strict=True)), strict=True)),
    )
    _json(out / "runs.json", {run["id"]: {"facts": run["facts"]} for run in runs})
    truth = {run["id"]: run["truth"] for run in runs}
    _json(out / "truth.json", {"schema": SCHEMA, "runs": truth})
    for identity, seen in ideal.observe(load(out)).items():
        truth[identity]["ideal"] = seen
    _json(out / "truth.json", {"schema": SCHEMA, "runs": truth})


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _write_lines(path: Path, lines: list[tuple[str, dict[str, Any]]]) -> None:
    """Lines of evidence, events or samples; what is no plain text or number becomes JSON."""
    names = list(dict.fromkeys(name for _, line in lines for name in line))
    plain = [
        (run, *(v if isinstance(v := line[name], (int, str)) else json.dumps(v) for name in names))
        for run, line in lines
    ]
    plain.sort(key=lambda values: (*map(str, values[2:3]), values[1], *map(str, values[3:]), values[0]))
    _write(path, {name: [values[n] for values in plain] for n, name in enumerate(["run", *names])})


def _write(path: Path, columns: dict[str, list[Any]]) -> None:
    """One table; a file that is there is replaced when the new one is whole."""
    types = {"run": pa.string(), "step": pa.int32(), "row": pa.int32(), "rows": pa.int32()}
    arrays = {
        name: pa.array(values, types.get(name, pa.string() if _texts(values) else pa.float64()))
        for name, values in columns.items()
    }
    unfinished = path.with_suffix(".part")
    pq.write_table(pa.table(arrays), unfinished, compression="zstd", compression_level=15)
    unfinished.replace(path)


def _texts(values: Sequence[Any]) -> bool:
    return any(isinstance(value, str) for value in values)


def _json(path: Path, content: dict[str, Any]) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(content, indent=0, sort_keys=True) + "\n")
    unfinished.replace(path)


# -- read ------------------------------------------------------------------------------------------------


def load(folder: Path) -> Corpus:
    """Facts, truth, rows and twins of all runs."""
    told = json.loads((folder / "runs.json").read_text())
    truth = json.loads((folder / "truth.json").read_text())["runs"]
    table = columns_of(folder, "runs-*.parquet")
    steps = table.pop("step").astype(np.float64)
    runs = {}
    for identity, places in _groups(table.pop("run"), steps).items():
        metrics = {name: values[places].astype(np.float64) for name, values in table.items()}
        runs[identity] = Run(told[identity]["facts"], truth[identity], steps[places], metrics)
    twins = {}
    apart = columns_of(folder, "twins.parquet")
    for identity, places in _groups(apart["run"], apart["step"].astype(np.float64)).items():
        names = apart["metric"][places]
        differences = apart["difference"].astype(np.float64)[places]
        when = apart["step"][places].astype(int)
        first, last = int(runs[identity].truth["onset"]), int(runs[identity].steps[-1])
        twins[identity] = {name: np.full(last - first + 1, np.nan) for name in np.unique(names)}
        for step, name, difference in zip(when, names, differences, strict=True):
            twins[identity][name][step - first] = difference
    return Corpus(folder, runs, twins)


def restore(folder: Path, identity: str, into: Path) -> Path:
    """Write a run as the folder that its recorder left; returns it.

    Its curves, evidence, events and facts are those of the run. Times are made up: they were not kept.
    """
    facts = json.loads((folder / "runs.json").read_text())[identity]["facts"]
    tables = {kind: _of(folder, kind, identity) for kind in ("runs", "evidence", "events", "samples")}
    records: list[tuple[int, int, dict[str, Any]]] = []
    clock = START
    for row in tables["runs"]:
        metrics = {name: v for name, v in row.items() if v is not None and name not in ("run", "step")}
        clock += metrics.get("step_time", 1.0)
        finite = {name: v if math.isfinite(v) else _WORDS[str(v)] for name, v in metrics.items()}
        records.append((row["step"], 2, {"step": row["step"], "time": round(clock, 3), "metrics": finite}))
    for line in tables["evidence"]:
        data = json.loads(line["data"])
        records.append((line["step"], 1, {"evidence": line["kind"], "step": line["step"], "data": data}))
    for line in tables["events"]:
        event = {"event": line["kind"], "step": line["step"], "text": line["text"]}
        data = json.loads(line["data"])
        if line["kind"] == "resumed":
            records.append((line["step"], 0, {"start": _start(identity, facts, data["attempt"])}))
        else:
            records.append((line["step"], 3, {**event, "data": data} if data else event))
    records.sort(key=lambda record: record[:2])
    into.mkdir(parents=True, exist_ok=True)
    lines = [{"start": _start(identity, facts, 1)}, *(record for _, _, record in records)]
    (into / "journal-0.jsonl").write_bytes(b"".join(map(line_of, lines)))
    if tables["samples"]:
        _restore_samples(into / "samples-0.jsonl", tables["samples"])
    return into


_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _start(identity: str, facts: dict[str, Any], attempt: int) -> dict[str, Any]:
    head = {"schema": "foreshock.journal/1", "run": identity, "process": "0", "time": START}
    return {**head, "attempt": attempt, "facts": facts}


def _restore_samples(path: Path, lines: list[dict[str, Any]]) -> None:
    lines.sort(key=lambda line: (line["step"], line["row"]))
    with path.open("wb") as file:
        for line in lines:
            rewards, columns = json.loads(line["rewards"]), json.loads(line["columns"])
            head = {"step": line["step"], "nth": line["step"], "attempt": 1, "time": START}
            body = {name: line[name] for name in ("row", "rows", "prompt", "completion")}
            file.write(line_of({**head, **body, "rewards": rewards, "columns": columns}))


def _of(folder: Path, kind: str, identity: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob(f"{kind}-*.parquet")):
        found += pq.read_table(path, filters=[("run", "=", identity)]).to_pylist()
    return sorted(found, key=lambda line: line["step"])


def columns_of(folder: Path, pattern: str) -> dict[str, npt.NDArray[Any]]:
    """The columns of all files of a kind."""
    tables = [pq.read_table(path) for path in sorted(folder.glob(pattern))]
    table = pa.concat_tables(tables)
    return {name: table[name].to_numpy() for name in table.column_names}


def _groups(runs: npt.NDArray[Any], steps: Array) -> dict[str, npt.NDArray[np.int64]]:
    """Places of each run's rows, by step."""
    order = np.lexsort((steps, runs.astype(str)))
    names, starts = np.unique(runs.astype(str)[order], return_index=True)
    return {str(name): part for name, part in zip(names, np.split(order, starts[1:]), strict=True)}

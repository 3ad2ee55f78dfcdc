"""Let tools look at runs, several processes at once, and keep what they said.

What a tool says of a run depends on the tool's version, on how often it looks, and on what of the run it may
see. A result is filed under a hash of just that, so a second score after a change looks only at what changed.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.adapters import find
from lab.adapters.base import Record, Tool, ToolError
from lab.score_data import Truth, curves

_Task = tuple[str, str, Sequence[Record], Mapping[str, str], Path]


@dataclass(frozen=True)
class Said:
    """What a tool said of a run at a level.

    Attributes:
        alarms: (step, what), the step being the last that it had seen; None where it raises none.
        causes: ids, the likeliest first, asked at the end of the run; None where it names none.
        looks: how often it looked.
        seconds: how long all that took.
        error: why it gave up on this run; empty if it did not.
    """

    alarms: tuple[tuple[int, str], ...] | None
    causes: tuple[str, ...] | None
    looks: int = 0
    seconds: float = 0.0
    error: str = ""


def look(tool: Tool, level: str, record: Record) -> Said:
    """Show a run to a tool, a few rows more each time, and ask for causes at its end."""
    no_alarms, no_causes = tool.lacks(level)
    began = time.perf_counter()
    alarms: list[tuple[int, str]] = []
    rows, every = len(record.rows), tool.every(level)
    counts = [] if no_alarms else [*range(every, rows, every), rows]
    try:
        watcher = tool.start(level)
        for count in counts:
            alarms += [(record.steps[count - 1], what) for what in watcher.watch(record.first(count))]
        causes = None if no_causes else tuple(watcher.causes(record))
        watcher.close()
    except ToolError as error:
        return Said(None, None, len(counts), time.perf_counter() - began, str(error))
    return Said(None if no_alarms else tuple(alarms), causes, len(counts), time.perf_counter() - began)


def look_at_all(
    names: Sequence[str],
    levels: Sequence[str],
    records: Mapping[str, Record],
    truths: Mapping[str, Truth],
    *,
    pythons: Mapping[str, str],
    cache: Path,
    workers: int,
) -> dict[tuple[str, str], dict[str, Said]]:
    """(tool, level) -> run -> what was said; runs with the same clean twin go to the same process.

    Raises:
        ToolError: a tool does not start at all.
    """
    said: dict[tuple[str, str], dict[str, Said]] = {}
    tasks: list[_Task] = []
    for name in names:
        tool = find(name, pythons)
        version = tool.version()
        tool.stop()
        for level in levels:
            said[name, level] = {}
            if all(tool.lacks(level)):
                continue
            folder = cache / f"{name}-{version}" / f"{level}-{tool.every(level)}"
            groups: dict[str, list[Record]] = defaultdict(list)
            for id, record in records.items():
                groups[truths[id].twin or id].append(record)
            tasks += [(name, level, group, pythons, folder) for group in groups.values()]
    # The longest first, so that no process is left with one at the end.
    tasks.sort(key=lambda task: -sum(len(record.rows) ** 2 for record in task[2]))
    began = time.monotonic()
    for done, (task, heard) in enumerate(_all(tasks, workers), 1):
        said[task[:2]] |= heard
        spent = time.monotonic() - began
        print(f"\r{done} of {len(tasks)} groups of runs, {spent:.0f} s ", end="", file=sys.stderr)
    print(file=sys.stderr)
    return said


def _all(tasks: Sequence[_Task], workers: int) -> Iterator[tuple[_Task, dict[str, Said]]]:
    """Each task with its result, as they come."""
    if workers == 1:
        yield from ((task, _task(*task)) for task in tasks)
        return
    with ProcessPoolExecutor(workers) as pool:
        waiting = {pool.submit(_task, *task): task for task in tasks}
        yield from ((waiting[future], future.result()) for future in as_completed(waiting))


def _task(
    name: str, level: str, records: Sequence[Record], pythons: Mapping[str, str], folder: Path
) -> dict[str, Said]:
    """One tool at one level on runs that begin alike."""
    said = {}
    tool: Tool | None = None
    for record in records:
        seen = record.at(level, curves(record))
        kept = folder / f"{_hash(seen)}.json"
        if kept.is_file():
            said[record.id] = _read(kept)
            continue
        tool = tool or find(name, pythons)
        said[record.id] = look(tool, level, seen)
        if said[record.id].error:
            continue  # it may be cured
        folder.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{record.id}.part")
        part.write_text(json.dumps(asdict(said[record.id])))
        part.replace(kept)
    if tool is not None:
        tool.stop()
    return said


def _hash(seen: Record) -> str:
    """Of everything that a tool is shown."""
    content = (seen.steps, [sorted(row.items()) for row in seen.rows], seen.events, seen.evidence, seen.facts)
    return hashlib.sha256(repr(content).encode()).hexdigest()[:32]


def _read(path: Path) -> Said:
    held = json.loads(path.read_text())
    alarms = held.pop("alarms")
    causes = held.pop("causes")
    return Said(
        None if alarms is None else tuple((step, what) for step, what in alarms),
        None if causes is None else tuple(causes),
        **held,
    )

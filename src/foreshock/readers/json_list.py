"""One JSON document: a list of records, a wrapper around one, or an object of columns.

`[{"step": 0, ...}, ...]`, `{"history": [{...}, ...], "config": {...}}`, `{"step": [0, 1], "reward": [...]}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreshock.errors import NotARunError, UnreadableError
from foreshock.readers._documents import leading_records, load_document
from foreshock.readers._groups import by_run, plausible
from foreshock.readers._log import Log
from foreshock.readers._records import flatten, number
from foreshock.readers._sniff import run_name

NAME = "json_list"
DESCRIPTION = "one JSON document: a list of records, an object around one (`history`, ...), or one of columns"

_EVAL = ("eval", "evaluation", "val", "valid", "validation", "test")
_TRAIN = ("train", "training")
_DEPTH = 4

_Lists = dict[str, list[dict[str, Any]]]


def recognises(path: Path, head: bytes) -> bool:
    """By its beginning: a list of objects, or an object that holds a list."""
    start = head.lstrip()
    if start.startswith(b"["):
        return start[1:].lstrip().startswith(b"{")
    return start.startswith(b"{") and b"[" in start and start[1:].lstrip().startswith(b'"')


def read(path: Path) -> list[Log]:
    """The runs in the document; of one that was cut, the complete leading records.

    Raises:
        UnreadableError: cut or damaged before the first complete record.
        NotARunError: valid JSON without a list of records.
    """
    document, text = load_document(path)
    lists: _Lists
    if document is None:
        lists = {"": _leading(text, path)}
    else:
        lists = _record_lists(document)
        columns = _columns(document) if not lists else []
        if columns:
            lists = {"": columns}
    if not lists:
        raise NotARunError(f"{path} is JSON without a list of records or columns of numbers")
    logs = [_log(records, name or run_name(path), path) for name, records in _runs(lists).items()]
    logs = [log for log in logs if log.rows]
    if not logs:
        raise NotARunError(f"{path} is JSON, but no record in it holds a number")
    if len(logs) == 1:
        logs[0].id = run_name(path)
    if document is None:
        count = sum(log.rows for log in logs)
        logs[0].note(
            "cut-file",
            f"The file ends in the middle: its {count:,} complete leading records were read.",
            count,
        )
    elif isinstance(document, dict) and len(logs) == 1:
        logs[0].facts.update({k: v for k, v in document.items() if isinstance(v, (str, int, float, bool))})
    return logs


def _leading(text: str, path: Path) -> list[dict[str, Any]]:
    """Records of the first list of objects in a damaged text."""
    start = -1
    while (start := text.find("[", start + 1)) >= 0:
        records = leading_records(text, start)
        if records:
            return records
        if not text[start + 1 : start + 100].lstrip().startswith("]") and start > 1_000_000:
            break
    raise UnreadableError(f"{path} is JSON that was cut or damaged before its first complete record")


def _record_lists(value: Any, name: str = "", depth: int = _DEPTH) -> _Lists:
    """Lists of objects with numbers anywhere in the document, by their place in it."""
    if isinstance(value, list):
        records = [record for record in value if isinstance(record, dict)]
        return {name: records} if any(flatten(record) for record in records) else {}
    found: _Lists = {}
    if isinstance(value, dict) and depth:
        for key, inner in value.items():
            if isinstance(inner, (dict, list)):
                found.update(_record_lists(inner, f"{name}/{key}" if name else str(key), depth - 1))
    return found


def _columns(document: Any) -> list[dict[str, Any]]:
    """Records from an object of equally long lists of numbers (the most frequent length counts)."""
    if not isinstance(document, dict):
        return []
    for inner in document.values():
        if isinstance(inner, dict) and (found := _columns(inner)):
            return found
    lists = {
        str(key): values
        for key, values in document.items()
        if isinstance(values, list) and any(number(value) is not None for value in values)
    }
    lengths = [len(values) for values in lists.values()]
    if not lengths:
        return []
    size = max(set(lengths), key=lambda length: (lengths.count(length), length))
    if size < 2:
        return []
    kept = {key: values for key, values in lists.items() if len(values) == size}
    return [{key: values[row] for key, values in kept.items()} for row in range(size)]


def _runs(lists: _Lists) -> _Lists:
    """Which lists are runs: training and evaluation belong together, lists with the same keys do not.

    Small lists that share few keys with the longest (a table of checkpoints, say) are added to its rows
    when they carry a step too, else left out.
    """
    longest = max(lists, key=lambda name: len(lists[name]))
    trained = [name for name in lists if name.rpartition("/")[2].lower() in _TRAIN]
    main = trained[0] if trained else longest
    keys = set(_keys(lists[main]))
    runs: _Lists = {main: list(lists[main])}
    for name, records in lists.items():
        if name == main:
            continue
        if name.rpartition("/")[2].lower() in _EVAL:
            runs[main] += [_as_eval(record) for record in records]
        elif 2 * len(keys & set(_keys(records))) > len(keys):
            runs[name] = records
        elif "step" in keys and all("step" in record for record in records):
            runs[main] += records
    return _by_column(runs) if len(runs) == 1 else runs


def _by_column(runs: _Lists) -> _Lists:
    ((name, records),) = runs.items()
    apart: _Lists = {}
    for record in records:
        apart.setdefault(by_run(record), []).append(record)
    return apart if len(apart) > 1 and plausible(len(apart), len(records)) else {name: records}


def _keys(records: list[dict[str, Any]]) -> list[str]:
    return [key for key in records[0]] if records else []


def _as_eval(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("step", "global_step", "epoch")
    return {k if k in kept or k.startswith(_EVAL) else f"eval_{k}": v for k, v in record.items()}


def _log(records: list[dict[str, Any]], name: str, path: Path) -> Log:
    log = Log(name, str(path), NAME)
    for record in records:
        values = flatten(record)
        if values:
            log.add(values)
    return log

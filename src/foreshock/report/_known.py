"""What the recorded evidence says in the end: per kind what is known, since when, and what keeps changing.

Pieces of evidence leave out what has not changed since their last record; here it is put together again. Of
what it means nothing is known but the name, so a piece that is added tomorrow is summed up as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from foreshock.report._numbers import one_line
from foreshock.run import Event

_ITEMS = 6  # parts of a list or mapping that are named
_LONG = 16  # entries from which a list of numbers is data for programs
_HASH = 16  # hexadecimal digits of a hash; people need eight
_TEXT = 160
_OFTEN = 3  # changes from which a value may be one that just varies from step to step
_SHARE = 0.2
# Kept for the pieces themselves: what a resumed training is compared with.
_INTERNAL = frozenset({"sketch", "usual", "common", "seen_restored", "hash", "modules", "vocabulary"})


@dataclass(frozen=True)
class Known:
    """One thing that a piece of evidence knows.

    Attributes:
        name: what.
        value: its last value, for people.
        since: step from which it has had this value.
        changes: how often it changed.
        varies: whether it just differs from step to step.
    """

    name: str
    value: str
    since: int
    changes: int
    varies: bool


@dataclass(frozen=True)
class EvidenceSummary:
    """All records of one kind of evidence."""

    kind: str
    records: int
    first: int
    last: int
    known: tuple[Known, ...]


def summaries(evidence: Iterable[Event]) -> tuple[EvidenceSummary, ...]:
    """One summary for each kind, in the order in which they first come."""
    kinds: dict[str, list[Event]] = {}
    for record in evidence:
        kinds.setdefault(record.kind, []).append(record)
    return tuple(
        EvidenceSummary(kind, len(found), found[0].step, found[-1].step, tuple(_known(found)))
        for kind, found in kinds.items()
    )


def _known(records: Sequence[Event]) -> list[Known]:
    last: dict[str, Any] = {}
    since: dict[str, int] = {}
    changes: dict[str, int] = {}
    for record in records:
        for name, value in record.payload.items():
            if name not in last:
                changes[name] = 0
            elif last[name] == value:
                continue
            else:
                changes[name] += 1
            last[name], since[name] = value, record.step
    found = []
    for name, value in last.items():
        varies = changes[name] > max(_OFTEN, _SHARE * len(records))
        internal = name in _INTERNAL or name.endswith("_past")
        shown = "" if internal else _shown(value)
        if shown:
            found.append(Known(name, shown, since[name], changes[name], varies))
    return found


def _shown(value: Any) -> str:
    """A value in a few words; empty where it says nothing to people."""
    if isinstance(value, Mapping):
        parts = [f"{key} {text}" for key, held in value.items() if (text := _part(held))]
    elif isinstance(value, (list, tuple)):
        if len(value) >= _LONG and all(isinstance(one, (int, float)) for one in value):
            return ""
        parts = [text for one in value if (text := _part(one))]
    else:
        return _part(value)
    more = len(parts) - _ITEMS
    return one_line(", ".join(parts[:_ITEMS]) + (f" and {more} more" if more > 0 else "")).replace("`", "'")


def _part(value: Any) -> str:
    """A value within another."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping) and len(value) == 1:
        return _part(next(iter(value.values())))
    if isinstance(value, (Mapping, list, tuple)):
        value = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    text = one_line(value).replace("`", "'")
    if len(text) >= _HASH and all(c in "0123456789abcdef" for c in text):
        return text[:8]
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"

"""Curves that Foreshock's own recorder keeps as evidence, under names that begin with "foreshock/".

They have titles and units, are never taken for anything that a trainer logs, and stand in for a canonical
signal only where the trainer logged none.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from foreshock.signals._catalogue import Key, Signal

PREFIX = "foreshock/"


@dataclass(frozen=True)
class Evidence:
    """One such curve.

    Attributes:
        key: the name it is recorded under; `*` stands for the name of a reward function or metric.
        title: what charts call it.
        unit: unit of its values; empty for a plain number, or where the recording decides.
        good: the direction that is good, "up" or "down"; None where neither is.
        meaning: what it says.
        fills: the canonical signal that it stands in for where the trainer does not log that; else empty.
        fills_unit: unit of its values where that is not the signal's.
    """

    key: Key
    title: str
    unit: str
    good: str | None
    meaning: str
    fills: str = ""
    fills_unit: str = ""


@functools.cache
def evidence_curves() -> Mapping[str, Evidence]:
    """All of them by name or pattern."""
    text = Path(__file__).with_name("evidence.json").read_text(encoding="utf-8")
    held = json.loads(text)["signals"]
    return {pattern: Evidence(key=Key(pattern), **fields) for pattern, fields in held.items()}


def evidence_signal(name: str) -> Signal | None:
    """What there is to say about a curve of the recorder, as a signal; None where the name is of none."""
    for curve in evidence_curves().values() if name.startswith(PREFIX) else ():
        part = curve.key.match(name)
        if part is not None:
            title = f"{curve.title} ({part})" if part else curve.title
            return Signal(name, title, curve.unit, curve.good, None, None, "", curve.meaning, {})
    return None


def stands_in(name: str) -> tuple[str, str]:
    """(canonical signal, unit where it is another) that a curve can give; ("", "") where it gives none."""
    for curve in evidence_curves().values() if name.startswith(PREFIX) else ():
        part = curve.key.match(name)
        if part is not None and curve.fills:
            return f"{curve.fills}/{part}" if part else curve.fills, curve.fills_unit
    return "", ""

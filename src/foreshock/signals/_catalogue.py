"""The dictionary as records, read once from `dictionary.json`."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Key:
    """A name under which a trainer logs a signal; `*` stands for any text.

    Attributes:
        pattern: the key, exactly as logged.
        transform: what to do with its values to get the signal ("identity", "1-x", "x/100", ...).
    """

    pattern: str
    transform: str


@dataclass(frozen=True)
class Signal:
    """A canonical metric.

    Attributes:
        name: canonical name (`reward_mean`).
        title: what charts call it (`Train Reward`).
        unit: unit of the values; empty for a plain number.
        good: the direction that is good, "up" or "down"; None where neither is.
        low: smallest possible value, None where there is no bound.
        high: largest possible value, None where there is no bound.
        range: the valid range in words.
        meaning: what it says and where it misleads.
        keys: for each trainer its keys, preferred first.
    """

    name: str
    title: str
    unit: str
    good: str | None
    low: float | None
    high: float | None
    range: str
    meaning: str
    keys: Mapping[str, tuple[Key, ...]]


@dataclass(frozen=True)
class Framework:
    """A trainer whose keys are known: its id, name, repository and how loggers prefix its keys."""

    id: str
    title: str
    repo: str
    prefix: str


@functools.cache
def data() -> dict[str, Any]:
    """The dictionary as JSON holds it."""
    loaded: dict[str, Any] = json.loads(
        Path(__file__).with_name("dictionary.json").read_text(encoding="utf-8")
    )
    return loaded


@functools.cache
def catalogue() -> Mapping[str, Signal]:
    """All signals by canonical name."""
    signals = {}
    for name, fields in data()["signals"].items():
        keys = {
            framework: tuple(Key(pattern, transform) for pattern, transform in pairs)
            for framework, pairs in fields["keys"].items()
        }
        signals[name] = Signal(name=name, **{**fields, "keys": keys})
    return signals


@functools.cache
def frameworks() -> Mapping[str, Framework]:
    """All trainers by id."""
    return {id: Framework(id=id, **fields) for id, fields in data()["frameworks"].items()}


@functools.cache
def step_keys() -> tuple[str, ...]:
    """Keys that count training steps, best first; an epoch is never a step."""
    plain = list(data()["generic"]["step"])
    known = [key.pattern for keys in catalogue()["step"].keys.values() for key in keys]
    # "episode" counts samples, not steps; W&B's own `_step` counts calls of log().
    ordered = [key for key in plain if key != "_step"] + known
    return tuple(dict.fromkeys(key for key in ordered if key != "episode")) + ("_step",)

"""The dictionary as records, read once from `dictionary.json`."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Key:
    """A name under which a trainer logs a signal; `*` stands for any text.

    Attributes:
        pattern: the key as logged.
        transform: what to do with its values to get the signal ("identity", "1-x", "x/100", ...). "other"
            means that the key is explained here but is not the signal itself (its maximum, say), and
            "NAME=..." that it gives the signal NAME instead.
        unit: unit of its values where that is not the signal's.
        only: regular expression that the whole key must match too; empty where `pattern` says it all.
    """

    pattern: str
    transform: str = "identity"
    unit: str = ""
    only: str = ""

    @property
    def says(self) -> str:
        """What to tell people beside the pattern; empty where the values are the signal."""
        what = "" if self.transform == "identity" else self.transform
        what = {"other": "related, not the signal itself"}.get(what, what.replace("=", " = "))
        return ", ".join(text for text in (what, self.unit) if text)

    def match(self, text: str) -> str | None:
        """What stands in `text` from the first `*` to the last; "" for an exact match; None for none."""
        if "*" not in self.pattern:
            return "" if text == self.pattern else None
        found = glob(self.pattern).fullmatch(text)
        if found is None or (self.only and not re.fullmatch(self.only, text)):
            return None
        return text[found.start(1) : found.end(found.re.groups)]


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
    """A trainer whose keys are known.

    Attributes:
        id: stable name.
        title: what people call it.
        repo: repository on GitHub.
        step: what counts its steps.
        prefix: what loggers put before its keys.
        eval: how the keys of its evaluations look.
        optional_prefix: text that a key may carry or lack.
        inherits: the trainer whose keys it logs besides its own.
    """

    id: str
    title: str
    repo: str
    step: str
    prefix: str
    eval: str
    optional_prefix: str = ""
    inherits: str = ""


@functools.cache
def glob(pattern: str) -> re.Pattern[str]:
    """`pattern` as a regular expression with a group for each `*`, which stands for one character or more."""
    return re.compile("(.+)".join(re.escape(part) for part in pattern.split("*")))


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
        keys = {framework: tuple(map(_key, held)) for framework, held in fields["keys"].items()}
        signals[name] = Signal(name=name, **{**fields, "keys": keys})
    return signals


def _key(held: str | list[str] | dict[str, str]) -> Key:
    """A key in the file is its text, [text, transform], or an object with more."""
    if isinstance(held, str):
        return Key(held)
    if isinstance(held, list):
        return Key(*held)
    fields = {"pattern" if field == "key" else field: value for field, value in held.items()}
    if fields.get("transform") == "x":
        del fields["transform"]
    return Key(**fields)


def signal(name: str) -> Signal | None:
    """The signal of a canonical name, also of one of several (`reward_component_mean/format`).

    None where the dictionary has none (an original key, say).
    """
    found = catalogue().get(name)
    if found is not None:
        return found
    base, _, part = name.partition("/")
    family = catalogue().get(base) if part else None
    if family is None or base not in FAMILIES:
        return None
    fields = {**family.__dict__, "name": name, "title": f"{family.title} {part}"}
    return Signal(**fields)


# Signals that a run has several of, each under "NAME/which".
FAMILIES = ("reward_component_mean", "reward_component_std", "eval_score")


@functools.cache
def frameworks() -> Mapping[str, Framework]:
    """All trainers by id."""
    return {id: Framework(id=id, **fields) for id, fields in data()["frameworks"].items()}


def lineage(framework: str | None) -> Iterator[str]:
    """A trainer, then the one whose keys it inherits."""
    while framework:
        yield framework
        framework = frameworks()[framework].inherits


@functools.cache
def step_keys() -> tuple[str, ...]:
    """Keys that count training steps, best first; an epoch is never a step, nor a count of samples."""
    return tuple(data()["step_keys"])

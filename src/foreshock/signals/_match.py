"""Which keys of a log the dictionary explains, for one trainer."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from foreshock.signals._catalogue import Key, catalogue, frameworks, lineage

_HF = "trl_grpo"  # its relatives mark evaluations with eval_ or eval/
_ROLL_SUFFIX = re.compile(r"@(sum|mean|max|min)$")


@dataclass(frozen=True)
class Match:
    """An original key that one entry of the dictionary matches; `part` is what its `*` stand for."""

    key: Key
    original: str
    part: str


def matches_of(columns: Collection[str], trainer: str, explained: Collection[str]) -> dict[str, list[Match]]:
    """Signal -> its keys that are logged, in the dictionary's order of preference.

    An exact key beats any `*`, and of two patterns that fit a key the longer explains it.

    Args:
        columns: original keys, in the order logged.
        trainer: id of the trainer whose keys count.
        explained: keys to leave out.
    """
    forms = {
        form: original
        for original in reversed(list(columns))
        if original not in explained
        for form in _forms(original, trainer)
    }
    # A raw key wins over the same key of another column after a prefix is put on or taken off.
    forms.update({original: original for original in columns if original not in explained})
    entries = [
        (key.transform.partition("=")[0] if "=" in key.transform else signal.name, key)
        for signal in catalogue().values()
        for key in signal.keys.get(trainer, ())
    ]
    exact = {forms[key.pattern] for _, key in entries if key.pattern in forms}
    globs = [(form, original) for form, original in forms.items() if original not in exact]
    sharpest: dict[str, int] = {}
    found: list[tuple[str, Match]] = []
    for name, key in entries:
        if key.pattern in forms:
            found.append((name, Match(key, forms[key.pattern], "")))
        for form, original in globs if "*" in key.pattern else ():
            part = key.match(form)
            if part is not None:
                found.append((name, Match(key, original, part)))
                sharpest[original] = max(sharpest.get(original, 0), len(key.pattern))
    matches: dict[str, list[Match]] = {}
    for name, match in found:
        if "*" not in match.key.pattern or len(match.key.pattern) == sharpest[match.original]:
            matches.setdefault(name, []).append(match)
    return {name: _in_order_logged(held, columns) for name, held in matches.items()}


def _in_order_logged(matches: list[Match], columns: Collection[str]) -> list[Match]:
    """By the preference of the dictionary, then in the order logged; each key once per entry."""
    places = {key: place for place, key in enumerate(columns)}
    entries = list(dict.fromkeys(match.key for match in matches))
    once = {(match.key, match.original): match for match in matches}
    return sorted(once.values(), key=lambda match: (entries.index(match.key), places[match.original]))


def _forms(original: str, trainer: str) -> Iterator[str]:
    """The key without or with what a logger may add to it."""
    yield original
    prefix = frameworks()[trainer].optional_prefix
    if prefix:
        yield original.removeprefix(prefix) if original.startswith(prefix) else prefix + original
    if trainer == "verl" and original.startswith("mismatch/"):  # its name until November 2025
        yield original.replace("mismatch/", "rollout_corr/", 1)
    if trainer == "roll" and _ROLL_SUFFIX.search(original):
        yield _ROLL_SUFFIX.sub("", original)


def without_eval(original: str, trainer: str | None) -> Iterator[str]:
    """The key of training that a key of an evaluation repeats, where the trainer marks evaluations so."""
    if _HF in lineage(trainer):
        for mark in ("eval/", "eval_"):
            if original.startswith(mark):
                yield original.removeprefix(mark)
    elif trainer == "tunix" and "/eval/" in original:
        yield original.replace("/eval/", "/train/", 1)
    elif trainer == "areal" and original.startswith("eval-rollout/"):
        yield original.removeprefix("eval-")


def signal_of(plain: str, trainer: str) -> str | None:
    """The signal that a trainer logs under this key, by the dictionary."""
    for signal in catalogue().values():
        if any(key.match(plain) is not None for key in signal.keys.get(trainer, ())):
            return signal.name
    return None

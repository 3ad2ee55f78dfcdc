"""What was recorded beside the curves: events, each told once, and which of them lie near a change.

Pure: records in, records out. A match in time is a hint and no proof, and it says little where events of that
kind come so often, or the onset is so uncertain, that it comes about by chance.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foreshock.analysis import Change
from foreshock.report._numbers import one_line
from foreshock.run import Event, IntArray

# What belongs to any training, or follows from how it goes; none of it changes what is trained.
ROUTINE = frozenset(
    "alarm checkpoint checkpoint_saved evaluated evaluation process_started process_ended training_ended "
    "training_failed output_lost nan_seen".split()
)
_ALARM = "alarm"  # what the monitor of a recorder tells
_FEW = 3  # events of a kind that deserve to be named within a step of a change, however short the run
_CHANCE = 0.2  # any other match is named as a hint only if it comes about by chance more seldom than this
_OF_THE_MODEL = ("layer_", "model_", "dtype_", "trainable_", "optimizer_")  # kinds of its fingerprint
_LOOKS = 64  # steps that an event may take to be sure
_TEXT = 400  # characters of an event's sentence


@dataclass(frozen=True)
class Recorded:
    """One thing that was recorded, however many processes recorded it.

    Attributes:
        step: when.
        kind: what, as a slug.
        text: the same in a sentence, on one line, without backticks.
        routine: whether it belongs to any training (a checkpoint, an evaluation, the end) or follows from it.
        processes: names of the processes that recorded it, where the recorder knows them.
        since: first of the steps that it is about, where it took some of them to be sure; else `step`.
    """

    step: int
    kind: str
    text: str
    routine: bool
    processes: tuple[str, ...]
    since: int


@dataclass(frozen=True)
class Kind:
    """All events of one kind."""

    kind: str
    count: int
    first: int
    last: int
    routine: bool


@dataclass(frozen=True)
class Near:
    """An event near a change.

    Attributes:
        event: its index among all.
        apart: steps between it and the onset.
        when: "before", "at" or "after" the onset.
        chance: how likely it is that one of the events of its kind lies as near where they have nothing to
            do with the change (each anywhere in the run).
        telling: whether it deserves to be named as a hint to the cause.
    """

    event: int
    apart: int
    when: str
    chance: float
    telling: bool


def words(kind: str) -> str:
    """A kind of event as people write it: `reward_code_changed` is "reward code changed"."""
    return one_line(kind.replace("_", " ")) or "event"


def told(events: Iterable[Event], evidence: Iterable[Event] = ()) -> tuple[Recorded, ...]:
    """The events by step, those that several processes recorded alike put together.

    Of an alarm they tell that it opened and that it closed, not what was said of it in between.
    `evidence` tells of pieces that look only every few steps since when a change may have been there.
    """
    looks = sorted({record.step for record in evidence if record.kind == "model"})
    processes: dict[tuple[int, str, str], list[str]] = {}
    since: dict[tuple[int, str, str], int] = {}
    for event in sorted(events, key=lambda event: event.step):
        if event.kind == _ALARM and event.payload.get("state") == "update":
            continue
        key = event.step, event.kind, sentence(event)
        names = processes.setdefault(key, [])
        if "process" in event.payload:
            names.append(one_line(event.payload["process"]))
        since[key] = _since(event, looks)
    return tuple(
        Recorded(*key, key[1] in ROUTINE, tuple(dict.fromkeys(names)), since[key])
        for key, names in processes.items()
    )


def _since(event: Event, looks: Sequence[int]) -> int:
    """First of the steps that an event is about."""
    took = event.payload.get("steps")  # a drift of the prompts says how many steps it looked at
    if type(took) is int and 0 < took <= _LOOKS:
        return event.step - took + 1
    place = bisect_left(looks, event.step)
    if event.kind.startswith(_OF_THE_MODEL) and place and event.step - looks[place - 1] <= _LOOKS:
        return looks[place - 1] + 1  # it was still well when the model was looked at before
    return event.step


def sentence(event: Event) -> str:
    """What an event says, as one sentence that ends; made from its particulars where it has no text."""
    text = one_line(event.payload.get("text") or "").replace("`", "'")
    if text and event.kind == _ALARM:
        text = f"Monitor: {text}"
    if not text:
        what = words(event.kind)
        parts = [f"{key} {value}" for key, value in event.payload.items() if key not in ("text", "process")]
        text = what[:1].upper() + what[1:] + (f" ({', '.join(parts)})" if parts else "")
        text = one_line(text).replace("`", "'")
    if len(text) > _TEXT:
        text = text[: _TEXT - 1] + "…"
    return text if text[-1] in ".!?…" else text + "."


def kinds(events: Sequence[Recorded]) -> dict[str, Kind]:
    """The kinds of events in the order in which they first happen."""
    steps: dict[str, list[int]] = {}
    for event in events:
        steps.setdefault(event.kind, []).append(event.step)
    return {kind: Kind(kind, len(at), min(at), max(at), kind in ROUTINE) for kind, at in steps.items()}


def near(
    change: Change, events: Sequence[Recorded], about: Mapping[str, Kind], steps: IntArray
) -> tuple[Near, ...]:
    """The events within one step of the onset of a change, or within its interval; the most telling first.

    Where not every step is logged, whatever happened since the row before the onset counts as near. An event
    that took some steps to be sure counts from the first of them.
    """
    row = int(np.searchsorted(steps, change.step))
    closest = min(int(steps[row - 1]) if row else change.step, change.step - 1), change.step + 1
    window = min(change.step_interval[0], closest[0]), max(change.step_interval[1], closest[1])
    chances: dict[str, float] = {}
    found = []
    for index, event in enumerate(events):
        if event.since <= window[1] and window[0] <= event.step:
            apart = event.step - change.step
            when = "before" if apart < 0 else "after" if apart else "at"
            if event.kind not in chances:
                chances[event.kind] = _chance(event.kind, events, window, steps)
            chance = chances[event.kind]
            close = any(closest[0] <= step <= closest[1] for step in (event.since, event.step))
            few = close and about[event.kind].count <= _FEW
            telling = not event.routine and (few or chance <= _CHANCE)
            found.append(Near(index, abs(apart), when, chance, telling))
    order = {"at": 0, "before": 0, "after": 1}

    def rank(one: Near) -> tuple[bool, bool, int, int, float]:
        return not one.telling, events[one.event].routine, one.apart, order[one.when], one.chance

    return tuple(sorted(found, key=rank))


def _chance(kind: str, events: Sequence[Recorded], window: tuple[int, int], steps: IntArray) -> float:
    """How likely one of the events of a kind meets a window of steps if each were anywhere in the run."""
    if not len(steps):
        return 1.0
    first, last = window
    missed = 1.0
    for took in (event.step - event.since for event in events if event.kind == kind):
        inside = np.searchsorted(steps, last + took, "right") - np.searchsorted(steps, first)
        missed *= 1 - float(inside / len(steps))
    return 1 - missed

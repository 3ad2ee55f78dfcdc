"""What was recorded beside the curves: events, each told once, and which of them lie near a change.

Pure: records in, records out. A match in time is a hint and no proof, and it says little where events of that
kind come so often that a change is never far from one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from foreshock.analysis import Change
from foreshock.report._numbers import one_line
from foreshock.run import Event, IntArray, Run

# What belongs to a training that goes well; none of it changes what is trained.
ROUTINE = frozenset(
    {"checkpoint", "checkpoint_saved", "evaluated", "evaluation", "process_started", "process_ended", "ended"}
)
_FEW = 3  # events of a kind that are always worth a look
_CHANCE = 0.1  # share of all steps near an event of a kind from which a match may well be chance
_TEXT = 400  # characters of an event's sentence


@dataclass(frozen=True)
class Recorded:
    """One thing that was recorded, however many processes recorded it.

    Attributes:
        step: when.
        kind: what, as a slug.
        text: the same in a sentence, on one line, without backticks.
        routine: whether it belongs to any training (a checkpoint, an evaluation, the end).
        processes: names of the processes that recorded it, where the recorder knows them.
    """

    step: int
    kind: str
    text: str
    routine: bool
    processes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """All events of one kind.

    Attributes:
        coverage: share of the logged steps that lie within a step of one of them.
    """

    kind: str
    count: int
    first: int
    last: int
    routine: bool
    coverage: float

    @property
    def telling(self) -> bool:
        """Whether one of them beside a change is more than may be expected by chance."""
        return not self.routine and (self.count <= _FEW or self.coverage <= _CHANCE)


@dataclass(frozen=True)
class Near:
    """An event near a change.

    Attributes:
        event: its index among all.
        apart: steps between it and the onset.
        when: "before", "at" or "after" the onset.
        telling: see `Kind.telling`.
    """

    event: int
    apart: int
    when: str
    telling: bool


def words(kind: str) -> str:
    """A kind of event as people write it: `reward_code_changed` is "reward code changed"."""
    return one_line(kind.replace("_", " ")) or "event"


def told(events: Iterable[Event]) -> tuple[Recorded, ...]:
    """The events by step, those that several processes recorded alike put together."""
    processes: dict[tuple[int, str, str], list[str]] = {}
    for event in sorted(events, key=lambda event: event.step):
        names = processes.setdefault((event.step, event.kind, sentence(event)), [])
        if "process" in event.payload:
            names.append(one_line(event.payload["process"]))
    return tuple(
        Recorded(step, kind, text, kind in ROUTINE, tuple(dict.fromkeys(names)))
        for (step, kind, text), names in processes.items()
    )


def sentence(event: Event) -> str:
    """What an event says, as one sentence that ends; made from its particulars where it has no text."""
    text = one_line(event.payload.get("text") or "").replace("`", "'")
    if not text:
        what = words(event.kind)
        parts = [f"{key} {value}" for key, value in event.payload.items() if key not in ("text", "process")]
        text = what[:1].upper() + what[1:] + (f" ({', '.join(parts)})" if parts else "")
        text = one_line(text).replace("`", "'")
    if len(text) > _TEXT:
        text = text[: _TEXT - 1] + "…"
    return text if text[-1] in ".!?…" else text + "."


def kinds(events: Sequence[Recorded], steps: IntArray) -> dict[str, Kind]:
    """The kinds of events in the order in which they first happen."""
    found = {}
    for kind in dict.fromkeys(event.kind for event in events):
        at = np.unique([event.step for event in events if event.kind == kind])
        count = sum(event.kind == kind for event in events)
        near = np.zeros(len(steps), dtype=bool)
        for step in at:
            near |= np.abs(steps - step) <= 1
        covered = float(near.mean()) if len(steps) else 0.0
        found[kind] = Kind(kind, count, int(at[0]), int(at[-1]), kind in ROUTINE, covered)
    return found


def near(change: Change, events: Sequence[Recorded], run: Run) -> tuple[Near, ...]:
    """The events within one step of the onset of a change, or within its interval; the most telling first.

    Where not every step is logged, whatever happened since the row before the onset counts as near.
    """
    before = run.steps[run.steps < change.step]
    first = min(change.step_interval[0], int(before[-1]) if len(before) else change.step - 1, change.step - 1)
    last = max(change.step_interval[1], change.step + 1)
    about = kinds(events, run.steps)
    found = []
    for index, event in enumerate(events):
        if first <= event.step <= last:
            apart = event.step - change.step
            when = "before" if apart < 0 else "after" if apart else "at"
            found.append(Near(index, abs(apart), when, about[event.kind].telling))
    order = {"at": 0, "before": 0, "after": 1}

    def rank(one: Near) -> tuple[bool, bool, int, int, int]:
        event = events[one.event]
        return not one.telling, event.routine, one.apart, order[one.when], about[event.kind].count

    return tuple(sorted(found, key=rank))

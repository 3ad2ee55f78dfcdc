"""Which recorded events a chart shows and how: a line and a name for few of them, a tick for all others.

Pure: what is chosen depends on the events and on the changes, not on the drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from foreshock.analysis import Change
from foreshock.report._recorded import Recorded, kinds, near, told, words
from foreshock.report._text import clean
from foreshock.run import Run

_OFTEN = 6  # events of a kind that get lines; kinds that come more often get ticks
_LINES = 6  # lines in one chart
_AIR = 0.015  # of the steps on either side, less than charts leave
_NAME = 34  # characters of a name
_TICKED = 3  # kinds counted in the note


@dataclass(frozen=True)
class Line:
    """A step at which something was recorded that deserves a line; the gravest come first.

    Attributes:
        step: when.
        name: what, short enough for a label.
        texts: the sentences.
    """

    step: int
    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class EventMarks:
    """What a chart shows of the events of a run.

    Attributes:
        lines: steps with a line, the gravest first.
        ticks: steps of all other events, ascending.
        notes: what the ticks are, in words, and in fewer words; empty without any.
    """

    lines: tuple[Line, ...] = ()
    ticks: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def event_marks(run: Run, changes: Iterable[Change]) -> EventMarks:
    """The marks of a run: what may explain a significant change first, then what is rare, then by step."""
    events = _in_view(run)
    about = kinds(events)
    hints = {
        close.event
        for change in changes
        if change.significant
        for close in near(change, events, about, run.steps)
        if close.telling
    }
    lines = [
        place
        for place, event in enumerate(events)
        if place in hints or (not event.routine and about[event.kind].count <= _OFTEN)
    ]
    lines.sort(key=lambda place: (place not in hints, about[events[place].kind].count, place))
    shown = list(dict.fromkeys(events[place].step for place in lines))[:_LINES]
    chosen = [place for place in lines if events[place].step in shown]
    rest = [events[place] for place in sorted(set(range(len(events))) - set(chosen))]
    at: dict[int, list[Recorded]] = {step: [] for step in shown}
    for place in chosen:
        at[events[place].step].append(events[place])
    return EventMarks(
        tuple(_line(step, found) for step, found in at.items()),
        tuple(sorted({event.step for event in rest})),
        _notes(rest),
    )


def _in_view(run: Run) -> tuple[Recorded, ...]:
    """The events between the first and the last logged step, give or take the air that charts leave."""
    if not len(run.steps):
        return ()
    first, last = int(run.steps[0]), int(run.steps[-1])
    air = _AIR * (last - first)
    return tuple(event for event in told(run.events, run.evidence) if first - air <= event.step <= last + air)


def _line(step: int, events: Sequence[Recorded]) -> Line:
    names = list(dict.fromkeys(words(event.kind) for event in events))
    name = clean(names[0], _NAME) + (f" +{len(names) - 1}" if len(names) > 1 else "")
    return Line(step, f"{name} at {step}", tuple(event.text for event in events))


def _notes(events: Sequence[Recorded]) -> tuple[str, ...]:
    """What the ticks are: the most frequent kinds counted, then only one of them, then their number."""
    counts = sorted(kinds(events).values(), key=lambda kind: -kind.count)
    notes = []
    for shown in range(min(_TICKED, len(counts)), -1, -1):
        parts = [f"{kind.count} × {clean(words(kind.kind), _NAME)}" for kind in counts[:shown]]
        more = sum(kind.count for kind in counts[shown:])
        parts += [f"{more} more" if parts else f"{more} events"] if more else []
        notes.append("ticks: " + ", ".join(parts))
    return tuple(notes) if events else ()

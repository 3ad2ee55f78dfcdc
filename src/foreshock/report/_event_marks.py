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
    events = told(run.events)
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
    shown = [steps for steps in dict.fromkeys(events[place].step for place in lines)][:_LINES]
    chosen = [place for place in lines if events[place].step in shown]
    rest = [event for place, event in enumerate(events) if place not in set(chosen)]
    return EventMarks(
        tuple(
            _line(step, [events[place] for place in chosen if events[place].step == step]) for step in shown
        ),
        tuple(sorted({event.step for event in rest})),
        _notes(rest),
    )


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

"""What was recorded, in sentences: beside which change, and all of it in a section of its own."""

from __future__ import annotations

import re
from typing import Any

from foreshock.report._numbers import Document, Gap, Sentence, Writer, name_of, pointer
from foreshock.report._phrases import title
from foreshock.report._recorded import words

_BESIDE = 3  # events told beside one change
_LISTED = 40  # rows of the table; the JSON and `foreshock events` have all
_KINDS = 8  # kinds counted in the sentence
_MANY = 5  # events of a kind from which they are put together in one row


def beside(write: Writer, index: int, *, telling: bool = False) -> list[Sentence]:
    """What was recorded at the onset of a change and may be its cause; only what is `telling`, if asked."""
    document = write.document
    recorded = document["changes"][index]["recorded"]
    chosen = [place for place, near in enumerate(recorded) if near["telling"]][:_BESIDE]
    if not chosen and not telling:
        chosen = [i for i, near in enumerate(recorded) if not document["events"][near["event"]]["routine"]][
            :1
        ]
    return [_beside(write, index, place) for place in chosen]


def _beside(write: Writer, index: int, place: int) -> Sentence:
    near = write.document["changes"][index]["recorded"][place]
    event = write.document["events"][near["event"]]
    base = pointer("changes", index, "recorded", place)
    when = {
        "at": "Recorded at its onset, step {step}",
        "before": "Recorded at step {step}, {apart} " + _steps(near["apart"]) + " before its onset",
        "after": "Recorded at step {step}, {apart} " + _steps(near["apart"]) + " after its onset",
    }[near["when"]]
    if event["since"] < event["step"] and near["when"] == "after" and near["apart"] > 1:
        when += ", about what began at step {since} or later"
    may = " That may be chance: such events lie as near to any step with a probability of {chance} %."
    return write.say(
        when + ": {text}" + ("" if near["telling"] else may),
        step=Gap(pointer("events", near["event"], "step"), "step"),
        since=Gap(pointer("events", near["event"], "since"), "step"),
        apart=Gap(f"{base}/apart", "count"),
        text=Gap(pointer("events", near["event"], "text"), "quote"),
        chance=Gap(f"{base}/chance", "share"),
    )


def _steps(count: int) -> str:
    return "step" if count == 1 else "steps"


def matched(document: Document) -> list[int]:
    """Indices of the significant changes of the main signals at whose onset there is a telling event."""
    return [
        index
        for index in _significant(document)
        if document["changes"][index]["signal"] in document["primary"]
        and any(near["telling"] for near in document["changes"][index]["recorded"])
    ]


def _significant(document: Document) -> list[int]:
    return [index for index, change in enumerate(document["changes"]) if change["significant"]]


def strongest_hint(write: Writer) -> list[Sentence]:
    """That what was recorded at the onset of a change comes before any curve."""
    if not matched(write.document):
        return []
    return [
        write.say(
            "What was recorded at the onset of a change is a stronger hint to its cause than any curve: look "
            "there first."
        )
    ]


def first_look(write: Writer) -> list[Sentence]:
    """The recorded events to look at first, by name."""
    text = []
    for index in matched(write.document):
        change = write.document["changes"][index]
        for near in (near for near in change["recorded"] if near["telling"]):
            text.append(
                write.say(
                    "Look first at what was recorded at step {step}, at the onset of the {kind} of {name}: "
                    "{text}",
                    step=Gap(pointer("events", near["event"], "step"), "step"),
                    kind=change["kind"].replace("_", " "),
                    name=title(write.document, change["signal"]),
                    text=Gap(pointer("events", near["event"], "text"), "quote"),
                )
            )
    return text[:_BESIDE]


def section(write: Writer) -> tuple[list[Sentence], dict[str, Any] | None]:
    """How many events of which kind; a table of all, kinds with many put together."""
    document = write.document
    if not document["events"]:
        return [], None
    crowded = {kind["kind"] for kind in document["event_kinds"] if kind["count"] > _MANY}
    text = [_counted(write)]
    rows = _single(document, crowded)
    if crowded:
        text.append(
            write.say("Kinds that come often have one row each, but for what may be a hint to a cause.")
        )
    if len(rows) > _LISTED:
        text.append(write.say("The table leaves out some; `foreshock events` lists all."))
    return text, _table(write, rows[:_LISTED], crowded)


def _counted(write: Writer) -> Sentence:
    kinds = write.document["event_kinds"]
    order = sorted(range(len(kinds)), key=lambda place: (kinds[place]["routine"], -kinds[place]["count"]))
    gaps: dict[str, Gap | str] = {"n": Gap("/counts/events", "count")}
    parts = []
    for place in order[:_KINDS]:
        gaps[f"n{place}"] = Gap(pointer("event_kinds", place, "count"), "count")
        gaps[f"k{place}"] = _shown(kinds[place]["kind"])
        parts.append(f"{{n{place}}} × {{k{place}}}")
    more = " and others" if len(order) > _KINDS else ""
    what = (
        "{n} event was recorded: "
        if write.document["counts"]["events"] == 1
        else "{n} events were recorded: "
    )
    return write.say(what + ", ".join(parts) + more + ".", **gaps)


def _shown(kind: str) -> str:
    """A kind in words where it is a slug; else as a name, for it may hold anything."""
    return words(kind) if re.fullmatch(r"[a-z_]+", kind) else name_of(kind)


def _single(document: Document, crowded: set[str]) -> list[int]:
    """Events that get a row of their own: those at a change first, then what is not routine, then by step."""
    close = _close(document)
    events = document["events"]
    hints = {
        near["event"] for change in document["changes"] for near in change["recorded"] if near["telling"]
    }
    chosen = [place for place, one in enumerate(events) if one["kind"] not in crowded or place in hints]
    return sorted(chosen, key=lambda place: (place not in close, events[place]["routine"], place))


def _close(document: Document) -> dict[int, list[str]]:
    """Event -> the changes at whose onset it was recorded."""
    close: dict[int, list[str]] = {}
    for index in _significant(document):
        change = document["changes"][index]
        name = f"{change['kind'].replace('_', ' ')} of {title(document, change['signal'])}"
        for near in change["recorded"]:
            close.setdefault(near["event"], []).append(name)
    return close


def _table(write: Writer, single: list[int], crowded: set[str]) -> dict[str, Any] | None:
    document = write.document
    close = _close(document)
    rows: list[tuple[int, list[Gap | str]]] = []
    for place in single:
        event = document["events"][place]
        step = Gap(pointer("events", place, "step"), "step")
        changed = ", ".join(dict.fromkeys(close.get(place, ())))
        times: list[Gap | str] = ["", ""] if crowded else []
        rows.append((event["step"], [step, _shown(event["kind"]), *times, str(event["text"]), changed]))
    for place, kind in enumerate(document["event_kinds"]):
        if kind["kind"] in crowded:
            base = pointer("event_kinds", place)
            first, last = Gap(f"{base}/first", "step"), Gap(f"{base}/last", "step")
            count = Gap(f"{base}/count", "count")
            rows.append((kind["first"], [first, _shown(kind["kind"]), count, last, "", ""]))
    rows.sort(key=lambda row: row[0])
    columns = ["step", "event", *(("times", "last step") if crowded else ()), "in words", "at the onset of"]
    return write.table(columns, [cells for _, cells in rows])

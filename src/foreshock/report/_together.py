"""How signals move together: the main pair by phase, where it parts, what stayed calm, the other links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foreshock.report._numbers import Document, Gap, Sentence, Writer, pointer
from foreshock.report._phrases import capital, title

_PARTNERS = 6  # links with other signals that are told
_HARDLY = 0.2  # a correlation below this is sure in a long run, and means little


def observations(write: Writer) -> tuple[list[Sentence], dict[str, Any] | None]:
    """How the metrics move together, where they part, what stayed calm; the main pair by phase."""
    document = write.document
    text: list[Sentence] = []
    table = None
    for index, relation in enumerate(document["relations"]):
        if relation["a"] in document["primary"] and relation["b"] in document["primary"]:
            text += _relation(write, index)
            table = table or _by_phase(write, index)
    text += decoupled(write) + _calm(write)
    text += [_linked_sentence(write, index) for index in _linked(document)[:_PARTNERS]]
    return text, table


def decoupled(write: Writer) -> list[Sentence]:
    """Where the two main signals part."""
    document = write.document
    text = []
    for index, relation in enumerate(document["relations"]):
        main = relation["a"] in document["primary"] and relation["b"] in document["primary"]
        if main and relation["decoupled_at"] is not None:
            moved = _moved_at(document, relation)
            still = relation["b"] if moved == relation["a"] else relation["a"]
            text.append(
                write.say(
                    "The two decouple at step {at}: {moved} changes there, {still} shows no move beyond "
                    "its noise.",
                    at=Gap(pointer("relations", index, "decoupled_at"), "step"),
                    moved=title(document, moved),
                    still=title(document, still),
                )
            )
    return text


def _moved_at(document: Document, relation: Mapping[str, Any]) -> str:
    """Which of the two signals changed where they part."""
    for change in document["changes"]:
        if change["step"] == relation["decoupled_at"] and change["signal"] in (relation["a"], relation["b"]):
            return str(change["signal"])
    return str(relation["a"])


def _relation(write: Writer, index: int) -> list[Sentence]:
    relation = write.document["relations"][index]
    text = []
    if relation["level_correlation"] is not None:
        tail = ", which says little: two curves with a trend always correlate" if relation["trending"] else ""
        text.append(
            write.say(
                "Over the whole run the levels of {a} and {b} correlate with r = {r}" + tail + ".",
                r=Gap(pointer("relations", index, "level_correlation"), "correlation"),
                a=title(write.document, relation["a"]),
                b=title(write.document, relation["b"]),
            )
        )
    if relation["change_correlation"] is not None:
        text.append(_linked_sentence(write, index))
    return text


def _linked_sentence(write: Writer, index: int) -> Sentence:
    relation = write.document["relations"][index]
    base = pointer("relations", index)
    p, r = relation["change_p_value"], relation["change_correlation"]
    if p is None or p >= 0.05:
        template = "With their trends removed, no link between {a} and {b} can be shown (r = {r}"
    elif abs(r) < _HARDLY:
        template = "With their trends removed, {a} and {b} hang together, but hardly (r = {r}"
    elif r > 0:
        template = "With their trends removed, {a} and {b} move together (r = {r}"
    else:
        template = "With their trends removed, {a} and {b} move against each other (r = {r}"
    gaps: dict[str, Gap | str] = {
        "a": title(write.document, relation["a"]),
        "b": title(write.document, relation["b"]),
        "r": Gap(f"{base}/change_correlation", "correlation"),
        "p": Gap(f"{base}/change_p_value", "p"),
        "lag": Gap(f"{base}/lag", "count"),
    }
    if p is not None:
        template += ", p {p}"
    if relation["lag"]:
        template += "; the link is strongest with {b} shifted by {lag} logged rows, where minus means earlier"
    return write.say(template + ").", **gaps)


def _linked(document: Document) -> list[int]:
    """Relations beyond the two main curves that are significant without their trends."""
    return [
        index
        for index, relation in enumerate(document["relations"])
        if relation["change_p_value"] is not None
        and relation["change_p_value"] < 0.01
        and (relation["a"] in document["primary"]) != (relation["b"] in document["primary"])
    ]


def _by_phase(write: Writer, index: int) -> dict[str, Any] | None:
    """How the main pair moves together in each phase of the first."""
    rows: list[list[Gap | str]] = []
    for number, _ in enumerate(write.document["relations"][index]["phases"]):
        base = pointer("relations", index, "phases", number)
        rows.append(
            [
                Gap(f"{base}/start", "step"),
                Gap(f"{base}/end", "step"),
                Gap(f"{base}/level_correlation", "correlation"),
                Gap(f"{base}/change_correlation", "correlation"),
            ]
        )
    columns = ["from step", "to step", "r of the levels", "r with trends removed"]
    return write.table(columns, rows) if len(rows) > 1 else None


def _calm(write: Writer) -> list[Sentence]:
    """Which main curve did not move while the other one did."""
    document = write.document
    moved = {change["signal"] for change in document["changes"] if change["significant"]}
    if len(document["primary"]) < 2 or not moved & set(document["primary"]):
        return []
    return [
        write.say("{name} shows no significant change of its own.", name=capital(title(document, name)))
        for name in document["primary"]
        if name not in moved
    ]

"""The report in words, in the order people read such figures.

Overview; axes and series; each chart by phases with its key data points; key observations; interpretation;
notable anomalies; what would decide the cause. Each section is {"id", "title", "text", "table"}, its text a
list of sentences from `_numbers.Writer`: every number they say is a field of the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foreshock.report import _findings
from foreshock.report._numbers import Gap, Sentence, Writer, pointer, show_value
from foreshock.report._phrases import (
    POINT_NAMES,
    capital,
    change_sentence,
    decimals,
    phase_sentence,
    title,
    unit,
)

Document = Mapping[str, Any]
Section = dict[str, Any]

VERDICTS = {
    "healthy": "Nothing in these curves calls for action.",
    "watch": "Nothing is lost yet, but something here deserves a look.",
    "trouble": "Something went wrong in this run.",
    "cannot tell": "These data do not allow a verdict.",
}


def summarize(document: Document) -> list[Sentence]:
    """One paragraph: verdict, the two curves from start to end, the main findings."""
    write = Writer(document)
    sentences = [write.say(VERDICTS[document["verdict"]])]
    if document["run"]["steps"]["count"] == 0:
        return sentences
    sentences += [
        _course(write, name) for name in document["primary"] if document["signals"][name]["key_points"]
    ]
    found = _findings.notable(document)
    sentences += [change_sentence(write, index) for index in found[:3]]
    if not found:
        sentences += _findings.nothing_significant(write)
    return sentences


def narrate(document: Document) -> list[Section]:
    """All sections of the report."""
    write = Writer(document)
    sections = [_overview(write), _axes(write)]
    sections += [_detail(write, name) for name in document["primary"]]
    sections += [
        _findings.observations(write),
        _findings.interpretation(write),
        _findings.anomalies(write),
        _findings.deciding(write),
    ]
    return [section for section in sections if section["text"] or section["table"]]


def section(id: str, heading: str, text: list[Sentence], table: dict[str, Any] | None = None) -> Section:
    """One section of the narrative."""
    return {"id": id, "title": heading, "text": text, "table": table}


def _overview(write: Writer) -> Section:
    document = write.document
    steps = pointer("run", "steps")
    first = write.say(
        "The run `{id}` has {count} logged steps, from step {first} to step {last}{framework}."
        if document["run"]["steps"]["count"]
        else "The run `{id}` has no logged steps.",
        id=str(document["run"]["id"]).replace("`", "'"),
        count=Gap(f"{steps}/count", "count"),
        first=Gap(f"{steps}/first", "step"),
        last=Gap(f"{steps}/last", "step"),
        framework=f", logged by `{document['run']['framework']}`" if document["run"]["framework"] else "",
    )
    return section("overview", "Overview", [first, *summarize(document)])


def _course(write: Writer, name: str) -> Sentence:
    """Where a signal starts, peaks and ends."""
    document = write.document
    found = document["signals"][name]
    points = {point["name"]: index for index, point in enumerate(found["key_points"])}
    base = pointer("signals", name, "key_points")
    places = decimals(document, name)
    if "start" not in points or "end" not in points:
        return write.say("{name} has too few points to describe.", name=capital(title(document, name)))
    text = "{name} goes from {a} to {b}{unit}"
    gaps: dict[str, Gap | str] = {
        "name": capital(title(document, name)),
        "a": Gap(f"{base}/{points['start']}/value", "value", places),
        "b": Gap(f"{base}/{points['end']}/value", "value", places),
        "unit": unit(document, name),
    }
    extreme = "trough" if found["good"] == "down" else "peak"
    if extreme in points and found["key_points"][points[extreme]]["step"] not in (
        found["key_points"][points["start"]]["step"],
        found["key_points"][points["end"]]["step"],
    ):
        text += (
            f", with its {'lowest' if extreme == 'trough' else 'highest'} level of {{top}} at step {{when}}"
        )
        gaps["top"] = Gap(f"{base}/{points[extreme]}/value", "value", places)
        gaps["when"] = Gap(f"{base}/{points[extreme]}/step", "step")
    return write.say(text + ".", **gaps)


def _axes(write: Writer) -> Section:
    document = write.document
    rows = []
    for name, found in document["signals"].items():
        places = decimals(document, name)
        rows.append(
            [
                found["title"],
                found["unit"] or "unit unknown",
                found["key"],
                str(found["count"]),
                show_value(found["min"], places),
                show_value(found["max"], places),
                show_value(found["noise_sd"], places + 1) if found["noise_sd"] is not None else "unknown",
            ]
        )
    text = [
        write.say(
            "Each chart has the training step on its horizontal axis. The raw values are drawn and analysed; "
            "smoothing, where shown, is for the eye only."
        )
    ]
    columns = ["signal", "unit", "logged as", "points", "lowest", "highest", "noise sd"]
    return section("axes", "Axes and series", text, {"columns": columns, "rows": rows})


def _detail(write: Writer, name: str) -> Section:
    document = write.document
    found = document["signals"][name]
    places = decimals(document, name)
    text = [phase_sentence(write, name, index) for index in range(len(found["phases"]))]
    if isinstance(found["noise_sd"], (int, float)) and found["noise_sd"] > 0:
        text.append(
            write.say(
                "From one step to the next it scatters by {sd}{unit} (standard deviation around its trend).",
                sd=Gap(pointer("signals", name, "noise_sd"), "value", places + 1),
                unit=unit(document, name),
            )
        )
    rows = [
        [
            POINT_NAMES.get(point["name"], str(point["name"]).replace("_", " ")),
            str(point["step"]),
            show_value(point["value"], places),
            show_value(point["raw"], places),
        ]
        for point in found["key_points"]
    ]
    table = {"columns": ["key point", "step", "level", "logged value"], "rows": rows} if rows else None
    return section(f"signal-{name}", f"{found['title']} by phases", text, table)

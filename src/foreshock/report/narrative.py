"""The report in words, in the order people read such figures.

Overview; axes and series; each chart by phases with its key data points; the other signals; key
observations; interpretation; notable anomalies; recorded events and evidence; what would decide the cause;
data quality. Each section is {"id", "title", "text", "table"}, its text a list of sentences from
`_numbers.Writer`: every number they say is a field of the document.
"""

from __future__ import annotations

from typing import Any

from foreshock.report import _event_words, _findings, _known_words, _meaning, _together
from foreshock.report._numbers import Document, Gap, Sentence, Writer, is_number, name_of, pointer, show_value
from foreshock.report._phrases import (
    POINT_NAMES,
    capital,
    change_sentence,
    decimals,
    noise_sentence,
    phase_sentence,
    title,
    unit,
    unit_text,
)

Section = dict[str, Any]

_VERDICTS = {
    "healthy": "Nothing in these curves calls for action.",
    "watch": "Something here deserves a look.",
    "trouble": "Something went wrong in this run.",
    "cannot tell": "These data do not allow a verdict",
}
_IN_SUMMARY = 3  # changes told in the summary


def summarize(document: Document) -> list[Sentence]:
    """One paragraph: verdict, what happened, the course of the two curves, what stays open."""
    write = Writer(document)
    sentences = _verdict(write)
    if document["run"]["steps"]["count"] == 0:
        return sentences
    found = [i for i in _findings.notable(document) if _findings.is_primary(document, i)]
    for index in found[:_IN_SUMMARY]:
        sentences.append(change_sentence(write, index, brief=True))
        sentences += _event_words.beside(write, index, telling=True)
    if not found and document["verdict"] != "cannot tell":
        sentences += _findings.nothing_significant(write)
        sentences += [_because(write)] if document["verdict"] != "healthy" and document["reasons"] else []
    sentences += _findings.more_changes(write, len(found) - _IN_SUMMARY)
    sentences += [_course(write, name) for name in document["primary"]]
    sentences += _together.decoupled(write)
    if document["verdict"] != "healthy":
        sentences += _meaning.cause_honesty(write) + _event_words.strongest_hint(write)
        sentences += _meaning.remaining(write)
    return sentences


def narrate(document: Document) -> list[Section]:
    """All sections of the report that have something to say."""
    write = Writer(document)
    sections = [_overview(write), _axes(write)]
    sections += [_detail(write, name) for name in document["primary"]]
    sections += [
        _section("others", "Other signals", _findings.others(write)),
        _section("observations", "Key observations", *_together.observations(write)),
        _section("interpretation", "Interpretation", _meaning.interpretation(write)),
        _section("anomalies", "Notable anomalies", *_findings.anomalies(write)),
        _section("events", "Recorded events", *_event_words.section(write)),
        _section("evidence", "Recorded evidence", *_known_words.section(write)),
        _decide(write),
        _section("quality", "Data quality and repairs", *_findings.quality(write)),
    ]
    return [section for section in sections if section["text"] or section["table"]]


def _decide(write: Writer) -> Section:
    text, table = _meaning.deciding(write)
    return _section("decide", "What would decide the cause", _event_words.first_look(write) + text, table)


def _section(id: str, heading: str, text: list[Sentence], table: dict[str, Any] | None = None) -> Section:
    return {"id": id, "title": heading, "text": text, "table": table}


def _verdict(write: Writer) -> list[Sentence]:
    verdict = write.document["verdict"]
    if verdict != "cannot tell":
        return [write.say(_VERDICTS[verdict])]
    return [_because(write, _VERDICTS[verdict])]


def _because(write: Writer, start: str = "The verdict rests on this") -> Sentence:
    """The reasons of the verdict, word for word."""
    reasons = write.document["reasons"]
    gaps: dict[str, Gap | str] = {f"r{i}": Gap(pointer("reasons", i), "quote") for i in range(len(reasons))}
    why = "; ".join(f"{{{name}}}" for name in gaps)
    return write.say(start + (f": {why}." if why else "."), **gaps)


def _overview(write: Writer) -> Section:
    run = write.document["run"]
    steps = pointer("run", "steps")
    count = run["steps"]["count"]
    text = "The run {id} has no logged steps"
    if count:
        span = ", from step {first} to step {last}" if count > 1 else ", step {first}"
        text = "The run {id} has {count} logged " + ("steps" if count > 1 else "step") + span
    text += "; read as {format}" + (", logged by {framework}." if run["framework"] else ".")
    first = write.say(
        text,
        id=name_of(run["id"]),
        format=name_of(run["format"]),
        framework=name_of(run["framework"]),
        count=Gap(f"{steps}/count", "count"),
        first=Gap(f"{steps}/first", "step"),
        last=Gap(f"{steps}/last", "step"),
    )
    return _section("overview", "Overview", [first, *summarize(write.document)])


def _course(write: Writer, name: str) -> Sentence:
    """Where a signal starts, peaks and ends."""
    document = write.document
    found = document["signals"][name]
    points = {point["name"]: index for index, point in enumerate(found["key_points"])}
    base = pointer("signals", name, "key_points")
    places = decimals(document, name)
    gaps: dict[str, Gap | str] = {"name": capital(title(document, name)), "unit": unit(document, name)}
    if "start" not in points or "end" not in points:
        only = Gap(f"{pointer('signals', name)}/last", "value", places)
        return write.say(
            "{name} has too few points to describe; the last is {last}{unit}.", last=only, **gaps
        )
    gaps["a"] = Gap(f"{base}/{points['start']}/value", "value", places)
    gaps["b"] = Gap(f"{base}/{points['end']}/value", "value", places)
    steps = {key: found["key_points"][index]["step"] for key, index in points.items()}
    if steps["start"] == steps["end"]:
        return write.say("{name} is {a}{unit} at the one step where it is logged.", **gaps)
    extreme, word = ("trough", "lowest") if found["good"] == "down" else ("peak", "highest")
    if extreme in points and steps[extreme] not in (steps["start"], steps["end"]):
        gaps["top"] = Gap(f"{base}/{points[extreme]}/value", "value", places)
        gaps["when"] = Gap(f"{base}/{points[extreme]}/step", "step")
        return write.say(
            "{name} starts at {a}{unit}, has its " + word + " level of {top} at step {when} and ends at {b}.",
            **gaps,
        )
    ends = [found["key_points"][points[key]]["value"] for key in ("start", "end")]
    if show_value(ends[0], places) == show_value(ends[1], places):
        constant = found["min"] == found["max"]
        text = "{name} is {a}{unit} throughout." if constant else "{name} begins and ends at {a}{unit}."
        return write.say(text, **gaps)
    return write.say("{name} goes from {a} to {b}{unit}.", **gaps)


def _axes(write: Writer) -> Section:
    document = write.document
    if not document["signals"]:
        return _section("axes", "Axes and series", [])
    rows: list[list[Gap | str]] = []
    for name, found in document["signals"].items():
        base, places = pointer("signals", name), decimals(document, name)
        rows.append(
            [
                str(found["title"]),
                unit_text(found),
                name_of(found["key"]),
                Gap(f"{base}/count", "count"),
                Gap(f"{base}/min", "value", places),
                Gap(f"{base}/max", "value", places),
                Gap(f"{base}/noise_sd", "spread", places) if is_number(found["noise_sd"]) else "unknown",
            ]
        )
    text = [_series(write, name) for name in document["primary"]]
    text.append(
        write.say(
            "Every chart has the training step on its horizontal axis. The raw values are drawn and "
            "analysed; smoothing, where shown, is for the eye only."
        )
    )
    columns = ["signal", "unit", "logged as", "points", "lowest", "highest", "noise sd"]
    return _section("axes", "Axes and series", text, write.table(columns, rows))


def _series(write: Writer, name: str) -> Sentence:
    """What one chart shows: the key it was logged under, its unit, its range and its steps."""
    document = write.document
    found = document["signals"][name]
    base, places = pointer("signals", name), decimals(document, name)
    column = document["run"]["columns"].get(name)
    changed = bool(column) and column["transform"] != "identity"
    text = "{name}: logged as {key}" + (" (converted: {transform})" if changed else "")
    text += ", in {unit}, " if found["unit_known"] else ", unit not stated by the log, "
    text += "{count} values between {low} and {high}." if found["count"] != 1 else "{count} value: {low}."
    return write.say(
        text,
        name=capital(title(document, name)),
        key=name_of(found["key"]),
        transform=name_of(column["transform"] if column else ""),
        unit=str(found["unit"]),
        count=Gap(f"{base}/count", "count"),
        low=Gap(f"{base}/min", "value", places),
        high=Gap(f"{base}/max", "value", places),
    )


def _detail(write: Writer, name: str) -> Section:
    """One chart: its phases, its noise, its key data points."""
    document = write.document
    found = document["signals"][name]
    places = decimals(document, name)
    text = [phase_sentence(write, name, index) for index in range(len(found["phases"]))]
    gained = _findings.growth(write, name)
    text += gained + noise_sentence(write, name)
    rows: list[list[Gap | str]] = []
    for index, point in enumerate(found["key_points"] if found["count"] > 1 else ()):
        if point["name"] == "half_gain" and not gained:
            continue  # half of what is within the noise
        base = pointer("signals", name, "key_points", index)
        what = POINT_NAMES.get(point["name"], str(point["name"]).replace("_", " "))
        value = Gap(f"{base}/value", "value", places)
        raw: Gap | str = Gap(f"{base}/raw", "value", places) if is_number(point["raw"]) else str(point["raw"])
        rows.append([what, Gap(f"{base}/step", "step"), value, raw])
    table = write.table(["key point", "step", "level", "logged value"], rows)
    return _section(f"signal-{name}", f"{found['title']} by phases", text, table)

"""What stands out: changes, growth, and what limits the data."""

from __future__ import annotations

from typing import Any

from foreshock.report._event_words import beside
from foreshock.report._known_words import unchanged
from foreshock.report._numbers import Document, Gap, Sentence, Writer, is_number, name_of, one_line, pointer
from foreshock.report._phrases import (
    change_sentence,
    decimals,
    decimals_of_change,
    long_enough,
    title,
    unit,
)

# Kinds that a reader of the curves would call events, in the order they are told.
_ORDER = ("non_finite", "drop", "slow_decline", "level_shift", "rise", "saturation", "flat_line", "spike")
_ANOMALIES = 12  # changes of the main signals told in sentences; the table has all
_OTHERS = 24  # other signals that get a line
_NAMED_KEYS = 20
Told = tuple[list[Sentence], dict[str, Any] | None]


def notable(document: Document) -> list[int]:
    """Indices of the significant changes, those of the reward first, then of the length, then the others."""
    primary = list(document["primary"])

    def rank(index: int) -> tuple[int, int, int]:
        change = document["changes"][index]
        whose = primary.index(change["signal"]) if change["signal"] in primary else len(primary)
        kind = _ORDER.index(change["kind"]) if change["kind"] in _ORDER else len(_ORDER)
        return whose, kind, change["step"]

    return sorted((i for i, change in enumerate(document["changes"]) if change["significant"]), key=rank)


def is_primary(document: Document, index: int) -> bool:
    """Whether a change is one of the main signals'."""
    return document["changes"][index]["signal"] in document["primary"]


def more_changes(write: Writer, left_out: int) -> list[Sentence]:
    """That more happened than was told: in the main signals, or in others."""
    text = []
    if left_out > 0:
        text.append(write.say("Further changes of these signals are listed below."))
    count = write.document["counts"]["significant_elsewhere"]
    if count:
        what = "{n} significant changes are" if count > 1 else "{n} significant change is"
        text.append(
            write.say(what + " found in other signals.", n=Gap("/counts/significant_elsewhere", "count"))
        )
    return text


def nothing_significant(write: Writer) -> list[Sentence]:
    """What may be said where no change of the main signals is significant."""
    document = write.document
    names = " and ".join(title(document, name) for name in document["primary"]) or "these signals"
    if document["verdict"] == "cannot tell":
        return [write.say("No change in {names} can be established from these data.", names=names)]
    return [
        write.say(
            "No change in {names} stands out from the run's own noise, and what does not stand out is "
            "treated as noise.",
            names=names,
        ),
    ]


def false_alarms(write: Writer) -> list[Sentence]:
    """The promise that stands behind the word significant, and how to read the numbers of a change."""
    text = [
        write.say(
            "A fall of the reward is called significant at a level at which at most {rate} % of healthy runs "
            "show any.",
            rate=Gap("/false_alarm_rate", "share"),
        )
    ]
    if write.document["counts"]["significant"]:
        text.append(
            write.say(
                "p-values allow for autocorrelation and for having searched the whole run; an onset interval "
                "holds the onset with {level} % confidence.",
                level=Gap("/interval_level", "share"),
            )
        )
    return text


def growth(write: Writer, name: str) -> list[Sentence]:
    """How much a signal gained up to its highest level, and by when it had half of that."""
    document = write.document
    found = document["signals"][name]
    points = {point["name"]: index for index, point in enumerate(found["key_points"])}
    if (
        not is_number(found["gain"])
        or not is_number(found["noise_sd"])
        or not {"peak", "half_gain"} <= set(points)
    ):
        return []
    if found["gain"] <= 2 * found["noise_sd"] or not long_enough(found):
        return []
    base = pointer("signals", name)
    return [
        write.say(
            "From the start to its highest level (step {top}) it gains {gain}{unit}; half of that is "
            "reached by step {half}.",
            top=Gap(f"{base}/key_points/{points['peak']}/step", "step"),
            half=Gap(f"{base}/key_points/{points['half_gain']}/step", "step"),
            gain=Gap(f"{base}/gain", "value", decimals(document, name)),
            unit=unit(document, name),
        )
    ]


def others(write: Writer) -> list[Sentence]:
    """Each other signal that significantly changed: its most telling change, and what was recorded there."""
    text: list[Sentence] = []
    told: set[str] = set()
    for index in notable(write.document):
        signal = write.document["changes"][index]["signal"]
        if signal in told or is_primary(write.document, index):
            continue
        if len(told) == _OTHERS:
            text.append(write.say("Changes of further signals are in the table of changes."))
            break
        told.add(signal)
        text += [change_sentence(write, index), *beside(write, index, telling=True)]
    return text


def anomalies(write: Writer) -> Told:
    """Every significant change of the main signals in a sentence, all of them in a table."""
    document = write.document
    order = notable(document)
    main = [index for index in order if is_primary(document, index)]
    text = []
    for index in main[:_ANOMALIES]:
        text += [change_sentence(write, index), *beside(write, index), *unchanged(write, index)]
    if not main:
        text = nothing_significant(write)
    if len(main) > _ANOMALIES:
        text.append(write.say("The table has the remaining ones."))
    if document["run"]["steps"]["count"] and document["verdict"] != "cannot tell":
        text += false_alarms(write)
    return text, _changes_table(write, order)


def _changes_table(write: Writer, order: list[int]) -> dict[str, Any] | None:
    rows: list[list[Gap | str]] = []
    for index in order:
        change = write.document["changes"][index]
        base, places = pointer("changes", index), decimals_of_change(write.document, change)
        optional = {
            key: Gap(f"{base}/{key}", style) if is_number(change[key]) else ""
            for key, style in (
                ("percent_of_peak", "percent"),
                ("percent_of_gain", "percent"),
                ("sigma", "ratio"),
                ("p_value", "p"),
                ("recovered", "share"),
            )
        }
        found = write.document["signals"].get(change["signal"])
        rows.append(
            [
                str(found["title"]) if found else change["signal"],
                change["kind"].replace("_", " "),
                Gap(f"{base}/step", "step"),
                Gap(f"{base}/step_interval/0", "step"),
                Gap(f"{base}/step_interval/1", "step"),
                Gap(f"{base}/end_step", "step"),
                Gap(f"{base}/from", "value", places),
                Gap(f"{base}/to", "value", places),
                *optional.values(),
            ]
        )
    columns = ["signal", "change", "onset", "earliest", "latest", "until", "from", "to"]
    columns += ["% of peak", "% of gain", "x noise", "p", "% recovered"]
    return write.table(columns, rows)


def quality(write: Writer) -> Told:
    """What limits the data, and what the reader repaired or did not recognise."""
    document = write.document
    rows: list[list[Gap | str]] = []
    for index, found in enumerate(document["quality"]):
        count = Gap(pointer("quality", index, "count"), "count")
        rows.append([found["kind"].replace("_", " "), count, str(found["detail"])])
    for index, note in enumerate(document["run"]["notes"]):
        count = Gap(pointer("run", "notes", index, "count"), "count")
        rows.append([note["kind"].replace("-", " ").replace("_", " "), count, str(note["text"])])
    text = [] if rows else [write.say("Nothing had to be repaired in the log, and no metric looks broken.")]
    return text + _unrecognised(write), write.table(["what", "count", "in words"], rows)


def _unrecognised(write: Writer) -> list[Sentence]:
    keys = write.document["run"]["unrecognised"]
    if not keys:
        return []
    names = ", ".join(name_of(one_line(key)) for key in keys[:_NAMED_KEYS])
    more = " and others (all are in the JSON report)" if len(keys) > _NAMED_KEYS else ""
    what = "{n} logged keys are not in the dictionary and keep their names"
    if len(keys) == 1:
        what = "{n} logged key is not in the dictionary and keeps its name"
    return [
        write.say(
            what + ": {names}" + more + ".",
            n=Gap("/counts/unrecognised", "count"),
            names=names,
        )
    ]

"""The sections that weigh things: observations, interpretation, anomalies, what would decide the cause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foreshock.report._numbers import Gap, Sentence, Writer, pointer
from foreshock.report._phrases import capital, change_sentence, title

Document = Mapping[str, Any]
Section = dict[str, Any]

# Kinds that a reader of the curves would call events, in the order they are told.
_ORDER = ("non_finite", "drop", "slow_decline", "level_shift", "rise", "saturation", "flat_line", "spike")
REWARD, LENGTH = "reward_mean", "response_length_mean"


def _section(id: str, heading: str, text: list[Sentence], table: dict[str, Any] | None = None) -> Section:
    return {"id": id, "title": heading, "text": text, "table": table}


def notable(document: Document) -> list[int]:
    """Indices of the significant changes, those of the reward first, then of the length, then the others."""
    primary = list(document["primary"])

    def rank(index: int) -> tuple[int, int, int]:
        change = document["changes"][index]
        whose = primary.index(change["signal"]) if change["signal"] in primary else len(primary)
        kind = _ORDER.index(change["kind"]) if change["kind"] in _ORDER else len(_ORDER)
        return whose, kind, change["step"]

    return sorted((i for i, change in enumerate(document["changes"]) if change["significant"]), key=rank)


def nothing_significant(write: Writer) -> list[Sentence]:
    """What may be said where no change is significant."""
    if write.document["verdict"] == "cannot tell":
        return []
    return [
        write.say(
            "No change in these curves stands out from the run's own noise; on at most {rate} % of healthy runs would "
            "any reward drop be called significant.",
            rate=Gap("/false_alarm_rate", "share"),
        )
    ]


def observations(write: Writer) -> Section:
    """How the metrics move together, where they part, what stayed calm."""
    document = write.document
    text: list[Sentence] = []
    for index, relation in enumerate(document["relations"]):
        if relation["a"] in document["primary"] and relation["b"] in document["primary"]:
            text += _relation(write, index)
    text += _calm(write)
    text += [_other_relation(write, i) for i in _linked(document)[:6]]
    return _section("observations", "Key observations", text)


def _relation(write: Writer, index: int) -> list[Sentence]:
    relation = write.document["relations"][index]
    base = pointer("relations", index)
    names = {"a": title(write.document, relation["a"]), "b": title(write.document, relation["b"])}
    text = []
    if relation["level_correlation"] is not None:
        tail = ", which says little: two curves with a trend always correlate" if relation["trending"] else ""
        text.append(
            write.say(
                "Over the whole run the levels of {a} and {b} correlate with r = {r}" + tail + ".",
                r=Gap(f"{base}/level_correlation", "correlation"),
                **names,
            )
        )
    if relation["change_correlation"] is not None:
        text.append(_linked_sentence(write, index, names))
    if relation["decoupled_at"] is not None:
        text.append(
            write.say(
                "They part at step {at}: one changes there and the other does not follow.",
                at=Gap(f"{base}/decoupled_at", "step"),
            )
        )
    return text


def _linked_sentence(write: Writer, index: int, names: Mapping[str, str]) -> Sentence:
    relation = write.document["relations"][index]
    base = pointer("relations", index)
    p = relation["change_p_value"]
    if p is None or p >= 0.05:
        template = "Once the trends are removed, no link between {a} and {b} can be shown (r = {r}"
    elif relation["change_correlation"] > 0:
        template = "Once the trends are removed, {a} and {b} move together from step to step (r = {r}"
    else:
        template = (
            "Once the trends are removed, {a} and {b} move against each other from step to step (r = {r}"
        )
    gaps: dict[str, Gap | str] = {**names, "r": Gap(f"{base}/change_correlation", "correlation")}
    if p is not None:
        template += ", p {p}"
        gaps["p"] = Gap(f"{base}/change_p_value", "p")
    if relation["lag"]:
        template += (
            "; {a} leads by {lag} logged points"
            if relation["lag"] > 0
            else "; {b} leads ({lag} logged points)"
        )
        gaps["lag"] = Gap(f"{base}/lag", "count")
    return write.say(template + ").", **gaps)


def _linked(document: Document) -> list[int]:
    """Relations beyond the two main curves that are significant without their trends."""
    return [
        index
        for index, relation in enumerate(document["relations"])
        if relation["change_p_value"] is not None
        and relation["change_p_value"] < 0.01
        and not (relation["a"] in document["primary"] and relation["b"] in document["primary"])
        and (relation["a"] in document["primary"] or relation["b"] in document["primary"])
    ]


def _other_relation(write: Writer, index: int) -> Sentence:
    relation = write.document["relations"][index]
    return _linked_sentence(
        write, index, {"a": title(write.document, relation["a"]), "b": title(write.document, relation["b"])}
    )


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


def interpretation(write: Writer) -> Section:
    """What the metrics mean, what the numbers can carry, and what two curves cannot say."""
    document = write.document
    text: list[Sentence] = []
    reward, length = document["signals"].get(REWARD), document["signals"].get(LENGTH)
    if reward is not None:
        text.append(
            write.say(
                "Train reward is the mean reward of the batch that was just sampled: it depends on the policy, on the "
                "prompts of that step and on the code that scores them, and cannot tell these apart."
            )
        )
        text += _statistical_unit(write)
    if length is not None:
        known = bool(length["unit"]) and length["unit"] != "-"
        text.append(
            write.say(
                "Response length is counted in {unit}; it says how the policy answers, not how well.",
                unit=str(length["unit"]),
            )
            if known
            else write.say(
                "The unit of the response length is not stated in the log: tokens or characters, check which."
            )
        )
    text += _sensitivity(write)
    if set(document["signals"]) <= {REWARD, LENGTH} and document["run"]["steps"]["count"]:
        text.append(
            write.say(
                "Reward and length alone cannot decide a cause: they show that something happened and when, not why."
            )
        )
    return _section("interpretation", "Interpretation", text)


def _statistical_unit(write: Writer) -> list[Sentence]:
    facts = write.document["run"]["facts"]
    prompts = facts.get("prompts_per_step")
    if isinstance(prompts, int):
        return [
            write.say(
                "With {n} prompts a step its noise is that of {n2} independent draws, however many completions each has.",
                n=Gap("/run/facts/prompts_per_step", "count"),
                n2=Gap("/run/facts/prompts_per_step", "count"),
            )
        ]
    return [
        write.say(
            "The number of prompts per step is not in the log; it, and not the number of completions, sets how much a "
            "single step can be trusted, so the noise used here is taken from the curve itself."
        )
    ]


def _sensitivity(write: Writer) -> list[Sentence]:
    """Which of the two main curves shows movement more clearly: range in units of its own noise."""
    document = write.document
    ratios = {}
    for name in document["primary"]:
        found = document["signals"][name]
        if isinstance(found["noise_sd"], float) and found["noise_sd"] > 0 and found["phases"]:
            levels = [phase[key] for phase in found["phases"] for key in ("start_value", "end_value")]
            ratios[name] = (max(levels) - min(levels)) / found["noise_sd"]
    if len(ratios) < 2:
        return []
    (first, high), (second, low) = sorted(ratios.items(), key=lambda item: -item[1])
    if high < 1.5 * low:
        return [write.say("Measured in units of their own noise, both curves move about equally far.")]
    return [
        write.say(
            "{first} is the more sensitive of the two: its level moves further, in units of its own noise, than {second}'s.",
            first=capital(title(document, first)),
            second=title(document, second),
        )
    ]


def anomalies(write: Writer) -> Section:
    """Every significant change in a sentence, data quality, and what was repaired on reading."""
    document = write.document
    text = [change_sentence(write, index) for index in notable(document)[:12]]
    left_out = len(notable(document)) - len(text)
    if left_out > 0:
        text.append(write.say("Further changes of other signals are listed in the table of changes."))
    if not text:
        text = nothing_significant(write) or [
            write.say("No anomaly can be established from these data; see the notes on data quality.")
        ]
    weak = [
        change
        for change in document["changes"]
        if not change["significant"] and change["p_value"] is not None
    ]
    if weak:
        text.append(
            write.say("Other movements are within what the run's own noise produces and are not counted.")
        )
    rows = [[quality["kind"].replace("_", " "), str(quality["detail"])] for quality in document["quality"]]
    rows += [["read with care", str(note["text"])] for note in document["run"]["notes"]]
    table = {"columns": ["data quality", "what was found"], "rows": rows} if rows else None
    return _section("anomalies", "Notable anomalies", text, table)


def deciding(write: Writer) -> Section:
    """Which causes remain open, what speaks against each, what would decide, what to log."""
    document = write.document
    causes = document["causes"]
    text: list[Sentence] = []
    if causes:
        text.append(
            write.say(
                "These causes remain possible; the order is that of compatibility with the curves, not a probability."
            )
        )
    elif document["verdict"] in ("watch", "trouble"):
        text.append(write.say("No cause can be named from what was logged."))
    rows = [
        [
            str(cause["title"]),
            str(cause["why"]),
            str(cause["against"]) or "nothing in the log",
            str(cause["decide"]),
        ]
        for cause in causes
    ]
    if document["to_log"] and document["verdict"] != "healthy":
        names = ", ".join(f"`{entry['signal']}`" for entry in document["to_log"])
        text.append(write.say("To tell them apart, also log {names}.", names=names))
    table = (
        {
            "columns": ["possible cause", "what fits", "what speaks against it", "what would decide"],
            "rows": rows,
        }
        if rows
        else None
    )
    return _section("decide", "What would decide the cause", text, table)

"""The sentences about single things: a phase, a change, the noise; and what a signal is called in them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from foreshock.report._numbers import (
    Document,
    Gap,
    Sentence,
    Writer,
    decimals_for,
    is_number,
    name_of,
    pointer,
    show_value,
)
from foreshock.signals import catalogue

MOVES = ("drop", "slow_decline", "rise", "level_shift")
_ONSET_KINDS = (*MOVES, "variance_change")
_PHASES = {
    "rapid_rise": "rises rapidly from {a} to {b}{unit}",
    "slow_rise": "rises slowly from {a} to {b}{unit}",
    "plateau": "stays level within its noise, {a}{unit} at the start and {b} at the end",
    "level": "stays level at {a}{unit}",
    "unclear": "has no clear trend, {a}{unit} at the start and {b} at the end",
    "fluctuation": "fluctuates between {low} and {high}{unit}, its level going from {a} to {b}",
    "slow_decline": "declines slowly from {a} to {b}{unit}",
    "drop": "drops from {a} to {b}{unit}",
    "recovery": "recovers from {a} to {b}{unit}",
    "single": "goes from {a} to {b}{unit}; too short to be divided into phases",
}
_GENTLE = ("plateau", "fluctuation", "single")  # kinds whose slope says nothing
_WIDE = 1.5  # in noise: a plateau whose ends are further apart is not called level
_UNDONE = 0.05  # a smaller share is not told as a recovery
_SURE = 1.3  # noise of a step; twice the error of the end of a line through ten steps (0.6), nearly
_SHORT = 8  # values below which a sentence on growth or noise would be about chance
POINT_NAMES = {
    "start": "start",
    "end": "end",
    "peak": "highest level",
    "trough": "lowest level",
    "raw_max": "highest logged value",
    "raw_min": "lowest logged value",
    "half_gain": "half of the gain reached",
    "boundary": "phase boundary",
}
_ALSO_SHOWN = ("tokens", "characters", "s")  # units worth a word after every value


def title(document: Document, name: str) -> str:
    """What people call a signal, in the middle of a sentence; raw keys stand in backticks."""
    found = document["signals"].get(name)
    base, _, part = name.partition("/")
    if part and base in catalogue():
        return f"{_lower(catalogue()[base].title)} {name_of(part)}"
    if name in catalogue() and found is not None:
        return _lower(str(found["title"]))
    return name_of(name)


def _lower(text: str) -> str:
    """In lower case but for abbreviations: "Train Reward" -> "train reward", "KL Coefficient" keeps KL."""
    return re.sub(r"\b[A-Z][a-z]+\b", lambda word: word.group().lower(), text)


def capital(text: str) -> str:
    """The same text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def decimals(document: Document, name: str) -> int:
    """Decimals that this signal's values are printed with; outliers have no say in it."""
    found = document["signals"].get(name)
    if found is None or not (is_number(found["min"]) and is_number(found["max"])):
        return 3
    noise = found["noise_sd"] if is_number(found["noise_sd"]) else None
    levels = [level for phase in found["phases"] for level in (phase["start_value"], phase["end_value"])]
    if levels and noise:
        low, high = min(levels) - 2 * noise, max(levels) + 2 * noise
        return decimals_for(noise, max(low, found["min"]), min(high, found["max"]))
    return decimals_for(noise, found["min"], found["max"])


def decimals_of_change(document: Document, change: Mapping[str, Any]) -> int:
    """Decimals of a change's two levels: those of the signal, or more until their difference shows."""
    places = decimals(document, change["signal"])
    if not (is_number(change["from"]) and is_number(change["to"])) or change["from"] == change["to"]:
        return places
    gap = abs(change["from"] - change["to"])
    return min(max(places, 1 - math.floor(math.log10(gap))), 12)


def unit(document: Document, name: str) -> str:
    """The unit with a leading space where it is known and a number does not speak for itself."""
    found = document["signals"].get(name)
    if found is None or not found["unit_known"]:
        return ""
    return f" {found['unit']}" if found["unit"] in _ALSO_SHOWN else ""


def unit_text(found: Mapping[str, Any]) -> str:
    """The unit for a table: as the dictionary has it, and whether the log vouches for it."""
    if not found["unit"]:
        return "unit unknown" if not found["unit_known"] else ""
    return str(found["unit"]) if found["unit_known"] else f"unit unknown ({found['unit']} are usual)"


def phase_sentence(write: Writer, name: str, index: int) -> Sentence:
    """One phase: its steps, what the signal does, and how fast."""
    phase = write.document["signals"][name]["phases"][index]
    base = pointer("signals", name, "phases", index)
    places = decimals(write.document, name)
    if phase["end"] > phase["start"]:
        level = show_value(phase["start_value"], places) == show_value(phase["end_value"], places)
        kind = phase["kind"]
        if kind == "plateau":
            noise = write.document["signals"][name]["noise_sd"]
            wide = is_number(noise) and abs(phase["end_value"] - phase["start_value"]) > _WIDE * noise
            kind = "level" if level else ("unclear" if wide else kind)
        text = "Steps {first} to {last}: " + _PHASES.get(kind, "goes from {a} to {b}{unit}")
        text += "" if phase["kind"] in _GENTLE else " ({slope} a step)"
    else:
        text = "Step {first}: {a}{unit}"
    return write.say(
        text + ".",
        unit=unit(write.document, name),
        first=Gap(f"{base}/start", "step"),
        last=Gap(f"{base}/end", "step"),
        a=Gap(f"{base}/start_value", "value", places),
        b=Gap(f"{base}/end_value", "value", places),
        low=Gap(f"{base}/low", "value", places),
        high=Gap(f"{base}/high", "value", places),
        slope=Gap(f"{base}/slope", "figures"),
    )


def noise_sentence(write: Writer, name: str) -> list[Sentence]:
    """How much the signal scatters, and whether neighbouring steps hang together."""
    found = write.document["signals"][name]
    if not is_number(found["noise_sd"]) or found["noise_sd"] <= 0 or not long_enough(found):
        return []
    base = pointer("signals", name, "noise")
    text = (
        "Around its course it scatters by {sd}"
        + unit(write.document, name)
        + " from one logged value to the "
        "next (standard deviation)"
    )
    noise = found["noise"]
    if is_number(noise["phi"]) and noise["phi"] >= 0.2:
        text += "; neighbours scatter alike (lag-one correlation {phi}), so they count for fewer"
    return [
        write.say(
            text + ".",
            sd=Gap(f"{pointer('signals', name)}/noise_sd", "spread", decimals(write.document, name)),
            phi=Gap(f"{base}/phi", "correlation"),
        )
    ]


def long_enough(found: Mapping[str, Any]) -> bool:
    """Whether a signal has enough values for a sentence on its growth or its noise."""
    return bool(found["count"] >= _SHORT)


def change_sentence(write: Writer, index: int, *, brief: bool = False) -> Sentence:
    """One change: from, to, when, how large, how sure (left out where `brief`), and what came back."""
    change = write.document["changes"][index]
    base = pointer("changes", index)
    places = decimals_of_change(write.document, change)
    certainty = "" if brief else _certainty(change)
    text = _what(change) + _size(write.document, change) + certainty + "." + _recovery(write.document, change)
    gaps: dict[str, Gap | str] = {
        "name": capital(title(write.document, change["signal"])),
        "a": Gap(f"{base}/from", "value", places),
        "b": Gap(f"{base}/to", "value", places),
        "at_rest": Gap(f"{base}/to", "exact"),
        "last": Gap(f"{base}/from", "figures"),
        "sd_a": Gap(f"{base}/from", "spread", places),
        "sd_b": Gap(f"{base}/to", "spread", places),
        "unit": unit(write.document, change["signal"]),
        "at": Gap(f"{base}/step", "step"),
        "end": Gap(f"{base}/end_step", "step"),
        "lo": Gap(f"{base}/step_interval/0", "step"),
        "hi": Gap(f"{base}/step_interval/1", "step"),
        "peak": Gap(f"{base}/percent_of_peak", "percent"),
        "gain": Gap(f"{base}/percent_of_gain", "percent"),
        "times": Gap(f"{base}/times", "ratio"),
        "sigma": Gap(f"{base}/sigma", "ratio"),
        "p": Gap(f"{base}/p_value", "p"),
        "back": Gap(f"{base}/recovered_by", "step"),
        "share": Gap(f"{base}/recovered", "share"),
    }
    return write.say(text, **gaps)


def _what(change: Mapping[str, Any]) -> str:
    kind = change["kind"]
    several = change["end_step"] > change["step"]
    span = "from step {at} to step {end}" if several else "at step {at}"
    if kind in MOVES:
        verb = {
            "drop": "drops",
            "slow_decline": "declines slowly",
            "rise": "rises abruptly",
            "level_shift": "shifts down" if _goes_down(change) else "shifts up",
        }[kind]
        when = "between steps {at} and {end}" if several else "at step {at}"
        return "{name} " + verb + " from {a} to {b}{unit} " + when
    if kind == "spike":
        return "{name} spikes to {b}{unit} at step {at}, where {a} is usual"
    if kind == "variance_change":
        louder = "noisier" if is_number(change["to"]) and change["to"] > change["from"] else "calmer"
        return "{name} becomes " + louder + " at step {at}: standard deviation {sd_a} before, {sd_b} after"
    if kind == "flat_line":
        return "{name} is exactly {at_rest}{unit} " + span
    if kind == "saturation":
        return "{name} sits at its limit, {at_rest}{unit}, " + span
    if kind == "non_finite":
        value = {"NaN": "not a number (NaN)", "Infinity": "infinite", "-Infinity": "minus infinity"}
        what = value.get(str(change["to"]), "not a finite number")
        tail = ", the last time at step {end}" if several else ""
        return "{name} is " + what + " at step {at}" + tail + "; before, it was {last}"
    return "{name} changes from {a} to {b}{unit} " + span


def _size(document: Document, change: Mapping[str, Any]) -> str:
    """Share of the peak, share of the gain, multiples of the noise: whatever is known and means something."""
    sizes = []
    if change["kind"] in MOVES:
        sizes += _relative(document, change)
        sizes += _share_of_gain(document, change)
    if is_number(change["sigma"]) and change["kind"] in (*MOVES, "spike"):
        log = " on a logarithmic scale" if "logarithmic" in change["detail"] else ""
        sizes.append("{sigma} times its noise" + log)
    return ": " + ", ".join(sizes) if sizes else ""


def _relative(document: Document, change: Mapping[str, Any]) -> list[str]:
    """How a move compares with the level it started from."""
    if _goes_down(change):
        whole = "the peak" if _from_peak(document, change) else "its former level"
        return ["{peak} % of " + whole] if change["percent_of_peak"] is not None else []
    return (
        ["to {times} times its former level"]
        if change["times"] is not None and change["times"] >= 1.1
        else []
    )


def _share_of_gain(document: Document, change: Mapping[str, Any]) -> list[str]:
    """How much of what the signal had made since the start a move undoes."""
    if not is_number(change["percent_of_gain"]):
        return []
    down = _goes_down(change)
    found = document["signals"].get(change["signal"])
    made = ("gain" if found and found["good"] == "up" else "rise") if down else "fall"
    beyond = f", so {'below' if down else 'above'} where it began" if change["percent_of_gain"] > 100 else ""
    return ["{gain} % of the " + made + " since the start" + beyond]


def _goes_down(change: Mapping[str, Any]) -> bool:
    return is_number(change["from"]) and is_number(change["to"]) and bool(change["to"] < change["from"])


def _from_peak(document: Document, change: Mapping[str, Any]) -> bool:
    """Whether the change starts from the signal's highest level, within its noise."""
    found = document["signals"].get(change["signal"])
    if found is None or not is_number(change["from"]):
        return False
    tops = [point["value"] for point in found["key_points"] if point["name"] == "peak"]
    noise = found["noise_sd"] if is_number(found["noise_sd"]) else 0.0
    return bool(tops) and tops[0] - change["from"] <= noise


def _certainty(change: Mapping[str, Any]) -> str:
    parts = []
    low, high = change["step_interval"]
    if change["kind"] in _ONSET_KINDS and low != high:
        parts.append("onset between steps {lo} and {hi}")
    if change["p_value"] is not None:
        parts.append("p {p}")
    return " (" + ", ".join(parts) + ")" if parts else ""


def _within_noise(found: Mapping[str, Any] | None, change: Mapping[str, Any]) -> bool:
    """Whether what came back is less than the error of the level at the end, a line through ten points."""
    if not (found and is_number(found["noise_sd"]) and is_number(change["from"]) and is_number(change["to"])):
        return False
    back = change["recovered"] * abs(change["from"] - change["to"])
    return bool(back < _SURE * found["noise_sd"])


def _recovery(document: Document, change: Mapping[str, Any]) -> str:
    """How much of a change is undone by when; of what should rise also that nothing came back."""
    if not is_number(change["recovered"]) or change["recovered_by"] is None:
        return ""
    found = document["signals"].get(change["signal"])
    rises = bool(found) and found["good"] == "up"
    if change["recovered"] < _UNDONE:
        return " Nothing of this has come back by the end of the run." if rises else ""
    if _within_noise(found, change):
        return " Nothing beyond the noise has come back by the end of the run." if rises else ""
    done = "it has recovered {share} % of this" if rises else "{share} % of this is undone"
    return f" By step {{back}}, {done}."

"""The sentences about single things: a phase, a key point, a change, a relation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foreshock.report._numbers import Gap, Sentence, Writer, decimals_for, pointer

Document = Mapping[str, Any]

_PHASES = {
    "rapid_rise": "rises rapidly from {a} to {b}",
    "slow_rise": "rises slowly from {a} to {b}",
    "plateau": "stays level, from {a} to {b}",
    "fluctuation": "fluctuates between {low} and {high} (level {a} to {b})",
    "slow_decline": "declines slowly from {a} to {b}",
    "drop": "drops from {a} to {b}",
    "recovery": "recovers from {a} to {b}",
    "single": "goes from {a} to {b}; the run is too short to divide it",
}
POINT_NAMES = {
    "start": "start",
    "end": "end",
    "peak": "peak of the level",
    "trough": "trough of the level",
    "raw_max": "highest logged value",
    "raw_min": "lowest logged value",
    "half_gain": "half of the gain reached",
    "boundary": "phase boundary",
}
_KINDS = {
    "drop": "drops",
    "rise": "jumps",
    "level_shift": "shifts",
    "slow_decline": "declines slowly",
}


def title(document: Document, name: str) -> str:
    """What people call a signal, in the middle of a sentence."""
    found = document["signals"].get(name)
    return str(found["title"]).lower() if found and found["title"] != name else f"`{name}`"


def capital(text: str) -> str:
    """The same text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def decimals(document: Document, name: str) -> int:
    """Decimals that this signal's values are printed with."""
    found = document["signals"][name]
    ends = [value for value in (found["min"], found["max"]) if isinstance(value, (int, float))]
    return decimals_for(found["noise_sd"], *(ends if len(ends) == 2 else (0.0, 0.0)))


def unit(document: Document, name: str) -> str:
    """The unit with a leading space, empty where a number speaks for itself."""
    found = str(document["signals"][name]["unit"] or "")
    return f" {found}" if found in ("tokens", "characters", "s") else ""


def phase_sentence(write: Writer, name: str, index: int) -> Sentence:
    """One phase: steps, what it does, slope."""
    phase = write.document["signals"][name]["phases"][index]
    base = pointer("signals", name, "phases", index)
    places = decimals(write.document, name)
    text = (
        "Steps {first} to {last}: "
        + _PHASES.get(phase["kind"], "goes from {a} to {b}")
        + unit(write.document, name)
    )
    if phase["kind"] not in ("plateau", "fluctuation", "single") and phase["end"] > phase["start"]:
        text += " ({slope} a step)"
    return write.say(
        text + ".",
        first=Gap(f"{base}/start", "step"),
        last=Gap(f"{base}/end", "step"),
        a=Gap(f"{base}/start_value", "value", places),
        b=Gap(f"{base}/end_value", "value", places),
        low=Gap(f"{base}/low", "value", places),
        high=Gap(f"{base}/high", "value", places),
        slope=Gap(f"{base}/slope", "value", places + 2),
    )


def change_sentence(write: Writer, index: int) -> Sentence:
    """One change: from, to, when, how large, how sure, what came back."""
    change = write.document["changes"][index]
    base = pointer("changes", index)
    places = decimals(write.document, change["signal"])
    gaps: dict[str, Gap | str] = {
        "name": capital(title(write.document, change["signal"])),
        "a": Gap(f"{base}/from", "value", places),
        "b": Gap(f"{base}/to", "value", places),
        "unit": unit(write.document, change["signal"]),
        "at": Gap(f"{base}/step", "step"),
        "end": Gap(f"{base}/end_step", "step"),
        "lo": Gap(f"{base}/step_interval/0", "step"),
        "hi": Gap(f"{base}/step_interval/1", "step"),
        "peak": Gap(f"{base}/percent_of_peak", "percent"),
        "gain": Gap(f"{base}/percent_of_gain", "percent"),
        "sigma": Gap(f"{base}/sigma", "ratio"),
        "p": Gap(f"{base}/p_value", "p"),
    }
    text = _what(change) + _size(change) + _certainty(change) + "."
    if change["recovered"] is not None and change["recovered_by"] is not None and change["recovered"] > 0:
        text += " By step {back} it has recovered {share} % of that."
        gaps["back"] = Gap(f"{base}/recovered_by", "step")
        gaps["share"] = Gap(f"{base}/recovered", "share")
    return write.say(text, **{key: gap for key, gap in gaps.items() if f"{{{key}}}" in text})


def _what(change: Mapping[str, Any]) -> str:
    kind = change["kind"]
    if kind in _KINDS:
        return "{name} " + _KINDS[kind] + " from {a} to {b}{unit} between steps {at} and {end}"
    if kind == "spike":
        return "{name} spikes at step {at}: {b}{unit} where {a} was usual"
    if kind == "variance_change":
        return "{name} changes its scatter at step {at}: standard deviation {a} before, {b} after"
    if kind == "flat_line":
        return "{name} is exactly {b}{unit} from step {at} to {end}"
    if kind == "saturation":
        return "{name} is pinned at {b}{unit}, its ceiling, from step {at} to {end}"
    if kind == "non_finite":
        return "{name} is not a finite number from step {at} on"
    return "{name} changes from {a} to {b}{unit} at step {at}"


def _size(change: Mapping[str, Any]) -> str:
    sizes = []
    if change["kind"] in ("drop", "slow_decline", "rise", "level_shift"):
        if change["percent_of_peak"] is not None:
            sizes.append("{peak} % of the peak")
        if change["percent_of_gain"] is not None:
            sizes.append("{gain} % of the gain since the start")
    if change["sigma"] is not None and isinstance(change["sigma"], (int, float)):
        sizes.append("{sigma} times the noise of a single step")
    return (
        ": " + ", ".join(sizes)
        if sizes and change["kind"] != "spike"
        else (f" ({sizes[-1]})" if sizes else "")
    )


def _certainty(change: Mapping[str, Any]) -> str:
    parts = []
    lo, hi = change["step_interval"]
    if change["kind"] in ("drop", "slow_decline", "rise", "level_shift", "variance_change") and lo != hi:
        parts.append("onset between steps {lo} and {hi}")
    if change["p_value"] is not None:
        parts.append("p {p} for the whole run")
    return " (" + ", ".join(parts) + ")" if parts else ""

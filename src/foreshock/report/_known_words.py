"""The recorded evidence in sentences: what is known, and that nothing changed where a curve did."""

from __future__ import annotations

from typing import Any

from foreshock.report._numbers import Document, Gap, Sentence, Writer, name_of, pointer
from foreshock.report._recorded import words

# Kinds that look at every step, and what they watch.
_WATCHED = {
    "batch": "the batches",
    "reward": "the reward functions",
    "model": "the weights of the model",
    "optimizer": "the optimizer",
    "engine": "the rollout engine",
}
_TITLES = {
    "batch": "the batches",
    "reward": "the reward functions",
    "model": "the model",
    "engine": "the rollout engine",
    "environment": "the environment",
    "config": "the settings",
    "tokenizer": "the tokenizer",
    "generation": "the generation settings",
}
_MOVES = ("drop", "slow_decline", "rise", "level_shift", "non_finite")
_ROWS = 60


def unchanged(write: Writer, index: int) -> list[Sentence]:
    """That what was watched did not change where a curve did; only where something was watched there."""
    change = write.document["changes"][index]
    if change["kind"] not in _MOVES:
        return []
    if any(not write.document["events"][near["event"]]["routine"] for near in change["recorded"]):
        return []
    names = _watched_at(write.document, change["step"])
    if not names:
        return []
    what = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return [
        write.say(
            "Recorded at its onset: nothing. {what} were watched at step {step}, and no change of them was "
            "seen.",
            what=what[:1].upper() + what[1:],
            step=Gap(pointer("changes", index, "step"), "step"),
        )
    ]


def _watched_at(document: Document, step: int) -> list[str]:
    """What was watched both before a step and from it on."""
    return [
        _WATCHED[one["kind"]]
        for one in document["evidence"]
        if one["kind"] in _WATCHED and one["first"] < step <= one["last"]
    ]


def section(write: Writer) -> tuple[list[Sentence], dict[str, Any] | None]:
    """How much of which evidence there is, and a table of what it says."""
    evidence = write.document["evidence"]
    if not evidence:
        return [], None
    gaps: dict[str, Gap | str] = {}
    parts = []
    for place, one in enumerate(evidence):
        gaps[f"n{place}"] = Gap(pointer("evidence", place, "records"), "count")
        gaps[f"k{place}"] = _TITLES.get(one["kind"]) or name_of(one["kind"])
        parts.append(f"{{k{place}}} ({{n{place}}} {'record' if one['records'] == 1 else 'records'})")
    text = "Beside the curves, the recording holds evidence of " + ", ".join(parts)
    sentences = [
        write.say(text + ".", **gaps),
        write.say(
            "Of what differs from step to step the table has the last value, of all else it says since when "
            "it holds. Hashes are cut to eight digits."
        ),
    ]
    return sentences, _table(write)


def _table(write: Writer) -> dict[str, Any] | None:
    rows: list[list[Gap | str]] = []
    for place, one in enumerate(write.document["evidence"]):
        for row, known in enumerate(one["known"]):
            base = pointer("evidence", place, "known", row)
            since: Gap | str = "varies" if known["varies"] else Gap(f"{base}/since", "step")
            changes: Gap | str = Gap(f"{base}/changes", "count") if known["changes"] else ""
            rows.append([words(one["kind"]), words(known["name"]), str(known["value"]), since, changes])
    return write.table(["evidence of", "what", "value", "since step", "changes"], rows[:_ROWS])

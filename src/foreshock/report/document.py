"""The report as one JSON document, `foreshock.report/1`: every other output is made from it.

`docs/json.md` describes each field. Numbers are full precision; what JSON cannot hold is written as the
strings "NaN", "Infinity" and "-Infinity", because a value that is not finite is evidence and not a gap (null
is what is unknown or does not apply).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from foreshock import __version__
from foreshock.analysis import Analysis, Change, SignalAnalysis
from foreshock.diagnosis import OpenCause
from foreshock.report._known import summaries
from foreshock.report._recorded import kinds, near, told
from foreshock.report.narrative import narrate, summarize
from foreshock.run import Column, Run

SCHEMA = "foreshock.report/1"
INTERVAL_LEVEL = 0.95  # of every step_interval
_MOVES = ("drop", "rise", "level_shift", "slow_decline")
_LARGEST_INT = 2**63 - 1


def build(
    run: Run, analysis: Analysis, causes: Sequence[OpenCause] = (), to_log: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """The whole report of one run as a JSON-ready document.

    Args:
        run: the run as read.
        analysis: what `foreshock.analyze(run)` says.
        causes: what `foreshock.diagnosis.open_causes(run, analysis)` says.
        to_log: (signal, why) pairs of what is not logged and would tell the causes apart.
    """
    events = told(run.events, run.evidence)
    about = kinds(events)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "run": _run(run),
        "signals": {name: _signal(found, run) for name, found in analysis.signals.items()},
        "primary": list(analysis.primary),
        "changes": [
            {**_change(change), "recorded": [vars(one) for one in near(change, events, about, run.steps)]}
            for change in analysis.changes
        ],
        "relations": [dataclasses.asdict(relation) for relation in analysis.relations],
        "quality": [dataclasses.asdict(quality) for quality in analysis.quality],
        "events": [dataclasses.asdict(event) for event in events],
        "event_kinds": [dataclasses.asdict(kind) for kind in about.values()],
        "evidence": [dataclasses.asdict(one) for one in summaries(run.evidence)],
        "verdict": analysis.verdict,
        "reasons": list(analysis.reasons),
        "false_alarm_rate": analysis.false_alarm_rate,
        "interval_level": INTERVAL_LEVEL,
        "causes": [dataclasses.asdict(cause) for cause in causes],
        "to_log": [{"signal": signal, "why": why} for signal, why in to_log],
        "counts": {**_counts(run, analysis, causes), "events": len(events)},
    }
    document = plain(document)
    summary = summarize(document)
    document["summary"] = " ".join(sentence["text"] for sentence in summary)
    document["summary_numbers"] = [number for sentence in summary for number in sentence["numbers"]]
    document["summary_quotes"] = [quote for sentence in summary for quote in sentence["quotes"]]
    document["narrative"] = narrate(document)
    return document


def plain(value: Any) -> Any:
    """The same value in JSON's own types; non-finite numbers become strings, broken text is mended."""
    if isinstance(value, dict):
        return {_text(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value) if abs(int(value)) <= _LARGEST_INT else str(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isfinite(number):
            return number
        return "NaN" if number != number else ("Infinity" if number > 0 else "-Infinity")
    return value if value is None else _text(value)


def _text(value: object) -> str:
    """Text that UTF-8 can hold: a lone surrogate (from bytes that were no text) becomes "?"."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _run(run: Run) -> dict[str, Any]:
    steps = run.steps
    return {
        "id": run.id,
        "source": run.source,
        "format": run.format,
        "framework": run.framework,
        "steps": {
            "first": int(steps[0]) if len(steps) else None,
            "last": int(steps[-1]) if len(steps) else None,
            "count": len(steps),
        },
        "facts": dict(run.facts),
        "events": [dataclasses.asdict(event) for event in run.events],
        "notes": [dataclasses.asdict(note) for note in run.notes],
        "columns": {name: dataclasses.asdict(column) for name, column in run.columns.items()},
        "unrecognised": list(run.unrecognised),
    }


def _signal(found: SignalAnalysis, run: Run) -> dict[str, Any]:
    column = run.columns.get(found.name)
    unit = (column.unit if column else "") or found.unit
    levels = [level for phase in found.phases for level in (phase.start_value, phase.end_value)]
    sd = found.noise.sd if found.noise else None
    starts = [point.value for point in found.key_points if point.name == "start"]
    return {
        "key": found.key,
        "title": found.title,
        "unit": unit,
        "unit_known": _unit_known(unit, column),
        "good": found.good,
        "count": found.count,
        "first": found.first,
        "last": found.last,
        "min": found.min,
        "max": found.max,
        "noise_sd": sd,
        "noise": dataclasses.asdict(found.noise) if found.noise else None,
        "gain": max(levels) - starts[0] if starts and levels else None,
        "range_sigma": (max(levels) - min(levels)) / sd if sd and levels else None,
        "phases": [dataclasses.asdict(phase) for phase in found.phases],
        "key_points": [dataclasses.asdict(point) for point in found.key_points],
    }


def _unit_known(unit: str, column: Column | None) -> bool:
    """Whether the log vouches for the unit: a plain name such as "response_length" does not say tokens."""
    if not unit or column is None:
        return False
    return column.via == "dictionary" or bool(column.unit) or unit == "reward units"


def _change(change: Change) -> dict[str, Any]:
    fields = dataclasses.asdict(change)
    before, after = fields.pop("from_value"), fields.pop("to_value")
    fields["from"], fields["to"] = before, after
    comparable = change.kind in _MOVES and before > 0 and after > 0
    fields["times"] = after / before if comparable else None
    return fields


def _counts(run: Run, analysis: Analysis, causes: Sequence[OpenCause]) -> dict[str, int]:
    """What the sentences count."""
    significant = [change for change in analysis.changes if change.significant]
    return {
        "signals": len(analysis.signals),
        "significant": len(significant),
        "significant_elsewhere": sum(change.signal not in analysis.primary for change in significant),
        "causes": len(causes),
        "repairs": len(run.notes),
        "limits": len(analysis.quality),
        "unrecognised": len(run.unrecognised),
    }

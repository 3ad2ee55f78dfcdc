"""The report as one JSON document, `foreshock.report/1`: every other output is made from it.

`docs/json.md` describes each field. Numbers are full precision; what JSON cannot hold is written as the strings
"NaN", "Infinity" and "-Infinity", because a value that is not finite is evidence and not a gap.
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
from foreshock.report.narrative import narrate, summarize
from foreshock.run import Run

SCHEMA = "foreshock.report/1"


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
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "run": _run(run),
        "signals": {name: _signal(found) for name, found in analysis.signals.items()},
        "primary": list(analysis.primary),
        "changes": [_change(change) for change in analysis.changes],
        "relations": [dataclasses.asdict(relation) for relation in analysis.relations],
        "quality": [dataclasses.asdict(quality) for quality in analysis.quality],
        "verdict": analysis.verdict,
        "reasons": list(analysis.reasons),
        "false_alarm_rate": analysis.false_alarm_rate,
        "interval_level": 0.95,
        "causes": [dataclasses.asdict(cause) for cause in causes],
        "to_log": [{"signal": signal, "why": why} for signal, why in to_log],
    }
    document = plain(document)
    summary = summarize(document)
    document["summary"] = " ".join(sentence["text"] for sentence in summary)
    document["summary_numbers"] = [number for sentence in summary for number in sentence["numbers"]]
    document["narrative"] = narrate(document)
    return document


def plain(value: Any) -> Any:
    """The same value in JSON's own types; non-finite numbers become strings."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isfinite(number):
            return number
        return "NaN" if number != number else ("Infinity" if number > 0 else "-Infinity")
    return value if value is None else str(value)


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


def _signal(found: SignalAnalysis) -> dict[str, Any]:
    return {
        "key": found.key,
        "title": found.title,
        "unit": found.unit,
        "good": found.good,
        "count": found.count,
        "first": found.first,
        "last": found.last,
        "min": found.min,
        "max": found.max,
        "noise_sd": found.noise.sd if found.noise else None,
        "noise": dataclasses.asdict(found.noise) if found.noise else None,
        "phases": [dataclasses.asdict(phase) for phase in found.phases],
        "key_points": [dataclasses.asdict(point) for point in found.key_points],
    }


def _change(change: Change) -> dict[str, Any]:
    fields = dataclasses.asdict(change)
    fields["from"] = fields.pop("from_value")
    fields["to"] = fields.pop("to_value")
    return fields

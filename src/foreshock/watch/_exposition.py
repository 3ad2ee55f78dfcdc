"""Where a watch stands, in the text format that Prometheus reads (version 0.0.4). Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from foreshock.detect._records import KINDS, Alarm
from foreshock.watch._message import safe

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SEVERITIES = ("trouble", "watch")
_LABEL = 200  # characters of a label's value

Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True)
class Standing:
    """What is known of the run that is watched; `alarms` counts the events that were ever opened."""

    run: str
    step: int
    signals: Mapping[str, float] = field(default_factory=dict)
    open: Sequence[Alarm] = ()
    alarms: Mapping[tuple[str, str], int] = field(default_factory=dict)
    age: float | None = None
    steps_per_second: float | None = None
    ended: bool = False


def exposition(standing: Standing | None) -> str:
    """All metrics; of what is not known (yet) only the name is given, and no value."""
    every = [(kind, severity) for kind in KINDS for severity in SEVERITIES]
    signals: list[Sample] = []
    counts: list[list[Sample]] = [[], []]
    single: dict[str, list[Sample]] = {name: [] for name in _SINGLE}
    if standing is not None:
        own = {"run": standing.run}
        signals = [({**own, "signal": name}, value) for name, value in sorted(standing.signals.items())]
        now = {key: 0 for key in every}
        for alarm in standing.open:
            now[alarm.kind, alarm.severity] = now.get((alarm.kind, alarm.severity), 0) + 1
        ever = {key: 0 for key in every} | dict(standing.alarms)
        counts = [
            [({**own, "kind": kind, "severity": severity}, count) for (kind, severity), count in many.items()]
            for many in (now, ever)
        ]
        values = (standing.step, standing.age, standing.steps_per_second, int(standing.ended))
        single = {
            name: [(own, value)] if value is not None else []
            for name, value in zip(_SINGLE, values, strict=True)
        }
    families = [
        _family("foreshock_signal", "gauge", "Last value of a canonical signal.", signals),
        _family("foreshock_open_alarms", "gauge", "Events that are open now.", counts[0]),
        _family("foreshock_alarms_total", "counter", "Events told since the watcher started.", counts[1]),
        *(_family(name, "gauge", about, single[name]) for name, about in _SINGLE.items()),
    ]
    return "".join(families)


_SINGLE = {
    "foreshock_step": "Last finished step.",
    "foreshock_data_age_seconds": "Seconds since the log last grew.",
    "foreshock_steps_per_second": "Steps per second of late.",
    "foreshock_run_ended": "1 once the log says that the training is over, else 0.",
}


def _family(name: str, kind: str, about: str, samples: Iterable[Sample]) -> str:
    """One metric with its help, its type and its samples."""
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{{{inner}}} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    text = safe(text, _LABEL)
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))

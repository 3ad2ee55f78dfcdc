"""The table of the score as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lab.score_measure import Estimate

HEADS = (
    ("delay", "delay, steps"),
    ("within_8", "within 8"),
    ("within_16", "within 16"),
    ("gain_16", "gain 16"),
    ("of_ideal_16", "of ideal"),
    ("false_healthy", "false/1000 healthy"),
    ("false_before", "false/1000 before"),
    ("top1", "top 1"),
    ("top3", "top 3"),
    ("blamed", "blamed healthy"),
)
_RATES = ("delay", "ideal_delay", "false_healthy", "false_before")
_LEGEND = """\
delay: steps of the fault seen at the first alarm from the onset on, median over all runs with a fault; inf =
    more than half of them without an alarm. Intervals: 95 %, clusters (a clean run and its forks) resampled.
within K: alarm within K steps of the fault.  gain 16: within 16, less alarms of the clean twins in the very
    same steps.  of ideal: gain 16, over the power of the observer who knows fault, onset and direction.
false/1000: alarms per 1000 steps on healthy runs, and before the onset.
top K: the true cause is among the first K named at the end of the run.  blamed healthy: share of healthy runs
    of which a fault is named first.
levels: curves = reward and length; metrics = all that the trainer logs; events = and recorded events and
    evidence; probes = and experiments on the run."""


def cell(name: str, value: Estimate) -> str:
    """A number with its interval; "-" where there is none."""
    if math.isnan(value.value):
        return "-"

    def show(number: float) -> str:
        if math.isinf(number):
            return "inf"
        if name in ("false_healthy", "false_before"):
            return f"{number:.1f}"
        return f"{number:.0f}" if name in _RATES else f"{100 * number:.0f}"

    unit = "" if name in _RATES else "%"
    if math.isnan(value.low):
        return show(value.value) + unit
    return f"{show(value.value)}{unit} [{show(value.low)}, {show(value.high)}]"


def table(rows: Sequence[tuple[str, str, str, int, Mapping[str, Estimate]]]) -> str:
    """Lines of text: fault, tool, level, number of runs with the fault, measures."""
    heads = ["fault", "tool", "level", "runs", *(title for _, title in HEADS)]
    lines = [heads]
    for fault, tool, level, runs, found in rows:
        lines.append([fault, tool, level, str(runs), *(cell(name, found[name]) for name, _ in HEADS)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    text = ["  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)) for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths))
    for place in range(len(rows) - 1, 0, -1):  # a line between faults
        if rows[place][0] != rows[place - 1][0]:
            text.insert(place + 2, "")
    return "\n".join(line.rstrip() for line in text)


def foot(notes: Sequence[str]) -> str:
    """What has to be known to read the table."""
    return "\n".join([_LEGEND, *notes])

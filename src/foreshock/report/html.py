"""The report as one self-contained page: interactive charts, words, tables; no network, ever.

Everything that comes from the log is escaped by the template or sits in a JSON block that the browser never
executes; a content security policy allows only the scripts that this module wrote, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import orjson
from markupsafe import Markup, escape

from foreshock.analysis import Analysis, SignalAnalysis
from foreshock.report._display import Limits, bucket_medians, connect, decimate, robust_limits
from foreshock.report._event_marks import event_marks
from foreshock.report._recorded import kinds, told
from foreshock.report._style import DARK, FALLING, LIGHT, Palette, colour_of
from foreshock.report._text import axis_text, change_lines, number, phase_texts, title_of, worth_marking
from foreshock.report.json import dumps
from foreshock.run import FloatArray, Run
from foreshock.signals import evidence_signal, stands_in

_HERE = Path(__file__).parent
_MAIN_POINTS = 10_000  # of each curve shown at once; longer ones keep the extremes of buckets
_OTHER_POINTS = 60_000  # of all further metrics together, so that the page stays small
_MARKS = 6  # labels in one panel before they hide the curve
_EVENTS = 5_000  # whose text the page holds
_LISTED = 6  # steps named in a note before it says "and so many more"


def render(
    document: Mapping[str, Any],
    run: Run,
    analysis: Analysis,
    *,
    svg: bytes | None = None,
    smooth: int | None = None,
) -> str:
    """The page as text.

    Args:
        document: what `document.build` returns.
        run: the run, for the raw points.
        analysis: for phases and marks.
        svg: the charts as an image, shown where scripts are off.
        smooth: window in steps that the overlay starts with.
    """
    names = [
        *reversed(analysis.primary),
        *(name for name in analysis.signals if name not in analysis.primary),
    ]
    first = len(analysis.primary) or min(len(names), 2)
    signals = {**{name: analysis.signals[name] for name in names}, **_evidence(run)}
    others = max(_OTHER_POINTS // max(len(signals) - first, 1), 400)
    panels = [
        _panel(name, position, run, found, _MAIN_POINTS if position < first else others)
        for position, (name, found) in enumerate(signals.items())
    ]
    events = _events(run, analysis)
    data = {"panels": panels, "first": first, "smooth": smooth or 1, "events": events}
    library = (_HERE / "assets" / "uPlot.iife.min.js").read_text(encoding="utf-8")
    ours = (_HERE / "assets" / "report.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    return environment.get_template("report.html").render(
        d=document,
        data=Markup(_in_script(orjson.dumps(data))),
        json=Markup(_in_script(dumps(dict(document)))),
        fallback=base64.b64encode(svg).decode() if svg else "",
        widest=_widest(run),
        policy=_policy(library, ours),
        library=Markup(library),
        script=Markup(ours),
        style=Markup((_HERE / "assets" / "uPlot.min.css").read_text(encoding="utf-8")),
        light=_variables(LIGHT),
        dark=_variables(DARK),
        licence=(_HERE / "assets" / "uPlot.LICENSE").read_text(encoding="utf-8").splitlines()[2].strip(),
    )


def prose(text: str) -> Markup:
    """One of our sentences: names in backticks become code, everything is escaped."""
    parts = str(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


def _in_script(json: bytes) -> str:
    """JSON that may stand inside a script element: nothing in it can close the element or open a comment."""
    return json.decode().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(*scripts: str) -> str:
    """The page may run these scripts, show inline styles and images of its own, and nothing else."""
    hashes = " ".join(
        "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
    )


def _widest(run: Run) -> int:
    """The largest smoothing window on offer, odd: a tenth of the run, never less than 51 steps."""
    span = int(run.steps[-1] - run.steps[0]) if len(run.steps) else 0
    return max(51, span // 10 | 1)


def _panel(name: str, position: int, run: Run, found: SignalAnalysis, points: int) -> dict[str, Any]:
    """What the script needs to draw one signal."""
    raw = np.asarray(run.series[name], dtype=np.float64)
    limits = robust_limits(raw)
    whole_x, whole_y = connect(run.steps, raw)
    x, y = decimate(whole_x, whole_y, points // 2)
    thinned = len(x) < len(whole_x)
    each = 2 * len(whole_x) // points if thinned else 1
    spread = limits.high - limits.low
    column = run.columns.get(name)
    return {
        "name": name,
        "title": f"{title_of(name, found)} vs Step",
        "label": title_of(name, found),
        "axis": axis_text(name, found, column),
        "key": found.key,
        "colours": [colour_of(name, position, LIGHT), colour_of(name, position, DARK)],
        "x": [int(value) if value.is_integer() else value for value in x.tolist()],
        "y": _finite(y),
        "smooth": _finite(bucket_medians(whole_x, whole_y, x, points // 2)) if thinned else None,
        "limits": [limits.low, limits.high] if limits.above.size or limits.below.size else None,
        "above": run.steps[limits.above][:200].tolist(),
        "below": run.steps[limits.below][:200].tolist(),
        "beyond": int(limits.above.size + limits.below.size),
        "notes": _notes(raw, run, column.key if column else name, limits, each),
        "digits": int(np.clip(np.ceil(2 - np.log10(spread)), 0, 8)) if spread > 0 else 4,
        "phases": [
            {
                "from": phase.start,
                "to": phase.end,
                "texts": phase_texts(phase),
                "falls": phase.kind in FALLING and found.good == "up",
            }
            for phase in found.phases
            if phase.kind != "single"
        ],
        "marks": [
            {
                "step": change.step,
                "interval": list(change.step_interval),
                "end": change.end_step,
                "lines": change_lines(change),
            }
            for change in worth_marking(found)[:_MARKS]
        ],
    }


def _evidence(run: Run) -> dict[str, SignalAnalysis]:
    """Curves that the recorder kept as evidence and that are no signal: drawn on demand only."""
    used = {column.key for column in run.columns.values()}
    found = {}
    for name, values in run.series.original.items():
        about = evidence_signal(name)
        finite = values[np.isfinite(values)]
        there = name in used or stands_in(name)[0] in run.series.canonical
        if about is not None and not there and finite.size:
            ends = float(finite[0]), float(finite[-1]), float(finite.min()), float(finite.max())
            found[name] = SignalAnalysis(
                name, name, about.title, about.unit, about.good, finite.size, *ends, noise=None
            )
    return found


def _events(run: Run, analysis: Analysis) -> dict[str, Any]:
    """What the script needs to mark what was recorded, and to tell it where the cursor is."""
    marks = event_marks(run, analysis.changes)
    events = told(run.events, run.evidence)
    about = kinds(events)
    ranks = {kind: one.count + (_EVENTS if one.routine else 0) for kind, one in about.items()}
    parts = ["diamonds and ticks mark recorded events; point at one to read it"]
    return {
        "lines": [{"step": line.step, "name": line.name} for line in marks.lines],
        "ticks": list(marks.ticks),
        "told": [
            {"step": event.step, "text": event.text, "rank": ranks[event.kind]} for event in events[:_EVENTS]
        ],
        "note": "; ".join([*parts, *marks.notes[:1]]),
    }


def _finite(values: FloatArray) -> list[float | None]:
    """JSON has no NaN: a gap is null."""
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _notes(raw: FloatArray, run: Run, key: str, limits: Limits, each: int) -> list[str]:
    """What the curve cannot show: values beyond its range one by one, NaN that was logged, thinning."""
    far = sorted([*limits.above.tolist(), *limits.below.tolist()])
    named = [f"{number(float(raw[row]))} at step {run.steps[row]}" for row in far[:_LISTED]]
    notes = ["beyond this range: " + _some(named, len(far))] if far else []
    nan = run.nan_steps.get(key, ())
    if len(nan):
        notes.append("NaN logged at step " + _some([str(step) for step in nan[:_LISTED]], len(nan)))
    if each > 1:
        notes.append(f"{len(raw):,} points: the lowest and the highest of every {each} are drawn")
    return notes


def _some(named: list[str], count: int) -> str:
    return ", ".join(named) + (f" and {count - len(named)} more" if count > len(named) else "")


def _variables(palette: Palette) -> Markup:
    """The palette as CSS custom properties."""
    names = ("background", "text", "muted", "grid", "fall", "mark", "box", "length", "reward")
    return Markup("; ".join(f"--{name}: {getattr(palette, name)}" for name in names)) + Markup(
        f"; --shade-0: {palette.shade[0]}; --shade-1: {palette.shade[1]}"
    )

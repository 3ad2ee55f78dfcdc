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
from foreshock.report._display import connect, decimate, robust_limits
from foreshock.report._style import DARK, LIGHT, Palette, colour_of
from foreshock.report._text import change_lines, change_sentence, phase_texts, title_of, worth_marking
from foreshock.run import Run

_HERE = Path(__file__).parent
_BUCKETS = 1500  # pixel columns of a wide screen; each keeps its lowest and highest point
_MARKS = 6  # labels in one panel before they hide the curve


def render(document: Mapping[str, Any], run: Run, analysis: Analysis) -> str:
    """The page as text.

    Args:
        document: what `document.build` returns.
        run: the run, for the raw points.
        analysis: for phases and marks.
    """
    names = [
        *reversed(analysis.primary),
        *(name for name in analysis.signals if name not in analysis.primary),
    ]
    panels = [_panel(name, position, run, analysis.signals[name]) for position, name in enumerate(names)]
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
        data=Markup(_json({"panels": panels, "first": len(analysis.primary) or min(len(panels), 2)})),
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


def _json(value: Any) -> str:
    """JSON that may stand inside a script element: nothing in it can close the element or open a comment."""
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(*scripts: str) -> str:
    """The page may run these scripts, use inline styles, and nothing else."""
    hashes = " ".join(
        "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"
        for script in scripts
    )
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; base-uri 'none'"


def _panel(name: str, position: int, run: Run, found: SignalAnalysis) -> dict[str, Any]:
    """What the script needs to draw one signal."""
    raw = np.asarray(run.series[name], dtype=np.float64)
    limits = robust_limits(raw)
    x, y = decimate(*connect(run.steps, raw), _BUCKETS)
    finite = [float(value) if np.isfinite(value) else None for value in y]
    spread = limits.high - limits.low
    return {
        "name": name,
        "title": f"{title_of(name, found)} vs Step",
        "label": title_of(name, found),
        "unit": found.unit,
        "key": found.key,
        "colours": [colour_of(name, position, LIGHT), colour_of(name, position, DARK)],
        "x": [float(value) for value in x],
        "y": finite,
        "limits": [limits.low, limits.high] if limits.above.size or limits.below.size else None,
        "beyond": int(limits.above.size + limits.below.size),
        "decimated": bool(len(raw) > 2 * _BUCKETS + 2),
        "digits": int(np.clip(np.ceil(2 - np.log10(spread)), 0, 8)) if spread > 0 else 4,
        "phases": [
            {
                "from": phase.start,
                "to": phase.end,
                "text": phase_texts(phase)[0],
                "short": phase_texts(phase)[1],
            }
            for phase in found.phases
            if phase.kind != "single"
        ],
        "marks": [
            {
                "step": change.step,
                "interval": list(change.step_interval),
                "end": change.end_step,
                "text": change_sentence(change_lines(change)),
                "lines": change_lines(change),
            }
            for change in worth_marking(found)[:_MARKS]
        ],
    }


def _variables(palette: Palette) -> Markup:
    """The palette as CSS custom properties."""
    names = ("background", "text", "muted", "grid", "fall", "mark", "box", "length", "reward")
    return Markup("; ".join(f"--{name}: {getattr(palette, name)}" for name in names)) + Markup(
        f"; --shade-0: {palette.shade[0]}; --shade-1: {palette.shade[1]}"
    )

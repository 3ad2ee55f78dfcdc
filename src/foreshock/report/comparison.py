"""Several runs in the same charts: one colour and dash each, or a band over seeds."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foreshock.analysis import SignalAnalysis
from foreshock.errors import MetricError, UsageError
from foreshock.report._curve import Look
from foreshock.report._display import connect, decimate, envelope, robust_limits
from foreshock.report._panel import frame, limit_steps, value_range
from foreshock.report._style import DASHES, PAIR, colour_of
from foreshock.report._text import clean
from foreshock.report.figure import layout, look_of, note, settings, size_of
from foreshock.run import FloatArray, IntArray, Run
from foreshock.signals import catalogue

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_comparison(
    runs: Sequence[Run],
    *,
    signals: list[str] | None = None,
    band: bool = False,
    size: str = "screen",
    theme: str = "light",
) -> Figure:
    """Overlay runs in one chart per signal.

    Args:
        runs: two or more runs.
        signals: canonical or original names; default length and reward, as far as any run has them.
        band: the runs are seeds of one experiment: draw their mean, and a band from the lowest to the
            highest, at the steps that all of them logged; single runs stay visible as thin lines.
        size: "screen" (13 inches), "page" (7) or "column" (3.4).
        theme: "light" or "dark".

    Raises:
        MetricError: no run has a signal asked for.
        UsageError: no such size or theme, or the runs of a band share no step.
    """
    measures = size_of(size)
    look = dataclasses.replace(look_of(size, theme), strip=3.0)  # several runs have no phases to name
    names = _names(runs, signals)
    labels = _labels(runs, max(22, measures.names // 3))
    with settings():
        figure, axes = layout(names, measures, look, f"{len(runs)} runs", noted=band)
        for position, (name, ax) in enumerate(zip(names, axes, strict=True)):
            having = [(label, run) for label, run in zip(labels, runs, strict=True) if name in run.series]
            frame(ax, name, _about(name), having[0][1].columns.get(name), look)
            limit_steps(ax, [run.steps for _, run in having])
            _limit_values(ax, [run.series[name] for _, run in having])
            if band:
                _draw_band(ax, name, position, having, look)
            else:
                _draw_lines(ax, name, having, look)
        if band:
            note(
                figure,
                "thick: mean of the runs; band: lowest to highest; at the steps that all of them logged",
                look,
            )
    return figure


def _names(runs: Sequence[Run], signals: list[str] | None) -> list[str]:
    wanted = signals or [name for name in PAIR if any(name in run.series for run in runs)]
    missing = [name for name in wanted if not any(name in run.series for run in runs)]
    if missing or not wanted:
        known = ", ".join(clean(name, 40) for name in list(runs[0].series)[:12])
        what = (
            f"no run has the signal {clean(missing[0], 60)!r}" if missing else "no run has reward or length"
        )
        raise MetricError(f"{what}; the first run has, among others: {known}")
    return wanted


def _labels(runs: Sequence[Run], limit: int) -> list[str]:
    """A name for each run: its id, with the folder before it where ids repeat."""
    ids = [run.id for run in runs]
    named = [run.id if ids.count(run.id) == 1 else f"{Path(run.source).parent.name}/{run.id}" for run in runs]
    return [
        clean(name, limit) if named.count(name) == 1 else f"{clean(name, limit)} ({i})"
        for i, name in enumerate(named, 1)
    ]


def _about(name: str) -> SignalAnalysis | None:
    """Title and unit of a signal, for the frame of its chart."""
    signal = catalogue().get(name)
    if signal is None:
        return None
    nothing = float("nan")
    return SignalAnalysis(
        name, name, signal.title, signal.unit, signal.good, 0, nothing, nothing, nothing, nothing, None
    )


def _limit_values(ax: Axes, series: Sequence[FloatArray]) -> None:
    limits = [robust_limits(values) for values in series if np.isfinite(values).any()]
    if limits:
        ax.set_ylim(*value_range(min(each.low for each in limits), max(each.high for each in limits)))


def _draw_lines(ax: Axes, name: str, having: Sequence[tuple[str, Run]], look: Look) -> None:
    series = look.palette.series
    for index, (label, run) in enumerate(having):
        x, y = decimate(*connect(run.steps, run.series[name]), max(50, round(ax.bbox.width)))
        ax.plot(
            x,
            y,
            color=series[index % len(series)],
            linestyle=DASHES[index % len(DASHES)],
            linewidth=look.line,
            label=label,
        )
    _legend(ax, look)


def _draw_band(ax: Axes, name: str, position: int, having: Sequence[tuple[str, Run]], look: Look) -> None:
    steps = _common([run.steps[np.isfinite(run.series[name])] for _, run in having])
    if not len(steps):
        raise UsageError("the runs share no step: they cannot be drawn as one band; leave out --band")
    values = np.stack([run.series[name][np.isin(run.steps, steps)] for _, run in having])
    buckets = max(50, round(ax.bbox.width))
    colour = colour_of(name, position, look.palette)
    band = envelope(steps.astype(np.float64), values.min(axis=0), values.max(axis=0), buckets)
    ax.fill_between(*band, color=colour, alpha=0.18, linewidth=0)
    for row in values:
        thin = decimate(*connect(steps, row), buckets)
        ax.plot(*thin, color=colour, alpha=0.35, linewidth=0.5 * look.line)
    middle = decimate(*connect(steps, values.mean(axis=0)), buckets)
    ax.plot(*middle, color=colour, linewidth=1.4 * look.line, label=f"mean of {len(values)}")
    _legend(ax, look)


def _common(steps: Sequence[IntArray]) -> IntArray:
    return functools.reduce(np.intersect1d, steps)


def _legend(ax: Axes, look: Look) -> None:
    legend = ax.legend(
        loc="best", fontsize=look.small, frameon=True, framealpha=0.85, edgecolor=look.palette.grid
    )
    legend.get_frame().set_facecolor(look.palette.box)
    for text in legend.get_texts():
        text.set_color(look.palette.text)
        text.set_parse_math(False)

"""One chart of a figure: a signal over the steps, its phases and its anomalies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from foreshock.analysis._records import SignalAnalysis
from foreshock.report._curve import Curve, Look
from foreshock.report._display import centred_median, connect, decimate, lone_points, robust_limits
from foreshock.report._marks import draw_events, draw_labels, draw_mark
from foreshock.report._style import shade_of
from foreshock.report._text import axis_text, number, phase_texts, tick_text, title_of, worth_marking
from foreshock.run import Column, FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase

_FEW = 45  # with so few points each gets a dot


def draw_panel(ax: Axes, curve: Curve, look: Look, *, smooth: int | None, renderer: RendererBase) -> None:
    """Draw `curve` into `ax`: frame, phases, line, anomalies, labels that cover none of these."""
    frame(ax, curve.name, curve.signal, curve.column, look)
    limit_steps(ax, [curve.steps])
    x, y = connect(curve.steps, curve.values)
    marked = worth_marking(curve.signal)
    low, high, notes = _limit_values(ax, curve, look, room=bool(marked or curve.events.lines))
    if curve.signal:
        _draw_phases(ax, curve.signal, look, renderer)
    draw_events(ax, curve.events, look)
    _draw_line(ax, x, y, curve, look, smooth)
    for change in marked:
        draw_mark(ax, change, curve, look, low, high)
    draw_labels(ax, marked, curve, (x, y), notes, look, renderer)


def frame(ax: Axes, name: str, signal: SignalAnalysis | None, column: Column | None, look: Look) -> None:
    """Title, axis names, grid and ticks; nothing in them is read as mathematics."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    palette = look.palette
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(palette.muted)
    ax.set_facecolor(palette.background)
    ax.grid(True, color=palette.grid, linewidth=0.6, zorder=0.5)
    ax.set_axisbelow(True)
    ax.tick_params(colors=palette.muted, labelcolor=palette.text, labelsize=look.small, length=3, width=0.6)
    ax.set_xlabel("Step", fontsize=look.font, color=palette.text, labelpad=3)
    ax.set_ylabel(
        axis_text(name, signal, column),
        fontsize=look.font,
        color=palette.text,
        labelpad=4,
        parse_math=False,
    )
    ax.set_title(
        f"{title_of(name, signal)} vs Step",
        fontsize=look.font + 1.5,
        color=palette.text,
        fontweight="bold",
        pad=look.strip + 5,
        parse_math=False,
    )
    inches = ax.figure.get_size_inches() * ax.get_position().size  # type: ignore[union-attr]
    ax.xaxis.set_major_locator(
        MaxNLocator(min(8, max(3, int(inches[0] * 16 / look.font))), integer=True, steps=[1, 2, 5, 10])
    )
    ax.yaxis.set_major_locator(
        MaxNLocator(min(7, max(3, int(inches[1] * 144 / look.font / 2.6 / 2))), steps=[1, 2, 2.5, 5, 10])
    )
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(
            FuncFormatter(lambda value, _, axis=axis: _tick(value, axis.get_majorticklocs()))
        )


def _tick(value: float, locations: FloatArray) -> str:
    gap = float(locations[1] - locations[0]) if len(locations) > 1 else abs(value)
    return tick_text(value, gap)


def limit_steps(ax: Axes, runs: list[IntArray]) -> None:
    """From the first to the last step with a little air; a lone step gets one step on both sides."""
    ends = [int(s[i]) for s in runs if s.size for i in (0, -1)] or [0, 1]
    first, last = min(ends), max(ends)
    air = max(0.02 * (last - first), 1.0 if first == last else 0.0)
    ax.set_xlim(first - air, last + air)


def value_range(low: float, high: float) -> tuple[float, float]:
    """The range to show for values from `low` to `high`; a constant gets air on both sides."""
    if low == high:
        air = 0.1 * abs(low) or 0.1
    else:
        air = min(0.06 * (high / 2 - low / 2) * 2, 1e307)
    return max(low - air, -1.7e308), min(high + air, 1.7e308)


def _limit_values(ax: Axes, curve: Curve, look: Look, *, room: bool) -> tuple[float, float, list[str]]:
    """Set the value axis; returns its ends and notes on what lies beyond them."""
    limits = robust_limits(curve.values)
    low, high = value_range(limits.low, limits.high)
    if room:  # so that labels find a place outside the line
        high = min(high + 0.16 * (high - low), 1.7e308)
    ax.set_ylim(low, high)
    style: dict[str, Any] = {
        "color": look.palette.mark,
        "linestyle": "none",
        "markersize": look.font * 0.6,
        "zorder": 5,
    }
    notes = []
    for rows, edge, marker, word in ((limits.above, high, "^", "above"), (limits.below, low, "v", "below")):
        if rows.size:
            ax.plot(curve.steps[rows], np.full(rows.size, edge), marker=marker, clip_on=False, **style)
            notes.append(_beyond(curve.values[rows], word, "▲" if word == "above" else "▼"))
    if curve.nan_steps is not None and curve.nan_steps.size:
        at = curve.nan_steps
        ax.plot(at, np.full(at.size, low), marker="x", clip_on=False, **style)
        notes.append(f"× NaN logged at {at.size} step{'s' * (at.size > 1)}")
    if not np.isfinite(curve.values).any():
        notes.append("no finite value logged")
    return low, high, notes


def _beyond(values: FloatArray, word: str, arrow: str) -> str:
    """What lies beyond one end of the axis: "▲ 3 off scale (up to 1.2e+14), 1 × ∞"."""
    finite = values[np.isfinite(values)]
    parts = []
    if finite.size:
        far = float(finite.max() if word == "above" else finite.min())
        reach = {"above": "up to ", "below": "down to "}[word] if finite.size > 1 else ""
        parts.append(f"{finite.size} off scale ({reach}{number(far)})")
    if values.size > finite.size:
        parts.append(f"{values.size - finite.size} × {'∞' if word == 'above' else '−∞'}")
    return f"{arrow} " + ", ".join(parts)


def _draw_phases(ax: Axes, signal: SignalAnalysis, look: Look, renderer: RendererBase) -> None:
    """Shade each phase and name it in a strip above the chart; a name that has no room gets shorter."""
    width, height = ax.bbox.width, ax.bbox.height
    strip = look.strip / 72 * ax.figure.dpi / height
    left, right = ax.get_xlim()
    phases = signal.phases
    for position, phase in enumerate(phases):
        if phase.kind == "single":
            continue
        end = phases[position + 1].start if position + 1 < len(phases) else phase.end
        colour = shade_of(phase.kind, signal.good, position, look.palette)
        ax.axvspan(phase.start, end, color=colour, linewidth=0, zorder=0.1)
        ax.axvspan(phase.start, end, 1.0, 1.0 + strip, color=colour, linewidth=0, clip_on=False, zorder=0.1)
        room = (end - phase.start) / (right - left) * width - 4
        text = ax.text(
            (phase.start + end) / 2,
            1.0 + strip / 2,
            "",
            transform=ax.get_xaxis_transform(),
            fontsize=look.small,
            color=look.palette.muted,
            ha="center",
            va="center_baseline",
        )
        for words in (*phase_texts(phase), ""):
            text.set_text(words)
            if not words or text.get_window_extent(renderer).width <= room:
                break


def _draw_line(ax: Axes, x: FloatArray, y: FloatArray, curve: Curve, look: Look, smooth: int | None) -> None:
    buckets = max(50, round(ax.bbox.width))
    shown_x, shown_y = decimate(x, y, buckets)
    faint = 0.45 if smooth else 1.0
    line: dict[str, Any] = {"color": curve.colour, "alpha": faint, "zorder": 3}
    # Many points to a pixel would merge into a solid area: the thinner, the more of its texture is seen.
    thin = look.line * float(np.clip((0.35 * buckets / max(x.size, 1)) ** 0.5, 0.4, 1.0))
    ax.plot(shown_x, shown_y, linewidth=thin, solid_joinstyle="round", gid=f"line-{curve.name}", **line)
    dots = np.isfinite(shown_y) if np.isfinite(y).sum() <= _FEW else lone_points(shown_y)
    if dots.any():
        size = look.line * (2.2 if np.isfinite(y).sum() <= 3 else 1.6)
        ax.plot(shown_x[dots], shown_y[dots], linestyle="none", marker="o", markersize=size, **line)
    if smooth:
        middle_x, middle_y = centred_median(curve.steps, curve.values, smooth)
        ax.plot(
            *connect(middle_x, middle_y),
            color=curve.colour,
            linewidth=look.line * 1.7,
            zorder=3.5,
            label=f"median of {smooth} steps",
        )

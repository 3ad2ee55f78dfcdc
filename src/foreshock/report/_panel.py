"""One chart of a figure: a signal over the steps, its phases and its anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from foreshock.analysis._records import Change, Phase, SignalAnalysis
from foreshock.report._display import centred_median, connect, decimate, lone_points, robust_limits
from foreshock.report._labels import Box, FreeSpace
from foreshock.report._style import Palette, shade_of
from foreshock.report._text import (
    axis_text,
    change_lines,
    change_sentence,
    clean,
    number,
    phase_texts,
    tick_text,
    title_of,
    worth_marking,
)
from foreshock.run import FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.text import Text

_SYMBOLS = {"drop": "v", "slow_decline": "v", "rise": "^", "spike": "D", "non_finite": "X"}
_FEW = 45  # with so few points each gets a dot


@dataclass(frozen=True)
class Look:
    """How large things are in a figure, and in which colours.

    Attributes:
        palette: the theme.
        font: points of the normal text; titles and notes are derived from it.
        line: points of the raw line.
        labels: how many anomalies get a text (all get a marker).
        strip: height of the strip of phase names, in points.
    """

    palette: Palette
    font: float
    line: float
    labels: int
    strip: float

    @property
    def small(self) -> float:
        """Points of notes and labels inside a chart."""
        return max(6.5, self.font - 1.0)


@dataclass(frozen=True)
class Curve:
    """What one chart shows."""

    name: str
    steps: IntArray
    values: FloatArray
    colour: str
    signal: SignalAnalysis | None
    nan_steps: IntArray | None = None


def draw_panel(ax: Axes, curve: Curve, look: Look, *, smooth: int | None, renderer: RendererBase) -> None:
    """Draw `curve` into `ax`: frame, phases, line, anomalies, labels that cover none of these."""
    frame(ax, curve.name, curve.signal, look)
    limit_steps(ax, [curve.steps])
    x, y = connect(curve.steps, curve.values)
    marked = worth_marking(curve.signal)
    low, high, notes = _limit_values(ax, curve, look, room=bool(marked))
    if curve.signal:
        _draw_phases(ax, curve.signal.phases, look, renderer)
    _draw_line(ax, x, y, curve, look, smooth)
    for change in marked:
        _draw_mark(ax, change, curve, look, low, high)
    _draw_labels(ax, marked[: look.labels], curve, (x, y), notes, look, renderer)


def frame(ax: Axes, name: str, signal: SignalAnalysis | None, look: Look) -> None:
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
    label = ax.set_ylabel(axis_text(name, signal), fontsize=look.font, color=palette.text, labelpad=4)
    label.set_parse_math(False)
    title = ax.set_title(
        f"{title_of(name, signal)} vs Step",
        fontsize=look.font + 1.5,
        color=palette.text,
        fontweight="bold",
        pad=look.strip + 5,
    )
    title.set_parse_math(False)
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
    finite = values[np.isfinite(values)]
    infinite = values.size - finite.size
    parts = []
    if finite.size:
        far = float(finite.max() if word == "above" else finite.min())
        reach = f"up to {number(far)}" if finite.size > 1 and word == "above" else number(far)
        parts.append(
            f"{finite.size} off scale ({reach})"
            if finite.size == 1 or word == "above"
            else f"{finite.size} off scale (down to {number(far)})"
        )
    if infinite:
        parts.append(f"{infinite} × {'∞' if word == 'above' else '−∞'}")
    return f"{arrow} " + ", ".join(parts)


def _draw_phases(ax: Axes, phases: tuple[Phase, ...], look: Look, renderer: RendererBase) -> None:
    """Shade each phase and name it in a strip above the chart; a name that has no room gets shorter."""
    width, height = ax.bbox.width, ax.bbox.height
    strip = look.strip / 72 * ax.figure.dpi / height
    left, right = ax.get_xlim()
    for position, phase in enumerate(phases):
        if phase.kind == "single":
            continue
        end = phases[position + 1].start if position + 1 < len(phases) else phase.end
        colour = shade_of(phase.kind, position, look.palette)
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
    thin = look.line * (0.6 if x.size > 1.5 * buckets else 1.0)
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


def level_at(curve: Curve, step: int) -> float:
    """The value logged at a step, or at the nearest one that has a finite value."""
    rows = np.flatnonzero(np.isfinite(curve.values))
    if not rows.size:
        return float("nan")
    return float(curve.values[rows[np.argmin(np.abs(curve.steps[rows] - step))]])


def _draw_mark(ax: Axes, change: Change, curve: Curve, look: Look, low: float, high: float) -> None:
    """The interval of the onset as a hatched band, the onset as a dashed line and a marker on the curve."""
    colour = look.palette.mark
    first, last = change.step_interval
    if last > first:
        ax.axvspan(
            first, last, facecolor="none", edgecolor=colour, hatch="////", linewidth=0, alpha=0.35, zorder=1
        )
    ax.axvline(change.step, color=colour, linewidth=look.line * 0.7, linestyle=(0, (4, 2)), zorder=2)
    if change.kind in ("flat_line", "saturation", "non_finite") and change.end_step > change.step:
        ax.plot(
            [change.step, change.end_step],
            [low, low],
            color=colour,
            linewidth=4,
            clip_on=False,
            zorder=4,
            solid_capstyle="butt",
        )
    value = level_at(curve, change.step)
    if np.isfinite(value):
        marker = _SYMBOLS.get(change.kind, "s")
        if change.kind == "level_shift":
            marker = "^" if change.to_value > change.from_value else "v"
        ax.plot(
            [change.step],
            [min(max(value, low), high)],
            marker=marker,
            markersize=look.font * 0.75,
            markerfacecolor=colour,
            markeredgecolor=look.palette.background,
            markeredgewidth=0.8,
            zorder=6,
        )


def _draw_labels(
    ax: Axes,
    changes: list[Change],
    curve: Curve,
    line: tuple[FloatArray, FloatArray],
    notes: list[str],
    look: Look,
    renderer: RendererBase,
) -> None:
    """Write the anomalies beside their markers and the notes in a free corner."""
    corner = ax.bbox.p0
    to_pixels = ax.transData.transform
    space = FreeSpace(ax.bbox.width, ax.bbox.height)
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = to_pixels(np.column_stack(decimate(*line, max(50, round(ax.bbox.width))))) - corner
    space.add_line(pixels[:, 0], pixels[:, 1])
    low, high = ax.get_ylim()
    anchors = []
    for change in worth_marking(curve.signal):
        value = level_at(curve, change.step)
        value = (low + high) / 2 if not np.isfinite(value) else min(max(value, low), high)
        x, y = to_pixels((change.step, value)) - corner
        space.add_box(Box(x - 6, y - 6, 12, 12))
        space.add_box(Box(x - 1, 0, 2, space.height), 0.05)
        anchors.append((x, y))
    for change, (x, y) in zip(changes, anchors, strict=False):
        box = _write(ax, _fitting(ax, change, look), space, (x, y), look, renderer, bold=True)
        _lead(ax, (x, y), box, look)
    for note in notes:
        below = note.startswith(("▼", "×"))
        _write(ax, note, space, (space.width, 0 if below else space.height), look, renderer)


def _fitting(ax: Axes, change: Change, look: Look) -> str:
    """One line where the chart is wide, else one piece per line."""
    lines = change_lines(change)
    sentence = change_sentence(lines)
    wide = ax.bbox.width / ax.figure.dpi * 72 / (look.small * 0.6)
    return sentence if len(sentence) < 0.5 * wide else "\n".join(lines)


def _write(
    ax: Axes,
    words: str,
    space: FreeSpace,
    anchor: tuple[float, float],
    look: Look,
    renderer: RendererBase,
    *,
    bold: bool = False,
) -> Box:
    """Put a text where it covers nothing, and take that place."""
    from matplotlib.transforms import IdentityTransform

    pad = look.small * ax.figure.dpi / 72 * 0.3
    text: Text = ax.text(
        0,
        0,
        clean(words) if "\n" not in words else words,
        fontsize=look.small,
        color=look.palette.text if bold else look.palette.muted,
        transform=IdentityTransform(),
        ha="left",
        va="bottom",
        linespacing=1.15,
        zorder=8,
        parse_math=False,
        bbox={
            "boxstyle": "square,pad=0.2",
            "facecolor": look.palette.box,
            "edgecolor": "none",
            "alpha": 0.85,
        },
    )
    extent = text.get_window_extent(renderer)
    box, _ = space.place(*anchor, extent.width + 2 * pad, extent.height + 2 * pad)
    # Axes fraction, so that the label stays in place when the figure is saved at another resolution.
    text.set_transform(ax.transAxes)
    text.set_position(((box.x + pad) / space.width, (box.y + pad) / space.height))
    text.set_gid("label")
    space.add_box(box, 50.0)
    return box


def _lead(ax: Axes, anchor: tuple[float, float], box: Box, look: Look) -> None:
    """A thin line from a marker to its label."""
    x = min(max(anchor[0], box.x), box.x + box.width)
    y = min(max(anchor[1], box.y), box.y + box.height)
    if np.hypot(x - anchor[0], y - anchor[1]) > 4:
        size = (ax.bbox.width, ax.bbox.height)
        ax.plot(
            [anchor[0] / size[0], x / size[0]],
            [anchor[1] / size[1], y / size[1]],
            transform=ax.transAxes,
            color=look.palette.mark,
            linewidth=0.7,
            zorder=5,
        )

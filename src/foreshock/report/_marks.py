"""The anomalies and recorded events of a chart; their labels cover neither the line nor one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from foreshock.analysis._records import Change
from foreshock.report._curve import Curve, Look
from foreshock.report._display import decimate
from foreshock.report._event_marks import EventMarks
from foreshock.report._labels import Box, FreeSpace
from foreshock.report._text import change_lines, change_sentence, clean
from foreshock.run import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.text import Text

_WIDEST = 0.92  # of the chart's width: a wider text is left out where it may be
_BESIDE = 20.0  # pixels from an event's line at which its name still belongs to it
_TICK = 0.035  # height of a tick, in heights of the chart
_DOTS = (0, (1, 2))
_SYMBOLS = {"drop": "v", "slow_decline": "v", "rise": "^", "spike": "D", "non_finite": "X"}


def level_at(curve: Curve, step: int) -> float:
    """The value logged at a step, or at the nearest one that has a finite value."""
    rows = np.flatnonzero(np.isfinite(curve.values))
    if not rows.size:
        return float("nan")
    return float(curve.values[rows[np.argmin(np.abs(curve.steps[rows] - step))]])


def draw_mark(ax: Axes, change: Change, curve: Curve, look: Look, low: float, high: float) -> None:
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


def draw_events(ax: Axes, events: EventMarks, look: Look) -> None:
    """Recorded events: few have a dotted line with a diamond at its foot, all others a tick."""
    across = ax.get_xaxis_transform()
    colour = look.palette.text
    if events.ticks:
        ax.vlines(
            events.ticks,
            0,
            _TICK,
            transform=across,
            color=look.palette.muted,
            linewidth=look.line * 0.6,
            zorder=4,
        )
    for event in events.lines:
        ax.axvline(
            event.step, color=colour, linewidth=look.line * 0.7, linestyle=_DOTS, alpha=0.7, zorder=1.9
        )
    ax.plot(
        [event.step for event in events.lines],
        [0] * len(events.lines),
        transform=across,
        linestyle="none",
        marker="d",
        markersize=look.font * 0.65,
        color=colour,
        markeredgecolor=look.palette.background,
        markeredgewidth=0.6,
        clip_on=False,
        zorder=6,
    )


def draw_labels(
    ax: Axes,
    changes: list[Change],
    curve: Curve,
    line: tuple[FloatArray, FloatArray],
    notes: list[str],
    look: Look,
    renderer: RendererBase,
) -> None:
    """Write the gravest anomalies beside their markers, and the notes in a free corner."""
    corner = ax.bbox.p0
    to_pixels = ax.transData.transform
    space = FreeSpace(ax.bbox.width, ax.bbox.height)
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = to_pixels(np.column_stack(decimate(*line, max(50, round(ax.bbox.width))))) - corner
    space.add_line(pixels[:, 0], pixels[:, 1])
    low, high = ax.get_ylim()
    anchors = []
    for change in changes:
        value = level_at(curve, change.step)
        value = (low + high) / 2 if not np.isfinite(value) else min(max(value, low), high)
        x, y = to_pixels((change.step, value)) - corner
        space.add_box(Box(x - 6, y - 6, 12, 12))
        space.add_box(Box(x - 1, 0, 2, space.height), 0.05)
        anchors.append((x, y))
    for change, (x, y) in list(zip(changes, anchors, strict=True))[: look.labels]:
        box = _write(ax, _fitting(ax, change, look), space, (x, y), look, renderer, bold=True)
        if box:
            _lead(ax, (x, y), box, look)
    _label_events(ax, curve, space, look, renderer)
    for note in notes:
        below = note.startswith(("▼", "×"))
        _write(ax, note, space, (space.width, 0 if below else space.height), look, renderer)


def _label_events(ax: Axes, curve: Curve, space: FreeSpace, look: Look, renderer: RendererBase) -> None:
    """Name the first events beside the foot of their lines, where that covers nothing."""
    left, right = ax.get_xlim()
    feet = [(event.step - left) / (right - left) * space.width for event in curve.events.lines]
    for x in feet:
        space.add_box(Box(x - 4, 0, 8, 8))
        space.add_box(Box(x - 1, 0, 2, space.height), 0.12)
    if curve.events.ticks:
        space.add_box(Box(0, 0, space.width, _TICK * space.height))
    for event, x in list(zip(curve.events.lines, feet, strict=True))[: look.labels]:
        others = [foot for foot in feet if foot != x]
        _write(ax, event.name, space, (x, 0), look, renderer, beside=(x, others))


def _stands_beside(box: Box, x: float, others: Sequence[float]) -> bool:
    """Whether a label begins or ends at the line at `x`, and at no other."""
    gaps = [min(abs(line - box.x), abs(line - box.x - box.width)) for line in (x, *others)]
    return gaps[0] <= _BESIDE and all(gap > _BESIDE for gap in gaps[1:])


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
    beside: tuple[float, Sequence[float]] | None = None,
) -> Box | None:
    """Put a text where it covers nothing, and take that place; one of a line only `beside` that."""
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
    fits = extent.width <= _WIDEST * space.width and not space.hides(box)
    if beside is not None and not (fits and _stands_beside(box, *beside)):
        text.remove()
        return None
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

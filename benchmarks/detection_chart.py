"""The picture: delay against false alarms, one line a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from detection_parts import TRADED
from foreshock.report._style import DASHES, LIGHT

TITLES = {"3 sd": "reward drops by 3 sd at once", "ramp 3 sd": "reward slides by 3 sd within ten steps"}
RATES = (0.03, 0.1, 0.2, 0.5, 1, 2, 5, 10)
STEPS = (1, 2, 3, 5, 10, 20, 40, 60)
LEAST = 0.03  # alarms per 1000 steps; what has fewer is drawn there
LOOKS = {  # beginning of a name -> colour, dashes, marker
    "Foreshock": (LIGHT.reward, DASHES[0], "o"),
    "W&B": (LIGHT.series[1], DASHES[1], "s"),
    "EWMA": (LIGHT.series[2], DASHES[2], "^"),
    "Page": (LIGHT.series[3], DASHES[3], "D"),
    "CUSUM": (LIGHT.series[4], DASHES[4], "v"),
    "mean": (LIGHT.series[5], DASHES[0], "P"),
    "ADWIN": (LIGHT.series[6], DASHES[1], "X"),
    "rldoctor": (LIGHT.series[0], DASHES[0], "<"),
    "rlwatch": (LIGHT.muted, DASHES[0], ">"),
}


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Write the picture of the delays on real residuals."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.4), sharey=True, layout="constrained")
    for ax, cell in zip(axes, TRADED, strict=True):
        _frame(ax, cell)
        for name, found in result.items():
            points = [(max(x, LEAST), y) for x, y in found["trade"][cell]]
            if name == "ideal observer":
                ax.plot(*zip(*points, strict=True), color=LIGHT.muted, lw=1, ls="--", label=name, zorder=2)
                ax.fill_between(*zip(*points, strict=True), 0.5, color=LIGHT.shade[1], lw=0, zorder=1)
            elif not name.endswith("alone"):
                _line(ax, name, points, found["as it comes"])
    axes[0].set_ylabel("mean steps until it is told (60: not told)", color=LIGHT.text)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9, labelcolor=LIGHT.text
    )
    title = "Delay against false alarms: real noise on smooth trends, drops injected"
    figure.suptitle(title, fontsize=12, color=LIGHT.text, x=0.01, ha="left")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _line(ax: Axes, name: str, points: Sequence[tuple[float, float]], as_it_comes: bool) -> None:
    """One method: a line over its thresholds, or a mark where it comes with its own."""
    colour, dashes, marker = next(look for start, look in LOOKS.items() if name.startswith(start))
    ours = name.startswith("Foreshock")
    if as_it_comes:
        face = colour if ours else LIGHT.background
        ax.plot(*points[0], marker="*" if ours else marker, ms=14 if ours else 8, ls="none", mfc=face,
                mec=colour, mew=1.6, label=name, zorder=6, clip_on=False)  # fmt: skip
    else:
        ax.plot(*zip(*points, strict=True), color=colour, ls=dashes, lw=2.6 if ours else 1.4, marker=marker,
                ms=4.5, label=name, zorder=5 if ours else 3)  # fmt: skip


def _frame(ax: Axes, cell: str) -> None:
    """Axes without anything in them."""
    ax.set(xscale="log", yscale="log", xlim=(LEAST, 14), ylim=(0.9, 66))
    ax.set_title(TITLES[cell], fontsize=10, color=LIGHT.text, loc="left")
    ax.set_xlabel("false alarms per 1000 steps", color=LIGHT.text)
    ax.xaxis.set_major_locator(FixedLocator(RATES))
    ax.yaxis.set_major_locator(FixedLocator(STEPS))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: f"≤{value:g}" if value == LEAST else f"{value:g}")
    ax.axvline(1, color=LIGHT.muted, lw=0.8, ls=":")
    ax.grid(color=LIGHT.grid, lw=0.5)
    ax.tick_params(colors=LIGHT.muted, labelsize=9)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)

"""The picture: delay against false alarms, one line a method."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from detection_parts import TRADED
from foreshock.report._style import DASHES, LIGHT, MARKERS

TITLES = {"3 sd": "reward drops by 3 sd at once", "ramp 3 sd": "reward slides by 3 sd within ten steps"}
RATES = (0.1, 0.2, 0.5, 1, 2, 5, 10)
STEPS = (1, 2, 3, 5, 10, 20, 40, 60)
LEFT_OUT = 0.02  # alarms per 1000 steps below which a point is no point
PEER = "as it comes"


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Write the picture of the delays on real residuals."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.2), sharey=True, layout="constrained")
    for ax, cell in zip(axes, TRADED, strict=True):
        _frame(ax, cell)
        place = 0
        for name, found in result.items():
            points = [(x, y) for x, y in found["trade"][cell] if x >= LEFT_OUT]
            if not points:
                continue
            if name == "ideal observer":
                ax.plot(*zip(*points, strict=True), color=LIGHT.muted, lw=1, ls="--", label=name, zorder=2)
                ax.fill_between(*zip(*points, strict=True), 0.5, color=LIGHT.shade[1], lw=0, zorder=1)
                continue
            ours = name.startswith("Foreshock")
            colour = LIGHT.reward if ours else LIGHT.series[place % len(LIGHT.series)]
            style = {"color": colour, "label": name, "zorder": 5 if ours else 3}
            marker = MARKERS[place % len(MARKERS)]
            if found["as it comes"]:
                ax.plot(
                    *points[0],
                    marker="*" if ours else marker,
                    ms=13 if ours else 8,
                    ls="none",
                    mfc="none" if not ours else colour,
                    mew=1.6,
                    **style,
                )
            else:
                ax.plot(
                    *zip(*points, strict=True),
                    marker=marker,
                    ms=4.5,
                    lw=2.6 if ours else 1.4,
                    ls=DASHES[place % len(DASHES)] if not ours else "solid",
                    **style,
                )
            place += not ours
    axes[0].set_ylabel("mean steps until it is told (60 = not told)", color=LIGHT.text)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9, labelcolor=LIGHT.text
    )
    figure.suptitle(
        "Delay against false alarms: real residuals on smooth trends, drops injected",
        fontsize=12,
        color=LIGHT.text,
        x=0.01,
        ha="left",
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _frame(ax: Axes, cell: str) -> None:
    """Axes without anything in them."""
    ax.set(xscale="log", yscale="log", xlim=(0.05, 14), ylim=(0.9, 66))
    ax.set_title(TITLES[cell], fontsize=10, color=LIGHT.text, loc="left")
    ax.set_xlabel("false alarms per 1000 steps", color=LIGHT.text)
    ax.xaxis.set_major_locator(FixedLocator(RATES))
    ax.yaxis.set_major_locator(FixedLocator(STEPS))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.axvline(1, color=LIGHT.muted, lw=0.8, ls=":")
    ax.grid(color=LIGHT.grid, lw=0.5)
    ax.tick_params(colors=LIGHT.muted, labelsize=9)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)

"""The picture of a message: reward and length side by side, and where the events began."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foreshock.analysis import Change, SignalAnalysis
from foreshock.detect._records import Alarm
from foreshock.report._curve import Curve, Look
from foreshock.report._panel import draw_panel
from foreshock.report._style import LENGTH, REWARD, colour_of
from foreshock.report._text import clean
from foreshock.report.figure import layout, look_of, note, save, settings, size_of
from foreshock.signals import catalogue
from foreshock.watch._context import RunContext

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 300  # a longer run is shown from some rows before the first onset on
_BEFORE = 150
_SINCE = 50  # rows that are shown at least after these
_LEVEL = 0.15  # of the rows drawn: length of the line at the level before
_PANELS = 4
_TITLE = 110  # characters


def draw_chart(alarms: Sequence[Alarm], run: RunContext, title: str, path: Path) -> bool:
    """Write the chart of these alarms as a PNG; False if the run has nothing to draw.

    Response Length stands on the left, Train Reward beside it, then what else raised an alarm. The onset is
    marked with its interval and the levels on both sides in the chart of its signal, and as a dashed line in
    those that show no alarm of their own. Of a long run only the last part is drawn, and the picture says so.
    """
    known = {LENGTH: run.length, REWARD: run.reward, **run.others}
    series = {name: values for name, values in known.items() if np.isfinite(values).any()}
    alarms = list({alarm.id: alarm for alarm in alarms}.values())  # the last message of each event
    alarmed = [alarm.signal for alarm in alarms]
    names = [name for name in series if name in (LENGTH, REWARD) or name in alarmed][:_PANELS]
    if not names:
        return False
    first = _first_row(run.steps, alarms)
    steps = run.steps[first:]
    look = replace(look_of("screen", "light"), strip=3.0)  # no phases to name
    size = size_of("screen")
    size = replace(size, columns=3) if len(names) == 3 else size
    with settings():
        figure, axes = layout(names, size, look, clean(title, _TITLE), noted=first > 0)
        figure.texts[0].set(color=look.palette.text, fontweight="bold")
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        for position, (name, ax) in enumerate(zip(names, axes, strict=True)):
            values = series[name][first:]
            own = [alarm for alarm in alarms if alarm.signal == name]
            colour = colour_of(name, position, look.palette)
            curve = Curve(name, steps, values, colour, _signal(name, own), nan_steps=_nans(own))
            draw_panel(ax, curve, look, smooth=None, renderer=renderer)
            _draw_levels(ax, own, steps, look)
            if not own:
                ax.axvline(alarms[0].onset, **_onset_line(look))
        if first:
            shown = f"steps {int(steps[0]):,} to {int(steps[-1]):,}"
            note(figure, f"{shown} of a run that began at {int(run.steps[0]):,}", look)
        save(figure, path)
    return True


def _first_row(steps: NDArray[np.int64], alarms: Sequence[Alarm]) -> int:
    """The first row to draw: a change at the end of a long run would be a hairline at the edge."""
    if len(steps) <= _ROWS:
        return 0
    onset = int(np.searchsorted(steps, min(alarm.onset for alarm in alarms)))
    return max(0, min(onset, len(steps) - _SINCE) - _BEFORE)


def _signal(name: str, alarms: Sequence[Alarm]) -> SignalAnalysis:
    """What the chart of a signal says: its title, and a mark for each of its alarms."""
    about = catalogue().get(name)
    nan = math.nan
    good = about.good if about else None
    if any(alarm.kind == "rise" for alarm in alarms):
        good = "down"  # what is told as an alarm is no improvement
    return SignalAnalysis(
        name,
        name,
        about.title if about else "",
        "",  # the log may count in another unit than the catalogue
        good,
        0,
        nan,
        nan,
        nan,
        nan,
        None,
        changes=tuple(_change(alarm) for alarm in alarms),
    )


def _change(alarm: Alarm) -> Change:
    before = math.nan if alarm.from_value is None else alarm.from_value
    after = math.nan if alarm.to_value is None else alarm.to_value
    return Change(
        signal=alarm.signal,
        kind=alarm.kind,
        step=alarm.onset,
        step_interval=alarm.onset_interval,
        end_step=alarm.step,
        from_value=before,
        to_value=after,
        percent_of_peak=None if alarm.percent_of_peak is None else abs(alarm.percent_of_peak),
        percent_of_gain=alarm.percent_of_gain,
        sigma=alarm.sigma,
        p_value=None,
        significant=True,
    )


def _nans(alarms: Sequence[Alarm]) -> NDArray[np.int64] | None:
    steps = [alarm.onset for alarm in alarms if alarm.kind == "non_finite"]
    return np.array(steps, dtype=np.int64) if steps else None


def _draw_levels(ax: Axes, alarms: Sequence[Alarm], steps: NDArray[np.int64], look: Look) -> None:
    """The level before an onset and the level since then, as two short lines."""
    reach = _LEVEL * float(steps[-1] - steps[0])
    line: dict[str, Any] = {"color": look.palette.text, "linewidth": look.line, "alpha": 0.8, "zorder": 4}
    for alarm in alarms:
        sides = (
            (alarm.from_value, alarm.onset - reach, alarm.onset),
            (alarm.to_value, alarm.onset, max(alarm.step, alarm.onset)),
        )
        for level, begin, end in sides:
            if level is not None and math.isfinite(level):
                ax.hlines(level, begin, end, **line)


def _onset_line(look: Look) -> dict[str, Any]:
    return {
        "color": look.palette.mark,
        "linewidth": look.line * 0.7,
        "linestyle": (0, (4, 2)),
        "zorder": 2,
    }

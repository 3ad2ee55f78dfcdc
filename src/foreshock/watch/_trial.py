"""The message of `foreshock notify --test`: marked as a trial, about a bundled run with a known fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from foreshock.demo import RUNS
from foreshock.detect._records import Alarm
from foreshock.readers import open_run
from foreshock.report._style import LENGTH, REWARD
from foreshock.watch._context import RunContext
from foreshock.watch._message import Message, compose
from foreshock.watch.notify import chart_of

_ONSET, _SEEN = 61, 66


def trial(folder: Path, warn: Callable[[str], None]) -> Message:
    """A message as an alarm would bring it, with its chart in `folder`; it says that it is a test."""
    run = open_run(RUNS[0].path)
    rows = run.steps <= _SEEN
    steps, reward = run.steps[rows], run.series[REWARD][rows]
    before = float(np.mean(reward[(steps < _ONSET) & (steps >= _ONSET - 10)]))
    after = float(np.mean(reward[steps >= _ONSET]))
    alarm = Alarm(
        id="test",
        state="open",
        step=_SEEN,
        signal=REWARD,
        kind="drop",
        severity="watch",
        opened=_SEEN,
        onset=_ONSET,
        onset_interval=(_ONSET - 2, _ONSET + 1),
        from_value=before,
        to_value=after,
        sigma=3.4,
        percent_of_peak=100 * (before - after) / before,
        percent_of_gain=None,
        false_alarm_rate=0.02,
        evidence=("an example: this is how an alarm would be told",),
        text=f"Train Reward of a bundled run falls from {before:.2f} to {after:.2f}.",
    )
    context = RunContext(
        run_id="a bundled run",
        source=RUNS[0].path.name,
        framework=run.framework or "",
        steps=steps,
        reward=reward,
        length=run.series[LENGTH][rows],
        total_steps=int(run.steps[-1]),
    )
    message = compose([alarm], context, test=True)
    return dataclasses.replace(message, chart=chart_of(message, context, folder / "test.png", warn))

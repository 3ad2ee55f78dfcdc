"""What a watch says as lines of text or JSON, where standard output is no terminal."""

from __future__ import annotations

import json
import math
from typing import IO, Any

from foreshock.detect._records import Alarm
from foreshock.report._numbers import one_line
from foreshock.watch._context import RunContext
from foreshock.watch._state import WatchState


class JsonLines:
    """One JSON object a message, in ASCII, so that nothing in a log can reach a terminal."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def tell(self, alarm: Alarm, run: RunContext) -> None:
        """Write the message and flush."""
        text = json.dumps(_finite(dict(alarm.as_dict())), allow_nan=False)
        self._out.write(text.replace("\x7f", "\\u007f") + "\n")
        self._out.flush()

    def show(self, state: WatchState) -> None:
        """Nothing: only messages are written."""

    def close(self) -> None:
        """Nothing is held back."""


class PlainLines:
    """One line a message on `out`; on `aside`, if there is one, what else a person wants to know."""

    def __init__(self, out: IO[str], aside: IO[str] | None) -> None:
        self._out, self._aside = out, aside
        self._waiting = ""
        self._words = Wording()

    def tell(self, alarm: Alarm, run: RunContext) -> None:
        """Write the message and flush."""
        self._out.write(self._words.line(alarm) + "\n")
        self._out.flush()

    def show(self, state: WatchState) -> None:
        """Say what changed besides alarms: what is waited for, a resume, another run."""
        if self._aside is None:
            return
        said = list(state.said)
        if state.waiting != self._waiting:
            self._waiting = state.waiting
            said.append(f"waiting: {state.waiting}" if state.waiting else f"reading {state.source}")
        for sentence in said:
            self._aside.write(f"foreshock: {one_line(sentence)}\n")
        if said:
            self._aside.flush()

    def close(self) -> None:
        """Nothing is held back."""


class Wording:
    """Messages as lines of text; of an update it says what is new."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def line(self, alarm: Alarm) -> str:
        """When, what kind of message, how grave, and the sentence; of more evidence only the new piece."""
        text = alarm.text
        if alarm.state == "update" and self._last.get(alarm.id) == text and alarm.evidence:
            text = f"also: {alarm.evidence[-1]}"
        self._last[alarm.id] = alarm.text
        if alarm.state == "closed":
            del self._last[alarm.id]
        return one_line(f"step {alarm.step}: {alarm.state}, {alarm.severity}: {text}")


def _finite(value: Any) -> Any:
    """NaN and infinities by name, as in a report."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return value

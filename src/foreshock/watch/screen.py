"""The live view in the terminal: both curves, phases so far, open alarms, pace and age of the data."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from foreshock.detect._records import Alarm
from foreshock.watch._context import RunContext
from foreshock.watch._phases import Phases
from foreshock.watch._picture import COLOURS, picture
from foreshock.watch._state import WatchState
from foreshock.watch.lines import Wording

_STILL = 5.0  # seconds between two pictures in which only the age of the data differs
_KEPT = 100  # messages that stay when the view is left


class Screen:
    """Draws where a watch stands. Of what a log holds, only printable characters reach the terminal.

    Args:
        source: what is watched.
        console: where to draw; default: the terminal.
        clock: seconds that never go back.
    """

    def __init__(
        self, source: str, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.console = console or Console(highlight=False)
        self._clock = clock
        self._state = WatchState(source)
        self._messages: deque[tuple[str, str]] = deque(maxlen=_KEPT)
        self._alarms: deque[tuple[str, str]] = deque(maxlen=_KEPT)
        self._words = Wording()
        self._told = 0
        self._phases = Phases()
        self._next = 0.0
        self._live: Live | None = None

    def tell(self, alarm: Alarm, run: RunContext) -> None:
        """Keep the message for the lower part, and for what stays when the view is left."""
        line = (self._words.line(alarm), COLOURS.get(alarm.severity, "") if alarm.state == "open" else "")
        self._messages.append(line)
        self._alarms.append(line)
        self._told += 1
        self._next = 0.0

    def show(self, state: WatchState) -> None:
        """Draw anew where something changed, and now and then for the age of the data."""
        changed = state.fresh or state.said or state.waiting != self._state.waiting
        self._state = state
        self._messages.extend((sentence, "dim") for sentence in state.said)
        if self._live is None:
            self._live = Live(console=self.console, screen=True, auto_refresh=False)
            self._live.start()
        elif not changed and self._clock() < self._next:
            return
        self._next = self._clock() + _STILL
        phases = self._phases.of(state.run) if state.run is not None else []
        size = (self.console.width, self.console.height)
        drawn = picture(state, phases, list(self._messages), size, ascii_only=self._ascii)
        self._live.update(drawn, refresh=True)

    def close(self) -> None:
        """Leave the view; the last messages of this watch stay in the terminal."""
        if self._live is None:
            return
        self._live.stop()
        self._live = None
        if self._told > len(self._alarms):
            self._print(f"... {self._told - len(self._alarms)} earlier messages")
        for text, style in self._alarms:
            self._print(text, style)
        if self._state.step is not None:
            count = len(self._state.open)
            self._print(
                f"Watched to step {self._state.step}; {count or 'no'} open alarm{'s' if count > 1 else ''}."
            )

    @property
    def _ascii(self) -> bool:
        return self.console.options.ascii_only

    def _print(self, text: str, style: str = "") -> None:
        shown = text.encode("ascii", "replace").decode() if self._ascii else text
        self.console.print(Text(shown, style=style), soft_wrap=True)

"""The monitor of a recorder, and what becomes of its alarms; nothing of it reaches the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foreshock.detect import Alarm
    from foreshock.record._monitoring import Monitoring

OnAlarm = Callable[["Alarm"], None]


class Alarms:
    """Hands on to the monitor what the recorder writes, once there is one.

    Args:
        event: writes an event: kind, text, step, data.
        warn: tells people once about something, by a slug.
        callbacks: are given each alarm.
        strict: raise what goes wrong instead of warning.
    """

    def __init__(
        self,
        event: Callable[[str, str, int, Mapping[str, Any]], None],
        warn: Callable[[str, str], None],
        callbacks: OnAlarm | Sequence[OnAlarm],
        strict: bool,
    ) -> None:
        self.on = False
        self._event, self._warn, self._strict = event, warn, strict
        self._callbacks = (callbacks,) if callable(callbacks) else tuple(callbacks)
        self._monitoring: Monitoring | None = None

    def begin(self, journal: Path, options: Mapping[str, Any]) -> None:
        """Monitor from here on; only now NumPy is imported."""
        try:
            from foreshock.record._monitoring import Monitoring

            self._monitoring = Monitoring(journal, self._take, self._warn, **options)
            self.on = True
        except Exception as error:
            self._failed("monitor", "nothing is monitored", error)

    def __call__(self, hook: str, *arguments: Any) -> None:
        """Call a method of the monitor, by name."""
        if self._monitoring is None:
            return
        try:
            getattr(self._monitoring, hook)(*arguments)
        except Exception as error:
            self._monitoring.failed()
            self._failed("monitor", "the monitor failed", error)

    def _take(self, alarm: Alarm, current: bool) -> None:
        """Record an alarm; one that is `current` goes to the callbacks, too."""
        fields = {name: value for name, value in alarm.as_dict().items() if name not in ("step", "text")}
        try:
            self._event("alarm", alarm.text, alarm.step, fields)
        except Exception as error:
            self._failed("alarm", "an alarm could not be recorded", error)
        for number, callback in enumerate(self._callbacks if current else ()):
            try:
                callback(alarm)
            except Exception as error:
                self._failed(f"callback {number}", f"a callback failed at an alarm, {callback!r}", error)

    def _failed(self, about: str, text: str, error: Exception) -> None:
        if self._strict:
            raise error
        self._warn(about, f"{text} ({type(error).__name__}: {error}); training goes on")

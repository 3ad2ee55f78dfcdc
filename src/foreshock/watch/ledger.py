"""What was told already, kept on disk, so that a watcher that was killed neither repeats nor forgets.

One file per watched path, JSON lines, only ever appended to. A message is noted right after it was told; a
watcher that starts again reads the log from its first row, comes to the same messages, and tells those that
are not noted.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foreshock.detect._records import Alarm

Told = tuple[str, str, int, int]
"""(id, state, step, pieces of evidence) of a message; several updates of a step differ in the last."""


@dataclass
class _Told:
    """What was told about one run."""

    messages: set[Told] = field(default_factory=set)
    open: dict[str, Alarm] = field(default_factory=dict)
    unsent: dict[Told, Alarm] = field(default_factory=dict)
    last_step: int = -(2**62)
    seen: tuple[int, float] | None = None
    gap: float | None = None


def default_file(path: Path, run: str | None = None) -> Path:
    """Where the ledger of a watched path lies: in the state folder of the user, by the resolved path."""
    state = os.environ.get("XDG_STATE_HOME") or ""
    folder = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    about = f"{path.resolve()}\0{run or ''}".encode("utf-8", "surrogateescape")
    return folder / "foreshock" / "watch" / f"{hashlib.sha256(about).hexdigest()[:24]}.jsonl"


class Ledger:
    """Remembers messages by run; without a file, for this process only.

    Each message is written with one call and brought to the disk. Between telling a message and noting it lie
    some microseconds: killed just there, a watcher tells this one message once more.

    Args:
        file: where to keep it; made when the first message is noted.
        warn: takes a sentence where the file cannot be read or written; the watch goes on without.
    """

    def __init__(self, file: Path | None = None, warn: Callable[[str], None] = lambda sentence: None) -> None:
        self._file = file
        self._warn = warn
        self._handle: int | None = None
        self._runs: dict[str, _Told] = {}
        self._run = ""
        self._lock = threading.Lock()
        for entry in self._entries():
            self._take(entry)

    @property
    def known(self) -> bool:
        """Whether something was noted about this run before."""
        return self._own.last_step > -(2**62)

    @property
    def last_step(self) -> int:
        """Last step of this run that is noted."""
        return self._own.last_step

    @property
    def seen(self) -> tuple[int, float] | None:
        """(step, seconds since 1970) of the last note of progress of this run."""
        return self._own.seen

    @property
    def gap(self) -> float | None:
        """Usual seconds between two arrivals of something new, as noted last."""
        return self._own.gap

    @property
    def open(self) -> tuple[Alarm, ...]:
        """The last message about each event of this run that was told and is not over."""
        return tuple(self._own.open.values())

    @property
    def unsent(self) -> tuple[Alarm, ...]:
        """Messages of this run of which no notification is known to have gone out."""
        with self._lock:
            return tuple(self._own.unsent.values())

    def turn_to(self, run: str, first_step: int) -> None:
        """From here on it is about this run.

        A run that is not known but goes on where the last one ended is the same run in a rotated log.
        """
        if run not in self._runs and self._runs:
            last = list(self._runs)[-1]
            if -(2**62) < self._runs[last].last_step < first_step:
                run = last
        self._run = run
        self._runs.setdefault(run, _Told())

    def is_new(self, alarm: Alarm) -> bool:
        """Whether a message was not told yet."""
        return _key(alarm) not in self._own.messages

    def noting(self, alarm: Alarm, *, notify: bool = False, void: bool = False) -> Callable[[], None]:
        """Call what this returns right after the message was told; all that takes time is done before.

        Args:
            alarm: the message.
            notify: whether a notification goes out, too; `sent` notes that it did.
            void: what was told about this event before counts no more: it may be told again.
        """
        entry = {"run": self._run, "told": alarm.as_dict(), "notify": notify, "void": void}
        line = self._line(entry)

        def note() -> None:
            self._write(line)
            self._sync()
            self._take(entry)

        return note

    def sent(self, alarms: Sequence[Alarm]) -> None:
        """Note that notifications went out, or were given up; any thread may call it."""
        for alarm in alarms:
            runs = [run for run, told in list(self._runs.items()) if _key(alarm) in told.unsent]
            entry = {"run": (runs or [self._run])[-1], "sent": list(_key(alarm))}
            self._write(self._line(entry))
            self._take(entry)

    def progress(self, step: int, at: float, gap: float | None) -> None:
        """Note how far the run is at a time (seconds since 1970) and how often something comes of it."""
        entry = {"run": self._run, "step": step, "at": at, "gap": gap}
        self._write(self._line(entry))
        self._take(entry)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    @property
    def _own(self) -> _Told:
        return self._runs.setdefault(self._run, _Told())

    def _take(self, entry: Mapping[str, Any]) -> None:
        with self._lock:
            told = self._runs.setdefault(str(entry["run"]), _Told())
            if "told" in entry:
                _note(told, _alarm(entry["told"]), bool(entry["notify"]), bool(entry["void"]))
            elif "sent" in entry:
                told.unsent.pop(tuple(entry["sent"]), None)
            else:
                told.last_step = max(told.last_step, int(entry["step"]))
                told.seen, told.gap = (int(entry["step"]), float(entry["at"])), entry["gap"]

    def _entries(self) -> list[dict[str, Any]]:
        """The lines of the file; one that was cut when the machine went down is left out."""
        try:
            lines = self._file.read_bytes().split(b"\n") if self._file and self._file.exists() else []
        except OSError as error:
            self._warn(f"what was told before is not known: {self._file}: {error.strerror or error}")
            return []
        found = []
        for line in lines:
            try:
                entry = json.loads(line)
                entry["run"] + ""
                if "told" in entry:
                    _alarm(entry["told"])
                elif "sent" not in entry:
                    int(entry["step"]), float(entry["at"])
                found.append({"notify": False, "void": False, "gap": None, **entry})
            except (ValueError, TypeError, KeyError):
                continue
        return found

    def _line(self, entry: Mapping[str, Any]) -> bytes:
        """An entry as it is written, and the file opened for it."""
        if self._file is None:
            return b""
        try:
            with self._lock:
                if self._handle is None:
                    self._file.parent.mkdir(parents=True, exist_ok=True)
                    self._handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            self._lost(error)
        # A line end first: a line before it may have been cut.
        return b"\n" + json.dumps(entry).encode() + b"\n"

    def _write(self, line: bytes) -> None:
        """With one call, which a kill cannot tear apart."""
        try:
            if self._handle is not None:
                os.write(self._handle, line)
        except OSError as error:
            self._lost(error)

    def _sync(self) -> None:
        try:
            if self._handle is not None:
                os.fsync(self._handle)
        except OSError as error:
            self._lost(error)

    def _lost(self, error: OSError) -> None:
        self._warn(f"what is told cannot be remembered in {self._file}: {error.strerror or error}")
        self._file = self._handle = None


def _note(told: _Told, alarm: Alarm, notify: bool, void: bool) -> None:
    if void:
        told.messages = {key for key in told.messages if key[0] != alarm.id}
    else:
        told.messages.add(_key(alarm))
    told.last_step = max(told.last_step, alarm.step)
    if alarm.state == "closed":
        told.open.pop(alarm.id, None)
    else:
        told.open[alarm.id] = alarm
    if notify:
        told.unsent[_key(alarm)] = alarm


def _key(alarm: Alarm) -> Told:
    return alarm.id, alarm.state, alarm.step, len(alarm.evidence)


def _alarm(fields: Mapping[str, Any]) -> Alarm:
    low, high = fields["onset_interval"]
    rest = {**fields, "onset_interval": (low, high), "evidence": tuple(fields["evidence"])}
    alarm = Alarm(**rest)
    if not isinstance(alarm.step, int) or math.isnan(alarm.step):
        raise TypeError("no step")
    return alarm

"""Record what a command prints while it runs, without standing in its way.

The output is passed on first (`_child`); a copy goes to a thread that looks for rows of metrics. Whatever
happens to that thread, to the disk or to the recorder, the command runs on and its output goes on.
"""

from __future__ import annotations

import logging
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from foreshock.record import _child
from foreshock.record.recorder import Recorder

_ROOM = 64 << 20  # bytes of output that may wait to be looked at; what comes beyond is passed on only
_WAIT = 3.0  # seconds after the end of the command for what still waits
_TICK = 0.5
_SWITCH = 1e-4  # seconds for which the thread that looks may hold up the other; usual are 5e-3
_log = logging.getLogger("foreshock")


def record_command(command: Sequence[str], folder: Path) -> tuple[int, ConsoleRecording]:
    """Run a command, passing its output on unchanged, and record the metrics in it.

    Returns:
        What a shell would give as its exit code (128 + n after signal n), and what became of the recording.

    Raises:
        OSError: the program cannot be started; nothing is then written.
    """
    sys.setswitchinterval(_SWITCH)
    recording = ConsoleRecording(command, folder)
    code = _child.run(command, recording.take, recording.begin)
    recording.end(code)
    return code, recording


class ConsoleRecording:
    """Takes chunks of output from any thread and records the rows in them in one of its own."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.folder = folder
        self.rows = 0
        """Rows of metrics that were found."""
        self.lost = 0
        """Bytes of output that came faster than they could be looked at."""
        self._command = command
        self._ordered = False
        self._queue: queue.SimpleQueue[tuple[int, bytes] | int] = queue.SimpleQueue()
        self._taken = self._seen = 0  # bytes, each counted by one thread only
        self._gaps: set[int] = set()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._work, name="foreshock", daemon=True)

    def begin(self, ordered: bool) -> None:
        """The command runs; `ordered` says whether its output comes in the order in which it is made."""
        self._ordered = ordered
        self._thread.start()

    def take(self, stream: int, data: bytes) -> None:
        """Take a chunk of output; returns at once."""
        if self._taken - self._seen > _ROOM:
            self.lost += len(data)
            self._gaps.add(stream)
            return
        if stream in self._gaps:
            self._gaps.discard(stream)
            self._queue.put((stream, b""))
        self._taken += len(data)
        self._queue.put((stream, data))

    def end(self, code: int) -> None:
        """The command ended; wait for what still waits, but not for long."""
        self._deadline = time.monotonic() + _WAIT
        self._queue.put(code)
        self._thread.join(2 * _WAIT)

    def _work(self) -> None:
        """The thread: nothing in it may reach the command."""
        try:
            self._record()
        except Exception as error:
            _log.warning("foreshock: %s: %s; nothing more is recorded", type(error).__name__, error)
            while not isinstance(self._next(), int):  # keep the room free
                pass

    def _record(self) -> None:
        from foreshock.record._console_rows import ConsoleRows  # NumPy comes with it, after the command began

        sys.argv = list(self._command)  # whose environment is recorded: not ours, but the command's
        with Recorder(self.folder) as recorder:
            rows = ConsoleRows(lambda step, values: self._row(recorder, step, values), ordered=self._ordered)
            total: int | None = None
            while not isinstance(item := self._next(), int):
                now = time.monotonic()
                if item is None:
                    rows.idle(now)
                elif now > self._deadline:
                    self.lost += len(item[1])
                elif item[1]:
                    rows.feed(*item, now)
                else:
                    rows.lost(item[0])
                if rows.total and rows.total != total:
                    total = rows.total
                    recorder.describe(total_steps=total)
            rows.close()
            if self.lost:
                text = f"{self.lost:,} bytes of output came faster than they could be looked at."
                recorder.event("output_lost", text, bytes=self.lost)
            recorder.event("process_ended", _ending(item), code=item)

    def _next(self) -> tuple[int, bytes] | int | None:
        """The next chunk, the exit code at the end, or None where nothing came for a while."""
        try:
            item = self._queue.get(timeout=_TICK)
        except queue.Empty:
            return None
        if not isinstance(item, int):
            self._seen += len(item[1])
        return item

    def _row(self, recorder: Recorder, step: int, values: Mapping[str, float]) -> None:
        self.rows += 1
        recorder.log(values, step)


def _ending(code: int) -> str:
    """How a process ended, in a sentence."""
    if code > 128:
        try:
            return f"The process was ended by signal {code - 128} ({signal.Signals(code - 128).name})."
        except ValueError:
            pass
    return f"The process ended with code {code}."

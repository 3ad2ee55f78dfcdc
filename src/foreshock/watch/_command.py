"""Messages to a command: values as environment variables, the message as JSON on standard input, no shell."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from foreshock.errors import UsageError
from foreshock.watch._channel import DeliveryError
from foreshock.watch._message import Message, safe

_JSON = 60_000  # bytes; a longer document comes on standard input only: an environment has its limits
_SAID = 2_000  # bytes of what the command wrote to standard error that are looked at


class Command:
    """Runs a program for each message.

    Args:
        line: program and arguments, split as a shell splits them; nothing in it is expanded.

    Raises:
        UsageError: the line cannot be split, or there is no such program.
    """

    tries = 3  # a program may have done half of its work before it failed

    def __init__(self, line: str) -> None:
        try:
            self._argv = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"--exec cannot be split into arguments: {error}; check its quotes") from None
        if not self._argv:
            raise UsageError("--exec names no program; write for example --exec 'notify-send Foreshock'")
        program = safe(Path(self._argv[0]).name, 60)
        if shutil.which(self._argv[0]) is None:
            raise UsageError(
                f"--exec: there is no program {program!r}; it is run without a shell, so name a program or "
                "the path of an executable file"
            )
        self.name = f"command {program}"
        self._process: subprocess.Popen[bytes] | None = None

    def deliver(self, message: Message, timeout: float) -> None:
        """Run the program to its end; exit code 0 means that it arrived."""
        # Files, not pipes: a program that does not read, or leaves children behind, blocks nothing.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
            given.write(message.json())
            given.seek(0)
            try:
                process = subprocess.Popen(
                    self._argv,
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env={**os.environ, **variables(message)},
                    start_new_session=True,
                )
            except OSError as error:
                raise DeliveryError(f"cannot be run: {error.strerror}", final=True) from None
            self._process = process
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                _kill(process)
                raise DeliveryError(f"not done after {timeout:g} seconds, killed") from None
            finally:
                self._process = None
            if code:
                raise DeliveryError(_ended(code) + _last_line(said))

    def abort(self) -> None:
        """Kill what is running."""
        process = self._process
        if process:
            _kill(process)


def variables(message: Message) -> Mapping[str, str]:
    """The values of a message as `FORESHOCK_...`; of several alarms, those of the gravest."""
    alarm = message.alarms[0]
    run = message.document["run"]
    document = message.json()
    values = {
        "TEST": 1 if message.test else None,
        "ID": message.id,
        "TITLE": message.title,
        "MESSAGE": message.text,
        "COUNT": len(message.alarms),
        "EVENT": alarm.id,
        "STATE": alarm.state,
        "SIGNAL": alarm.signal,
        "KIND": alarm.kind,
        "SEVERITY": alarm.severity,
        "STEP": alarm.step,
        "OPENED": alarm.opened,
        "ONSET": alarm.onset,
        "ONSET_FIRST": alarm.onset_interval[0],
        "ONSET_LAST": alarm.onset_interval[1],
        "FROM": alarm.from_value,
        "TO": alarm.to_value,
        "SIGMA": alarm.sigma,
        "PERCENT_OF_PEAK": alarm.percent_of_peak,
        "PERCENT_OF_GAIN": alarm.percent_of_gain,
        "FALSE_ALARM_RATE": alarm.false_alarm_rate,
        "TEXT": alarm.text,
        "RUN": message.run,
        "SOURCE": run["source"],
        "FRAMEWORK": run["framework"],
        "TOTAL_STEPS": run["total_steps"],
        "CHART": message.chart,
        "JSON": document.decode() if len(document) <= _JSON else None,
    }
    kept_as_they_are = ("MESSAGE", "JSON", "CHART")
    return {
        f"FORESHOCK_{name}": "" if value is None else str(value) if name in kept_as_they_are else safe(value)
        for name, value in values.items()
    }


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and its children, which share its session."""
    if os.name == "posix":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # ended meanwhile
    else:
        process.kill()
    process.wait()


def _ended(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"killed by signal {-code}"


def _last_line(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _SAID))
    lines = said.read(_SAID).decode(errors="replace").strip().splitlines()
    return f": {safe(lines[-1], 160)}" if lines else ""

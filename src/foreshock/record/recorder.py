"""The recorder: one line in a training script, and everything that a diagnosis needs is kept."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from foreshock.record._alarms import Alarms
from foreshock.record._encode import line, row
from foreshock.record._journal import Journal
from foreshock.record._past import Past, past_of
from foreshock.record.evidence import Evidence
from foreshock.record.secrets import mask_mapping, mask_text

if TYPE_CHECKING:
    from foreshock.detect import Alarm

SCHEMA = "foreshock.journal/1"
_RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
_LOOK_EVERY = 0.2  # seconds between looks whether the file is still there; each costs a microsecond
_log = logging.getLogger("foreshock")


class Recorder:
    """Writes a run into a folder, step by step, as append-only JSON lines that a crash cannot take back.

    ```python
    with foreshock.Recorder("runs/countdown", total_steps=500, prompts_per_step=64, group_size=8) as run:
        for step in range(500):
            run.log({"reward": reward, "completion_length": length, "kl": kl}, step=step)
    ```

    Each call is one `write` to the operating system: a killed process loses nothing that was logged, and
    `foreshock report FOLDER` sees a step the moment it is there. Several processes may record into one
    folder: each has a file of its own. A folder that holds an earlier attempt is continued.

    Nothing here raises into the training and nothing waits, but for the file system itself: what goes wrong
    is warned of once (logger "foreshock") and counted in `lost`. `strict=True` raises instead, for tests.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        id: str | None = None,
        config: Mapping[str, Any] | None = None,
        process: str | int | None = None,
        fsync: bool = False,
        strict: bool = False,
        environment: bool = True,
        monitor: bool | Mapping[str, Any] = False,
        on_alarm: Callable[[Alarm], None] | Sequence[Callable[[Alarm], None]] = (),
        **facts: Any,
    ) -> None:
        """Open (or continue) the run in a folder.

        Args:
            path: the folder, made where it is missing.
            id: name of the run; default: the name of the folder, or of the one above "foreshock".
            config: settings of the training, nested as they are; secrets in it are masked. What differs
                from the attempt before becomes an event.
            process: name of this process; default: its rank from the environment, else "0".
            fsync: wait after every step until it is on the disk (about 0.3 ms on a local one).
            strict: raise what goes wrong instead of warning and counting.
            environment: keep versions, git state, host and command line as evidence.
            monitor: judge each step as `foreshock watch` does and record alarms as events; instead of True,
                options: `{"budget": 0.5, "mode": "guaranteed", "signals": [...], "map": {"reward": "r"}}`.
            on_alarm: called with each alarm, in the thread that logs.
            facts: what is known about the run: `total_steps`, `prompts_per_step`, `group_size`, `model`,
                `units={"reward": "points"}`, ...
        """
        self.path = Path(os.path.abspath(path))  # a script may change its working directory later
        self.process = _safe_name(str(process if process is not None else _rank()))
        self.strict = strict
        self.lost = 0
        """Rows that are not on the disk."""
        self.rows = 0
        """Rows that were logged, lost ones included."""
        self.attempt = 1
        self.closed = False
        self._pid = os.getpid()
        self._id = id or (self.path.parent if self.path.name == "foreshock" else self.path).name
        self._facts: dict[str, Any] = {}
        self._journal = Journal(self.path, f"journal-{self.process}", fsync)
        self._step = -1
        self._warned: set[str] = set()
        self._headed = False
        self._untold = 0
        self._why = ""
        self._refused: OSError | None = None
        self._look_again = 0.0
        self._past = Past()
        self._alarms = Alarms(self._write_event, self._warn, on_alarm, strict)
        with self.quietly("facts"):
            self._facts = mask_mapping(facts)
        with self.quietly("start"):
            self._start()
        if monitor and self._is_first():
            self._alarms.begin(self._journal.path, {} if monitor is True else monitor)
        if config is not None:
            self._config(config)
        if environment:
            self._environment()
        atexit.register(self._at_exit)

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record the metrics of a step.

        Args:
            metrics: name -> number: Python, NumPy or torch scalars, NaN and infinities too; None means
                that nothing was logged. Nested mappings are joined with "/". Texts are kept, but make no
                curve; what is neither is left out, with one warning that names it.
            step: the training step; default: one more than the last.
        """
        try:
            number = self._step + 1 if step is None else step if type(step) is int else int(step)
            self._step = number
            self.rows += 1
            if self._alarms.on:
                self._alarms("turn", number)
            now = time.time()
            encoded, refused = row(number, int(now * 1000) / 1000, metrics)  # `round` is slower
            self._write(encoded, 1, now)
        except Exception as error:
            self._failed("log", error)
            return
        if self._alarms.on:
            self._alarms("took", number, encoded)
        if refused:
            self._refuse(refused)

    def event(self, kind: str, text: str = "", step: int | None = None, **data: Any) -> None:
        """Record that something happened: a checkpoint, a change of data, a remark.

        Args:
            kind: a slug ("checkpoint_saved").
            text: one sentence for people.
            step: when; default: the last step that was logged.
            data: anything that JSON can hold.
        """
        with self.quietly("event"):
            at = self._at(step)
            self._write_event(kind, text, at, data)
            self._alarms("happened", kind, at)

    def evidence(self, evidence: Evidence, step: int | None = None) -> None:
        """Record what a piece of evidence saw, its metrics, and an event for each change, in one write."""
        with self.quietly(f"{evidence.kind} evidence"):
            at = self._at(step)
            lines = [line({"evidence": evidence.kind, "step": at, "data": evidence.data})]
            if evidence.metrics:
                self._alarms("turn", at)
                lines.append(row(at, round(time.time(), 3), evidence.metrics)[0])
            lines += [self._event(change.kind, change.text, at, change.data) for change in evidence.changes]
            self._past.evidence[evidence.kind] = {**(self.last(evidence.kind) or {}), **evidence.data}
            self._write(b"".join(lines))
            if evidence.metrics:
                self._alarms("took", at, lines[1])
            if evidence.kind == "config":
                self._alarms("learnt")

    def last(self, kind: str) -> Mapping[str, Any] | None:
        """What evidence of this kind said last, in this attempt or an earlier one; None if nothing."""
        return self._past.evidence.get(kind)

    def describe(self, **facts: Any) -> None:
        """Add facts that are known only now."""
        with self.quietly("facts"):
            masked = mask_mapping(facts)
            self._facts = {**self._facts, **masked}
            self._write(line({"facts": masked}))
            self._alarms("learnt")

    @contextlib.contextmanager
    def quietly(self, what: str) -> Iterator[None]:
        """Run a block whose exceptions must not reach the training: warned of once per `what`."""
        try:
            yield
        except Exception as error:
            self._failed(what, error)

    def close(self) -> None:
        """End the run; a second call does nothing. Called when the process ends, too."""
        self._end(None)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)

    def _at_exit(self) -> None:
        """Close when the process ends, with the exception that ended it; a prompt keeps old ones there."""
        self._end(None if hasattr(sys, "ps1") else getattr(sys, "last_value", None))

    def _end(self, error: BaseException | None) -> None:
        if self.closed or os.getpid() != self._pid:  # a forked worker ends, not the run
            return
        atexit.unregister(self._at_exit)
        self._alarms("close")
        self._look_again = 0.0  # the last lines must not go into a file that is gone
        with self.quietly("close"):
            end = {"time": time.time(), "rows": self.rows, "lost": self.lost}
            why = {"error": mask_text(f"{type(error).__name__}: {error}"[:500])} if error is not None else {}
            self._write(line({"end": {**end, **why}}))
        self.closed = True
        self._journal.close()
        if self.lost:
            _log.warning("foreshock: %s of %s rows of %s were lost", self.lost, self.rows, self.path)

    def _start(self) -> None:
        with contextlib.suppress(OSError):  # the write below tries again, and tells
            self._journal.open()
        self._past = past_of(self.path, self.process)
        if self._journal.beside:  # another process of this name is alive: one more of its attempt, no restart
            self.process = f"{self.process}-{os.getpid()}"
            self.attempt = max(self._past.attempts, 1)
        else:
            self.attempt = self._past.attempts + 1
            if self._past.last_step is not None:
                self._step = self._past.last_step
        self._write(b"")

    def _is_first(self) -> bool:
        """Whether of several processes this is the first one."""
        return not self._journal.beside and _rank() == "0" and not self.process.strip("0").isdigit()

    def _header(self) -> bytes:
        start = {
            "schema": SCHEMA,
            "run": self._id,
            "process": self.process,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "time": time.time(),
            "attempt": self.attempt,
            "facts": self._facts,
        }
        return line({"start": start})

    def _config(self, config: Mapping[str, Any]) -> None:
        with self.quietly("config"):
            from foreshock.record.environment import config as evidence_of

            self.evidence(evidence_of(self.last("config"), config), self._step + 1)

    def _environment(self) -> None:
        with self.quietly("environment"):
            from foreshock.record.environment import environment as evidence_of

            self.evidence(evidence_of(self.last("environment")), self._step + 1)

    def _at(self, step: int | None) -> int:
        return max(self._step, 0) if step is None else int(step)

    def _event(self, kind: str, text: str, step: int, data: Mapping[str, Any]) -> bytes:
        record = {"event": kind, "step": step, "time": round(time.time(), 3), "text": mask_text(text)}
        return line({**record, "data": mask_mapping(data)} if data else record)

    def _write_event(self, kind: str, text: str, step: int, data: Mapping[str, Any]) -> None:
        self._write(self._event(kind, text, step, data))

    def _write(self, lines: bytes, rows: int = 0, now: float | None = None) -> None:
        """Append to the journal; rows that do not get there are counted as lost, and that is recorded."""
        if self.closed:
            self.lost += rows
            raise ValueError("the recorder is closed")
        journal = self._journal
        try:
            now = now or time.time()
            head = b""
            if now > self._look_again or self._untold:
                self._look_again = now + _LOOK_EVERY
                if journal.missing:
                    self._open_again()
            if not self._headed:
                head = self._header()
            if self._untold:
                head += line({"lost": self._untold, "why": self._why})
            journal.write(head + lines, rows)
            self._untold = 0
            self._headed = True
        except OSError as error:
            self.lost += rows
            self._untold += rows
            self._why = error.strerror or str(error)
            self._refused = error
            raise

    def _open_again(self) -> None:
        """Make the file anew; count what was lost with the old one."""
        journal = self._journal
        if journal.gone:
            self.lost += journal.gone
            self._untold += journal.gone
            self._why = "the folder was removed"
            journal.gone = 0
            self._warn("removed", f"{journal.path} was removed while recording; it is made anew")
        journal.open()
        self._headed = False

    def _refuse(self, names: list[str]) -> None:
        for name in names:
            self._warn(f"metric {name}", f"metric {name!r} is no number and was left out")
        if self.strict:
            raise TypeError(f"metrics that are no numbers: {', '.join(names)}")

    def _failed(self, what: str, error: Exception) -> None:
        if self.strict:
            raise error
        # A full disk fails every call: it is told once, not once for each of them.
        about = "the file" if error is self._refused else what
        self._warn(about, f"{what} could not be recorded ({type(error).__name__}: {error}); training goes on")

    def _warn(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            _log.warning("foreshock: %s", text)


def _rank() -> str:
    return next((os.environ[name] for name in _RANKS if os.environ.get(name)), "0")


def _safe_name(name: str) -> str:
    """`name` as a part of a file name."""
    return "".join(c if c.isalnum() or c in "_." else "_" for c in name)[:60] or "0"

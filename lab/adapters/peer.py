"""A tool from elsewhere, asked in a process of its own with an interpreter that has it.

The near side is `Peer`; the far side is `serve`, which answers questions, one line of JSON each. Only the
standard library is imported here and in the adapters of peers: the far side has neither Foreshock nor torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Protocol

from lab.adapters.base import Record, Row, ToolError, Watcher


class Host(Protocol):
    """The far side of an adapter: the peer on one run, within the peer's environment."""

    def row(self, step: int, row: Row) -> list[str]:
        """Hand over a row; what the peer says now."""

    def causes(self) -> list[str]:
        """What the peer finds in the run so far, in its own order, translated to the catalogue."""

    def close(self) -> None:
        """Let go of files and threads."""


class Peer:
    """A tool from elsewhere, in a process of its own: `PYTHON -m lab.adapters.NAME`.

    Args:
        name: of the adapter's module, and of the package.
        python: an interpreter that has the package.
        every: rows between two of its checks; 0 for its own default.
        note: how it is used.
    """

    def __init__(self, name: str, python: str, every: int, note: str) -> None:
        self._module = name
        self.name = f"{name}@{every}" if every else name
        self.note = note
        self._python, self._every = python, every
        self._process: subprocess.Popen[str] | None = None
        self._complaints: IO[str] | None = None

    def version(self) -> str:
        """Of the package, and a hash of the adapter, whose table changes what is scored."""
        here = Path(__file__).parent
        content = b"".join((here / f"{name}.py").read_bytes() for name in (self._module, "peer"))
        return f"{self.ask({'version': True})['version']}+{hashlib.sha256(content).hexdigest()[:8]}"

    def every(self, level: str) -> int:
        """It is handed each row; when it checks is its own affair."""
        return 1

    def lacks(self, level: str) -> tuple[str, str]:
        """None of them reads recorded events or makes experiments."""
        if level == "events":
            return ("reads no recorded events",) * 2
        return ("makes no experiments",) * 2 if level == "probes" else ("", "")

    def start(self, level: str) -> Watcher:
        """Begin a run in the peer's process."""
        self.ask({"begin": self._every})
        return _PeerWatcher(self)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """One question, one answer.

        Raises:
            ToolError: the process does not start, ends, or the peer raises.
        """
        if self._process is None:
            self._complaints = tempfile.TemporaryFile("w+")
            places = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
            self._process = subprocess.Popen(
                [self._python, "-m", f"lab.adapters.{self._module}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                text=True,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, places)),
                    "OMP_NUM_THREADS": "1",
                },
            )
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise ToolError(f"{self.name} does not run with {self._python}: {self._last_words()}")
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            raise ToolError(f"{self.name}: {found['error']}")
        return found

    def _last_words(self) -> str:
        """The last line that the process complained."""
        assert self._process and self._complaints
        self._process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().strip().splitlines()
        self.stop()
        return lines[-1] if lines else "no message"

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin and self._process.stdout and self._complaints
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait(timeout=60)
            self._process.stdout.close()
            self._complaints.close()
            self._process = None


class _PeerWatcher:
    """One run in the peer's process; each row goes there once."""

    def __init__(self, peer: Peer) -> None:
        self._peer, self._sent = peer, 0

    def watch(self, seen: Record) -> Sequence[str]:
        told: list[str] = []
        for step, row in zip(seen.steps[self._sent :], seen.rows[self._sent :], strict=True):
            told += self._peer.ask({"step": step, "row": row})["alarms"]
        self._sent = len(seen.steps)
        return told

    def causes(self, seen: Record) -> Sequence[str]:
        self.watch(seen)
        return list(self._peer.ask({"causes": True})["causes"])

    def close(self) -> None:
        self._peer.ask({"end": True})


def serve(version: str, begin: Callable[[int], Host]) -> None:
    """The far side: answer questions on standard input until it ends.

    Args:
        version: of the peer.
        begin: takes the rows between two checks (0: the peer's default), gives a `Host`.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the peer prints is not an answer
    host: Host | None = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer: dict[str, Any] = {}
            if "version" in question:
                answer["version"] = version
            elif "begin" in question:
                host = begin(question["begin"])
            elif host is None:
                raise RuntimeError("no run was begun")
            elif "row" in question:
                answer["alarms"] = host.row(question["step"], question["row"])
            elif "causes" in question:
                answer["causes"] = host.causes()
            else:
                host.close()
        except Exception as error:  # whatever the peer raises is its result on this run
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def ranked(names: Sequence[str], table: Mapping[str, Sequence[str]]) -> list[str]:
    """Causes of findings in their order, each cause once."""
    return list(dict.fromkeys(cause for name in names for cause in table.get(name, ())))


def stand_in_for_transformers() -> None:
    """Let an integration for transformers' Trainer be imported where transformers is not installed."""
    module = ModuleType("transformers")
    module.TrainerCallback = object  # type: ignore[attr-defined]
    sys.modules["transformers"] = module

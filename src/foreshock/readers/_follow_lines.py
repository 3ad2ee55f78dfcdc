"""Reading only what is new in a large log of lines; what comes out is what reading all of it gives.

Parsing is nine tenths of reading. All that was parsed before is kept, and used as long as a checksum says
that the file still begins with it; whatever does not fit is left to the ordinary way.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from foreshock.errors import InputError
from foreshock.readers import foreshock_journal, jsonl
from foreshock.readers._attempts import Tape
from foreshock.readers._groups import plausible
from foreshock.readers._log import Log
from foreshock.readers._sealed import SEALED
from foreshock.readers._sniff import HEAD, MAX_LINE, head_of, loads

_CHUNK = 1024 * 1024
_LARGE = 2 * HEAD  # bytes from which a log is worth it; its head, by which it was recognised, stays


class _Grown(Exception):
    """The file is not what was read before with something added."""


class _Tail:
    """The whole lines of a file, each given once, as long as the file only grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = b""
        self._read = 0
        self._sum = 0

    def new(self) -> list[bytes]:
        """The lines that are new; `torn` is what follows the last line end.

        Raises:
            _Grown: what was read before is not there any more, or a line is very long.
        """
        with self.path.open("rb") as file:
            left, found = self._read, 0
            while left and (chunk := file.read(min(left, _CHUNK))):
                found = zlib.crc32(chunk, found)
                left -= len(chunk)
            if left or found != self._sum:
                raise _Grown
            rest = file.read()
        whole, end, self.torn = rest.rpartition(b"\n")
        lines = (whole + end).split(b"\n")[:-1]
        if max(map(len, [*lines, self.torn]), default=0) >= MAX_LINE - 1:
            raise _Grown
        self._read += len(whole) + len(end)
        self._sum = zlib.crc32(whole + end, self._sum)
        return [line.rstrip(b"\r\n") for line in lines]


class GrowingLines:
    """Reads a log of JSON lines, or a folder of the recorder, again and again.

    Args:
        path: the log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tails: dict[Path, _Tail] = {}
        self._tapes: dict[Path, Tape] = {}
        self._records: jsonl.Records | None = None

    @staticmethod
    def suits(path: Path, logs: Sequence[Log]) -> bool:
        """Whether a log that was read the ordinary way is large and of a kind that can be read so."""
        formats = {log.format for log in logs}
        if path.is_dir():
            sizes = sum(os.stat(journal).st_size for journal in foreshock_journal.journals(path))
            return formats == {foreshock_journal.NAME} and sizes > _LARGE and not (path / SEALED).exists()
        large = path.is_file() and os.stat(path).st_size > _LARGE
        return formats == {jsonl.NAME} and large and head_of(path, 64).lstrip().startswith(b"{")

    def logs(self) -> list[Log] | None:
        """The runs with rows, as reading all of it gives them; None where that must be done."""
        try:
            return self._journals() if self._path.is_dir() else self._lines()
        except (_Grown, InputError, OSError):
            return None

    def _lines(self) -> list[Log] | None:
        tail = self._tails.setdefault(self._path, _Tail(self._path))
        if self._records is None:
            self._records = jsonl.Records(self._path, apart=True)
        for line in tail.new():
            self._records.add(line)
        half = bool(tail.torn.strip())
        if half and jsonl.record_of(tail.torn) is not None:
            return None  # a whole record, only its end is missing
        logs = self._records.logs(torn=half, half=int(half))
        return logs if logs and plausible(len(logs), sum(log.rows for log in logs)) else None

    def _journals(self) -> list[Log] | None:
        paths = list(foreshock_journal.journals(self._path))
        if (self._path / SEALED).exists() or not self._tapes.keys() <= set(paths):
            return None
        torn = 0
        for path in paths:
            tail = self._tails.setdefault(path, _Tail(path))
            tape = self._tapes.setdefault(path, Tape())
            for line in tail.new():
                if line.strip():
                    foreshock_journal.take(tape, line)
            if tail.torn.strip():
                if _is_json(tail.torn):
                    return None
                torn += 1
        tapes = [self._tapes[path] for path in paths]
        return [log for log in foreshock_journal.logs_of(tapes, self._path, torn, 0) if log.rows]


def _is_json(text: bytes) -> bool:
    try:
        loads(text)
    except ValueError:
        return False
    return True

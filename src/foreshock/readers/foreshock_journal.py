"""What Foreshock's own recorder writes: the folder of a run, one of its journals, or a sealed run.

A journal is JSON lines, one file per process; `foreshock seal` packs them into `run.parquet`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foreshock.errors import NotARunError
from foreshock.readers import _attempts
from foreshock.readers._attempts import Tape, joined
from foreshock.readers._log import Log
from foreshock.readers._sealed import SEALED, is_sealed, unsealed
from foreshock.readers._sniff import Lines, head_of, loads

NAME = _attempts.NAME
DESCRIPTION = "Foreshock's own recordings: a run folder, a journal in it, or a sealed `run.parquet`"

_START = b'{"start":{"schema":"foreshock.journal/'


def recognises(path: Path, head: bytes) -> bool:
    """By the first line of a journal, the mark in the footer of a sealed run, or a folder with either."""
    if head.startswith(b"PAR1"):
        return is_sealed(path)
    if head:
        return _begins(head)
    return path.is_dir() and (any(journals(path)) or is_sealed(path / SEALED))


def read(path: Path) -> list[Log]:
    """The run, and runs that were started over in the same folder after it, marked as superseded.

    Raises:
        MissingExtraError: a sealed run, and pyarrow is not installed.
        UnreadableError: a sealed run that was cut or damaged.
        NotARunError: no metrics were recorded.
    """
    tapes = []
    torn = overlong = 0
    sealed = path / SEALED if path.is_dir() else path
    if is_sealed(sealed):
        tapes.append(Tape())
        for record in unsealed(sealed):
            tapes[-1].add(record)
    for journal in journals(path) if path.is_dir() else [path] if not tapes else []:
        lines = Lines(journal)
        tapes.append(_tape(lines))
        torn += lines.torn
        overlong += lines.overlong
    return logs_of(tapes, path, torn, overlong)


def logs_of(tapes: list[Tape], path: Path, torn: int, overlong: int) -> list[Log]:
    """The run that these processes recorded; `torn` and `overlong` lines are left out of their tapes.

    Raises:
        NotARunError: no metrics were recorded.
    """
    logs = joined(tapes, path)
    if not any(log.rows for log in logs):
        raise NotARunError(f"{path} is a recording of Foreshock, but no metrics were logged yet")
    if torn:
        logs[0].note("torn-line", f"{torn} last line(s) were cut (still being written?) and left out.", torn)
    if overlong:
        logs[0].note("overlong-lines", f"{overlong:,} line(s) of extreme length were left out.", overlong)
    return logs


def journals(folder: Path) -> Iterator[Path]:
    """The journals of a folder, one for each process."""
    for path in sorted(folder.glob("journal-*.jsonl")):
        if path.is_file() and _begins(head_of(path)):
            yield path


def _begins(head: bytes) -> bool:
    """Whether a journal starts in the first lines of a file; a full disk may have cut the very first."""
    return head.startswith(_START) or b"\n" + _START in head


def _tape(lines: Lines) -> Tape:
    """The records of one journal; a torn last line is left out, any other broken one is counted."""
    tape = Tape()
    broken = False
    for line in lines:
        if line.strip():
            broken = not take(tape, line)
    if broken and lines.torn:
        tape.bad -= 1
    else:
        lines.torn = False  # a whole record without its line end
    return tape


def take(tape: Tape, line: bytes) -> bool:
    """Add a line to a tape; whether it is whole."""
    try:
        record = loads(line)
    except ValueError:
        tape.bad += 1
        return False
    if isinstance(record, dict):
        tape.add(record)
    else:
        tape.bad += 1
    return True

"""Whether a source has changed, by looking at its files and not into them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from foreshock.readers._folders import MAX_ENTRIES

_DEPTH = 6  # what the readers of folders look into
_SKIPPED = {".git", ".venv", "node_modules", "__pycache__", "site-packages"}
_BESIDE = ("-wal", "-journal")  # what SQLite writes before the database itself changes

Files = frozenset[tuple[str, int, int, int]]


@dataclass(frozen=True)
class Look:
    """What a source looks like from outside.

    Attributes:
        files: (path, inode, size, time of change in ns) of each.
        newest: time of the last change, seconds since 1970; None where nothing is there.
    """

    files: Files
    newest: float | None


NOTHING = Look(frozenset(), None)


def look(path: Path) -> Look:
    """The files of a source; `NOTHING` where it is not there or cannot be looked at."""
    found: list[tuple[str, int, int, int]] = []
    try:
        if path.is_dir():
            _walk(path, found)
            if not found:  # an empty folder is not the same as none
                found.append(_entry(str(path), os.stat(path)))
        else:
            found.append(_opened(path))
            for ending in _BESIDE:
                beside = Path(f"{path}{ending}")
                if beside.exists():
                    found.append(_entry(str(beside), os.stat(beside)))
    except OSError:
        return NOTHING
    return Look(frozenset(found), max(entry[3] for entry in found) / 1e9)


def _opened(path: Path) -> tuple[str, int, int, int]:
    """A single file is opened: a network file system then asks its server and not its memory."""
    if not path.is_file():
        return _entry(str(path), os.stat(path))
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except PermissionError:
        return _entry(str(path), os.stat(path))
    try:
        return _entry(str(path), os.fstat(handle))
    finally:
        os.close(handle)


def _entry(name: str, about: os.stat_result) -> tuple[str, int, int, int]:
    return name, about.st_ino, about.st_size, about.st_mtime_ns


def _walk(folder: Path, found: list[tuple[str, int, int, int]]) -> None:
    """All files of a folder; links to folders are not followed, and a vast folder is looked at in part."""
    waiting = [(str(folder), 0)]
    seen = 0
    while waiting and seen < MAX_ENTRIES:
        place, depth = waiting.pop()
        try:
            entries = list(os.scandir(place))
        except OSError:
            if depth:  # it vanished meanwhile, as old checkpoints do
                continue
            raise
        for entry in entries:
            seen += 1
            try:
                if entry.is_dir(follow_symlinks=False):
                    if depth < _DEPTH and entry.name not in _SKIPPED:
                        waiting.append((entry.path, depth + 1))
                elif entry.is_file():
                    found.append(_entry(entry.path, entry.stat()))
            except OSError:
                continue

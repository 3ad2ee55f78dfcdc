"""The file that a run is written to: append-only lines, one write each, nothing held back in memory.

A line is on its way to the disk when `write` returns: a killed process loses none, and a reader sees it at
once. Only a machine that loses power can lose lines, and `fsync=True` prevents that.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two processes on one file are not noticed there
    fcntl = None  # type: ignore[assignment]


class Journal:
    """One append-only file of lines.

    It opens itself again when it could not be opened, or when its folder was removed, and raises OSError
    from `write` as long as that fails. No lock is held: a line is one system call.
    """

    def __init__(self, folder: Path, name: str, fsync: bool = False) -> None:
        self.folder = folder
        self.name = name
        self.beside = False
        """Whether another process writes to the file of this name, so that ours has another."""
        self.gone = 0
        """Lines that were written to files which somebody has removed since."""
        self._fsync = fsync
        self._fd = -1
        self._written = 0
        self._torn = False

    @property
    def path(self) -> Path:
        """Where lines go now; another name than asked for where another process writes to that."""
        return self.folder / f"{self.name}.jsonl"

    def open(self) -> None:
        """Open for append, creating the folder.

        Raises:
            OSError: it cannot be created or opened.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._fd = self._open_file()
        if not self._locked():
            os.close(self._fd)
            self.beside = True
            self.name = f"{self.name}-{os.getpid()}"
            self._fd = self._open_file()
            self._locked()
        self._torn = not _ends_line(self._fd)

    def _open_file(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        return os.open(self.path, flags, 0o666)  # less the user's umask

    def _locked(self) -> bool:
        """Whether the file is ours; file systems that cannot lock give it to everyone."""
        if fcntl is None:
            return True
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    @property
    def missing(self) -> bool:
        """Whether no file is open, or somebody removed the one that was."""
        if self._fd < 0:
            return True
        if os.fstat(self._fd).st_nlink:
            return False
        self.gone += self._written
        self._written = 0
        self.close()
        return True

    def write(self, lines: bytes, count: int = 1) -> None:
        """Append complete lines in one system call; `count` of them are rows of the run.

        Raises:
            OSError: they are not, or not all, on the disk.
        """
        if self._fd < 0:
            self.open()
        if self._torn:
            lines = b"\n" + lines
        written = os.write(self._fd, lines)
        self._torn = written < len(lines)
        if self._torn:  # the disk is full in the middle of a line
            raise OSError(28, "only a part of the line could be written: no space left on device")
        self._written += count
        if self._fsync:
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; the next `write` would open it again."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = -1


def _ends_line(fd: int) -> bool:
    """Whether a file is empty or ends with a newline."""
    size = os.lseek(fd, 0, os.SEEK_END)
    if not size:
        return True
    os.lseek(fd, size - 1, os.SEEK_SET)
    return os.read(fd, 1) == b"\n"

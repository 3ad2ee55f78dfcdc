"""The readers, in the order in which they are asked: the most specific first.

A reader is one module in this folder with the four members of `Reader`. To add one, write the module and
its page in docs/readers/, and name it here. A module is imported when a file could be its own: all of them
together would take a tenth of the time of a report.
"""

from __future__ import annotations

import importlib
from functools import cached_property
from pathlib import Path
from typing import Protocol, cast

from foreshock.readers._log import Log


class Reader(Protocol):
    """What a reader module provides.

    Attributes:
        NAME: the slug used by `--format` and as `Run.format`.
        DESCRIPTION: one line for the table of formats in the docs.
    """

    @property
    def NAME(self) -> str: ...

    @property
    def DESCRIPTION(self) -> str: ...

    def recognises(self, path: Path, head: bytes) -> bool:
        """Whether this is surely (or, for the plain formats, probably) our format.

        Args:
            path: a file, already decompressed, or a folder.
            head: the first 64 KiB of the file; empty for a folder. May end in the middle of a line
                or of a character. Must not raise, whatever the bytes are; must not read all of a file.
        """

    def read(self, path: Path) -> list[Log]:
        """All runs in `path`, each with its rows as logged, in the order found.

        Never evaluates or unpickles content, streams what may be large, keeps the complete leading part
        of a file that was cut, and says so with a note ("torn-line", "cut-file").

        Raises:
            UnreadableError: ours, but broken beyond a partial read.
            NotARunError: ours, but it holds no metrics.
        """


class _Lazy:
    """A reader whose module is imported only for a path that could be its own.

    Args:
        name: its module.
        sign: bytes without which the head of a file cannot be of its format.
        mark: part of a file name for which it is asked even so.
        module: where it lies, if the file is not named like the format.
    """

    def __init__(self, name: str, sign: bytes = b"", mark: str = "", module: str = "") -> None:
        self.NAME = name
        self._sign = sign
        self._mark = mark
        self._where = f"foreshock.readers.{module or name}"

    @cached_property
    def _module(self) -> Reader:
        return cast(Reader, importlib.import_module(self._where))

    @property
    def DESCRIPTION(self) -> str:
        return self._module.DESCRIPTION

    def recognises(self, path: Path, head: bytes) -> bool:
        if head and self._sign not in head and not (self._mark and self._mark in path.name):
            return False
        return self._module.recognises(path, head)

    def read(self, path: Path) -> list[Log]:
        return self._module.read(path)


READERS: tuple[Reader, ...] = (
    _Lazy("foreshock", module="foreshock_journal"),
    _Lazy("trainer_state"),
    _Lazy("wandb_offline", sign=b"\0", mark=".wandb"),
    _Lazy("tensorboard", sign=b"\0", mark="tfevents"),
    _Lazy("mlflow_sqlite", sign=b"SQLite"),
    _Lazy("mlflow_files", sign=b"(a folder only)"),
    _Lazy("trackio", sign=b"SQLite"),
    _Lazy("parquet", sign=b"PAR1"),
    _Lazy("notebook", sign=b'"cell_type"', mark=".ipynb"),
    _Lazy("verl_console"),
    _Lazy("trl_console"),
    _Lazy("jsonl"),
    _Lazy("json_list"),
    _Lazy("csv_table"),
    _Lazy("kv_console"),
)

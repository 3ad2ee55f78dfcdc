"""The readers, in the order in which they are asked: the most specific first.

A reader is one module in this folder with the four members of `Reader`. To add one, write the module and
its page in docs/readers/, and name it here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from foreshock.readers import (
    csv_table,
    foreshock_journal,
    json_list,
    jsonl,
    kv_console,
    mlflow_files,
    mlflow_sqlite,
    notebook,
    parquet,
    tensorboard,
    trackio,
    trainer_state,
    trl_console,
    verl_console,
    wandb_offline,
)
from foreshock.readers._log import Log


class Reader(Protocol):
    """What a reader module provides.

    Attributes:
        NAME: the slug used by `--format` and as `Run.format`.
        DESCRIPTION: one line for the table of formats in the docs.
    """

    NAME: str
    DESCRIPTION: str

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


READERS: tuple[Reader, ...] = (
    foreshock_journal,
    trainer_state,
    wandb_offline,
    tensorboard,
    mlflow_sqlite,
    mlflow_files,
    trackio,
    parquet,
    notebook,
    verl_console,
    trl_console,
    jsonl,
    json_list,
    csv_table,
    kv_console,
)

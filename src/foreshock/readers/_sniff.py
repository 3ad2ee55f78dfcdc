"""Looking at files with bounded memory: their head, their lines, the name of the run they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

HEAD = 64 * 1024
MAX_LINE = 16 * 1024 * 1024
MAX_DOCUMENT = 512 * 1024 * 1024

# File names that say nothing about the run; its folder says more.
_PLAIN_STEMS = {
    "data", "events", "history", "log", "logs", "log_history", "metrics", "output", "result", "results",
    "scalars", "stdout", "step_logs", "step_stats", "train", "train_log", "train_logs", "train_metrics",
    "trainer_log", "trainer_state", "training", "training_log", "training_logs", "training_metrics",
}  # fmt: skip


def head_of(path: Path, size: int = HEAD) -> bytes:
    """The first `size` bytes of a file."""
    with path.open("rb") as file:
        return file.read(size)


def looks_like_text(head: bytes) -> bool:
    """Whether the bytes could be a text: no NUL, almost no control characters, mostly valid UTF-8."""
    if b"\0" in head:
        return False
    control = sum(head.count(bytes([c])) for c in range(32) if c not in (7, 8, 9, 10, 12, 13, 27))
    broken = head.decode("utf-8", errors="replace").count("�")
    return control + broken <= len(head) // 50


class Lines:
    r"""The lines of a file as bytes without their line end; memory stays bounded whatever the file holds.

    A line longer than `MAX_LINE` is skipped and counted.

    Attributes:
        overlong: lines skipped because of their length, once iterated.
        torn: whether the last line has no line end, once iterated; it may have been cut.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.overlong = 0
        self.torn = False

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            skipping = False
            while line := file.readline(MAX_LINE):
                complete = line.endswith(b"\n")
                if not complete and len(line) == MAX_LINE:
                    skipping = True
                elif skipping:
                    skipping = False
                    self.overlong += 1
                else:
                    self.torn = not complete
                    yield line.rstrip(b"\r\n") if complete else line
            self.overlong += skipping


def run_name(path: Path) -> str:
    """A name for the run in `path`: the file's own, or its folder's where the file's says nothing.

    `runs/seed-3/metrics.jsonl` is "seed-3"; `.../my-run/checkpoint-200/trainer_state.json` is "my-run".
    """
    resolved = path.resolve()
    name = resolved.name if resolved.is_dir() else resolved.stem
    if not resolved.is_dir() and name.lower() in _PLAIN_STEMS:
        resolved = resolved.parent
        name = resolved.name
    if name.startswith("checkpoint-"):
        name = resolved.parent.name
    return name or path.stem or "run"


def loads(text: bytes | str) -> Any:
    """One JSON value; also takes the bare NaN and Infinity that Python's json module writes.

    Raises:
        ValueError: not JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error

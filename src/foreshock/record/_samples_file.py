"""The file of samples: its lines with bounded memory, and how older steps make room for newer ones."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MAX_LINE = 16 << 20


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines with their ends; one that is longer than 16 MiB is passed over.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        whole = True
        while raw := file.readline(_MAX_LINE):
            ends = raw.endswith(b"\n")
            if whole and (ends or len(raw) < _MAX_LINE):
                yield raw
            whole = ends


def decode(raw: bytes) -> dict[str, Any]:
    """The object on a line; empty where it holds none."""
    try:
        value = json.loads(raw)  # orjson refuses lone surrogates and rounds integers of more than 64 bits
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def thin(path: Path, head: re.Pattern[bytes], target: int) -> None:
    """Rewrite a file of samples with at most `target` bytes, by leaving out steps.

    The newest quarter of the steps stays as it is as long as it needs no more than half the room. Of the
    others every second stays, or every fourth, ... so that what is kept is spread evenly.

    Args:
        path: the file.
        head: matches the start of a line; group 2 is the number of its step, counted by the recorder.
        target: bytes.

    Raises:
        OSError: it could not be rewritten; then it is as it was.
    """
    sizes: Counter[int] = Counter()
    for raw in lines_of(path):
        found = head.match(raw)
        if found and raw.endswith(b"\n"):
            sizes[int(found[2])] += len(raw)
    kept = _kept(sizes, target)
    copy = path.with_name(f".{path.stem}.tmp")
    with contextlib.suppress(FileNotFoundError):
        copy.unlink()  # of a process that was killed here
    try:
        handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with open(handle, "wb") as file:
            for raw in lines_of(path):
                found = head.match(raw)
                if found and raw.endswith(b"\n") and int(found[2]) in kept:
                    file.write(raw)
        copy.chmod(path.stat().st_mode & 0o7777)  # whoever may read the samples may go on doing so
        os.replace(copy, path)
    except OSError:
        with contextlib.suppress(OSError):
            copy.unlink()
        raise


def _kept(sizes: Counter[int], target: int) -> set[int]:
    """Numbers of the steps that stay."""
    numbers = sorted(sizes)
    recent: list[int] = []
    used = 0
    for nth in reversed(numbers[len(numbers) * 3 // 4 :]):
        if used + sizes[nth] > target // 2:
            break
        recent.append(nth)
        used += sizes[nth]
    older = numbers[: len(numbers) - len(recent)]
    stride = 1
    while older and used + sum(sizes[nth] for nth in older) > target:
        stride *= 2
        older = [nth for nth in older if nth % stride == 0]
    return {*older, *recent}

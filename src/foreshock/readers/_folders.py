"""Find a tracker's files in a folder without getting lost in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from foreshock.errors import UnreadableError
from foreshock.readers._log import Log

MAX_ENTRIES = 50_000
"""Names looked at before a search gives up, so that a home folder does not take minutes."""
_SKIPPED = {".git", ".venv", "node_modules", "__pycache__", "site-packages"}


def files_under(folder: Path, wanted: Callable[[str], bool], depth: int) -> Iterator[Path]:
    """Files whose name is wanted, folder by folder in the order of their names.

    Links to folders are not followed, so `latest-run` does not show a run twice and no search goes
    round in circles.

    Args:
        folder: where to begin; depth 0 looks at its own files only.
        wanted: decides from the file's name.
        depth: how many levels of sub-folders to enter.
    """
    seen = 0
    for place, subfolders, names in os.walk(folder):
        here = Path(place)
        seen += len(names) + len(subfolders)
        if seen > MAX_ENTRIES:
            return
        level = len(here.parts) - len(folder.parts)
        subfolders[:] = sorted(set(subfolders) - _SKIPPED) if level < depth else []
        for name in sorted(names):
            if wanted(name) and (here / name).is_file():
                yield here / name


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn a failure of the file system (no permission, a lost network drive) into a clear error."""
    try:
        yield
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read: {error.strerror or error}.") from error


def distinguish(logs: Iterable[tuple[Log, str]]) -> list[Log]:
    """The logs with their ids made unique: where two have the same, the text beside each is added."""
    pairs = list(logs)
    taken = Counter(log.id for log, _ in pairs)
    seen: Counter[str] = Counter()
    for log, addition in pairs:
        if taken[log.id] > 1:
            log.id = f"{log.id} ({addition})"
        seen[log.id] += 1
        if seen[log.id] > 1:
            log.id = f"{log.id} #{seen[log.id]}"
    return [log for log, _ in pairs]

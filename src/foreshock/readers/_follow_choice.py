"""Which run of a path is followed, and its attempts from the first to the one that is running."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foreshock.errors import InputError, MetricError, SeveralRunsError, UnreadableError, UsageError
from foreshock.readers._clean import clean
from foreshock.readers._follow_table import Table
from foreshock.readers._open import Candidate, pick, rewards_of, same_run, several
from foreshock.readers._sniff import head_of, looks_like_text

_FEW = 3  # rows of a run that tell nothing yet about which one it is
_ENOUGH = 20  # rows after which a key that the user named, and that never came, is a mistake
_UNKNOWN = 2.0  # seconds of stillness after which unknown bytes stay unknown
_DAMAGED = 60.0  # and a damaged log stays damaged


def attempts_of(
    candidates: Sequence[Candidate], run: str | None, path: str, followed: Table, source: tuple[str, str]
) -> list[Candidate]:
    """The attempts of one run, oldest first; each begins at its first step again.

    Args:
        candidates: everything the path holds.
        run: which one the user named.
        path: for messages.
        followed: the rows handed over so far; they tell the followed run from one that came later.
        source: (file, id) of what is followed.

    Raises:
        SeveralRunsError: several runs, none named, none followed yet.
        UsageError: `run` names nothing.
    """
    if run is not None:
        own = [one for one in candidates if run in (one.log.id, one.log.id.rpartition("#")[0])]
        return _oldest_first(own) if own else [pick(list(candidates), run, path)]
    logs = list({id(one.log): one.log for one in candidates}.values())
    if len(logs) == 1:
        return list(candidates)
    if sum(not log.superseded for log in logs) == 1:
        return _oldest_first(candidates)
    folders = {log.id.partition(" (")[0] for log in logs}
    if len(folders) == 1 and all(log.format == "tensorboard" for log in logs):
        return list(candidates)
    rewards = rewards_of(list(candidates))
    if one := same_run(list(candidates), rewards):
        kept = [each for each in candidates if (each.log.source, each.log.id) == source]
        return kept[:1] or [one]
    for each in candidates if len(followed) else ():
        rows = Table.of(clean(each.log, each.rows, mapping=None, require_reward=False))
        if rows.common(followed) or (each.log.source, each.log.id) == source:
            return [each]
    raise several(path, [one for one in candidates if not one.log.superseded])


def _oldest_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """In the order started: the recorder's reader gives the newest first and marks the others."""
    return sorted(
        candidates, key=lambda one: (not one.log.superseded, -one.number if one.log.superseded else 0)
    )


def may_still_come(error: InputError, path: Path, rows: Sequence[int], still: float) -> bool:
    """Whether what cannot be read now may become the log of a run.

    A path that is not there, an empty file, a text and a folder may. A file of bytes that no reader knows
    is none once nobody writes to it, and a log that is damaged will not heal by itself.

    Args:
        error: what reading it said.
        path: the source.
        rows: how many rows each of its runs has, as far as it was read.
        still: seconds since somebody wrote to it.
    """
    if isinstance(error, SeveralRunsError):
        return min(rows, default=0) < _FEW
    if isinstance(error, MetricError):
        return max(rows, default=0) < _ENOUGH
    if isinstance(error, UsageError):
        return False
    if not path.is_file():
        return path.is_dir() or not path.exists()
    try:
        text = looks_like_text(head_of(path))
    except OSError:
        return True
    return text or still < (_DAMAGED if isinstance(error, UnreadableError) else _UNKNOWN)

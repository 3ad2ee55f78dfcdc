"""`open_run` and `list_runs`: recognise, read, choose one run, clean it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foreshock import signals
from foreshock.errors import ForeshockError, InputError, NotARunError, SeveralRunsError, UsageError
from foreshock.readers._clean import REWARD, attempts, clean
from foreshock.readers._log import Log
from foreshock.readers._recognise import read_file, read_folder, wanted
from foreshock.readers._registry import READERS, Reader
from foreshock.readers._steps import Rows
from foreshock.readers._unpack import plain_file
from foreshock.run import FloatArray, IntArray, Note, Run

_COMPARED = 100  # logs; beyond, several are never looked into to find the one that is meant


@dataclass(frozen=True)
class RunInfo:
    """One run that a path holds.

    Attributes:
        id: what `run=` takes.
        format: the reader that found it.
        rows: rows as logged, before cleaning.
        source: the file or folder it comes from.
    """

    id: str
    format: str
    rows: int
    source: str


@dataclass(frozen=True)
class Candidate:
    """One run that a path holds, or one attempt at it, before cleaning."""

    number: int
    id: str
    log: Log
    rows: Rows


def open_run(
    path: str | Path,
    *,
    run: str | None = None,
    format: str | None = None,
    mapping: Mapping[str, str] | None = None,
    step_key: str | None = None,
    require_reward: bool = True,
) -> Run:
    """Read one run from a log.

    It reads what is there now: a log that is still written gives the rows so far. Nothing in a log is
    evaluated or unpickled, and a file that is no log is refused after a look at its first part.

    Args:
        path: file, folder, archive with one log, or "-" for standard input.
        run: which one, where the path holds several: its id, an unambiguous prefix of it, or its number
            in `list_runs`, counted from 1.
        format: name of a reader, to use it instead of recognising the format.
        mapping: signal -> key of the log ("reward", "length" or a canonical name), over what is guessed.
        step_key: the column that counts steps, over what is guessed.
        require_reward: whether a log without a reward is an error.

    Raises:
        NotARunError: no reader recognises it, or it holds no run.
        UnreadableError: damaged beyond a partial read, or a protected archive.
        SeveralRunsError: it holds several runs and `run` names none.
        MetricError: the reward is missing or could be several keys; a named key does not exist.
        UsageError: `format` or `run` names nothing.
        MissingExtraError: the format needs an optional dependency.
    """
    candidates = candidates_of(path, format, step_key)
    name = _shown(str(path))
    if run is not None:
        chosen = pick(candidates, run, name)
    else:
        chosen = _only([one for one in candidates if not one.log.superseded], name)
    return clean(chosen.log, chosen.rows, mapping=mapping, require_reward=require_reward)


def list_runs(path: str | Path, format: str | None = None) -> tuple[RunInfo, ...]:
    """The runs that a path holds, in the order found; raises like `open_run`."""
    return tuple(
        RunInfo(one.id, one.log.format, len(one.rows), one.log.source)
        for one in candidates_of(path, format, None)
    )


def candidates_of(path: str | Path, format: str | None, step_key: str | None) -> list[Candidate]:
    """Every run of a path; the parts of a file whose step starts over are runs `id#1`, `id#2`, ..."""
    return parts_of(_logs(str(path), _readers(format)), step_key)


def parts_of(logs: Sequence[Log], step_key: str | None) -> list[Candidate]:
    """The runs in these logs, see `candidates_of`."""
    found: list[Candidate] = []
    for log in logs:
        parts = attempts(log, step_key)
        for number, rows in enumerate(parts, 1):
            id = f"{log.id}#{number}" if len(parts) > 1 else log.id
            found.append(Candidate(len(found) + 1, id, log, rows))
    return found


def _readers(format: str | None) -> Sequence[Reader]:
    if format is None:
        return READERS
    chosen = [reader for reader in READERS if reader.NAME == format]
    if not chosen:
        known = ", ".join(reader.NAME for reader in READERS)
        raise UsageError(f"--format {format!r} is no reader; there are: {known}")
    return chosen


def _shown(path: str) -> str:
    """A path in messages."""
    return "standard input" if path == "-" else path


def _logs(path: str, readers: Sequence[Reader]) -> list[Log]:
    with _on_disk(path, readers) as place:
        forced = len(readers) == 1
        try:
            logs = read_folder(place, readers) if place.is_dir() else read_file(place, readers, forced)
        except ForeshockError as error:  # name what the user gave, not where it was unpacked to
            error.args = tuple(str(text).replace(str(place), _shown(path)) for text in error.args)
            raise
        for log in logs:
            _say_where(log, place, path)
    if not any(log.rows for log in logs):
        what = f"is recognised as {logs[0].format} but holds no metric yet" if logs else "holds no run"
        raise NotARunError(f"{_shown(path)} {what}")
    return [log for log in logs if log.rows]


@contextmanager
def _on_disk(path: str, readers: Sequence[Reader]) -> Iterator[Path]:
    """The folder, or a plain file with what `path` holds."""
    place = Path(path)
    try:
        if path != "-" and not place.exists():
            raise InputError(f"no such file or folder: {path}")
        if path != "-" and place.is_dir():
            yield place
            return
        if path != "-" and not (place.is_file() or place.is_fifo()):
            raise InputError(f"{path} is neither a file nor a folder; give a log, or - for standard input")
        with plain_file(path, lambda name, head: wanted(name, head, readers)) as unpacked:
            yield unpacked
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _say_where(log: Log, place: Path, path: str) -> None:
    """Name the source as the user gave it, not the temporary file it was unpacked to."""
    if place != Path(path):
        log.source = path


def pick(candidates: list[Candidate], run: str, path: str) -> Candidate:
    """The run that the user named."""
    named = [one for one in candidates if one.id == run]
    if not named and run.isascii() and run.isdigit() and 0 < int(run) <= len(candidates):
        named = [candidates[int(run) - 1]]
    if not named:
        named = [one for one in candidates if one.id.startswith(run)]
    if not named:
        raise UsageError(f"--run {run!r} is no run in {path}; it holds {_listed(candidates)}")
    if len(named) > 1:
        raise several(path, named, f" that --run {run!r} could mean")
    chosen = named[0]
    chosen.log.id = chosen.id
    return chosen


def _only(candidates: list[Candidate], path: str) -> Candidate:
    """The one run, or the one that is meant beyond doubt.

    Beyond doubt: the only one with a reward; the longest of several copies of one run; and, among the
    attempts in one file that each start over, one with more than twice the rows of every other, or a last
    one longer than all.
    """
    if len(candidates) == 1:
        return candidates[0]
    rewards = rewards_of(candidates) if len(candidates) <= _COMPARED else {}
    if same := same_run(candidates, rewards):
        return same
    if len({id(one.log) for one in candidates}) > 1:
        raise several(path, candidates)
    sizes = [len(one.rows) for one in candidates]
    longest = sizes.index(max(sizes))
    rest = max(size for place, size in enumerate(sizes) if place != longest)
    if not (sizes[longest] > 2 * rest or (longest == len(sizes) - 1 and sizes[longest] > rest)):
        raise several(path, candidates, " that each start from the first step")
    chosen = candidates[longest]
    text = (
        f"The step starts over {len(sizes) - 1} time(s); runs {_listed(candidates)}. The longest, "
        f"{chosen.id}, is shown; --run chooses another."
    )
    chosen.rows.notes.append(Note("restarts", text, len(sizes) - 1))
    return chosen


def rewards_of(candidates: list[Candidate]) -> dict[int, tuple[IntArray, FloatArray]]:
    """(steps, reward) of the candidates that have one, by place."""
    found = {}
    for place, one in enumerate(candidates):
        resolution = signals.resolve(one.rows.columns)
        reward = resolution.canonical.get(REWARD)
        if reward is None and REWARD in resolution.ambiguous:
            reward = one.rows.columns[resolution.ambiguous[REWARD][0]]
        if reward is not None:
            logged = ~np.isnan(reward)
            found[place] = (one.rows.steps[logged], reward[logged])
    return found


def same_run(
    candidates: list[Candidate], rewards: Mapping[int, tuple[IntArray, FloatArray]]
) -> Candidate | None:
    """The run to read where all candidates with a reward are one run, saved more than once."""
    if not rewards:
        return None
    best = max(rewards, key=lambda place: len(rewards[place][0]))
    steps, values = rewards[best]
    for others, reward in rewards.values() if len(rewards) > 1 else ():
        size = len(others)
        if size < 3 or (reward == reward[0]).all():
            return None  # too little to tell one run from another
        # Event files hold float32, so that copies agree to seven digits.
        if not np.array_equal(steps[:size], others) or not np.allclose(
            values[:size], reward, rtol=1e-6, atol=0
        ):
            return None
    chosen = candidates[best]
    if copies := len(rewards) - 1:
        text = f"{copies + 1} of the logs hold the same run; read is {chosen.id}, the longest."
        chosen.rows.notes.append(Note("same-run", text, copies))
    if others_left := len(candidates) - len(rewards):
        text = f"{others_left} other log(s) beside {chosen.id} hold no reward and were left out."
        chosen.rows.notes.append(Note("other-runs", text, others_left))
    return chosen


def several(path: str, runs: list[Candidate], which: str = "") -> SeveralRunsError:
    return SeveralRunsError(
        f"{path} holds {len(runs)} runs{which}: {_listed(runs)}; choose one with --run ID or --run NUMBER",
        [one.id for one in runs],
    )


def _listed(runs: list[Candidate]) -> str:
    shown = ", ".join(f"{one.number}: {one.id} ({len(one.rows):,} rows)" for one in runs[:20])
    return shown + (f" and {len(runs) - 20} more (foreshock runs PATH lists all)" if len(runs) > 20 else "")

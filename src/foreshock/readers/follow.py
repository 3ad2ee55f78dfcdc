"""Following a source that grows: what is new in it since it was last looked at.

A source is looked at from outside (its files, their sizes and times) and read again when something changed,
so it works for every format and on file systems that notify nobody.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from foreshock.errors import InputError, MissingExtraError, UsageError
from foreshock.readers._clean import clean
from foreshock.readers._follow_choice import attempts_of, may_still_come
from foreshock.readers._follow_lines import GrowingLines
from foreshock.readers._follow_stat import Look, look
from foreshock.readers._follow_table import Row, Table
from foreshock.readers._open import Candidate, candidates_of, parts_of
from foreshock.run import Note, Run

__all__ = ["Follower", "Row", "Table", "Update", "follow"]

SETTLE = 2.0
"""Seconds of stillness after which a last row is taken as finished."""
_LOOKING = 100  # times the cost of looking, and
_READING = 30  # of reading, to wait before the next time: 1 % and 3 % of a core


@dataclass(frozen=True)
class Update:
    """What one look at a source brought.

    Attributes:
        rows: finished rows, in the order of their steps, that were not handed over before.
        rewound: rows from this step on, handed over before, are void; a resume or rewritten rows.
        replaced: all rows handed over before belong to another run; this is a new one under the same path.
        run: the run as read now, with rows that are not finished yet; None before the first.
        notes: repairs of a kind that was not told before.
        waiting: why there is nothing to read yet, or nothing just now; else "".
        more: whether there is more already; poll again without waiting.
    """

    rows: Table = field(default_factory=Table.empty)
    rewound: int | None = None
    replaced: bool = False
    run: Run | None = None
    notes: tuple[Note, ...] = ()
    waiting: str = ""
    more: bool = False


class Follower:
    """Follows one run at a path that exists or will exist.

    All rows handed over, less those that were said to be rewound or replaced, are the rows of `open_run` on
    the finished log, however its growth was cut into pieces; a run that was started over in the same place
    is handed over attempt by attempt. A row is finished when a later one exists or nobody wrote for a while.
    Rows that vanish from the source (a rotated file) stay handed over.

    It cannot see what a writer holds back, and a row that grows after it was handed over is handed over
    again, after `rewound`.

    Args:
        path: what `open_run` takes, but standard input and pipes.
        run, format, mapping, step_key: as for `open_run`.
        settle: seconds without a write after which the last row is taken as finished.
        clock: seconds that never go back.
        wall: seconds since 1970, to learn the age of what is there when it is first seen.

    Raises:
        UsageError: standard input, or a pipe.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        run: str | None = None,
        format: str | None = None,
        mapping: Mapping[str, str] | None = None,
        step_key: str | None = None,
        settle: float = SETTLE,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if str(path) == "-" or Path(path).is_fifo():
            raise UsageError(
                "a pipe cannot be followed; write it to a file and watch that, or start the training with: "
                "foreshock run -- COMMAND"
            )
        self.path = Path(path)
        self._name, self._format, self._mapping, self._step_key = run, format, mapping, step_key
        self._settle, self._clock, self._wall = settle, clock, wall
        self._look: Look | None = None
        self._read: Look | None = None
        self._changed = clock()
        self._lines: GrowingLines | None = None
        self._attempts: list[Candidate] = []
        self._at = 0
        self._run: Run | None = None
        self._handed = Table.empty()
        self._source = ("", "")
        self._unfinished = False  # the last row is held back
        self._turned = False  # to the next attempt
        self._told: set[str] = set()
        self._waiting = ""
        self._rest = 0.0

    @property
    def handed(self) -> Table:
        """The rows of this run that were handed over and are not void."""
        return self._handed

    @property
    def held(self) -> bool:
        """Whether a last row is held back because it may still grow."""
        if self._run is None:
            return False
        return not len(self._handed) or bool(self._run.steps[-1] > self._handed.steps[-1])

    @property
    def age(self) -> float:
        """Seconds since the source last changed."""
        return max(0.0, self._clock() - self._changed)

    @property
    def rest(self) -> float:
        """Seconds to leave the source alone so that following it stays cheap."""
        return self._rest

    def poll(self, final: bool = False) -> Update:
        """What is new; `final` takes the last row as finished and says at once what cannot be read.

        Raises:
            InputError: what is there is no log and will not become one; see `open_run`.
            MissingExtraError: the format needs an optional dependency.
        """
        began = time.thread_time()
        fresh = self._looked()
        looked = time.thread_time()
        self._rest = _LOOKING * (looked - began)
        if fresh or (final and self._run is None):
            self._reread(final)
            self._rest += _READING * (time.thread_time() - looked)
        settled = final or self.age >= self._settle
        fresh, self._turned = fresh or self._turned, False
        if not self._attempts or not (fresh or self._later or (self._unfinished and settled)):
            return Update(run=self._run, waiting=self._waiting)
        return self._advance(settled)

    def _looked(self) -> bool:
        """Look at the source from outside; whether it must be read."""
        seen = look(self.path)
        if seen != self._look:
            first, self._look = self._look is None, seen
            self._changed = self._clock()
            if first and seen.newest is not None:
                self._changed -= max(0.0, self._wall() - seen.newest)
        return seen != self._read or bool(self._waiting)

    def _reread(self, final: bool) -> None:
        self._read = self._look
        sizes: list[int] = []
        try:
            candidates = self._candidates()
            sizes += [len(one.rows) for one in candidates]
            attempts = attempts_of(candidates, self._name, str(self.path), self._handed, self._source)
            at = min(self._at, len(attempts) - 1)
            self._run = self._clean(attempts[at])
        except MissingExtraError:
            raise
        except InputError as error:
            if final or not (len(self._handed) or may_still_come(error, self.path, sizes, self.age)):
                raise
            self._waiting = str(error)
            return
        self._waiting = ""
        self._attempts, self._at = attempts, at
        self._source = (attempts[at].log.source, attempts[at].log.id)

    def _candidates(self) -> list[Candidate]:
        logs = self._lines.logs() if self._lines is not None else None
        if logs:
            return parts_of(logs, self._step_key)
        self._lines = None
        candidates = candidates_of(self.path, self._format, self._step_key)
        if GrowingLines.suits(self.path, [one.log for one in candidates]):
            self._lines = GrowingLines(self.path)
        return candidates

    def _clean(self, attempt: Candidate) -> Run:
        return clean(attempt.log, attempt.rows, mapping=self._mapping, require_reward=False)

    @property
    def _later(self) -> bool:
        """Whether the run was started over after the attempt that is handed over now."""
        return self._at + 1 < len(self._attempts)

    def _advance(self, settled: bool) -> Update:
        """Hand over what is finished of this attempt, or go on to the next."""
        run = self._run
        assert run is not None
        later = self._later
        rows = Table.of(run)
        self._unfinished = not settled and not later
        finished = len(rows) - self._unfinished
        kept, new = self._meeting(rows)
        if kept < len(self._handed) and new >= finished:
            kept, new = len(self._handed), finished  # the row that differs may still grow
        rewound = int(min(self._handed.steps[kept], rows.steps[new])) if kept < len(self._handed) else None
        replaced = kept == 0 and self._handed.contradicts(rows) and rewound is not None
        more = rows.cut(new, finished) if new < finished else Table.empty()
        self._handed = self._handed.cut(0, kept).joined(more)
        if not (len(more) or rewound is not None) and later:
            return self._next_attempt()
        return Update(
            more, None if replaced else rewound, replaced, run, self._new_notes(run), self._waiting, later
        )

    def _meeting(self, rows: Table) -> tuple[int, int]:
        """How many of the rows handed over still hold, and from which of `rows` on others follow."""
        if not len(rows):
            return len(self._handed), 0
        gone = int(self._handed.steps.searchsorted(rows.steps[0]))  # rotated away
        same = self._handed.cut(gone).common(rows)
        return (len(self._handed), same) if same == len(rows) else (gone + same, same)

    def _next_attempt(self) -> Update:
        self._at += 1
        self._run = self._clean(self._attempts[self._at])
        self._handed = Table.empty()
        self._turned = True
        return Update(replaced=True, run=self._run, notes=self._new_notes(self._run), more=True)

    def _new_notes(self, run: Run) -> tuple[Note, ...]:
        new = tuple({note.kind: note for note in run.notes if note.kind not in self._told}.values())
        self._told |= {note.kind for note in new}
        return new


def follow(
    path: str | os.PathLike[str],
    *,
    interval: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
    run: str | None = None,
    format: str | None = None,
    mapping: Mapping[str, str] | None = None,
    step_key: str | None = None,
) -> Iterator[Update]:
    """What is new in a source, for ever: only updates that bring rows, void some, or name another run.

    Args:
        path: as for `Follower`.
        interval: seconds between two looks, at least; more where a look costs much.
        sleep: called with the seconds to wait.
        run: which one, as for `open_run`.
        format: name of a reader, likewise.
        mapping: signal -> key, likewise.
        step_key: the column that counts steps, likewise.

    Raises:
        InputError: see `Follower.poll`.
    """
    follower = Follower(Path(path), run=run, format=format, mapping=mapping, step_key=step_key)
    while True:
        update = follower.poll()
        if len(update.rows) or update.replaced or update.rewound is not None:
            yield update
        if not update.more:
            sleep(max(interval, follower.rest))

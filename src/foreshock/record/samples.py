"""A few raw completions of each step, bounded on disk: what re-scoring and a reader need."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foreshock.record._encode import line
from foreshock.record._samples_clean import Cleaner
from foreshock.record._samples_file import decode, lines_of, thin

_HEAD = re.compile(rb'\{"step":(-?\d+),"nth":(\d+),')
_log = logging.getLogger("foreshock")


@dataclass(frozen=True)
class Sample:
    """One completion as it was scored.

    Attributes:
        step: training step.
        process: name of the process that recorded it.
        row: its place in the batch of that process.
        rows: completions in that batch.
        prompt: a text, or chat messages as they were given.
        completion: a text, or chat messages.
        rewards: per reward function; None = not scored, NaN = scored as NaN.
        columns: what else was given for it (answer, source, ...).
        cut: whether a text was too long and was cut.
        time: seconds since 1970.
    """

    step: int
    process: str
    row: int
    rows: int
    prompt: Any
    completion: Any
    rewards: Mapping[str, float | None] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    cut: bool = False
    time: float = 0.0


class Reservoir:
    """Keeps `per_step` completions of each step, drawn uniformly from all completions of the step.

    Uniformly, and not whole groups: every completion has the same chance, so a share among the samples (how
    many a new reward function scores otherwise) is an unbiased estimate for the step; and as the completions
    of one prompt resemble each other, four of different prompts say more than four of one. The reward of a
    completion can be computed again without its group; only its advantage cannot. The draw depends on
    `seed`, process and step alone and leaves the random numbers of the training untouched.

    The files of a process never hold more than `max_bytes`: when they would, steps are thinned to every
    second, fourth, ... one, evenly over the run, but for the newest quarter. One `write` a step; the file is
    thinned into another that then replaces it, so a crash loses nothing.
    """

    def __init__(
        self,
        folder: Path,
        process: str = "0",
        *,
        per_step: int = 4,
        max_bytes: int = 64 << 20,
        redact: Callable[[str], str] | None = None,
        seed: int = 0,
    ) -> None:
        """Begin, or go on with the file of an earlier attempt.

        Args:
            folder: the folder of the run.
            process: name of this process; it has a file of its own.
            per_step: completions kept of each step.
            max_bytes: what the file may take, with the copy that thinning makes.
            redact: is given every text (prompts, completions, columns, keys within them) before anything is
                written. If it raises or gives no text, the sample is dropped, not written. With it, prompts
                and completions that are token ids are left out: it could not see what they say.
            seed: of the draw.
        """
        self.path = Path(folder) / f"samples-{process}.jsonl"
        self.dropped = 0
        """Samples that were not written: the hook failed, or there was no room."""
        self._process = process
        self._per_step = per_step
        self._max_bytes = max_bytes
        self._redact = redact
        self._seed = seed
        self._warned: set[str] = set()
        self._torn, self._nth = _tail(self.path)
        self._attempt = self._nth

    def step(
        self,
        step: int,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rewards: Mapping[str, Sequence[float | None]],
        /,
        **columns: Any,
    ) -> None:
        """Keep some completions of a step.

        Args:
            step: the training step.
            prompts: one per completion, or one per group of equally many completions in a row.
            completions: texts or lists of chat messages.
            rewards: per reward function one value per completion; None where it was not scored.
            columns: one value per completion, or one for all. Token ids (names that end with "_ids") and
                sequences of another length are left out.

        Raises:
            OSError: the samples could not be written.
        """
        rows = len(completions)
        if not rows or not len(prompts) or rows % len(prompts):
            self._drop(min(self._per_step, rows), "rows", "prompts and completions do not fit together")
            return
        aligned = self._aligned({**rewards}, rows, "reward")
        more = self._aligned({k: v for k, v in columns.items() if not k.endswith("_ids")}, rows, "column")
        self._nth += 1
        lines = []
        draw = random.Random(f"{self._seed}/{self._process}/{step}")
        for row in sorted(draw.sample(range(rows), min(self._per_step, rows))):
            try:
                clean = Cleaner(self._redact)
                record = {
                    "step": int(step),
                    "nth": self._nth,
                    "attempt": self._attempt,
                    "time": round(time.time(), 3),
                    "row": row,
                    "rows": rows,
                    "prompt": clean.text(prompts[row * len(prompts) // rows]),
                    "completion": clean.text(completions[row]),
                    "rewards": {name: _number(values[row]) for name, values in aligned.items()},
                    "columns": {name: clean.value(values[row]) for name, values in more.items()},
                }
                lines.append(line({**record, "cut": True} if clean.cut else record))
            except Exception as error:  # whatever a user's hook or object raises: nothing raw is written
                self._drop(1, "clean", f"a sample was dropped ({type(error).__name__} while cleaning it)")
        self._append(lines)

    def _aligned(self, columns: dict[str, Any], rows: int, what: str) -> dict[str, Sequence[Any]]:
        """The columns that have a value per completion; single values are repeated."""
        aligned: dict[str, Sequence[Any]] = {}
        for name, values in columns.items():
            if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__len__"):
                if what == "column":
                    aligned[name] = [values] * rows
            elif len(values) == rows:
                aligned[name] = values
            else:
                self._warn(
                    f"{what} {name}", f"{what} {name!r} has {len(values)} values for {rows} completions"
                )
        return aligned

    def _append(self, lines: list[bytes]) -> None:
        """Write the lines, as many as there is room for, in one call."""
        room = self._max_bytes * 2 // 3  # the last third is for the copy while thinning
        while lines and sum(map(len, lines)) > room // 3:
            lines.pop()
            self._drop(1, "room", "samples are too large for max_bytes")
        if not lines:
            return
        data = b"".join(lines)
        size = self.path.stat().st_size if self.path.exists() else 0
        if size and size + len(data) + 1 > room:
            thin(self.path, _HEAD, self._max_bytes // 3)
            self._torn = False
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        handle = os.open(self.path, flags, 0o666)  # less the user's umask
        try:
            data = b"\n" + data if self._torn else data
            self._torn = True
            if os.write(handle, data) < len(data):
                raise OSError(errno.ENOSPC, "only a part of the samples could be written")
            self._torn = False
        finally:
            os.close(handle)

    def _drop(self, count: int, about: str, text: str) -> None:
        self.dropped += count
        self._warn(about, text)

    def _warn(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            _log.warning("foreshock: %s", text)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _tail(path: Path) -> tuple[bool, int]:
    """(whether the file ends within a line, number of the last step in it)."""
    torn, nth = False, 0
    with contextlib.suppress(OSError):
        for raw in lines_of(path):
            head = _HEAD.match(raw)
            nth = max(nth, int(head[2])) if head else nth
            torn = not raw.endswith(b"\n")
    return torn, nth


def read_samples(folder: str | os.PathLike[str]) -> list[Sample]:
    """All samples in the folder of a run, by step, process and row; also while it is being written.

    Lines that cannot be read are passed over. Where an attempt was resumed, the later one counts: what the
    earlier one had recorded from that step on is left out.
    """
    samples: list[Sample] = []
    for path in sorted(Path(folder).glob("samples-*.jsonl")):
        kept: list[Sample] = []
        attempt = None
        for sample, of_attempt in _samples(path):
            while of_attempt != attempt and kept and kept[-1].step >= sample.step:
                kept.pop()
            attempt = of_attempt
            kept.append(sample)
        samples += kept
    return sorted(samples, key=lambda sample: (sample.step, sample.process, sample.row))


def _samples(path: Path) -> Iterator[tuple[Sample, Any]]:
    """Samples in the order of lines, each with a mark of the attempt that wrote it."""
    process = path.stem.removeprefix("samples-")
    with contextlib.suppress(OSError):
        for raw in lines_of(path):
            record = decode(raw)
            sample = _sample(record, process)
            if sample is not None:
                yield sample, record.get("attempt")


def _sample(record: Mapping[str, Any], process: str) -> Sample | None:
    step, rewards, columns = record.get("step"), record.get("rewards"), record.get("columns")
    if type(step) is not int or "completion" not in record:
        return None
    try:
        return Sample(
            step=step,
            process=process,
            row=int(record.get("row", 0)),
            rows=int(record.get("rows", 0)),
            prompt=record.get("prompt"),
            completion=record["completion"],
            rewards={k: _number(v) for k, v in rewards.items()} if isinstance(rewards, dict) else {},
            columns=columns if isinstance(columns, dict) else {},
            cut=bool(record.get("cut", False)),
            time=float(record.get("time", 0.0)),
        )
    except (TypeError, ValueError):
        return None

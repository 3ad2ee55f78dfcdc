"""What Foreshock's recorder wrote, put together: attempts of several processes become one run.

Every start of a training is an attempt, numbered per process. What a later attempt logs again replaces what
the earlier ones logged from its first step on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foreshock.readers._log import Log
from foreshock.readers._records import flatten
from foreshock.run import Event

NAME = "foreshock"
SCHEMA = "foreshock.journal/1"


@dataclass
class Attempt:
    """What one process recorded from one start to its end."""

    process: str = "0"
    number: int = 1
    run: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    evidence: list[Event] = field(default_factory=list)
    lost: int = 0
    reasons: list[str] = field(default_factory=list)
    end: Mapping[str, Any] | None = None

    @property
    def first_step(self) -> int | None:
        """The lowest step with metrics; None where none was logged."""
        return min((step for step, _ in self.rows), default=None)

    def opened(self, step: int) -> None:
        """Date what was found at the start: the recorder only knew where the attempt before had ended."""
        self.events = [replace(event, step=min(event.step, step)) for event in self.events]
        self.evidence = [replace(record, step=min(record.step, step)) for record in self.evidence]


@dataclass
class Tape:
    """Takes the records of one process in the order written and sorts them into attempts."""

    attempts: list[Attempt] = field(default_factory=list)
    bad: int = 0
    carried: bool = False
    """Whether what comes was only left behind for a resume; the sealed run holds it."""

    def add(self, record: Mapping[str, Any]) -> None:
        """Take one line; one of no known form is counted as bad."""
        start = record.get("start")
        if isinstance(start, dict):
            self.carried = bool(start.get("sealed"))
            if not self.carried:
                self._begin(start)
        elif self.carried:
            return
        elif not self.attempts or not self._take(self.attempts[-1], record):
            self.bad += 1

    def _begin(self, start: Mapping[str, Any]) -> None:
        number = start.get("attempt")
        attempt = Attempt(
            str(start.get("process", "0")),
            number if isinstance(number, int) else len(self.attempts) + 1,
            str(start.get("run", "")),
            dict(facts) if isinstance(facts := start.get("facts"), dict) else {},
        )
        last = self.attempts[-1] if self.attempts else None
        if last and (last.process, last.number) == (attempt.process, attempt.number):
            last.facts.update(attempt.facts)  # the file was made anew in the middle of an attempt
        else:
            self.attempts.append(attempt)

    @staticmethod
    def _take(attempt: Attempt, record: Mapping[str, Any]) -> bool:
        step = record.get("step")
        if "metrics" in record or "event" in record or "evidence" in record:
            if not isinstance(step, int) or abs(step) >= 2**53:
                return False
            return _at_step(attempt, step, record)
        if isinstance(record.get("lost"), int):
            attempt.lost += record["lost"]
            attempt.reasons.append(str(record.get("why", "")))
        elif isinstance(record.get("facts"), dict):
            attempt.facts.update(record["facts"])
        elif isinstance(record.get("end"), dict):
            attempt.end = record["end"]
        else:
            return False
        return True


def _at_step(attempt: Attempt, step: int, record: Mapping[str, Any]) -> bool:
    metrics, data = record.get("metrics"), record.get("data", {})
    if isinstance(metrics, dict):
        if not attempt.rows:
            attempt.opened(step)
        attempt.rows.append((step, flatten(metrics)))
        return True
    if not isinstance(data, dict):
        return False
    if isinstance(record.get("event"), str):
        payload = {"text": record.get("text", ""), "process": attempt.process, **data}
        attempt.events.append(Event(step, record["event"], payload))
    elif isinstance(record.get("evidence"), str):
        attempt.evidence.append(Event(step, record["evidence"], data))
    else:
        return False
    return True


def joined(tapes: list[Tape], path: Path) -> list[Log]:
    """The run of these processes, the newest first where it was started over from its first step.

    Runs that were started over are marked as superseded.
    """
    by_number: dict[int, list[Attempt]] = {}
    for tape in tapes:
        for attempt in tape.attempts:
            by_number.setdefault(attempt.number, []).append(attempt)
    runs: list[list[list[Attempt]]] = []
    for number in sorted(by_number):
        generation = sorted(by_number[number], key=lambda one: (len(one.process), one.process))
        first = _first_step(generation)
        if runs and (first is None or any((_first_step(g) or 0) < first for g in runs[-1] if g)):
            runs[-1].append(generation)
        elif runs and all(_first_step(g) is None for g in runs[-1]):
            runs[-1].append(generation)  # the attempts before it ended before their first step
        else:
            runs.append([generation])
    logs = [_one_run(generations, path) for generations in runs]
    if len(logs) > 1:
        _mark_superseded(logs)
    for log, bad in zip(logs[-1:], [sum(tape.bad for tape in tapes)], strict=False):
        if bad:
            log.note("bad-lines", f"{bad:,} line(s) of no known form were left out.", bad)
    return logs[::-1]


def _mark_superseded(logs: list[Log]) -> None:
    for number, log in enumerate(logs, 1):
        log.superseded = number < len(logs)
        log.id = f"{log.id}#{number}"
    older = ", ".join(f"{log.id} ({log.rows:,} rows)" for log in logs[:-1])
    count = len(logs) - 1
    text = f"The run was started over {count} time(s) in this folder; --run shows an earlier one: {older}."
    logs[-1].note("restarts", text, count)


def _first_step(generation: list[Attempt]) -> int | None:
    firsts = [one.first_step for one in generation if one.first_step is not None]
    return min(firsts, default=None)


def _one_run(generations: list[list[Attempt]], path: Path) -> Log:
    """One run from its attempts, each a list of what its processes recorded."""
    names = [one.run for generation in generations for one in generation if one.run]
    log = Log(names[-1] if names else path.stem, str(path), NAME)
    for place, generation in enumerate(generations):
        until = min((s for g in generations[place + 1 :] if (s := _first_step(g)) is not None), default=None)
        if place:
            _tell_resume(log, generation, generations[:place])
        _add_rows(log, generation, until)
        for one in generation:
            log.facts.update(one.facts)
            log.events += [event for event in one.events if until is None or event.step < until]
            log.evidence += [record for record in one.evidence if until is None or record.step < until]
            for record in one.evidence:
                if record.kind == "config" and isinstance(record.payload.get("config"), dict):
                    log.facts["config"] = record.payload["config"]
    _tell_losses(log, [one for generation in generations for one in generation])
    log.facts["attempts"] = len(generations)
    log.facts["processes"] = len(generations[-1])
    # A tap copies what W&B and Trackio log, and with it their way of numbering calls.
    log.steps_count_calls = bool(log.facts.pop("steps_count_calls", False))
    log.facts["ended"] = all(one.end is not None for one in generations[-1])
    if error := next((one.end["error"] for one in generations[-1] if one.end and "error" in one.end), None):
        log.facts["error"] = str(error)
    return log


def _add_rows(log: Log, generation: list[Attempt], until: int | None) -> None:
    """Rows of all processes; what a process logs that an earlier one logs too is left out."""
    rows = []
    taken: set[str] = set()
    left_out = 0
    for one in generation:
        own: set[str] = set()
        for step, values in one.rows:
            if until is not None and step >= until:
                continue
            kept = {key: value for key, value in values.items() if key not in taken} if taken else values
            left_out += len(values) - len(kept)
            own |= kept.keys()
            if kept:
                rows.append((step, kept))
        taken |= own
    if len(generation) > 1:
        rows.sort(key=lambda row: row[0])
    for step, values in _by_step(rows):
        log.add(values, step)
    if left_out:
        text = (
            f"{left_out:,} values that several processes logged under one name were left out; those of "
            f"process {generation[0].process} are shown."
        )
        log.note("other-processes", text, left_out)


def _by_step(rows: list[tuple[int, dict[str, float]]]) -> Iterator[tuple[int, dict[str, float]]]:
    """One row a step where evidence and metrics of it stand in rows of their own."""
    held: tuple[int, dict[str, float]] | None = None
    for step, values in rows:
        if held is not None and held[0] == step and held[1].keys().isdisjoint(values):
            held = (step, {**held[1], **values})
            continue
        if held is not None:
            yield held
        held = (step, values)
    if held is not None:
        yield held


def _tell_resume(log: Log, generation: list[Attempt], before: list[list[Attempt]]) -> None:
    """Say that an attempt went on from an earlier one, and what it replaced."""
    first = _first_step(generation)
    if first is None:
        return
    replaced = len({step for g in before for one in g for step, _ in one.rows if step >= first})
    number = generation[0].number
    text = f"Attempt {number} resumed at step {first}"
    text += f"; {replaced:,} step(s) of the attempt before were replaced." if replaced else "."
    if not any(event.kind == "resumed" for one in generation for event in one.events):
        log.events.append(Event(first, "resumed", {"text": text, "attempt": number, "replaced": replaced}))
    if replaced:
        log.note("resume", text, replaced)


def _tell_losses(log: Log, attempts: list[Attempt]) -> None:
    lost = sum(one.lost for one in attempts)
    if lost:
        reasons = ", ".join(sorted({reason for one in attempts for reason in one.reasons if reason}))
        log.note("lost-rows", f"{lost:,} row(s) could not be recorded ({reasons}).", lost)

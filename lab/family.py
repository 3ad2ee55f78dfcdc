"""Train one family of the corpus: a clean run, and at each onset a fork with a fault in it.

A fork is a copy of the whole training in memory, taken just before its onset; it goes on with the fault while
the clean run waits. So each faulty run equals its twin until the onset, and the twin costs nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from lab import faults
from lab.plan import Family, Fork
from lab.recording import Recording, clock, facts
from lab.run import finite
from lab.train import Row, Training

JUDGED = 10  # steps from the onset on that a fault's check is given
SAVED_EVERY = 20

Run = dict[str, Any]
"""What a part of the corpus holds of a run: id, facts, truth, rows, evidence, events, samples, twin."""


class _Course:
    """A training with its record, clean or forked."""

    def __init__(self, family: Family, folder: Path) -> None:
        self.family, self.folder = family, folder
        self.commits = 0
        self.prefix = -1  # lines of the journal before the fork, which then has a start line
        self.fault = faults.find("none", at=0)
        self.known: list[Row] = []  # per step all that is known of it
        self.training = Training(dataclasses.replace(family.options))
        for event in family.harmless:
            event.prepare(self.training)
        self._record()

    def _record(self) -> None:
        """Open the record; when called again, as a process does that was started anew."""
        training, family = self.training, self.family
        commit = hashlib.sha1(f"{family.options.seed}/{self.commits}".encode()).hexdigest()
        self.recording = Recording(
            self.folder,
            training.options,
            self.folder.name,
            samples=4 if family.samples else 0,
            commit=commit,
            first=training.done + 1,
        )

    def advance(self) -> None:
        """One step: the fault and what else is due, then training and recording."""
        training, step = self.training, self.training.done + 1
        if step == self.fault.at:
            self.fault.install(training)
            self.fault.act(training)
        for event in self.family.harmless:
            if event.step == step:
                event.act(training)
                if event.restarts:
                    self.commits += event.commits
                    self.recording.close()
                    self._record()
                else:
                    self.recording.recorder.event(event.kind, "The next part of the curriculum.", step=step)
        before = training.tokens
        metrics, secret, batch = training.step()
        metrics["step_time"] = clock(training, training.tokens - before)
        self.recording.step(training, metrics, batch, secret["lag"])
        self.known.append({**metrics, **secret})
        if step % SAVED_EVERY == 0:
            self.recording.recorder.event("checkpoint_saved", f"Checkpoint of step {step}.", step=step)

    def fork(self, fork: Fork) -> _Course:
        """The faulty run from here to its end; the clean one is as before."""
        aside = self.folder.with_suffix(".clean")
        self.folder.rename(aside)
        shutil.copytree(aside, self.folder)
        other = _Course.__new__(_Course)
        vars(other).update(vars(self))
        other.known = []
        other.prefix = len(_lines(self.folder))
        other.recording, other.training = self.recording.fork(self.training)
        other.fault = faults.find(fork.fault, fork.dose, fork.onset)
        while other.training.done < fork.end:
            other.advance()
        other.recording.close()
        other.folder = self.folder.with_suffix(f".{fork.fault}.{fork.dose}")
        self.folder.rename(other.folder)
        aside.rename(self.folder)
        return other


def train(family: Family) -> list[Run]:
    """All runs of a family, the healthy one first."""
    torch.set_num_threads(1)
    forked: list[tuple[int, Fork, _Course]] = []
    with tempfile.TemporaryDirectory() as folder:
        course = _Course(family, Path(folder) / "run")
        while course.training.done < family.steps:
            step = course.training.done + 1
            for nth, fork in enumerate(family.forks, 1):
                if fork.onset == step:
                    forked.append((nth, fork, course.fork(fork)))
            course.advance()
        course.recording.close()
        runs = [{**_run(family, 0, course, family.end), "twin": []}]
        for nth, fork, other in forked:
            truth = _judged(fork, course.known, other)
            run = _run(family, nth, other, fork.end)
            run["truth"] |= {"twin": family.identity(0), **truth}
            run["twin"] = _twin(course.folder, other.folder, fork)
            runs.append(run)
    return runs


def _judged(fork: Fork, known: list[Row], other: _Course) -> dict[str, Any]:
    """What the truth says of a fault, its check included."""
    clean = known[fork.onset - 1 : fork.end][:JUDGED]
    check = other.fault.check(clean, other.known[:JUDGED])
    return {
        "fault": fork.fault,
        "cause": other.fault.cause,
        "dose": fork.dose,
        "onset": fork.onset,
        "acted": check.acted,
        "check": check.text,
    }


def _run(family: Family, nth: int, course: _Course, end: int) -> Run:
    """What a run's owner has, up to its last step."""
    truth = {
        "fault": "none",
        "cause": faults.find("none").cause,
        "dose": 0.0,
        "onset": None,
        "twin": None,
        "split": family.split,
        "task": family.options.task,
        "acted": True,
        "check": "",
        "options": dataclasses.asdict(family.options),
    }
    run: Run = {"id": family.identity(nth), "facts": facts(family.options), "truth": truth}
    run |= told(_lines(course.folder), course.prefix, end, salt=str(family.number))
    path = course.folder / "samples-0.jsonl"
    kept = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    names = ("step", "row", "rows", "prompt", "completion", "rewards", "columns")
    run["samples"] = [{name: each[name] for name in names} for each in kept if each["step"] <= end]
    return run


def told(lines: list[str], prefix: int, end: int, salt: str) -> Run:
    """Rows, evidence and events of a journal up to a step; a restart becomes an event.

    The start line after the first `prefix` lines is a fork's, which is no restart.
    """
    rows: dict[int, Row] = {}
    evidence, events = [], []
    attempts, restarted = 0, False
    for place, line in enumerate(lines):
        record = json.loads(neutral(line, salt))
        if "start" in record and place != prefix:
            attempts += 1
            restarted = attempts > 1
        if record.get("step", end + 1) > end:
            continue
        step = record["step"]
        if restarted:
            text, data = f"Attempt {attempts} resumed at step {step}.", {"attempt": attempts, "replaced": 0}
            events.append({"step": step, "kind": "resumed", "text": text, "data": data})
            restarted = False
        if "metrics" in record:
            numbers = {name: float(value) for name, value in record["metrics"].items()}
            rows[step] = {**rows.get(step, {}), **numbers}
        elif "evidence" in record:
            evidence.append({"step": step, "kind": record["evidence"], "data": record["data"]})
        else:
            event = {"step": step, "kind": record["event"], "text": record["text"]}
            events.append({**event, "data": record.get("data", {})})
    listed = [{"step": step, **finite(rows[step])} for step in sorted(rows)]
    return {"rows": listed, "evidence": evidence, "events": events}


_OURS = re.compile(r"lab\.(?:faults|harmless)(?:\.[\w<>]+)+")
_FILES = re.compile(rf"\b(?:{'|'.join((*faults.NAMES, 'base', 'harmless'))})\.py\b")
_DIGEST = re.compile(r'"([0-9a-f]{16})"')


def neutral(line: str, salt: str) -> str:
    """A line of a journal without our names for code, and with digests of code that only hold in its family.

    Faults and harmless rewritings of a reward live in our own modules, whose names would be labels.
    """
    line = _OURS.sub(lambda found: f"project.rewards.f{_short(salt + found[0])}", line)
    line = _FILES.sub("rewards.py", line)
    if line.startswith('{"evidence":"reward"'):
        line = _DIGEST.sub(lambda found: f'"{_short(salt + found[1], 8)}"', line)
    return line


def _short(text: str, size: int = 3) -> str:
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()


def _twin(clean: Path, faulty: Path, fork: Fork) -> list[tuple[int, str, float]]:
    """Fault minus clean of every metric that both logged, from the onset on."""
    pair = []
    for folder in (clean, faulty):
        rows = told(_lines(folder), -1, fork.end, "")["rows"]
        pair.append({row["step"]: row for row in rows})
    found = []
    for step in range(fork.onset, fork.end + 1):
        its, ours = (rows[step] for rows in pair)
        for name in ours:
            if name != "step" and name in its:
                difference = float(ours[name]) - float(its[name])
                found.append((step, name, difference if math.isfinite(difference) else math.nan))
    return found


def _lines(folder: Path) -> list[str]:
    return (folder / "journal-0.jsonl").read_text().splitlines()

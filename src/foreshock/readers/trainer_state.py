"""`trainer_state.json`, which the Trainer of transformers (so TRL and ms-swift) saves with each checkpoint.

Its `log_history` holds one record per logging step. An output folder with several checkpoints holds the
same history several times: the one that reaches furthest is read, and steps that only older ones have
are taken from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreshock.errors import ForeshockError, NotARunError, UnreadableError
from foreshock.readers._documents import leading_records, load_document
from foreshock.readers._log import Log
from foreshock.readers._records import flatten, number
from foreshock.readers._sniff import run_name

NAME = "trainer_state"
DESCRIPTION = (
    "`trainer_state.json` of transformers, TRL or ms-swift: the file, a checkpoint, or an output folder"
)

_FILE = "trainer_state.json"
_HISTORY = '"log_history"'
_FACTS = {
    "max_steps": "total_steps",
    "num_train_epochs": "num_train_epochs",
    "logging_steps": "logging_steps",
    "train_batch_size": "train_batch_size",
    "save_steps": "save_steps",
}


@dataclass
class _State:
    path: Path
    records: list[dict[str, Any]]
    facts: dict[str, Any]
    whole: bool

    @property
    def last(self) -> float:
        return max((_step(record) for record in self.records), default=-1.0)


def recognises(path: Path, head: bytes) -> bool:
    """By `log_history` in a JSON object; a folder by the checkpoints in it."""
    if not head and path.is_dir():
        return bool(_files(path))
    start = head.lstrip()[:1] == b"{"
    return start and (_HISTORY.encode() in head or path.name == _FILE)


def read(path: Path) -> list[Log]:
    """The history of one file, or of each run in a folder of checkpoints.

    A file that was cut gives its complete leading records. It cannot see what was logged after the last
    checkpoint was saved.

    Raises:
        UnreadableError: no complete record is left.
        NotARunError: the history is empty.
    """
    if not path.is_dir():
        return [_log(_load(path), run_name(path))]
    logs = []
    errors: list[ForeshockError] = []
    for folder, files in _files(path).items():
        states = []
        for file in files:
            try:
                states.append(_load(file))
            except (NotARunError, UnreadableError) as error:
                errors.append(error)
        if states:
            log = _merged(states, run_name(folder))
            if len(errors):
                log.note(
                    "unread-checkpoints", f"{len(errors)} checkpoint file(s) could not be read.", len(errors)
                )
            logs.append(log)
    if not logs:
        raise errors[0] if errors else NotARunError(f"{path} holds no {_FILE}")
    return logs


def _files(folder: Path) -> dict[Path, list[Path]]:
    """State files by the run folder they belong to: the folder itself, else its sub-folders."""
    own = [folder / _FILE] if (folder / _FILE).is_file() else []
    own += sorted(folder.glob(f"checkpoint-*/{_FILE}"))
    if own:
        return {folder: own}
    below: dict[Path, list[Path]] = {}
    for file in sorted(folder.glob(f"*/checkpoint-*/{_FILE}")):
        below.setdefault(file.parent.parent, []).append(file)
    return below


def _load(path: Path) -> _State:
    document, text = load_document(path)
    if document is None:
        start = text.find("[", text.find(_HISTORY)) if _HISTORY in text else -1
        records = leading_records(text, start) if start >= 0 else []
        if not records:
            raise UnreadableError(
                f"{path} is a trainer state that was cut or damaged before its first complete record; "
                "give an older checkpoint"
            )
        return _State(path, records, {}, whole=False)
    history = document.get("log_history") if isinstance(document, dict) else None
    if not isinstance(history, list):
        raise NotARunError(f"{path} has no log_history")
    records = [record for record in history if isinstance(record, dict)]
    if not records:
        raise NotARunError(f"{path} has an empty log_history; nothing was logged yet")
    facts: dict[str, Any] = {}
    for key, name in _FACTS.items():
        value = number(document.get(key))
        if value is not None and value > 0:
            facts[name] = int(value) if value == int(value) else value
    return _State(path, records, facts, whole=True)


def _log(state: _State, id: str) -> Log:
    log = Log(id, str(state.path), NAME)
    log.facts.update(state.facts)
    for record in state.records:
        log.add(flatten(record))
    if not state.whole:
        text = f"The file ends in the middle: its {len(state.records):,} complete leading records were read."
        log.note("cut-file", text, len(state.records))
    return log


def _merged(states: list[_State], id: str) -> Log:
    """One log of several checkpoints: what reaches furthest, completed by what only the others have."""
    states = sorted(states, key=lambda state: (state.last, len(state.records), state.whole))
    newest = states.pop()
    have = {_step(record) for record in newest.records}
    added: list[dict[str, Any]] = []
    differing = 0
    known = {_identity(record): record for record in newest.records}
    for state in reversed(states):
        fresh = [record for record in state.records if _step(record) not in have]
        added += fresh
        have |= {_step(record) for record in fresh}
        differing += any(known.get(_identity(r), r) != r for r in state.records)
    newest.records = sorted([*newest.records, *added], key=_step)
    log = _log(newest, id)
    if states:
        text = (
            f"{len(states) + 1} checkpoints hold this run; read is {newest.path.parent.name}, which reaches "
            f"furthest, with {len(added):,} record(s) that only older ones have."
        )
        log.note("merged-checkpoints", text, len(states) + 1)
    if differing:
        text = f"{differing} older checkpoint(s) logged other values at the same steps; they were not used."
        log.note("differing-checkpoints", text, differing)
    return log


def _step(record: Mapping[str, Any]) -> float:
    return number(record.get("step")) or 0.0


def _identity(record: Mapping[str, Any]) -> tuple[float, tuple[str, ...]]:
    return _step(record), tuple(sorted(record))

"""W&B runs on disk (`run-<id>.wandb`), read without the wandb package.

The file is a LevelDB log of protocol buffer records (see `_leveldb.py`). Of `Record` we use
`history` (2), `config` (5), `run` (17) and `exit` (18). A history record is one row: items of
`key` (1) or `nested_key` (2, joined with "." as W&B does) with a JSON text (16), NaN and Infinity bare.

Steps: `log.steps` is W&B's own counter `_step`, which counts calls of `wandb.log`, not training steps.
Trainers also log the training step (`train/global_step`): many rows can share one. It is kept as a
column like any other, and the cleaner prefers such a column where the rows with a reward have it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foreshock.errors import ForeshockError, NotARunError, UnreadableError
from foreshock.readers._folders import distinguish, files_under, reading
from foreshock.readers._leveldb import Damage, records
from foreshock.readers._log import Log
from foreshock.readers._protobuf import Malformed, blob, fields, float64, signed, text
from foreshock.readers._sniff import loads
from foreshock.readers._values import flat, number, settings
from foreshock.run import Event

NAME = "wandb_offline"
DESCRIPTION = "W&B run files (`run-*.wandb`), run folders and `wandb/` folders"

_MAGIC = b":W&B\xe1\xbe"
_HEADER = 7
_SUFFIX = ".wandb"
_DEPTH = 2  # wandb/offline-run-.../run-....wandb, seen from the folder above wandb/


@dataclass
class _File:
    """What is known of one `.wandb` file while it is read."""

    path: Path
    source: str
    facts: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    log: Log | None = None
    """Made at the first history row."""
    others: int = 0
    malformed: int = 0
    damage: Damage = field(default_factory=Damage)


def recognises(path: Path, head: bytes) -> bool:
    """By the magic bytes; a folder by the `.wandb` files in it."""
    try:
        if path.is_dir():
            return next(files_under(path, _is_run_file, _DEPTH), None) is not None
    except OSError:
        return False
    return head.startswith(_MAGIC) or (_is_run_file(path.name) and len(head) > 0)


def _is_run_file(name: str) -> bool:
    return name.endswith(_SUFFIX)


def read(path: Path) -> list[Log]:
    """The run of a `.wandb` file, or every run under a folder that has logged something.

    It cannot see the last row of a run that is still going: W&B writes a row when the next begins.

    Raises:
        UnreadableError: the only file is damaged from the start.
        NotARunError: no file has a history row (a run killed before it logged).
    """
    if not path.is_dir():
        return [_read_file(path, path, {})]
    logs: dict[str, tuple[Log, str]] = {}
    refused: list[ForeshockError] = []
    files = list(files_under(path, _is_run_file, _DEPTH))
    for file in sorted(files, key=lambda each: (_started(each), each.as_posix())):
        try:
            log = _read_file(file, path, {run: log for run, (log, _) in logs.items()})
        except ForeshockError as error:
            refused.append(error)
            continue
        if all(log is not known for known, _ in logs.values()):
            run = log.facts.get("run_id", file.stem)
            logs[run if run not in logs else file.as_posix()] = (log, file.parent.name)
    if not logs:
        if len(refused) == 1:
            raise refused[0]
        raise NotARunError(
            f"{path}: none of its {len(refused)} W&B runs has a readable history row. The first: {refused[0]}"
        )
    if refused:
        words = f"W&B runs in this folder without a readable history row: {len(refused):,}."
        for log, _ in logs.values():
            log.note("runs-without-rows", words, len(refused))
    return distinguish(logs.values())


def _started(file: Path) -> str:
    """The time in a run folder's name (`offline-run-20250101_120000-abc`), which sorts as text."""
    match = re.search(r"\d{8}_\d{6}", file.parent.name)
    return match.group() if match else ""


def _read_file(path: Path, source: Path, earlier: dict[str, Log]) -> Log:
    """The log of one file; an earlier log of the same run is continued where its steps go on."""
    file = _File(path, str(source))
    with reading(path), path.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise UnreadableError(
                f"{path}: not a W&B run file, its first bytes are wrong. Copy it again from its machine."
            )
        stream.seek(0)
        for record in records(stream, _HEADER, file.damage):
            try:
                for number_, value in fields(record):
                    if number_ == 2:
                        _history(blob(value), file, earlier)
                    elif number_ == 5:
                        _config(blob(value), file)
                    elif number_ == 17:
                        _run(blob(value), file)
                    elif number_ == 18:
                        codes = [signed(code) for n, code in fields(blob(value)) if n == 1]
                        file.facts["exit_code"] = codes[-1] if codes else 0
            except Malformed:
                file.malformed += 1
    if file.log is None:
        raise _no_history(file)
    _finish(file, file.log)
    return file.log


def _history(record: bytes, file: _File, earlier: dict[str, Log]) -> None:
    values: dict[str, float] = {}
    media: set[str] = set()
    step: int | None = None
    for number_, value in fields(record):
        if number_ == 1:
            file.others += _item(blob(value), values, media)
        elif number_ == 2:
            step = next((signed(n) for field_, n in fields(blob(value)) if field_ == 1), 0)
    for key in media:
        for part in [name for name in values if name.startswith(f"{key}.")]:
            del values[part]
    position = values.get("_step", step)
    if file.log is None:
        file.log = _target(file, position, earlier)
    file.log.add(values, position)


def _target(file: _File, step: float | None, earlier: dict[str, Log]) -> Log:
    run = file.facts.get("run_id", file.path.stem.removeprefix("run-"))
    known = earlier.get(run)
    first = known.steps[0] if known is not None and known.steps else None
    if known is not None and first is not None and step is not None and step > first:
        known.events.append(Event(int(step), "resumed"))
        return known
    log = Log(file.facts.get("name") or run, file.source, NAME)
    log.steps_count_calls = True
    return log


def _item(message: bytes, values: dict[str, float], media: set[str]) -> int:
    """Put the number of a history item into the row; 1 when it is none, else 0."""
    name, content = _parts(message)
    key = name.decode("utf-8", "replace")
    if name.endswith(b"._type"):
        media.add(key.removesuffix("._type"))
        return 0
    if content[:1] in (b'"', b"[", b"n"):
        return content != b"null"
    try:
        values[key] = float(content)
        return 0
    except ValueError:
        pass
    return _structure(key, content, values)


def _parts(message: bytes) -> tuple[bytes, bytes]:
    """Name, nested parts joined, and JSON text of a history item."""
    # The short way for nearly all items: a key of one part and a JSON text, each below 128 bytes.
    if len(message) > 1 and message[0] == 0x12 and message[1] < 0x80:
        end = 2 + message[1]
        rest = len(message) - end - 3
        if 0 <= rest < 0x80 and message[end : end + 3] == bytes((0x82, 0x01, rest)):
            return message[2:end], message[end + 3 :]
    plain, nested, content = b"", [], b"null"
    for number_, value in fields(message):
        if number_ in (16, 8):
            content = blob(value)
        elif number_ == 2:
            nested.append(blob(value))
        elif number_ == 1:
            plain = blob(value)
        elif number_ == 4:
            content = b"true" if value else b"false"
        elif number_ == 5:
            content = str((signed(value) >> 1) ^ -(signed(value) & 1)).encode()
        elif number_ == 6:
            content = repr(float64(value)).encode()
    return b".".join(nested or (plain,)), content


def _structure(key: str, content: bytes, values: dict[str, float]) -> int:
    """Put the numbers of a JSON object or boolean into the row; how many leaves are no numbers."""
    try:
        leaves = list(flat({key: loads(content)}))
    except ValueError as error:
        raise Malformed("a value is not JSON") from error
    others = 0
    for name, leaf in leaves:
        value = None if isinstance(leaf, str) else number(leaf)
        if value is None:
            others += leaf is not None
        else:
            values[name] = value
    return others


def _config(record: bytes, file: _File) -> None:
    for number_, update in fields(record):
        if number_ != 1:
            continue
        key, content = [], b"null"
        for part, value in fields(blob(update)):
            if part in (1, 2):
                key.append(text(value))
            elif part == 16:
                content = blob(value)
        try:
            file.config[".".join(key)] = loads(content)
        except ValueError:
            file.malformed += 1


def _run(record: bytes, file: _File) -> None:
    for number_, value in fields(record):
        if number_ == 1:
            file.facts["run_id"] = text(value)
        elif number_ == 3:
            file.facts["project"] = text(value)
        elif number_ == 4:
            _config(blob(value), file)
        elif number_ == 8:
            file.facts["name"] = text(value)


def _finish(file: _File, log: Log) -> None:
    """Put what was learned beside the rows into the log."""
    log.facts.update(file.facts)
    log.facts.setdefault("config", {}).update(settings(file.config))
    damage = file.damage
    bad = damage.blocks + damage.lost + file.malformed
    if bad:
        words = (
            f"{file.path.name}: {bad:,} damaged parts were left out "
            f"({damage.blocks:,} blocks of 32 KiB, {damage.lost + file.malformed:,} records)."
        )
        log.note("damaged-records", words, bad)
    if damage.torn:
        log.note("cut-file", f"{file.path.name}: it ends inside a record, which was left out.")
    if "exit_code" not in file.facts:
        log.note("no-exit-record", "The run has no exit record: it was killed, or is still going.")
    if file.others:
        words = f"Values that are text, lists or media were left out: {file.others:,}."
        log.note("not-numbers", words, file.others)


def _no_history(file: _File) -> ForeshockError:
    damage = file.damage
    if damage.blocks or damage.lost or file.malformed:
        return UnreadableError(
            f"{file.path}: this W&B run file is damaged and no history row can be read. "
            "Copy it again from its machine."
        )
    why = "the run ended" if "exit_code" in file.facts else "the run was killed"
    return NotARunError(
        f"{file.path}: a W&B run with no history rows: {why} before it logged a metric. "
        "Its console output, if captured, is in files/output.log beside it."
    )

"""Which reader reads a file, and which files of a folder are logs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from foreshock.errors import ForeshockError, InputError, NotARunError
from foreshock.readers import foreshock_journal
from foreshock.readers._log import Log
from foreshock.readers._registry import Reader
from foreshock.readers._sniff import head_of, looks_like_text
from foreshock.readers._unpack import plain_file

# In a folder: how deep, how many files, and which can only be something else.
_DEPTH = 3
_MAX_FILES = 5000
_SUFFIXES = {
    "", ".console", ".csv", ".db", ".gz", ".ipynb", ".json", ".jsonl", ".log", ".ndjson", ".out", ".parquet",
    ".sqlite", ".sqlite3", ".tsv", ".txt", ".wandb", ".xz", ".zip", ".bz2",
}  # fmt: skip
# Beside the log of a run lie files that would pass for tables or JSON but hold no history.
_NOT_LOGS = {
    "README", "LICENSE", "adapter_config.json", "added_tokens.json", "config.json", "generation_config.json",
    "merges.txt", "model.safetensors.index.json", "package.json", "preprocessor_config.json",
    "requirements.txt", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
    "training_args.json", "vocab.json", "vocab.txt", "wandb-metadata.json", "wandb-summary.json",
}  # fmt: skip
_SKIPPED = {".git", ".venv", "__pycache__", "node_modules", "site-packages", "foreshock-report"}


def wanted(path: Path, head: bytes, readers: Sequence[Reader]) -> bool:
    """Whether some reader recognises a file, not yet on disk, by its name and head alone."""
    for reader in readers:
        try:
            if reader.recognises(path, head):
                return True
        except OSError:  # a console reader that wants to look beyond the head
            continue
    return False


def read_file(path: Path, readers: Sequence[Reader], forced: bool = False) -> list[Log]:
    """The runs in a plain file.

    Args:
        path: the file, already unpacked.
        readers: those to ask, in order.
        forced: take the first without asking it.

    Raises:
        NotARunError: empty, or recognised by none.
        UnreadableError: see the readers.
    """
    head = head_of(path)
    if not head.strip():
        raise NotARunError(f"{path} is empty; there is nothing to read yet")
    refused: InputError | None = None
    for reader in readers:
        if not (forced or reader.recognises(path, head)):
            continue
        try:
            logs = reader.read(path)
        except InputError as error:
            if forced or reader.NAME == foreshock_journal.NAME:  # no other reader knows it better
                raise
            refused = refused or error
            continue
        if any(log.rows for log in logs) or forced:
            return logs
    raise refused or NotARunError(_unrecognised(path, head))


def _unrecognised(path: Path, head: bytes) -> str:
    what = "a text without metrics that are known" if looks_like_text(head) else "binary and no known log"
    return f"{path} is not a log of a training run: it is {what}; if it is one, name its format with --format"


def read_folder(folder: Path, readers: Sequence[Reader]) -> list[Log]:
    """The runs in a folder: one that a reader knows as a whole, or the logs among its files.

    Raises:
        NotARunError: nothing in it is a log.
    """
    refused: InputError | None = None
    for reader in readers:
        if reader.recognises(folder, b""):
            try:
                logs = reader.read(folder)
            except InputError as error:
                refused = refused or error
                continue
            if any(log.rows for log in logs):
                return logs
    logs = []
    within = []
    for path in _files(folder):
        for log in _logs_of(path, readers):
            logs.append(log)
            within.append(f"{path.relative_to(folder)}")
    if not logs:
        raise refused or NotARunError(
            f"{folder} holds no log of a training run (looked {_DEPTH} folders deep); give the log itself"
        )
    if len(logs) > 1:
        for log, place in zip(logs, within, strict=True):
            name = Path(place).name
            if within.count(place) == 1:
                log.id = place
            elif log.id.startswith(f"{name}#"):  # started over in its folder, and named after that already
                log.id = place + log.id.removeprefix(name)
            else:
                log.id = f"{place}:{log.id}"
    return logs


def _files(folder: Path) -> Iterator[Path]:
    """Files that could be logs, and folders that are one run, in the order of their names."""
    seen = 0
    for place, subfolders, names in os.walk(folder):
        if place != str(folder) and foreshock_journal.recognises(Path(place), b""):
            subfolders.clear()
            yield Path(place)
            continue
        level = len(Path(place).parts) - len(folder.parts)
        subfolders[:] = sorted(set(subfolders) - _SKIPPED) if level < _DEPTH else []
        for name in sorted(names):
            seen += 1
            if seen > _MAX_FILES:
                return
            path = Path(place, name)
            if path.suffix.lower() in _SUFFIXES and name not in _NOT_LOGS and not name.startswith("README"):
                if path.is_file():
                    yield path


def _logs_of(path: Path, readers: Sequence[Reader]) -> list[Log]:
    """Runs in one file of a folder; files that are none, or broken, are passed over."""
    try:
        if path.is_dir():
            return [log for log in foreshock_journal.read(path) if log.rows]
        with plain_file(str(path), lambda name, head: wanted(name, head, readers)) as plain:
            logs = [log for log in read_file(plain, readers) if log.rows]
    except (ForeshockError, OSError):
        return []
    for log in logs:
        log.source = str(path)
    return logs

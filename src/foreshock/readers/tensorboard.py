"""TensorBoard event files, read without TensorFlow, TensorBoard or protobuf.

A file is a TFRecord of `Event{1: wall_time, 2: step, 5: Summary{1: Value{1: tag, 2: simple_value,
8: tensor}}}`, one event per scalar. Scalars come as `simple_value` or, in the newer style, as a tensor
of one number. Most writers store float32: a reward of 0.1 reads back as 0.10000000149011612, which is
the number in the file.

One folder is one run, as TensorBoard itself sees it, with one exception: files of a folder that log the
same metrics from the first step again are runs of their own (a script restarted in the same place).
Files that begin later continue the run, and are a resume.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from foreshock.errors import NotARunError, UnreadableError
from foreshock.readers._folders import distinguish, files_under, reading
from foreshock.readers._log import Log
from foreshock.readers._points import Points
from foreshock.readers._protobuf import Malformed, blob, fields, float32, float64, signed, text, varint
from foreshock.readers._tfrecord import Damage, plausible, records

NAME = "tensorboard"
DESCRIPTION = "TensorBoard event files (`events.out.tfevents.*`) and folders of them"

_MARK = "tfevents"
_DEPTH = 6
_LONGEST = 1 << 20
"""Longest record decoded. One with a thousand scalars takes 50 kB; a longer one is an image or a graph."""

_FLOAT = struct.Struct("<f")

_DTYPES = {
    1: ("<f", 5),
    2: ("<d", 6),
    3: ("<i", 7),
    4: ("<B", 7),
    5: ("<h", 7),
    6: ("<b", 7),
    9: ("<q", 10),
    10: ("<?", 11),
    14: ("bfloat16", 13),
    17: ("<H", 7),
    19: ("<e", 13),
    22: ("<I", 16),
    23: ("<Q", 17),
}
"""Number types of TensorProto: how the bytes of one are read, and the field that lists them otherwise."""


@dataclass
class _File:
    """The scalars of one event file."""

    path: Path
    points: Points = field(default_factory=Points)
    began: float = math.inf
    """Wall time of the first event, seconds."""
    others: int = 0
    """Values that are no scalars: text, histograms, images."""
    malformed: int = 0
    damage: Damage = field(default_factory=Damage)
    frames: dict[bytes, int] = field(default_factory=dict)
    """Number of the tag by the bytes that frame a `simple_value` with that tag, see `_read_known`."""


def recognises(path: Path, head: bytes) -> bool:
    """By the checksum of the first record's header, or the name; a folder by the files in it."""
    try:
        if path.is_dir():
            return next(files_under(path, _is_event_file, _DEPTH), None) is not None
    except OSError:
        return False
    # 0x09: an Event begins with its wall time. Other TFRecords (data sets) begin with another field.
    return (plausible(head) and head[12:13] == b"\x09") or (_is_event_file(path.name) and len(head) > 0)


def _is_event_file(name: str) -> bool:
    return _MARK in name and not name.endswith((".gz", ".profile-empty"))


def read(path: Path) -> list[Log]:
    """The runs of an event file, or of a folder with event files in it or its sub-folders.

    It cannot see what a writer had not yet flushed (TensorBoard's writers hold back up to two minutes).

    Raises:
        UnreadableError: the first record of the only file is damaged.
        NotARunError: there are event files, but no scalar in them.
    """
    if path.is_dir():
        paths = list(files_under(path, _is_event_file, _DEPTH))
    else:
        paths = [path]
    files = [_read_file(each) for each in paths]
    logs = []
    for folder in dict.fromkeys(file.path.parent for file in files):
        inside = [file for file in files if file.path.parent == folder and len(file.points)]
        runs = _group(inside)
        for run in runs:
            logs.append((_log(path, run), run[0].path.name))
    if not logs:
        raise _nothing(path, files)
    return distinguish(logs)


def _read_file(path: Path) -> _File:
    found = _File(path)
    with reading(path), path.open("rb") as file:
        for record in records(file, found.damage, _LONGEST):
            try:
                if not _read_known(record, found):
                    _read_event(record, found)
            except Malformed:
                found.malformed += 1
    return found


def _read_known(record: bytes, found: _File) -> bool:
    """Take the short way for an event that differs from an earlier one only in time, step and value."""
    if record[:1] != b"\x09" or record[9:10] != b"\x10":
        return False
    step, pos = varint(record, 10)
    index = found.frames.get(record[pos:-4])
    if index is None:
        return False
    found.points.add(index, signed(step), _FLOAT.unpack_from(record, len(record) - 4)[0])
    return True


def _read_event(record: bytes, found: _File) -> None:
    step, summary = 0, b""
    for number, value in fields(record):
        if number == 2:
            step = signed(value)
        elif number == 5:
            summary = blob(value)
        elif number == 1 and found.began == math.inf:
            found.began = float64(value)
    scalars = [_scalar(blob(value)) for number, value in fields(summary) if number == 1]
    for tag, scalar in scalars:
        if scalar is None:
            found.others += 1
            continue
        new = tag not in found.points.tags
        index = found.points.index(tag)
        found.points.add(index, step, scalar)
        if new and len(tag.encode()) < 100:
            found.frames[_frame(tag.encode())] = index


def _frame(tag: bytes) -> bytes:
    """What stands between step and value in an event that holds one `simple_value` and nothing else."""
    value = b"\x0a" + bytes((len(tag),)) + tag + b"\x15"
    return b"\x2a" + bytes((len(value) + 6, 0x0A, len(value) + 4)) + value


def _scalar(message: bytes) -> tuple[str, float | None]:
    """Tag and number of a Summary.Value; None where it holds something else."""
    tag, scalar = "", None
    for number, value in fields(message):
        if number == 1:
            tag = text(value)
        elif number == 2:
            scalar = float32(value)
        elif number == 8:
            scalar = _tensor(blob(value))
    return tag, scalar


def _tensor(message: bytes) -> float | None:
    """The number in a TensorProto that holds exactly one; None for text, arrays, complex numbers."""
    dtype, elements, content = 0, 1, b""
    lists: dict[int, list[int | bytes]] = {}
    for number, value in fields(message):
        if number == 1:
            dtype = signed(value)
        elif number == 2:
            for dimension in (blob(v) for n, v in fields(blob(value)) if n == 2):
                elements *= next((signed(v) for n, v in fields(dimension) if n == 1), 0)
        elif number == 4:
            content = blob(value)
        else:
            lists.setdefault(number, []).append(value)
    if elements != 1 or dtype not in _DTYPES:
        return None
    form, listed = _DTYPES[dtype]
    if content:
        return _from_bytes(content, form)
    values = [number for value in lists.get(listed, []) for number in _unpacked(value, form)]
    if len(values) > 1:
        return None
    return values[0] if values else 0.0  # an empty list stands for zero


def _from_bytes(raw: bytes, form: str) -> float:
    if form == "bfloat16":  # the upper half of a float32
        raw, form = b"\0\0" + raw, "<f"
    if struct.calcsize(form) != len(raw):
        raise Malformed("a tensor of another size than its type")
    return float(struct.unpack(form, raw)[0])


def _unpacked(value: int | bytes, form: str) -> Iterator[float]:
    """The numbers in one entry of a repeated field, whether its writer packed them or not."""
    if isinstance(value, bytes) and form in ("<f", "<d"):
        width = struct.calcsize(form)
        for start in range(0, len(value), width):
            yield _from_bytes(value[start : start + width], form)
        return
    numbers, pos = [value] if isinstance(value, int) else [], 0
    while isinstance(value, bytes) and pos < len(value):
        number, pos = varint(value, pos)
        numbers.append(number)
    for number in numbers:
        if form in ("<e", "bfloat16"):  # the bits of the number, as an integer
            yield _from_bytes((number & 0xFFFF).to_bytes(2, "little"), form)
        else:
            yield float(number if form in ("<I", "<Q") else signed(number))


def _group(files: list[_File]) -> list[list[_File]]:
    """The files of one folder as runs, each a list of files in the order written.

    A file that shares no metric with what came before adds metrics to the latest run (an evaluation
    writer). One that shares some and begins after a run's first step continues that run: of several,
    the one whose end is nearest before it. One that begins at the first step, or before, is a new run.
    """
    runs: list[tuple[Points, list[_File]]] = []
    for file in sorted(files, key=lambda each: (each.began, each.path.name)):
        best: tuple[int, int] | None = None
        strangers = bool(runs)
        for index, (points, _) in enumerate(runs):
            shared = points.tags.keys() & file.points.tags.keys()
            if not shared:
                continue
            strangers = False
            (first, last), (begin, _end) = points.span(shared), file.points.span(shared)
            if begin > first:
                gap = max(0, begin - last)
                best = min(best or (gap, -index), (gap, -index))
        if strangers:
            best = (0, 1 - len(runs))
        if best is None:
            runs.append((Points(), []))
            best = (0, 1 - len(runs))
        points, members = runs[-best[1]]
        points.extend(file.points, 0)
        members.append(file)
    return [members for _, members in runs]


def _log(path: Path, files: list[_File]) -> Log:
    folder = files[0].path.parent
    name = (
        folder.resolve().name if folder == path or not path.is_dir() else folder.relative_to(path).as_posix()
    )
    log = Log(name or files[0].path.name, str(path), NAME)
    points, part = Points(), 0
    for file in files:
        # The same metrics in a later file: the run was resumed, perhaps from before where it ended.
        part += bool(points.tags.keys() & file.points.tags.keys())
        points.extend(file.points, part)
    points.fill(log)
    log.facts["files"] = [file.path.name for file in files]
    for file in files:
        for kind, words, count in _damages(file):
            log.note(kind, f"{file.path.name}: {words}", count)
    others = sum(file.others for file in files)
    if others:
        words = f"Values that are text, images or histograms were left out: {others:,}."
        log.note("not-numbers", words, others)
    return log


def _damages(file: _File) -> list[tuple[str, str, int]]:
    damage, found = file.damage, []
    if damage.cut:
        found.append(("cut-file", f"it ends inside a record; {damage.cut:,} bytes were left out.", 1))
    if damage.broken_at is not None:
        at = damage.broken_at
        rest = file.path.stat().st_size - at
        words = f"the record at byte {at:,} is damaged; the {rest:,} bytes from there on were left out."
        found.append(("damaged-records", words, 1))
    bad = damage.records + file.malformed
    if bad:
        words = f"damaged records (wrong checksum or content) were left out: {bad:,}."
        found.append(("damaged-records", words, bad))
    return found


def _nothing(path: Path, files: list[_File]) -> Exception:
    if len(files) == 1 and _damages(files[0]):
        reason = _damages(files[0])[0][1]
        return UnreadableError(
            f"{path}: a TensorBoard event file without a readable scalar: {reason} Copy it again."
        )
    others = sum(file.others for file in files)
    where = f"{len(files)} TensorBoard event files" if len(files) != 1 else "a TensorBoard event file"
    what = f"only {others:,} values that are no scalars" if others else "no values yet"
    return NotARunError(
        f"{path}: {where} with {what}. Give the folder that the trainer logged its scalars to, or wait "
        "until the run has logged a step."
    )

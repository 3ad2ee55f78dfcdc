"""The TFRecord framing of event files: u64 length, its checksum, data, the data's checksum.

Checksums are CRC-32C, "masked" (rotated and shifted) as the format asks. Both are verified.
Reference: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from foreshock.readers._crc32c import crc32c, crc32c_many

_HEADER = struct.Struct("<QI")
_FRAME = _HEADER.size + 4
_CHUNK = 1 << 20
_BATCHED = 512  # records up to this long are checked together, longer ones singly
MAX_RECORD = 256 << 20
"""A length beyond this is not believed (an image or a graph may well take megabytes)."""


@dataclass
class Damage:
    """What could not be read while framing a file; filled in as the records are drawn."""

    records: int = 0
    """Records whose data fails its checksum; they are left out."""
    cut: int | None = None
    """Bytes that follow the last whole record (a killed or still writing run), if any."""
    broken_at: int | None = None
    """Position of a record header that fails its checksum; nothing after it can be read."""


def mask(crc: int) -> int:
    """The form in which a checksum is stored."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFF_FFFF


@functools.lru_cache(maxsize=4096)
def _length_checksum(length: int) -> int:
    return mask(crc32c(length.to_bytes(8, "little")))


def plausible(head: bytes) -> bool:
    """Whether the bytes begin with a record header whose checksum is right."""
    if len(head) < _HEADER.size:
        return False
    length, checksum = _HEADER.unpack_from(head)
    return bool(_length_checksum(length) == checksum)


def records(file: BinaryIO, damage: Damage, limit: int) -> Iterator[bytes]:
    """The data of each sound record, in order.

    Records longer than `limit` are passed over unread: images, histograms and graphs are not wanted,
    and this bounds memory to `limit` plus a megabyte.

    Args:
        file: a file on disk, open at its start.
        damage: told what was left out.
        limit: longest record wanted, in bytes.
    """
    total = os.fstat(file.fileno()).st_size
    data, offset = b"", 0  # bytes not yet framed, and where in the file they begin
    while True:
        fresh = file.read(max(_CHUNK, limit + _FRAME - len(data)))
        data += fresh
        spans, end, skip = _frame(data, limit)
        yield from _verified(data, spans, damage)
        data, offset = data[end:], offset + end
        if skip is not None:
            if skip < 0:
                damage.broken_at = offset
                return
            if offset + skip > total:
                damage.cut = total - offset
                return
            data, offset = _pass_over(file, data, skip), offset + skip
        elif not fresh:
            damage.cut = len(data) or None
            return


def _frame(data: bytes, limit: int) -> tuple[list[tuple[int, int]], int, int | None]:
    """(start, size) of each whole record, where the next begins, and what stopped the walk.

    The last is None at the end of the bytes, -1 at a wrong header, else the length of a record (with
    its frame) to pass over.
    """
    spans: list[tuple[int, int]] = []
    pos, end = 0, len(data)
    while pos + _HEADER.size <= end:
        length, checksum = _HEADER.unpack_from(data, pos)
        if length > MAX_RECORD or _length_checksum(length) != checksum:
            return spans, pos, -1
        if length > limit:
            return spans, pos, length + _FRAME
        if pos + length + _FRAME > end:
            break
        spans.append((pos + _HEADER.size, length))
        pos += length + _FRAME
    return spans, pos, None


def _pass_over(file: BinaryIO, data: bytes, size: int) -> bytes:
    """Move `size` bytes on from the start of `data`; what of `data` is left."""
    if size > len(data):
        file.seek(size - len(data), 1)
    return data[size:]


def _verified(data: bytes, spans: list[tuple[int, int]], damage: Damage) -> Iterator[bytes]:
    if not spans:
        return
    starts, sizes = np.array(spans, dtype=np.int64).T
    sums = np.zeros(len(spans), dtype=np.uint32)
    short = sizes <= _BATCHED
    sums[short] = crc32c_many(data, starts[short], sizes[short])
    for i in np.flatnonzero(~short).tolist():
        start, size = spans[i]
        sums[i] = crc32c(data[start : start + size])
    stored = np.frombuffer(data, dtype=np.uint8)[(starts + sizes)[:, None] + np.arange(4)]
    masked = ((sums >> np.uint32(15)) | (sums << np.uint32(17))) + np.uint32(0xA282EAD8)
    sound = masked == stored.astype(np.uint8).view("<u4")[:, 0]
    damage.records += int((~sound).sum())
    for (start, size), good in zip(spans, sound.tolist(), strict=True):
        if good:
            yield data[start : start + size]

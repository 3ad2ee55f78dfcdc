"""The log framing of LevelDB, in which W&B keeps its offline runs.

After a file header come blocks of 32 KiB. A block holds chunks: checksum (u32), length (u16), type
(u8: 1 whole, 2 first, 3 middle, 4 last), data. A record is one whole chunk or first + middle... + last;
no chunk crosses a block; fewer than 7 bytes at the end of a block are padding. W&B counts its 7-byte
header as part of the first block and uses plain CRC-32 over type and data.
Reference: https://github.com/google/leveldb/blob/main/doc/log_format.md.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK = 32 * 1024
_HEADER = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
MAX_RECORD = 64 << 20
"""A record larger than this is passed over: no history row comes near it."""


@dataclass
class Damage:
    """What could not be read while framing a file; filled in as the records are drawn."""

    blocks: int = 0
    """Blocks abandoned at a chunk whose checksum or type is wrong."""
    lost: int = 0
    """Records left out because a part is missing, or too large."""
    torn: bool = False
    """The file ends inside a record, as when a run is killed or still writing."""


def records(file: BinaryIO, skip: int, damage: Damage) -> Iterator[bytes]:
    """Each whole record of the file, checksum verified; one block and one record in memory.

    After a damaged chunk the rest of its block is left out, because its length cannot be trusted, and
    reading goes on at the next block.

    Args:
        file: open at its start.
        skip: length of the file header, counted as part of the first block.
        damage: told what was left out.
    """
    parts: list[bytes] | None = None
    size = 0
    while block := file.read(_BLOCK):
        pos, skip = skip, 0
        while pos + _HEADER.size <= len(block):
            checksum, length, kind = _HEADER.unpack_from(block, pos)
            end = pos + _HEADER.size + length
            if end > len(block) and len(block) < _BLOCK:
                damage.torn = True  # the last block of a file that was still being written
                return
            data = block[pos + _HEADER.size : end]
            if end > len(block) or not _sound(checksum, kind, data):
                damage.blocks += 1
                parts = None
                break
            pos = end
            if kind in (_WHOLE, _FIRST):
                damage.lost += parts is not None
                parts, size = [], 0
            if parts is None:
                damage.lost += kind == _LAST
                continue
            parts.append(data)
            size += len(data)
            if size > MAX_RECORD:
                parts = None
            elif kind in (_WHOLE, _LAST):
                yield b"".join(parts)
                parts = None
        else:
            if len(block) < _BLOCK and pos < len(block):
                damage.torn = True
    damage.torn = damage.torn or parts is not None


def _sound(checksum: int, kind: int, data: bytes) -> bool:
    return _WHOLE <= kind <= _LAST and zlib.crc32(data, zlib.crc32(bytes((kind,)))) == checksum

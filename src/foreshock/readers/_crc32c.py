"""CRC-32C (Castagnoli), which guards every record of a TensorBoard event file.

The standard library has only the other CRC-32. A loop in Python over every byte would take most of the
reading time, so `crc32c_many` runs many records side by side in numpy, one byte position at a time.
Reference: RFC 3720, appendix B.4 (polynomial 0x1EDC6F41, reflected 0x82F63B78).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

UInt32Array = npt.NDArray[np.uint32]


def _table() -> UInt32Array:
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, (crc >> 1) ^ np.uint32(0x82F63B78), crc >> 1).astype(np.uint32)
    return crc


_TABLE = _table()
_ENTRIES: list[int] = _TABLE.tolist()


def crc32c(data: bytes) -> int:
    """CRC-32C of one byte string, about 10 MB/s.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFF_FFFF
    for byte in data:
        crc = _ENTRIES[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFF_FFFF


def crc32c_many(data: bytes, starts: npt.ArrayLike, sizes: npt.ArrayLike) -> UInt32Array:
    """CRC-32C of the pieces data[start : start + size], shape (pieces,), in the order given.

    Cost: one numpy step per byte of the longest piece, so keep pieces of like size together and use
    `crc32c` for a few long ones.
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    begins, lengths = np.asarray(starts, dtype=np.int64), np.asarray(sizes, dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    begins, lengths = begins[order], lengths[order]
    crc = np.full(len(begins), 0xFFFF_FFFF, dtype=np.uint32)
    longest = int(lengths[0]) if len(lengths) else 0
    # How many pieces (longest first) still have a byte at each position.
    active = np.searchsorted(-lengths, -np.arange(longest), side="left")
    for position, count in enumerate(active.tolist()):
        piece = crc[:count]
        byte = raw[begins[:count] + position]
        crc[:count] = _TABLE[(piece ^ byte) & np.uint32(0xFF)] ^ (piece >> np.uint32(8))
    result = np.empty_like(crc)
    result[order] = crc ^ np.uint32(0xFFFF_FFFF)
    return result

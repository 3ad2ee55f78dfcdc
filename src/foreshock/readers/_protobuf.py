"""Just enough of the protocol buffers wire format to read what trackers write.

A message is a sequence of (field number, wire type, value). Nothing here knows a schema: the readers
name the few fields they need by number, so no generated code and no protobuf package is imported.
Format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

Value = int | bytes
"""What a field holds: an int for varints (unsigned), bytes for every other wire type."""

_FIXED = {1: 8, 5: 4}


class Malformed(ValueError):
    """The bytes are not a protocol buffers message."""


def varint(data: bytes, pos: int) -> tuple[int, int]:
    """The varint at `pos` as an unsigned number, and the position after it.

    Raises:
        Malformed: it is longer than 64 bits or runs past the end.
    """
    if pos < len(data) and data[pos] < 0x80:
        return data[pos], pos + 1
    result = 0
    for shift in range(0, 70, 7):
        if pos >= len(data):
            raise Malformed("a varint runs past the end")
        byte = data[pos]
        pos += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFF_FFFF_FFFF_FFFF, pos
    raise Malformed("a varint is longer than ten bytes")


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Each field of a message in the order written: (number, value).

    Varints come as unsigned ints; 64-bit, 32-bit and length-delimited values as their bytes. A reader
    that expects the one and gets the other must treat the message as damaged.

    Raises:
        Malformed: a field runs past the end, or has the number 0 or an unknown wire type.
    """
    pos, end = 0, len(data)
    while pos < end:
        tag = data[pos]
        pos += 1
        if tag > 0x7F:
            tag, pos = varint(data, pos - 1)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise Malformed("field number 0")
        if wire == 0:
            value, pos = varint(data, pos)
            yield number, value
            continue
        if wire == 2:
            size, pos = varint(data, pos)
        elif wire in _FIXED:
            size = _FIXED[wire]
        else:
            raise Malformed(f"wire type {wire}")
        if pos + size > end:
            raise Malformed("a field runs past the end")
        yield number, data[pos : pos + size]
        pos += size


def blob(value: Value) -> bytes:
    """The value of a field that must be bytes (text, a message, a fixed-size number)."""
    if not isinstance(value, bytes):
        raise Malformed("a number where bytes were expected")
    return value


def text(value: Value) -> str:
    """The value of a string field; invalid UTF-8 is replaced, not refused."""
    return blob(value).decode("utf-8", "replace")


def signed(value: Value) -> int:
    """The value of an int32, int64 or bool field (two's complement in 64 bits)."""
    if not isinstance(value, int):
        raise Malformed("bytes where a number was expected")
    return value - (1 << 64) if value >> 63 else value


def float32(value: Value) -> float:
    """The value of a `float` field, as the double that equals it."""
    raw = blob(value)
    if len(raw) != 4:
        raise Malformed("a float that is not 4 bytes long")
    return float(struct.unpack("<f", raw)[0])


def float64(value: Value) -> float:
    """The value of a `double` field."""
    raw = blob(value)
    if len(raw) != 8:
        raise Malformed("a double that is not 8 bytes long")
    return float(struct.unpack("<d", raw)[0])

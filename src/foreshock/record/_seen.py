"""Which prompts a run has had before, in four megabytes whatever its length."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

_BITS = 1 << 25
_PROBES = 4
_UNSURE = 0.01  # share of new prompts taken for old ones at which the answer is no longer given
_MAX_FILE = 64 << 20


def digest(key: str) -> int:
    """64 bits that stand for a prompt."""
    raw = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "little")


class Seen:
    """Remembers digests: a Bloom filter, and a file of 8 bytes a prompt that a resumed run reads back.

    A new prompt is taken for an old one with a probability of 2 in 10,000 after a million different prompts,
    and 1 in 100 after three million; then `share` is None.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._bits = bytearray(_BITS // 8)
        self._set = 0
        self.restored = 0
        """Prompts of earlier attempts that are known."""
        if path is not None:
            self._read(path)

    def share(self, digests: Sequence[int]) -> float | None:
        """Share of these prompts that were given before; from now on all of them were."""
        new = [value for value in digests if not self._has(value)]
        sure = (self._set / _BITS) ** _PROBES < _UNSURE
        for value in new:
            self._add(value)
        if new and self._path is not None:
            self._write(self._path, new)
        return 1 - len(new) / len(digests) if sure and digests else None

    def _places(self, value: int) -> list[int]:
        low, high = value & 0xFFFFFFFF, value >> 32 | 1
        return [(low + probe * high) % _BITS for probe in range(_PROBES)]

    def _has(self, value: int) -> bool:
        return all(self._bits[place >> 3] >> (place & 7) & 1 for place in self._places(value))

    def _add(self, value: int) -> None:
        for place in self._places(value):
            byte = self._bits[place >> 3] | 1 << (place & 7)
            self._set += byte != self._bits[place >> 3]
            self._bits[place >> 3] = byte

    def _read(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                raw = file.read(_MAX_FILE)
        except OSError:
            return
        for start in range(0, len(raw) - 7, 8):
            self._add(int.from_bytes(raw[start : start + 8], "little"))
        self.restored = len(raw) // 8

    def _write(self, path: Path, digests: Sequence[int]) -> None:
        """Append; a write that was cut short is filled up, so that what follows stays readable.

        Raises:
            OSError: the file cannot be written.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        handle = os.open(path, flags, 0o666)  # less the user's umask
        try:
            size = os.fstat(handle).st_size
            if size < _MAX_FILE:
                lines = b"".join(value.to_bytes(8, "little") for value in digests)
                os.write(handle, b"\0" * (-size % 8) + lines)
        finally:
            os.close(handle)

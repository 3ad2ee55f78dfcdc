"""Files of trackers built byte by byte from the published formats, for tests that damage them."""

from __future__ import annotations

import json
import math
import sqlite3
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

from foreshock.readers._crc32c import crc32c
from foreshock.readers._log import Log

Rows = list[tuple[int, dict[str, float]]]


def steady_rows(count: int, first: int = 1) -> Rows:
    return [
        (step, {"train/reward": step + 0.5, "train/length": 100.0 + step})
        for step in range(first, first + count)
    ]


def points_of(log: Log) -> set[tuple[float | None, str, float]]:
    """Every (step, metric, value) of a log."""
    steps = log.steps or [None] * log.rows
    return {
        (steps[i], key, value)
        for key in log.keys
        for i, value in enumerate(log.column(key).tolist())
        if not math.isnan(value)
    }


def truth_of(rows: Rows) -> set[tuple[float | None, str, float]]:
    return {(step, key, value) for step, row in rows for key, value in row.items()}


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def tfrecord(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def event(step: int, tag: str, value: float, wall: float = 1e9) -> bytes:
    scalar = field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
    return b"\x09" + struct.pack("<d", wall) + field(2, step) + field(5, field(1, scalar))


def event_file(path: Path, rows: Rows, wall: float = 1e9) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    version = b"\x09" + struct.pack("<d", wall) + field(3, b"brain.Event:2")
    events = (event(step, tag, value, wall) for step, row in rows for tag, value in row.items())
    path.write_bytes(b"".join(map(tfrecord, (version, *events))))
    return path


def leveldb(records: Iterable[bytes]) -> bytes:
    out = bytearray(b":W&B\xe1\xbe\x00")
    for record in records:
        begun = False
        while True:
            left = 32768 - len(out) % 32768
            if left < 7:
                out += bytes(left)
                continue
            part, record = record[: left - 7], record[left - 7 :]
            kind = (4 if begun else 1) if not record else (3 if begun else 2)
            begun = True
            out += struct.pack("<IHB", zlib.crc32(bytes((kind,)) + part), len(part), kind) + part
            if not record:
                break
    return bytes(out)


def history(step: int, row: dict[str, float]) -> bytes:
    items = {**row, "_step": step}
    return field(
        2,
        b"".join(
            field(1, field(2, key.encode()) + field(16, json.dumps(v).encode())) for key, v in items.items()
        ),
    )


def wandb_file(path: Path, rows: Rows, run: str = "abc", padding: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    start = field(17, field(1, run.encode()) + field(8, b"my run"))
    console = field(13, b"x" * padding)
    path.write_bytes(
        leveldb([start, *(part for step, row in rows for part in (history(step, row), console))])
    )
    return path


def mlflow_store(path: Path, rows: Rows) -> Path:
    store = sqlite3.connect(path)
    store.executescript(
        "CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, lifecycle_stage TEXT, start_time INTEGER);"
        "CREATE TABLE metrics "
        "(key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT, step INTEGER, is_nan INTEGER);"
        "INSERT INTO runs VALUES ('r1', 'my run', 'active', 1)"
    )
    values = [(key, value, 1000 + step, "r1", step, 0) for step, row in rows for key, value in row.items()]
    store.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", values)
    store.commit()
    store.close()
    return path


def trackio_project(path: Path, rows: Rows, ids: bool = True) -> Path:
    project = sqlite3.connect(path)
    extra = "run_id TEXT," if ids else ""
    project.execute(
        f"CREATE TABLE metrics (id INTEGER PRIMARY KEY, {extra} timestamp TEXT, run_name TEXT, "
        "step INTEGER, metrics TEXT)"
    )
    for step, row in rows:
        names = "run_id, run_name, step, metrics" if ids else "run_name, step, metrics"
        values = (*(("id1",) if ids else ()), "my run", step, json.dumps(row).encode())
        project.execute(f"INSERT INTO metrics ({names}) VALUES ({', '.join('?' * len(values))})", values)
    project.commit()
    project.close()
    return path


def event_folder(path: Path, rows: Rows) -> Path:
    return event_file(path / "events.out.tfevents.1.host", rows)

"""Damaged and torn files of trackers: what is read is true, and what is not is said."""

from __future__ import annotations

import random
import sqlite3
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshock.errors import ForeshockError, NotARunError, UnreadableError
from foreshock.readers import _leveldb, mlflow_files, mlflow_sqlite, tensorboard, trackio, wandb_offline
from foreshock.readers._crc32c import crc32c, crc32c_many
from foreshock.readers._log import Log
from tracker_files import (
    Rows,
    event,
    event_file,
    event_folder,
    field,
    history,
    leveldb,
    masked,
    mlflow_store,
    points_of,
    steady_rows,
    tfrecord,
    trackio_project,
    truth_of,
    wandb_file,
)

STEADY = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

ROWS = steady_rows(40)
CHECKED: dict[str, tuple[Callable[[Path], list[Log]], Callable[[Path, Rows], Path]]] = {
    "tensorboard": (
        tensorboard.read,
        lambda folder, rows: event_file(folder / "events.out.tfevents.1.h", rows),
    ),
    "wandb": (
        wandb_offline.read,
        lambda folder, rows: wandb_file(folder / "run-abc.wandb", rows, padding=1500),
    ),
}
"""Formats with checksums: any change must be noticed."""
DATABASES: dict[str, tuple[Callable[[Path], list[Log]], Callable[[Path, Rows], Path]]] = {
    "mlflow": (mlflow_sqlite.read, lambda folder, rows: mlflow_store(folder / "mlflow.db", rows)),
    "trackio": (trackio.read, lambda folder, rows: trackio_project(folder / "p.db", rows)),
}
BOTH = CHECKED | DATABASES


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An undamaged file of each kind."""
    return {name: make(tmp_path_factory.mktemp(name), ROWS) for name, (_, make) in BOTH.items()}


@pytest.mark.parametrize("kind", BOTH)
def test_the_undamaged_file_is_read_whole_and_without_a_note_of_damage(kind: str, tmp_path: Path) -> None:
    read, make = BOTH[kind]
    (log,) = read(make(tmp_path, ROWS))
    assert {point for point in points_of(log) if point[1] != "_step"} == truth_of(ROWS)
    assert not {note.kind for note in log.notes} & {"damaged-records", "cut-file"}


def partial(read: Callable[[Path], list[Log]], path: Path) -> set[tuple[float | None, str, float]] | None:
    """What a damaged file gives: points, or None when it is refused with a message."""
    try:
        (log,) = read(path)
    except ForeshockError as error:
        assert str(path) in str(error)
        return None
    return {point for point in points_of(log) if point[1] != "_step"}


@pytest.mark.parametrize("kind", BOTH)
@STEADY
@given(share=st.floats(0, 1))
def test_a_cut_file_gives_its_leading_part_or_one_clear_error(
    kind: str, share: float, whole: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "cut.file"
    content = whole[kind].read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    found = partial(BOTH[kind][0], path)
    assert found is None or found <= truth_of(ROWS)


@pytest.mark.parametrize("kind", CHECKED)
@STEADY
@given(data=st.data())
def test_a_changed_byte_never_gives_a_wrong_number(
    kind: str, data: st.DataObject, whole: dict[str, Path], tmp_path: Path
) -> None:
    content = bytearray(whole[kind].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "changed.file"
    path.write_bytes(content)
    found = partial(CHECKED[kind][0], path)
    assert found is None or found <= truth_of(ROWS)


@pytest.mark.parametrize("kind", CHECKED)
def test_pieces_in_another_order_never_give_a_wrong_number(
    kind: str, whole: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "shuffled.file"
    content = whole[kind].read_bytes()
    for seed in range(30):
        size = random.Random(seed).choice([16, 64, 500, 4096])
        pieces = [content[i : i + size] for i in range(0, len(content), size)]
        random.Random(seed).shuffle(pieces)
        path.write_bytes(b"".join(pieces))
        found = partial(CHECKED[kind][0], path)
        assert found is None or found <= truth_of(ROWS)


@pytest.mark.parametrize("kind", DATABASES)
@STEADY
@given(data=st.data())
def test_a_changed_database_is_read_or_refused_but_never_crashes(
    kind: str, data: st.DataObject, whole: dict[str, Path], tmp_path: Path
) -> None:
    content = bytearray(whole[kind].read_bytes())
    for _ in range(data.draw(st.integers(1, 30))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed.db"
    path.write_bytes(content)
    (mlflow_sqlite if kind == "mlflow" else trackio).recognises(path, bytes(content[: 1 << 16]))
    try:
        BOTH[kind][0](path)
    except ForeshockError as error:
        assert str(path) in str(error)


@given(head=st.binary(max_size=200), magic=st.sampled_from([b"", b":W&B\xe1\xbe\x00", b"SQLite format 3\0"]))
def test_recognising_never_raises(head: bytes, magic: bytes) -> None:
    for reader in (tensorboard, wandb_offline, mlflow_sqlite, mlflow_files, trackio):
        assert reader.recognises(Path("/nowhere/at-all"), magic + head) in (True, False)


@pytest.mark.parametrize("kind", CHECKED)
def test_a_torn_last_record_is_told_and_the_rest_is_read(
    kind: str, whole: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "torn.file"
    content = whole[kind].read_bytes()
    path.write_bytes(content[: -5 if kind == "tensorboard" else content.rindex(b"_step")])
    (log,) = CHECKED[kind][0](path)
    assert "cut-file" in {note.kind for note in log.notes}
    assert truth_of(ROWS[:-1]) <= points_of(log)


def test_a_record_with_a_wrong_checksum_is_left_out_and_counted(tmp_path: Path) -> None:
    path = event_folder(tmp_path, ROWS)
    content = bytearray(path.read_bytes())
    spot = content.index(struct.pack("<f", ROWS[9][1]["train/reward"]))
    content[spot] ^= 1
    path.write_bytes(content)
    (log,) = tensorboard.read(path)
    assert [(note.kind, note.count) for note in log.notes] == [("damaged-records", 1)]
    assert truth_of(ROWS) - points_of(log) == {(10, "train/reward", 10.5)}


def test_a_wrong_header_ends_the_file_there_and_says_where(tmp_path: Path) -> None:
    path = event_folder(tmp_path, ROWS)
    content = path.read_bytes()
    start = content.index(struct.pack("<f", 20.5)) + 8
    path.write_bytes(content[:start] + b"\xff" + content[start + 1 :])
    (log,) = tensorboard.read(path)
    assert f"byte {start:,}" in log.notes[0].text
    assert points_of(log) == {point for point in truth_of(ROWS) if point < (20, "train/s")} - {
        (20, "train/length", 120)
    }


def test_a_damaged_block_of_a_wandb_file_costs_that_block_only(tmp_path: Path) -> None:
    rows = steady_rows(200)
    path = wandb_file(tmp_path / "run-abc.wandb", rows, padding=1000)
    content = bytearray(path.read_bytes())
    content[3 * 32768 + 7] ^= 0xFF
    path.write_bytes(content)
    (log,) = wandb_offline.read(path)
    assert "damaged-records" in {note.kind for note in log.notes}
    assert {point for point in points_of(log) if point[1] != "_step"} < truth_of(rows)
    assert 150 < log.rows < 200


@pytest.mark.parametrize("length", [1 << 32, 1 << 62, 100 << 20])
def test_a_record_that_claims_gigabytes_is_refused_without_taking_memory(length: int, tmp_path: Path) -> None:
    claim = struct.pack("<Q", length)
    path = tmp_path / "events.out.tfevents.1.h"
    path.write_bytes(claim + masked(claim) + b"\x09" + b"x" * 100)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableError, match="without a readable scalar"):
            tensorboard.read(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_images_between_the_scalars_are_passed_over_unread(tmp_path: Path) -> None:
    path = event_file(tmp_path / "events.out.tfevents.1.h", ROWS[:20])
    picture = b"\x09" + bytes(8) + field(5, field(1, field(1, b"image") + field(4, bytes(5 << 20))))
    after = b"".join(
        tfrecord(event(step, tag, value)) for step, row in ROWS[20:] for tag, value in row.items()
    )
    length = struct.pack("<Q", len(picture))
    with path.open("ab") as file:  # the picture's own checksum is not looked at: its content is not used
        file.write(length + masked(length) + picture + bytes(4) + after)
    (log,) = tensorboard.read(path)
    assert points_of(log) == truth_of(ROWS)


@pytest.mark.parametrize("name", ["run-x.wandb", "events.out.tfevents.1.h"])
def test_noise_under_a_trackers_file_name_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(random.Random(1).randbytes(300_000))
    reader = wandb_offline if name.endswith("wandb") else tensorboard
    assert reader.recognises(path, path.read_bytes()[:65536])
    with pytest.raises(UnreadableError, match="Copy it again"):
        reader.read(path)


def test_event_files_without_a_scalar_say_so(tmp_path: Path) -> None:
    event_file(tmp_path / "events.out.tfevents.1.h", [])
    with pytest.raises(NotARunError, match="no values yet"):
        tensorboard.read(tmp_path)


@pytest.mark.parametrize("kind", BOTH)
def test_a_file_that_the_system_refuses_to_open_is_told_in_one_sentence(
    kind: str, whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnreadableError, match="cannot be read: Permission denied"):
        BOTH[kind][0](whole[kind])


NOT_MESSAGES = {
    "varint past the end": b"\x10\x80",
    "varint of eleven bytes": b"\x10" + b"\x80" * 10 + b"\x01",
    "field past the end": b"\x0a\x7fabc",
    "field number 0": b"\x00\x01",
    "unknown wire type": b"\x0f\x01",
    "text where a step belongs": b"\x12\x01a",
    "number where values belong": b"\x28\x01",
    "short wall time": b"\x0a\x00",
}


@pytest.mark.parametrize("content", NOT_MESSAGES.values(), ids=NOT_MESSAGES)
def test_a_record_that_is_no_message_is_left_out_though_its_checksum_is_right(
    content: bytes, tmp_path: Path
) -> None:
    events = event_file(tmp_path / "events.out.tfevents.1.h", [])
    events.write_bytes(tfrecord(content) + b"".join(tfrecord(event(step, "a", 0.5)) for step in (1, 2)))
    (log,) = tensorboard.read(events)
    assert points_of(log) == {(1, "a", 0.5), (2, "a", 0.5)}
    assert [(note.kind, note.count) for note in log.notes] == [("damaged-records", 1)]


def test_a_wandb_record_with_a_value_that_is_not_json_is_left_out(tmp_path: Path) -> None:
    broken = field(2, field(1, field(2, b"a") + field(16, b"{]")))
    path = tmp_path / "run-a.wandb"
    path.write_bytes(leveldb([history(1, {"a": 0.5}), broken, history(3, {"a": 1.5}), field(2, b"\x0a\x7f")]))
    (log,) = wandb_offline.read(path)
    assert log.column("a").tolist() == [0.5, 1.5]
    assert [note.count for note in log.notes if note.kind == "damaged-records"] == [2]


def test_a_wandb_record_larger_than_any_history_row_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_leveldb, "MAX_RECORD", 100_000)
    path = tmp_path / "run-a.wandb"
    path.write_bytes(leveldb([history(1, {"a": 0.5}), field(13, bytes(200_000)), history(2, {"a": 1.5})]))
    (log,) = wandb_offline.read(path)
    assert log.column("a").tolist() == [0.5, 1.5]


def test_a_folder_of_wandb_runs_without_any_row_says_so(tmp_path: Path) -> None:
    for run in ("a", "b"):
        wandb_file(tmp_path / f"run-{run}" / f"run-{run}.wandb", [], run=run)
    with pytest.raises(NotARunError, match="none of its 2 W&B runs has a readable history row"):
        wandb_offline.read(tmp_path)


@pytest.mark.parametrize("kind", DATABASES)
def test_a_database_in_which_nothing_was_logged_says_so(kind: str, tmp_path: Path) -> None:
    read, make = DATABASES[kind]
    with pytest.raises(NotARunError, match="no run has metrics|nothing has been logged"):
        read(make(tmp_path, []))


def test_trackio_rows_that_are_no_objects_are_left_out_and_counted(tmp_path: Path) -> None:
    path = trackio_project(tmp_path / "p.db", steady_rows(3))
    project = sqlite3.connect(path)
    for rubbish in ("{", "[1]", "[" * 5000, None, 7):
        project.execute(
            "INSERT INTO metrics (run_id, run_name, step, metrics) VALUES ('id1', 'r', 9, ?)", (rubbish,)
        )
    project.commit()
    project.close()
    (log,) = trackio.read(path)
    assert points_of(log) == truth_of(steady_rows(3))
    assert [(note.kind, note.count) for note in log.notes] == [("damaged-records", 5)]


def test_crc32c_of_many_pieces_equals_the_published_values() -> None:
    # RFC 3720, appendix B.4
    pieces = {
        bytes(32): 0x8A9136AA,
        b"\xff" * 32: 0x62A8AB43,
        bytes(range(32)): 0x46DD794E,
        b"123456789": 0xE3069283,
    }
    data, starts = b"".join(pieces), [0, 32, 64, 96]
    assert crc32c_many(data, starts, [len(piece) for piece in pieces]).tolist() == list(pieces.values())
    assert [crc32c(piece) for piece in pieces] == list(pieces.values())

"""Following a source: whatever its format and however it grows, the rows are those of the finished log."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _watching import Time, write
from foreshock.errors import (
    ForeshockError,
    InputError,
    MetricError,
    NotARunError,
    SeveralRunsError,
    UsageError,
)
from foreshock.readers import Follower, _follow_lines, follow, jsonl, list_runs, open_run
from foreshock.readers.follow import Row, Table
from foreshock.record import Recorder


class Reader:
    """Polls a follower and keeps what it handed over, as any caller would."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.time = Time()
        self.follower = Follower(path, clock=self.time, wall=lambda: 0.0, **options)
        self.rows: list[Row] = []
        self.rewound: list[int] = []
        self.replaced = 0
        self.waiting = ""

    def poll(self, after: float = 0.0, final: bool = False) -> list[int]:
        """Poll until there is no more; the steps that are new."""
        self.time.now += after
        new: list[int] = []
        while True:
            update = self.follower.poll(final)
            if update.replaced:
                self.rows.clear()
                self.replaced += 1
            if update.rewound is not None:
                assert any(row.step >= update.rewound for row in self.rows)
                self.rows = [row for row in self.rows if row.step < update.rewound]
                self.rewound.append(update.rewound)
            self.rows += update.rows
            new += [row.step for row in update.rows]
            self.waiting = update.waiting
            steps = [row.step for row in self.rows]
            assert steps == sorted(set(steps))
            assert same(self.rows, list(self.follower.handed))
            if not update.more:
                return new

    def settle(self) -> list[int]:
        """Poll, wait, poll."""
        return self.poll() + self.poll(5.0)


def same(found: Sequence[Row], expected: Sequence[Row]) -> bool:
    return repr(list(found)) == repr(list(expected))  # NaN are no values, so that texts can be compared


def finished(path: Path, **options: Any) -> list[Row]:
    """The rows of the last attempt, as `open_run` reads the finished log."""
    runs = list_runs(path)
    return list(Table.of(open_run(path, run=runs[-1].id, require_reward=False, **options)))


def in_pieces(path: Path, whole: bytes, cuts: Sequence[int], waits: Sequence[bool]) -> Reader:
    """Follow a file that grows in pieces, now and then looked at twice."""
    reader = Reader(path)
    places = sorted({min(cut, len(whole)) for cut in cuts} | {len(whole)})
    path.write_bytes(b"")
    for place, (start, stop) in enumerate(zip([0, *places], places, strict=False)):
        with path.open("ab") as file:
            file.write(whole[start:stop])
        reader.poll()
        if waits and waits[place % len(waits)]:
            reader.poll(5.0)
    reader.settle()
    return reader


VALUES = st.one_of(
    st.floats(-3, 3, width=16).map(lambda x: x + 0.0), st.just(float("nan")), st.just(float("inf"))
)
RECORDS = st.fixed_dictionaries(
    {"reward": VALUES},
    optional={"completion_length": VALUES, "kl": VALUES, "eval_reward": VALUES, "my/own": VALUES},
)
MOVES = st.lists(st.tuples(st.sampled_from([1, 1, 1, 1, 1, 0, 2, -3, -99]), RECORDS), min_size=1, max_size=14)


def records_of(moves: Sequence[tuple[int, dict[str, float]]]) -> list[dict[str, float]]:
    """Rows of a run with several calls per step, gaps, resumes and a new start."""
    step, rows = 0, []
    for move, record in moves:
        step = 1 if move == -99 else max(1, step + move)
        rows.append({"step": step, **record})
    return rows


def lines_of(rows: Sequence[dict[str, float]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def console(rows: Sequence[dict[str, float]]) -> bytes:
    lines = [str({key: value for key, value in row.items()}) + "\n" for row in rows]
    return (
        ("Loading checkpoint shards: 100%\n" + "".join(lines))
        .encode()
        .replace(b"nan", b"'nan'")
        .replace(b"inf", b"'inf'")
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=MOVES,
    cuts=st.lists(st.integers(0, 1500), max_size=10),
    waits=st.lists(st.booleans(), max_size=4),
    form=st.sampled_from([lines_of, console]),
)
def test_however_the_growth_is_cut_the_rows_are_those_of_the_finished_log(
    tmp_path: Path, moves: list[Any], cuts: list[int], waits: list[bool], form: Callable[[Any], bytes]
) -> None:
    path = tmp_path / "run.log"
    for large in (_follow_lines._LARGE, -1):  # also as only large logs are read: what is new in them
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_follow_lines, "_LARGE", large)
            reader = in_pieces(path, form(records_of(moves)), cuts, waits)
        try:
            expected = finished(path)
        except ForeshockError:
            assert not reader.rows or reader.waiting
            return
        assert same(reader.rows, expected)


def test_of_a_large_log_only_what_is_new_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "run.jsonl"
    write(log, range(1, 3001), [0.5 + 0.01 * (step % 7) for step in range(3000)], my_own=1.25)
    reader = Reader(log)
    reader.settle()
    write(log, [3001], [0.6])
    reader.settle()
    parsed: list[bytes] = []
    record_of = jsonl.record_of

    def counted(line: bytes) -> Any:
        parsed.append(line)
        return record_of(line)

    monkeypatch.setattr(jsonl, "record_of", counted)
    with log.open("a") as file:
        file.write('{"step": 3002, "reward": 0.7}\n{"step": 30')
    assert reader.settle() == [3002] and len(parsed) <= 4
    rows = log.read_bytes()
    log.write_bytes(rows.replace(b'"step": 17, "reward": 0.52', b'"step": 17, "reward": 0.92'))
    reader.settle()
    assert reader.rewound == [17] and same(reader.rows, finished(log))


@pytest.mark.parametrize(
    "name",
    [
        "165-panacea", "166-tz-trl", "001-verl-gsm8k", "092-wordle", "148-countdown", "019-grpodyn",
        "159-unsloth-gsm8k", "093-wordle-tb",
    ],
)  # fmt: skip
def test_published_logs_growing_in_pieces_give_their_rows(shared: Path, tmp_path: Path, name: str) -> None:
    folder = shared / "data" / "real" / "raw" / name
    source = next((each for each in sorted(folder.rglob("*")) if each.is_file() and readable(each)), None)
    if source is None:
        pytest.skip(f"{name} holds no single log")
    whole = source.read_bytes()[:200_000]
    target = tmp_path / source.name
    reader = in_pieces(target, whole, [len(whole) * part // 9 for part in range(1, 9)], [False, True, False])
    assert same(reader.rows, finished(target))
    assert len(reader.rows) > 3


def readable(path: Path) -> bool:
    try:
        return len(open_run(path).steps) > 3
    except ForeshockError:
        return False


def test_the_last_row_waits_for_a_later_one_or_for_stillness(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    reader = Reader(log)
    write(log, [1], [0.5])
    assert reader.poll() == [] and reader.poll(1.0) == []
    write(log, [2], [0.6])
    assert reader.poll() == [1]
    assert reader.poll(1.9) == [] and reader.poll(0.2) == [2]
    assert not reader.follower.held


def test_several_calls_of_a_step_are_one_row(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    reader = Reader(log)
    write(log, [0], [0.5])
    for record in ({"reward": 1.0}, {"completion_length": 5.0}, {"eval_reward": 2.0}):
        with log.open("a") as file:
            file.write(json.dumps({"step": 1, **record}) + "\n")
        reader.poll(1.0)
    assert reader.settle() == [1] and not reader.rewound
    assert reader.rows[1].values["response_length_mean"] == 5.0 and len(reader.rows[1].values) == 3


def test_a_torn_last_line_is_never_handed_over(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    reader = Reader(log)
    write(log, [1, 2], [0.5, 0.6])
    with log.open("a") as file:
        file.write('{"step": 3, "rew')
    assert reader.settle() == [1, 2]
    with log.open("a") as file:
        file.write('ard": 0.25}\n')
    assert reader.settle() == [3] and reader.rows[-1].values["reward_mean"] == 0.25


def test_nan_is_told_from_what_was_not_logged(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    write(log, [1], [0.5], kl=float("nan"))
    write(log, [2], [0.5], entropy=float("inf"))
    reader = Reader(log)
    reader.settle()
    first, second = reader.rows
    assert first.nan == {"kl_ref"} and "kl_ref" not in first.values
    assert second.nan == set() and second.values["entropy"] == float("inf")


def test_a_path_that_comes_and_goes_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "later" / "run.jsonl"
    reader = Reader(log)
    assert reader.poll() == [] and "no such file" in reader.waiting
    log.parent.mkdir()
    log.touch()
    assert reader.settle() == [] and "empty" in reader.waiting
    log.write_text("starting up ...\n")
    assert reader.settle() == [] and reader.waiting
    log.unlink()
    write(log, [1, 2], [0.5, 0.6])
    assert reader.settle() == [1, 2] and not reader.waiting
    hidden = log.rename(tmp_path / "away")
    assert reader.settle() == [] and reader.waiting and len(reader.rows) == 2
    hidden.rename(log)
    write(log, [3], [0.7])
    assert reader.settle() == [3] and not reader.rewound and not reader.replaced


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_log_that_may_not_be_read_for_a_while_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    write(log, [1, 2], [0.5, 0.6])
    log.chmod(0)
    reader = Reader(log)
    assert reader.settle() == [] and "cannot be read" in reader.waiting
    log.chmod(0o600)
    assert reader.settle() == [1, 2]


def test_what_is_no_log_and_will_be_none_is_an_error(tmp_path: Path) -> None:
    weights = tmp_path / "model.bin"
    weights.write_bytes(os.urandom(4096) + b"\0")
    reader = Reader(weights)
    reader.poll()  # somebody may still be writing it
    with pytest.raises(NotARunError, match="binary"):
        reader.poll(3.0)
    text = tmp_path / "notes.txt"
    text.write_text("nothing here yet\n")
    waiting = Reader(text)
    waiting.settle()
    assert waiting.waiting
    with pytest.raises(NotARunError):
        waiting.poll(final=True)
    folder = Reader(tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    folder.settle()
    assert "no log" in folder.waiting


def test_pipes_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="foreshock run"):
        Follower("-")


def test_a_key_that_never_comes_is_an_error_and_one_that_comes_late_is_not(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    write(log, [1, 2], [0.5, 0.6])
    reader = Reader(log, mapping={"reward": "score"})
    reader.settle()
    assert "score" in reader.waiting
    write(log, [3], [0.7], score=1.0)
    assert reader.settle() == [1, 2, 3]
    never = Reader(log, mapping={"reward": "scores"})
    write(log, range(4, 40), [0.5] * 36)
    with pytest.raises(MetricError, match="scores"):
        never.settle()


def test_a_resume_and_rewritten_rows_say_from_where(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    reader = Reader(log)
    write(log, range(1, 11), [0.1 * i for i in range(1, 11)])
    reader.settle()
    write(log, range(6, 9), [2.0] * 3)
    reader.settle()
    assert reader.rewound == [6] and [row.step for row in reader.rows] == list(range(1, 9))
    rows = log.read_text().splitlines()
    log.write_text("\n".join([*rows[:2], json.dumps({"step": 3, "reward": 9.0}), *rows[3:]]) + "\n")
    reader.settle()
    assert reader.rewound == [6, 3] and same(reader.rows, finished(log))


def test_a_file_that_is_replaced_truncated_or_rotated(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    reader = Reader(log)
    write(log, range(1, 11), [0.1 * i for i in range(1, 11)])
    reader.settle()
    write(tmp_path / "other", range(1, 4), [7.0, 8.0, 9.0])
    os.replace(tmp_path / "other", log)  # another run under the same path
    assert reader.settle() == [1, 2, 3] and reader.replaced == 1
    write(log, range(1, 5), [7.0, 8.0, 9.0, 9.5], mode="w")  # the same run, written anew
    assert reader.settle() == [4] and reader.replaced == 1 and not reader.rewound
    write(log, range(1, 3), [7.0, 8.0], mode="w")  # a copy on its way
    assert reader.settle() == [] and len(reader.rows) == 4
    write(log, range(5, 7), [9.6, 9.7], mode="w")  # rotated: the first rows are elsewhere now
    assert reader.settle() == [5, 6]
    assert [row.step for row in reader.rows] == [1, 2, 3, 4, 5, 6] and reader.replaced == 1


def test_a_run_started_over_in_the_same_file_is_followed_attempt_by_attempt(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    reader = Reader(log)
    write(log, range(1, 9), [0.5 + 0.01 * i for i in range(8)])
    reader.settle()
    write(log, range(1, 4), [0.7, 0.6, 0.5])
    assert reader.settle() == [1, 2, 3] and reader.replaced == 1
    late = Reader(log)
    assert late.settle() == [*range(1, 9), 1, 2, 3] and same(late.rows, reader.rows)


def test_new_checkpoints_of_an_output_folder(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    history: list[dict[str, float]] = []
    for last in (3, 6, 9):
        history += [{"step": step, "reward": 0.1 * step, "loss": 1.0} for step in range(last - 2, last + 1)]
        folder = tmp_path / f"checkpoint-{last}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(os.urandom(100))
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": history, "max_steps": 20}))
        assert reader.settle() == [last - 2, last - 1, last]
        for old in sorted(tmp_path.glob("checkpoint-*"))[:-1]:
            shutil.rmtree(old)  # save_total_limit
    assert reader.poll() == [] and not reader.rewound
    assert same(reader.rows, finished(tmp_path))


@pytest.mark.parametrize("large", [-1, 10**9])
def test_a_recording_while_it_is_recorded_and_resumed(
    tmp_path: Path, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_follow_lines, "_LARGE", large)
    reader = Reader(tmp_path / "run")
    with Recorder(tmp_path / "run") as recorder:
        for step in range(1, 6):
            recorder.log({"reward": 0.1 * step}, step=step)
            reader.poll()
    assert reader.settle() == [5]
    with Recorder(tmp_path / "run") as recorder:
        for step in range(4, 8):
            recorder.log({"reward": 0.3 * step}, step=step)
    reader.settle()
    assert reader.rewound == [4] and same(reader.rows, finished(tmp_path / "run"))
    with Recorder(tmp_path / "run") as recorder:
        for step in range(1, 3):
            recorder.log({"reward": 0.9 * step}, step=step)
    reader.settle()
    assert reader.replaced == 1 and [row.step for row in reader.rows] == [1, 2]


def test_a_database_that_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA journal_mode=WAL")
        base.execute(
            "CREATE TABLE metrics "
            "(id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT)"
        )
        base.commit()
        reader = Reader(path)
        for step in range(5):
            base.execute(
                "INSERT INTO metrics (timestamp, run_name, step, metrics) VALUES (?, 'one', ?, ?)",
                (f"2025-01-01T00:00:0{step}", step, json.dumps({"train/reward": 0.1 * step})),
            )
            base.commit()
            reader.poll()
        reader.settle()
    assert [row.step for row in reader.rows] == list(range(5))


def test_a_compressed_log_that_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    rows = [{"step": step, "reward": 0.1 * step} for step in range(1, 9)]
    reader = Reader(path)
    for count in (3, 8):
        path.write_bytes(gzip.compress(lines_of(rows[:count])))
        reader.settle()
    assert [row.step for row in reader.rows] == list(range(1, 9)) and not reader.rewound


def test_several_runs_must_be_told_apart_and_a_followed_one_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", range(1, 6), [0.1, 0.2, 0.3, 0.4, 0.5])
    reader = Reader(tmp_path)
    reader.settle()
    write(tmp_path / "b.jsonl", range(1, 6), [5.0, 6.0, 7.0, 8.0, 9.0])
    write(tmp_path / "a.jsonl", [6, 7], [0.6, 0.7])
    assert reader.settle() == [6, 7]
    with pytest.raises(SeveralRunsError, match="--run"):
        Reader(tmp_path).settle()
    named = Reader(tmp_path, run="b.jsonl")
    assert len(named.settle()) == 5 and named.rows[0].values["reward_mean"] == 5.0
    with pytest.raises(UsageError, match="no run"):
        Reader(tmp_path, run="c").settle()


def test_what_the_wrong_option_says_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--format"):
        Reader(tmp_path, format="excel").poll()


def test_an_old_log_is_settled_when_it_is_first_seen(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    write(log, [1, 2], [0.5, 0.6])
    follower = Follower(log, clock=Time(), wall=lambda: log.stat().st_mtime + 3600)
    assert len(follower.poll().rows) == 2
    assert follower.age == pytest.approx(3600)


def test_follow_yields_what_is_new(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    write(log, [1, 2, 3], [0.5, 0.6, 0.7])
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        write(log, [3 + len(waits)], [0.8])

    updates = follow(log, interval=0.5, sleep=sleep)
    assert [row.step for row in next(updates).rows] == [1, 2]
    assert [row.step for row in next(updates).rows] == [3]
    assert min(waits) >= 0.5

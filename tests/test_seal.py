"""Sealing: the same run from a fifth of the space, and nothing removed before that is certain."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import foreshock
from foreshock.cli import command_line
from foreshock.errors import InputError, NotARunError, UnreadableError
from foreshock.record import Change, Evidence, Recorder
from foreshock.record.seal import seal
from foreshock.run import Run

parquet = pytest.importorskip("pyarrow.parquet")
METRICS = ("reward", "kl", "entropy", "grad_norm", "completions/mean_length", "loss", "lr", "clip")


def record(folder: Path, steps: range, process: int = 0) -> None:
    walk = dict.fromkeys(METRICS, 0.0)
    generator = random.Random(steps.start)
    with Recorder(folder, strict=True, environment=False, process=process, total_steps=99) as run:
        for step in steps:
            walk = {name: value + generator.gauss(0, 1) for name, value in walk.items()}
            run.log({**walk, "n": step, "kl": math.nan if step == 3 else walk["kl"]}, step=step)
            if step % 10 == 0:
                change = Change("prompt_drift", f"drift at {step}", {"distance": step})
                run.evidence(Evidence("batch", {"step": step}, {"foreshock/batch/prompts": 4.0}, (change,)))


def content(run: Run) -> str:
    series = {name: values.tolist() for name, values in sorted(run.series.original.items())}
    nan_steps = {key: at.tolist() for key, at in run.nan_steps.items()}
    return repr(
        (run.id, run.steps.tolist(), series, nan_steps, run.events, run.evidence, run.facts, run.notes)
    )


def test_a_sealed_run_is_the_same_run(tmp_path: Path) -> None:
    record(tmp_path, range(60))
    record(tmp_path, range(50, 80))
    record(tmp_path, range(80), process=1)
    before = content(foreshock.open_run(tmp_path))
    sealed = seal(tmp_path)
    assert sealed.rows == 170 + 6 + 3 + 8
    assert content(foreshock.open_run(tmp_path)) == before
    assert content(foreshock.open_run(tmp_path / "run.parquet")) == before


def test_a_point_takes_at_most_10_bytes_sealed_and_50_live(tmp_path: Path) -> None:
    with Recorder(tmp_path, environment=False) as run:
        walk = [0.0] * 20
        generator = random.Random(1)
        for step in range(2000):
            walk = [value + generator.gauss(0, 1) for value in walk]
            run.log(
                {f"completions/metric_{i}": value for i, value in enumerate(walk)} | {"reward": 1.0}, step
            )
    sealed = seal(tmp_path)
    assert sealed.points == 2000 * 21
    assert sealed.before / sealed.points <= 50
    assert sealed.after / sealed.points <= 10


def test_a_sealed_run_can_be_resumed_and_sealed_again(tmp_path: Path) -> None:
    record(tmp_path, range(20))
    seal(tmp_path)
    with Recorder(tmp_path, strict=True, environment=False) as run:
        assert run.attempt == 2
        assert run.last("batch") == {"step": 10}
        run.log({"reward": 5.0})
    assert foreshock.open_run(tmp_path).steps.tolist() == list(range(21))
    before = content(foreshock.open_run(tmp_path))
    seal(tmp_path)
    assert content(foreshock.open_run(tmp_path)) == before
    with pytest.raises(NotARunError, match="nothing was recorded since"):
        seal(tmp_path)


def test_a_run_that_is_still_recorded_is_refused(tmp_path: Path) -> None:
    run = Recorder(tmp_path, environment=False)
    run.log({"reward": 1.0})
    with pytest.raises(InputError, match="still being recorded"):
        seal(tmp_path)
    run.close()
    assert seal(tmp_path).rows == 1


def test_what_does_not_read_back_keeps_the_journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, range(20))
    journal = (tmp_path / "journal-0.jsonl").read_bytes()
    monkeypatch.setattr("foreshock.record.seal.unsealed", lambda path: iter([]))
    with pytest.raises(UnreadableError, match="journals are kept"):
        seal(tmp_path)
    assert (tmp_path / "journal-0.jsonl").read_bytes() == journal
    assert not (tmp_path / "run.parquet").exists()


def test_a_damaged_sealed_run_is_refused_with_a_reason(tmp_path: Path) -> None:
    record(tmp_path, range(20))
    path = seal(tmp_path).path
    whole = path.read_bytes()
    group = parquet.ParquetFile(path).metadata.row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        at = column.data_page_offset + column.total_compressed_size - 3  # within the data of its last page
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(UnreadableError, match="CRC"):
            foreshock.open_run(path)
    path.write_bytes(whole[:-50])
    with pytest.raises(foreshock.ForeshockError):
        foreshock.open_run(path)


values = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.booleans())


@given(
    rows=st.lists(
        st.dictionaries(st.text(min_size=1, max_size=8), values, max_size=4), min_size=1, max_size=6
    )
)
@settings(max_examples=40, deadline=None)
def test_whatever_was_logged_is_in_the_seal(
    rows: list[dict[str, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    with Recorder(folder, environment=False) as run:
        for step, row in enumerate(rows):
            run.log({"reward": 1.0, "m": row}, step=step)
    before = content(foreshock.open_run(folder))
    seal(folder)
    assert content(foreshock.open_run(folder)) == before


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    record(tmp_path, range(20))
    done = CliRunner().invoke(command_line(), ["seal", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "22 rows" in done.output and "bytes" in done.output

"""The reservoir of completions: uniform, bounded, redacted before it is written, readable at any moment."""

from __future__ import annotations

import json
import logging
import math
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.record.samples import Reservoir, read_samples

NAN = float("nan")
PLAIN = st.one_of(st.none(), st.integers(-(2**70), 2**70), st.booleans(), st.text(max_size=20))
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def _fill(reservoir: Reservoir, step: int, rows: int = 8, size: int = 10) -> None:
    completions = [f"{step}-{row}-" + "x" * size for row in range(rows)]
    reservoir.step(step, [f"p{row}" for row in range(rows)], completions, {"accuracy": [1.0] * rows})


def _text(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.iterdir())


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    reservoir = Reservoir(tmp_path, per_step=2)
    rewards: dict[str, Any] = {
        "accuracy": [1.0, None, NAN, math.inf],
        "format": np.array([0.0, 0.5, 1.0, 1.0]),
    }
    reservoir.step(7, ["2+2?", "3+3?"], ["4", "5", "6", "7"], rewards, answer=[4, 4, 6, 6], source="sums")
    got = read_samples(tmp_path)
    assert [(sample.step, sample.rows) for sample in got] == [(7, 4), (7, 4)]
    for sample in got:
        assert sample.prompt == ["2+2?", "2+2?", "3+3?", "3+3?"][sample.row]
        assert sample.completion == "4567"[sample.row]
        accuracy, expected = sample.rewards["accuracy"], [1.0, None, NAN, math.inf][sample.row]
        assert accuracy == expected or (accuracy is not None and math.isnan(accuracy) and sample.row == 2)
        assert sample.rewards["format"] == [0.0, 0.5, 1.0, 1.0][sample.row]
        assert sample.columns == {"answer": [4, 4, 6, 6][sample.row], "source": "sums"}
        assert abs(sample.time - time.time()) < 60


def test_a_dataset_may_have_columns_of_any_name(tmp_path: Path) -> None:
    columns = {"step": [5], "prompts": ["x"], "rewards": [1], "self": ["me"]}
    Reservoir(tmp_path).step(0, ["p"], ["c"], {}, **columns)
    assert read_samples(tmp_path)[0].columns == {"step": 5, "prompts": "x", "rewards": 1, "self": "me"}


def test_chats_stay_chats_and_odd_values_become_text(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "2+2?"}]
    Reservoir(tmp_path).step(0, [chat], [[{"role": "assistant", "content": "4"}]], {}, image=[object])
    (sample,) = read_samples(tmp_path)
    assert sample.prompt == chat
    assert sample.completion == [{"role": "assistant", "content": "4"}]
    assert sample.columns["image"] == "<class 'object'>"


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_values_round_trip(rows: list[tuple[Any, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Reservoir(Path(folder)).step(3, ["p"], [c for c, _ in rows], {}, extra=[v for _, v in rows])
        got = read_samples(folder)
        assert [(sample.completion, sample.columns["extra"]) for sample in got] == rows


def test_the_draw_is_uniform_and_leaves_the_training_random_numbers_alone(tmp_path: Path) -> None:
    state = random.getstate()
    reservoir = Reservoir(tmp_path, per_step=2)
    for step in range(2000):
        _fill(reservoir, step, rows=8, size=0)
    counts = Counter(sample.row for sample in read_samples(tmp_path))
    # Each row: 500 expected, standard deviation 19.
    assert set(counts) == set(range(8))
    assert max(abs(count - 500) for count in counts.values()) < 85
    assert random.getstate() == state


def test_the_draw_is_the_same_again_but_not_for_another_process_or_seed(tmp_path: Path) -> None:
    rows = []
    for name, process, seed in (("a", "0", 0), ("b", "0", 0), ("c", "1", 0), ("d", "0", 1)):
        (tmp_path / name).mkdir()
        reservoir = Reservoir(tmp_path / name, process, seed=seed)
        for step in range(10):
            _fill(reservoir, step, rows=64)
        rows.append([sample.row for sample in read_samples(tmp_path / name)])
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]
    assert rows[0] != rows[3]


def test_columns_that_do_not_fit_are_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reservoir = Reservoir(tmp_path)
    for step in range(3):
        reservoir.step(
            step,
            ["p"],
            ["a", "b"],
            {"good": [1.0, 0.0], "bad": [1.0]},
            more=[1, 2, 3],
            completion_ids=[[1], [2]],
        )
    sample = read_samples(tmp_path)[0]
    assert set(sample.rewards) == {"good"}
    assert sample.columns == {}
    assert len(caplog.records) == 2
    reservoir.step(3, ["p", "q"], ["a", "b", "c"], {})
    assert reservoir.dropped == 3
    assert max(sample.step for sample in read_samples(tmp_path)) == 2


# Redaction


def test_the_hook_sees_every_text_before_it_is_written(tmp_path: Path) -> None:
    def redact(text: str) -> str:
        return text.replace("secret", "***")

    class Odd:
        def __str__(self) -> str:
            return "an odd secret"

    Reservoir(tmp_path, redact=redact).step(
        0,
        [[{"role": "user", "content": [{"type": "text", "text": "my secret"}]}]],
        ["secret " * 3],
        {"accuracy": [1.0]},
        answer=["secret"],
        nested=[{"secret key": ["secret", Odd()]}],
        odd=Odd(),
    )
    assert "secret" not in _text(tmp_path)
    (sample,) = read_samples(tmp_path)
    assert sample.completion == "*** *** *** "
    assert sample.columns["nested"] == {"*** key": ["***", "an odd ***"]}


@pytest.mark.parametrize("broken", [lambda text: 1 / 0, lambda text: None, lambda text: text.missing])
def test_a_hook_that_fails_drops_the_sample_and_never_writes_it(
    tmp_path: Path, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    reservoir = Reservoir(tmp_path, redact=broken)
    for step in range(3):
        _fill(reservoir, step)
    assert reservoir.dropped == 12
    assert read_samples(tmp_path) == []
    assert not list(tmp_path.iterdir())
    assert len(caplog.records) == 1


def test_a_hook_that_fails_for_one_text_drops_that_sample_only(tmp_path: Path) -> None:
    def redact(text: str) -> str:
        if text == "b":
            raise RuntimeError(text)
        return text

    Reservoir(tmp_path, redact=redact).step(0, ["p"], ["a", "b", "c"], {})
    assert [sample.completion for sample in read_samples(tmp_path)] == ["a", "c"]


def test_with_a_hook_token_ids_are_not_written(tmp_path: Path) -> None:
    Reservoir(tmp_path, redact=str).step(0, [[101, 102]], [np.array([7, 8])], {})
    (sample,) = read_samples(tmp_path)
    assert sample.prompt is None
    assert sample.completion is None
    assert "101" not in _text(tmp_path)


def test_a_long_text_is_redacted_first_and_cut_then(tmp_path: Path) -> None:
    text = "x" * 99_996 + "secret"
    Reservoir(tmp_path, redact=lambda t: t.replace("secret", "")).step(0, ["p"], [text], {})
    Reservoir(tmp_path).step(1, ["p"], ["y" * 100_001], {})
    short, cut = read_samples(tmp_path)
    assert short.completion == "x" * 99_996
    assert not short.cut
    assert len(cut.completion) == 100_000
    assert cut.cut


# Bounds


def _on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_the_folder_stays_bounded_and_the_run_covered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = []
    replace = os.replace

    def watched(*args: Any) -> None:
        most.append(_on_disk(tmp_path))  # the file and its copy
        replace(*args)

    monkeypatch.setattr("foreshock.record._samples_file.os.replace", watched)
    reservoir = Reservoir(tmp_path, max_bytes=300_000)
    for step in range(3000):
        _fill(reservoir, step, size=100)
        most.append(_on_disk(tmp_path))
    assert max(most) <= 300_000
    assert reservoir.dropped == 0
    steps = sorted({sample.step for sample in read_samples(tmp_path)})
    assert max(steps) == 2999
    assert {2980, 2990, 2999} <= set(steps)  # the newest are all there
    gaps = np.diff([0, *steps])
    assert len(steps) > 80
    assert max(gaps) <= 64  # and no part of the run is without any
    assert all(len([s for s in read_samples(tmp_path) if s.step == step]) == 4 for step in steps[:5])


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=60), st.integers(2_000, 20_000))
@settings(max_examples=40, deadline=None)
def test_no_sizes_break_the_bound(sizes: list[int], bound: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reservoir = Reservoir(folder, max_bytes=bound)
        for step, size in enumerate(sizes):
            _fill(reservoir, step, size=size)
            assert _on_disk(folder) <= bound
        kept = read_samples(folder)
        assert len(kept) + reservoir.dropped <= 4 * len(sizes)
        assert all(
            sample.completion == f"{sample.step}-{sample.row}-" + "x" * sizes[sample.step] for sample in kept
        )


def test_a_kill_while_thinning_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reservoir = Reservoir(tmp_path, max_bytes=30_000)

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    step = 0
    with monkeypatch.context() as patch:
        patch.setattr("foreshock.record._samples_file.os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            for step in range(1000):
                _fill(reservoir, step)
    assert {sample.step for sample in read_samples(tmp_path)} == set(range(step))
    again = Reservoir(tmp_path, max_bytes=30_000)
    for later in range(step, step + 200):
        _fill(again, later)
    assert _on_disk(tmp_path) <= 30_000
    assert {path.name for path in tmp_path.iterdir()} == {"samples-0.jsonl"}


def test_a_full_disk_while_thinning_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reservoir = Reservoir(tmp_path, max_bytes=30_000)

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("foreshock.record._samples_file.os.replace", full)
    failures = 0
    for step in range(100):
        try:
            _fill(reservoir, step)
        except OSError:
            failures += 1
    assert failures > 10
    assert len({sample.step for sample in read_samples(tmp_path)}) == 100 - failures
    assert [path.name for path in tmp_path.iterdir()] == ["samples-0.jsonl"]


# Reading


def test_torn_and_strange_lines_are_passed_over(tmp_path: Path) -> None:
    _fill(Reservoir(tmp_path), 0)
    path = tmp_path / "samples-0.jsonl"
    with path.open("ab") as file:
        file.write(
            b'null\n[1]\n{"step":"x"}\n{"step":1,"completion":"c","rewards":{"a":"many"}}\n\xff\n{"step":1,"compl'
        )
    assert len(read_samples(tmp_path)) == 4
    _fill(Reservoir(tmp_path), 1)  # begins a line of its own
    assert [sample.step for sample in read_samples(tmp_path)] == [0] * 4 + [1] * 4
    assert read_samples(tmp_path / "nowhere") == []


def test_large_integers_survive(tmp_path: Path) -> None:
    Reservoir(tmp_path).step(0, ["p"], ["c"], {}, answer=[2**200 + 1])
    assert read_samples(tmp_path)[0].columns["answer"] == 2**200 + 1


def test_lone_surrogates_survive(tmp_path: Path) -> None:
    Reservoir(tmp_path).step(0, ["p"], ["half \ud83d"], {})
    assert read_samples(tmp_path)[0].completion == "half \ud83d"


def test_a_resumed_attempt_replaces_what_it_repeats(tmp_path: Path) -> None:
    first = Reservoir(tmp_path, per_step=1)
    for step in range(10):
        first.step(step, ["p"], ["old"], {})
    second = Reservoir(tmp_path, per_step=1)
    for step in range(6, 8):
        second.step(step, ["p"], ["new"], {})
    got = [(sample.step, sample.completion) for sample in read_samples(tmp_path)]
    assert got == [*((step, "old") for step in range(6)), (6, "new"), (7, "new")]


def test_several_batches_of_one_step_are_all_kept(tmp_path: Path) -> None:
    reservoir = Reservoir(tmp_path, per_step=1)
    for text in ("first", "second"):
        reservoir.step(5, ["p"], [text], {})
    assert sorted(sample.completion for sample in read_samples(tmp_path)) == ["first", "second"]


def test_processes_have_files_of_their_own(tmp_path: Path) -> None:
    for process in ("0", "1"):
        _fill(Reservoir(tmp_path, process), 0)
    assert Counter(sample.process for sample in read_samples(tmp_path)) == {"0": 4, "1": 4}


def test_the_umask_of_the_user_holds_also_after_thinning(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        reservoir = Reservoir(tmp_path, max_bytes=20_000)
        _fill(reservoir, 0)
    finally:
        os.umask(before)
    for step in range(1, 200):
        _fill(reservoir, step)
    assert stat.S_IMODE((tmp_path / "samples-0.jsonl").stat().st_mode) == 0o600
    assert len(read_samples(tmp_path)) < 400


def test_a_removed_folder_raises_an_oserror_and_recovers(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    reservoir = Reservoir(folder)
    folder.rmdir()
    with pytest.raises(OSError):
        _fill(reservoir, 0)
    folder.mkdir()
    _fill(reservoir, 1)
    assert {sample.step for sample in read_samples(folder)} == {1}


def test_samples_survive_kill_9_and_are_read_while_they_are_written(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from foreshock.record.samples import Reservoir\n"
        "r = Reservoir(Path(sys.argv[1]), max_bytes=200_000)\n"
        "for step in range(10**9):\n"
        "    r.step(step, ['p'], [f'{step} ' + 'x' * 300] * 8, {})\n"
        "    print(step, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        done = 0
        for done in (int(text) for text in child.stdout):
            if done % 100 == 0:
                read_samples(tmp_path)
            if done >= 700:  # several thinnings
                break
        child.send_signal(signal.SIGKILL)
        done = max([done, *(int(text) for text in child.stdout if text.endswith("\n"))])
    got = read_samples(tmp_path)
    assert {done - 1, done} <= {sample.step for sample in got}
    assert all(sample.completion.startswith(f"{sample.step} ") for sample in got)


def test_the_file_is_plain_json_lines(tmp_path: Path) -> None:
    Reservoir(tmp_path, per_step=1).step(4, ["p"], ["null"], {"a": [None], "b": [NAN]})
    record = json.loads((tmp_path / "samples-0.jsonl").read_text())
    assert record["rewards"] == {"a": None, "b": "NaN"}
    assert record["completion"] == "null"


def test_a_warning_is_given_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reservoir = Reservoir(tmp_path, max_bytes=900)
    with caplog.at_level(logging.WARNING):
        for step in range(5):
            _fill(reservoir, step, size=1000)
    assert reservoir.dropped == 20
    assert [record.message for record in caplog.records] == ["foreshock: samples are too large for max_bytes"]

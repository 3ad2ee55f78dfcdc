"""Whatever happens to a log on its way: a clear error, or a partial read in which every number is right."""

from __future__ import annotations

import contextlib
import json
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshock.errors import ForeshockError
from foreshock.readers import open_run
from foreshock.readers._registry import READERS
from foreshock.run import Run

Truth = Sequence[tuple[float, float]]  # reward and length of steps 1, 2, ...

SETTINGS = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def jsonl(truth: Truth) -> str:
    return "".join(
        json.dumps({"step": s, "reward": r, "response_length": n}) + "\n" for s, (r, n) in enumerate(truth, 1)
    )


def nested_jsonl(truth: Truth) -> str:
    return "".join(
        json.dumps(
            {"step": s, "data": {"critic/score/mean": r, "response_length/mean": n, "actor/entropy": 0.5}}
        )
        + "\n"
        for s, (r, n) in enumerate(truth, 1)
    )


def json_list(truth: Truth) -> str:
    return json.dumps(
        [{"step": s, "reward": r, "response_length": n} for s, (r, n) in enumerate(truth, 1)], indent=1
    )


def trainer_state(truth: Truth) -> str:
    history = [{"step": s, "reward": r, "completions/mean_length": n} for s, (r, n) in enumerate(truth, 1)]
    return json.dumps({"epoch": 1.0, "log_history": history, "max_steps": 500}, indent=2)


def csv_table(truth: Truth) -> str:
    return "step,reward,response_length\n" + "".join(
        f"{s},{r!r},{n!r}\n" for s, (r, n) in enumerate(truth, 1)
    )


def verl(truth: Truth) -> str:
    return "".join(
        f"(TaskRunner pid=42) step:{s} - actor/entropy:0.5 - critic/score/mean:{r!r} - "
        f"response_length/mean:{n!r} - response_length/clip_ratio:0.0\n"
        for s, (r, n) in enumerate(truth, 1)
    )


def key_values(truth: Truth) -> str:
    return "".join(
        f"Step: {s}, Reward: {r!r}, Loss: 0.1234, Response Length: {n!r}\n"
        for s, (r, n) in enumerate(truth, 1)
    )


def trl(truth: Truth) -> str:
    return "".join(
        str({"loss": 0.1, "completions/mean_length": n, "reward": r, "reward_std": 0.1, "epoch": 0.01}) + "\n"
        for r, n in truth
    )


def notebook(truth: Truth) -> str:
    cell = {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "source": [],
        "outputs": [
            {"name": "stdout", "output_type": "stream", "text": verl(truth).splitlines(keepends=True)}
        ],
    }
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


FORMATS: dict[str, tuple[str, Callable[[Truth], str]]] = {
    "jsonl": ("run.jsonl", jsonl),
    "verl's file logger": ("run.jsonl", nested_jsonl),
    "json_list": ("run.json", json_list),
    "trainer_state": ("trainer_state.json", trainer_state),
    "csv_table": ("run.csv", csv_table),
    "verl_console": ("run.log", verl),
    "kv_console": ("run.log", key_values),
    "trl_console": ("run.log", trl),
    "notebook": ("run.ipynb", notebook),
}
LINES = ("jsonl", "verl's file logger", "csv_table", "verl_console", "kv_console")  # each states its step
STEPLESS = ("trl_console",)

values = st.floats(-10, 10).map(lambda x: round(x, 4))
truths = st.lists(st.tuples(values, st.floats(1, 4000).map(lambda x: round(x, 2))), min_size=5, max_size=30)


@contextlib.contextmanager
def placed(name: str, content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        yield path


def opened(name: str, content: bytes, format: str | None = None) -> Run | None:
    """The run, or None where there was a clear error; any other exception fails the test."""
    with placed(name, content) as path:
        try:
            return open_run(path, format=format, require_reward=False)
        except ForeshockError as error:
            assert 10 < len(str(error)) < 1000
            return None


def check(run: Run | None, truth: Truth, kind: str) -> int:
    """Assert that every number read is true; returns how many steps have a reward."""
    if run is None or "reward_mean" not in run.series:
        return 0
    assert (np.diff(run.steps) > 0).all()
    assert all(len(run.series[name]) == len(run.steps) for name in run.series)
    count = 0
    lengths = run.series["response_length_mean"] if "response_length_mean" in run.series else None
    rows = np.arange(1, len(run.steps) + 1) if kind in STEPLESS else run.steps
    for at, step in enumerate(rows.tolist()):
        for place, column in ((0, run.series["reward_mean"]), (1, lengths)):
            if column is not None and not np.isnan(column[at]):
                assert 1 <= step <= len(truth)
                assert column[at] == truth[step - 1][place]
                count += place == 0
    return count


def whole_records(kind: str, text: str, cut: int, truth: Truth) -> int:
    """How many records lie wholly in the first `cut` characters."""
    name = FORMATS[kind][1]
    full = 0
    for size in range(1, len(truth) + 1):
        part = name(truth[:size])
        if kind in ("json_list", "trainer_state"):
            part = part[: part.rindex("}", 0, part.rindex("]")) + 1]
        if len(part) <= cut and text.startswith(part):
            full = size
    return full


@pytest.mark.parametrize("kind", sorted(FORMATS))
@SETTINGS
@given(truth=truths)
def test_a_whole_log_is_read_completely(kind: str, truth: Truth) -> None:
    name, render = FORMATS[kind]
    run = opened(name, render(truth).encode())
    assert check(run, truth, kind) == len(truth)


@pytest.mark.parametrize("kind", sorted(FORMATS))
@SETTINGS
@given(truth=truths, at=st.floats(0, 1))
def test_a_log_cut_anywhere_keeps_its_whole_leading_records(kind: str, truth: Truth, at: float) -> None:
    name, render = FORMATS[kind]
    text = render(truth)
    cut = int(at * len(text))
    count = check(opened(name, text[:cut].encode()), truth, kind)
    if kind != "notebook":  # a cut notebook is no JSON; whatever is read of it must be right
        whole = whole_records(kind, text, cut, truth)
        # Consoles need a few rows to be told from other text.
        assert count >= whole or whole < 4


@pytest.mark.parametrize("kind", LINES)
@SETTINGS
@given(truth=truths, seed=st.integers(0, 10**6))
def test_shuffled_rows_give_the_same_run(kind: str, truth: Truth, seed: int) -> None:
    name, render = FORMATS[kind]
    head, *lines = render(truth).splitlines(keepends=True)
    if kind != "csv_table":
        lines, head = [head, *lines], ""
    random.Random(seed).shuffle(lines)
    run = opened(name, (head + "".join(lines)).encode())
    assert check(run, truth, kind) == len(truth)


GARBAGE = st.sampled_from(
    [b"\xff\xfe\x00garbage", b"}{", b'{"step": ', b"[[[", b"Traceback (most recent call last):", b"\x1b[0m",
     b",,,,", b"null", b"'''", b'"', b"{'loss': ", b"step: - reward", b"\r", b"e" * 5000]
)  # fmt: skip


@pytest.mark.parametrize("kind", [*LINES, *STEPLESS])
@SETTINGS
@given(truth=truths, garbage=st.lists(st.tuples(GARBAGE, st.floats(0, 1)), min_size=1, max_size=4))
def test_garbage_between_rows_changes_no_number(
    kind: str, truth: Truth, garbage: list[tuple[bytes, float]]
) -> None:
    name, render = FORMATS[kind]
    lines = render(truth).encode().splitlines(keepends=True)
    for junk, at in garbage:
        lines.insert(1 + int(at * (len(lines) - 1)), junk + b"\n")
    run = opened(name, b"".join(lines))
    if kind in STEPLESS:  # a row may be lost with the garbage; then rows are numbered without it
        if run is not None and "reward_mean" in run.series:
            assert set(run.series["reward_mean"].tolist()) <= {reward for reward, _ in truth}
    else:
        check(run, truth, kind)


@pytest.mark.parametrize("kind", sorted(FORMATS))
@SETTINGS
@given(
    truth=truths,
    flips=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_changed_bytes_never_end_in_a_traceback(
    kind: str, truth: Truth, flips: list[tuple[float, int]]
) -> None:
    name, render = FORMATS[kind]
    data = bytearray(render(truth).encode())
    for at, byte in flips:
        data[int(at * len(data))] = byte
    run = opened(name, bytes(data))
    if run is not None:
        assert (np.diff(run.steps) > 0).all()


@pytest.mark.parametrize("reader", [reader.NAME for reader in READERS])
@SETTINGS
@given(data=st.one_of(st.binary(max_size=3000), st.text(max_size=1000).map(str.encode)))
def test_a_reader_forced_on_anything_never_ends_in_a_traceback(reader: str, data: bytes) -> None:
    opened("anything", data, format=reader)

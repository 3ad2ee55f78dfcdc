"""Taps, against the real libraries: what a script logs is untouched, and what is recorded equals it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock.errors import UsageError
from foreshock.integrations._hooks import listen, when_imported
from foreshock.integrations.taps import tap
from foreshock.integrations.taps._tap import LIBRARIES, numbers
from foreshock.readers import open_run
from foreshock.record import Recorder
from foreshock.run import Run

SCRIPTS = Path(__file__).with_name("tap_scripts.py")
STORES = {"wandb": "wandb", "tensorboard": "tb", "trackio": "trackio", "mlflow": "mlflow.db"}
PACKAGES = {"tensorboard": "torch.utils.tensorboard"}

Logged = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """Run a script, each combination once; gives its folder."""
    done: dict[tuple[str, str], Path] = {}

    def run(library: str, how: str) -> Path:
        pytest.importorskip(PACKAGES.get(library, library))
        if (library, how) not in done:
            folder = tmp_path_factory.mktemp(f"{library}-{how}")
            ended = subprocess.run(
                [sys.executable, str(SCRIPTS), library, str(folder), how],
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", "WANDB_SILENT": "true"},
                capture_output=True,
                text=True,
                check=False,
                timeout=240,
            )
            assert ended.returncode == 0, ended.stderr
            assert "foreshock: " not in ended.stderr  # nothing of ours failed
            done[library, how] = folder
        return done[library, how]

    return run


def _stored(library: str, folder: Path, run: str) -> Run:
    """A run from the library's own files."""
    if library == "tensorboard":
        return open_run(folder / "tb" / run, run="1", require_reward=False)
    return open_run(folder / STORES[library], run=run, require_reward=False)


def _series(run: Run) -> dict[str, dict[float, float]]:
    """Values by step; columns that a tracker adds by itself are left out."""
    own = {"_timestamp", "_runtime", "_step"}
    return {
        key: {s: v for s, v in zip(run.steps.tolist(), values.tolist(), strict=True) if v == v}
        for key, values in run.series.items()
        if key not in own
    }


@pytest.mark.parametrize("run", ["first", "second"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_the_script_logs_is_unchanged(library: str, run: str, logged: Logged) -> None:
    plain = _stored(library, logged(library, "none"), run)
    tapped = _stored(library, logged(library, "before"), run)
    assert tapped.steps.tolist() == plain.steps.tolist()
    assert _series(tapped) == _series(plain)
    assert tapped.facts.get("config") == plain.facts.get("config")
    assert [note.kind for note in tapped.notes] == [note.kind for note in plain.notes]


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_recorded_equals_what_was_logged(library: str, how: str, logged: Logged) -> None:
    folder = logged(library, how)
    stored = _stored(library, folder, "first")
    recorded = open_run(folder / "rec", require_reward=False)
    expected = _series(stored)
    if library == "tensorboard":
        del expected["untapped"]
    assert _series(recorded) == expected
    assert recorded.steps.tolist() == stored.steps.tolist()
    assert recorded.facts["tracker"] == library
    assert recorded.facts["note"] == "from the script"


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_second_run_is_recorded_beside_the_first(library: str, logged: Logged) -> None:
    folder = logged(library, "before")
    stored = _stored(library, folder, "second")
    recorded = open_run(folder / "rec-2", require_reward=False)
    ours, theirs = _series(recorded), _series(stored)
    if library in ("tensorboard", "mlflow"):  # no steps: the reader numbers rows from 1, the tap calls from 0
        ours = {key: {step + 1: v for step, v in values.items()} for key, values in ours.items()}
    else:
        assert recorded.steps.tolist() == [10, 20, 30, 40, 50]
    assert ours == theirs


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_closed_tap_records_no_more(library: str, logged: Logged) -> None:
    folder = logged(library, "before")
    assert sorted(each.name for each in folder.glob("rec*")) == ["rec", "rec-2"]
    assert "untapped" not in (folder / "rec" / "journal-0.jsonl").read_text()


@pytest.mark.parametrize("library", ["wandb", "mlflow"])
def test_no_secret_of_the_configuration_is_recorded(library: str, logged: Logged) -> None:
    text = (logged(library, "before") / "rec" / "journal-0.jsonl").read_text()
    assert "s3cret" not in text


def test_hyperparameters_become_configuration_and_no_run(logged: Logged) -> None:
    recorded = open_run(logged("tensorboard", "before") / "rec", require_reward=False)
    assert recorded.facts["hparam_metrics"] == {"hparam/reward": 2.0}
    assert "hparam/reward" not in recorded.series


def test_numbers_joins_names_and_leaves_out_what_is_no_number() -> None:
    logged = {"a": 1, "b": {"c": True, "d": {"e": np.float32(0.5)}}, "t": "x", "n": None, "l": [1]}
    assert numbers({**logged, "array": np.zeros(3), "bytes": b"1", "chart": {"_type": "x", "y": 1}}) == {
        "a": 1,
        "b.c": True,
        "b.d.e": 0.5,
    }


def test_an_unknown_library_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="wandb, tensorboard, trackio, mlflow"):
        tap("clearml", "x")


# -- the hooks, on a library of our own -----------------------------------------------------------------


class Writer:
    """Stands for `SummaryWriter`."""

    def __init__(self, log_dir: str) -> None:
        self.log_dir = log_dir
        self.calls: list[Any] = []

    def add_scalar(self, tag: str, scalar_value: Any, global_step: int | None = None) -> str:
        """Log one value."""
        if scalar_value == "bad":
            raise ValueError("bad")
        self.calls.append((tag, scalar_value, global_step))
        return "done"

    def add_scalars(self, main_tag: str, tag_scalar_dict: Any, global_step: int | None = None) -> None:
        """Log several values."""
        self.calls.append((main_tag, tag_scalar_dict, global_step))

    def add_hparams(self, hparam_dict: Any, metric_dict: Any) -> None:
        """Log settings."""


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type[Writer]:
    """A fresh class in the place of tensorboardX's."""
    made = type("Writer", (), dict(Writer.__dict__))
    module = types.ModuleType("tensorboardX.writer")
    module.SummaryWriter = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorboardX.writer", module)
    return made


def test_results_and_exceptions_of_the_library_pass_through(library: type[Writer], tmp_path: Path) -> None:
    original = library.add_scalar
    with tap("tensorboard", tmp_path / "rec"):
        writer = library("logs")
        assert writer.add_scalar("reward", 1.0, 1) == "done"
        with pytest.raises(ValueError, match="bad"):
            writer.add_scalar("reward", "bad", 2)
        writer.add_scalars("losses", {"a": 1.0, "b": 2}, 2)
    assert library.add_scalar is original
    run = open_run(tmp_path / "rec", require_reward=False)
    assert run.steps.tolist() == [1, 2]
    assert run.series["losses/b"].tolist()[1] == 2
    assert writer.calls == [("reward", 1.0, 1), ("losses", {"a": 1.0, "b": 2}, 2)]


def test_a_failure_of_ours_is_told_once_and_reaches_nobody(
    library: type[Writer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        def __int__(self) -> int:
            raise RuntimeError("odd step")

    with tap("tensorboard", tmp_path / "rec"), caplog.at_level(logging.WARNING, "foreshock"):
        writer = library("logs")
        for _ in range(3):
            assert writer.add_scalar("reward", 1.0, Odd()) == "done"  # type: ignore[arg-type]
    assert len(writer.calls) == 3
    assert len([record for record in caplog.records if "odd step" in record.getMessage()]) == 1


def test_a_folder_that_cannot_be_written_does_not_disturb(library: type[Writer], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with tap("tensorboard", tmp_path / "file" / "rec") as tapped:
        writer = library("logs")
        for step in range(5):
            assert writer.add_scalar("reward", 1.0, step) == "done"
        (recorder,) = tapped.recorders.values()
        assert recorder.lost == 5


def test_taps_can_be_stacked_and_closed_in_any_order(library: type[Writer], tmp_path: Path) -> None:
    original = library.add_scalar
    first, second = tap("tensorboard", tmp_path / "a"), tap("tensorboard", tmp_path / "b")
    writer = library("logs")
    writer.add_scalar("reward", 1.0, 1)
    first.close()
    writer.add_scalar("reward", 2.0, 2)
    second.close()
    first.close()
    writer.add_scalar("reward", 3.0, 3)
    assert library.add_scalar is original
    assert open_run(tmp_path / "a").steps.tolist() == [1]
    assert open_run(tmp_path / "b").steps.tolist() == [1, 2]


def test_a_recorder_takes_the_first_run_only(
    library: type[Writer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Recorder(tmp_path / "rec", environment=False) as recorder,
        caplog.at_level(logging.WARNING, "foreshock"),
    ):
        with tap("tensorboard", recorder):
            one, two = library("one"), library("two")
            for step in range(2):
                one.add_scalar("reward", 1.0, step)
                two.add_scalar("reward", 9.0, step)
        recorder.log({"reward": 5.0}, step=7)  # closing the tap left it open
    assert open_run(tmp_path / "rec").series["reward"].tolist() == [1.0, 1.0, 5.0]
    assert len([r for r in caplog.records if "not recorded" in r.getMessage()]) == 1


def test_the_folder_comes_from_the_environment_where_none_is_given(
    library: type[Writer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHOCK_RUN", str(tmp_path / "env"))
    with tap("tensorboard"):
        library("logs").add_scalar("reward", 1.0, 3)
    assert open_run(tmp_path / "env").steps.tolist() == [3]


def test_waiting_for_an_import_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late_library.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    seen: list[int] = []
    undo = when_imported("late_library", lambda module: seen.append(module.value))
    when_imported("late_library", lambda module: seen.append(module.value + 1))
    cancelled = when_imported("never_imported", lambda module: seen.append(99))
    import importlib.util

    assert importlib.util.find_spec("late_library") is not None  # a look is no import
    assert importlib.util.find_spec("no_such_library_at_all") is None
    assert seen == []
    importlib.import_module("late_library")
    cancelled()
    undo()
    assert seen == [1, 2]
    assert sys.meta_path == before


def test_a_library_that_fails_to_import_fails_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_library.py").write_text("raise RuntimeError('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    undo = when_imported("broken_library", lambda module: None)
    import importlib

    with pytest.raises(RuntimeError, match="broken"):
        importlib.import_module("broken_library")
    undo()


def test_a_method_that_others_wrapped_after_us_stays_theirs() -> None:
    class Library:
        def log(self) -> str:
            return "logged"

    heard: list[str] = []
    undo = listen(Library, "log", lambda library: heard.append("before"))
    ours = Library.log
    Library.log = lambda self: ours(self) + "!"  # type: ignore[method-assign]
    assert Library().log() == "logged!"
    undo()
    assert Library().log() == "logged!"
    assert heard == ["before"]


def test_what_a_tap_records_is_plain_json(library: type[Writer], tmp_path: Path) -> None:
    with tap("tensorboard", tmp_path / "rec"):
        library("logs").add_scalar("reward", np.float64("nan"), np.int64(4))
    lines = [json.loads(line) for line in (tmp_path / "rec" / "journal-0.jsonl").read_text().splitlines()]
    assert {"step": 4, "metrics": {"reward": "NaN"}}.items() <= next(
        {**line, "time": 0} for line in lines if "metrics" in line and line["step"] == 4
    ).items()

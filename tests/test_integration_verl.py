"""verl's `Tracking` with `foreshock` among its loggers: a stand-in, and the real class where installed."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from _standins import put_on_path
from foreshock.integrations import verl
from foreshock.readers import open_run
from foreshock.record import Recorder

# verl 0.9.1, verl/utils/tracking.py: what of it a logger meets.
TRACKING = """
class Tracking:
    supported_backend = ["wandb", "console", "file"]

    def __init__(self, project_name, experiment_name, default_backend="console", config=None):
        if isinstance(default_backend, str):
            default_backend = [default_backend]
        for backend in default_backend:
            assert backend in self.supported_backend, f"{backend} is not supported"
        self.logger = {}
        if "console" in default_backend:
            self.logger["console"] = self.console_logger = Console()

    def log(self, data, step, backend=None):
        for default_backend, logger_instance in self.logger.items():
            if backend is None or default_backend in backend:
                logger_instance.log(data=data, step=step)

    def finish(self):
        pass

    def __del__(self):
        self.finish()


class Console:
    def __init__(self):
        self.rows = []

    def log(self, data, step):
        self.rows.append((step, dict(data)))
"""
CONFIG: dict[str, dict[str, Any]] = {
    "trainer": {"total_training_steps": 100, "project_name": "p"},
    "data": {"train_batch_size": 64},
    "actor_rollout_ref": {"rollout": {"n": 8}, "model": {"path": "some/model"}},
}


@pytest.fixture(params=["stand-in", "real"])
def tracking(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[], Any]]:
    """Imports verl and gives `Tracking`; Foreshock waits for it already."""
    if request.param == "stand-in":
        put_on_path(monkeypatch, tmp_path / "site", {"verl.utils.tracking": TRACKING})
    elif importlib.util.find_spec("verl") is None:
        pytest.skip("verl is not installed")
    monkeypatch.chdir(tmp_path)
    undo = verl.install()
    yield lambda: importlib.import_module("verl.utils.tracking").Tracking
    gc.collect()
    undo()


def test_a_run_is_recorded_when_the_name_is_among_the_loggers(
    tracking: Callable[[], Any], tmp_path: Path
) -> None:
    config = {**CONFIG, "trainer": {**CONFIG["trainer"], "foreshock_dir": str(tmp_path / "rec")}}
    made = tracking()("p", "e", ["console", "foreshock"], config)
    for step in range(1, 4):
        made.log(data={"critic/score/mean": 0.5 * step, "actor/entropy": float("nan")}, step=step)
    made.log(data={"only": 1.0}, step=4, backend=["console"])
    made.finish()
    run = open_run(tmp_path / "rec")
    assert run.steps.tolist() == [1, 2, 3]
    assert run.series["reward_mean"].tolist() == [0.5, 1.0, 1.5]
    assert '"actor/entropy":"NaN"' in (tmp_path / "rec" / "journal-0.jsonl").read_text()
    facts = ("framework", "model", "prompts_per_step", "group_size", "total_steps", "ended")
    assert [run.facts[fact] for fact in facts] == ["verl", "some/model", 64, 8, 100, True]


def test_nothing_is_recorded_without_the_name(tracking: Callable[[], Any], tmp_path: Path) -> None:
    made = tracking()("p", "e", "console", CONFIG)
    made.log(data={"critic/score/mean": 1.0}, step=1)
    assert "foreshock" not in made.logger
    assert not (tmp_path / "foreshock-runs").exists()


def test_the_default_folder_has_the_names_of_project_and_experiment(
    tracking: Callable[[], Any], tmp_path: Path
) -> None:
    made = tracking()("my project", "lr/1e-6", ["foreshock"], None)
    made.log(data={"critic/score/mean": 1.0}, step=1)
    made.finish()
    assert open_run(tmp_path / "foreshock-runs" / "my_project" / "lr_1e-6").steps.tolist() == [1]


def test_verl_still_refuses_unknown_names(tracking: Callable[[], Any]) -> None:
    with pytest.raises(AssertionError, match="nonsense is not supported"):
        tracking()("p", "e", ["foreshock", "nonsense"], CONFIG)


def test_the_other_loggers_get_the_same(
    tracking: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    made = tracking()("p", "e", ["foreshock", "console"], {"trainer": {"foreshock_dir": "rec"}})
    seen: list[Any] = []
    monkeypatch.setattr(made.logger["console"], "log", lambda data, step: seen.append((step, data)))
    (tmp_path / "rec" / "journal-0.jsonl").unlink()
    (tmp_path / "rec").rmdir()
    (tmp_path / "rec").write_text("in the way")
    made.logger["foreshock"].recorder._look_again = 0.0
    with caplog.at_level(logging.WARNING, "foreshock"):
        made.log(data={"a": 1.0, "text": "x", "table": object()}, step=7)
    assert seen[0][0] == 7
    assert set(seen[0][1]) == {"a", "text", "table"}
    assert made.logger["foreshock"].recorder.lost >= 1


def test_undone_the_name_is_unknown_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_on_path(monkeypatch, tmp_path / "site", {"verl.utils.tracking": TRACKING})
    undo = verl.install()
    found = importlib.import_module("verl.utils.tracking").Tracking
    original = found.__init__
    undo()
    assert found.supported_backend == ["wandb", "console", "file"]
    assert found.__init__ is not original
    with pytest.raises(AssertionError):
        found("p", "e", ["foreshock"])


def test_a_backend_can_be_put_in_by_hand(tmp_path: Path) -> None:
    with Recorder(tmp_path / "rec", environment=False) as recorder:
        backend = verl.ForeshockBackend(recorder, config=CONFIG)
        backend.log(data={"critic/score/mean": 1.0}, step=3)
    run = open_run(tmp_path / "rec")
    assert run.steps.tolist() == [3]
    assert run.facts["group_size"] == 8


def test_an_interpreter_that_ends_says_nothing(tmp_path: Path) -> None:
    """`Tracking.__del__` runs while modules are torn down."""
    package = tmp_path / "verl" / "utils"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    (package / "tracking.py").write_text(TRACKING)
    code = (
        "import foreshock.integrations.verl\nfrom verl.utils.tracking import Tracking\n"
        "import verl.utils.tracking as kept\n"
        "kept.left = Tracking('p', 'e', ['console', 'foreshock'])\nkept.left.itself = kept.left\n"
        "kept.left.log({'reward': 1.0}, 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert open_run(tmp_path / "foreshock-runs" / "p" / "e").facts["ended"]

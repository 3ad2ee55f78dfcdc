"""`ForeshockLogger` in real Lightning trainings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreshock.readers import open_run
from foreshock.record import Recorder

pytest.importorskip("lightning")
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # Lightning on workers, devices and checkpoints
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

import torch  # noqa: E402
from lightning.pytorch import LightningModule, Trainer  # noqa: E402
from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402

from foreshock.integrations.lightning import ForeshockLogger  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Model(LightningModule):
    """A line through points; logs its step number, so that what is recorded can be foretold."""

    def __init__(self, lr: float = 0.01, api_key: str = "s3cret-value-of-a-key", fail_at: int = -1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch: Any, index: int) -> Any:
        """Log; fail where it is asked for."""
        if self.global_step == self.hparams["fail_at"]:
            raise RuntimeError("out of memory")
        nan = float("nan")
        self.log("reward", float(self.global_step))
        self.log("sometimes_nan", nan if self.global_step == 3 else 1.0)
        return self.layer(batch[0]).pow(2).mean()

    def validation_step(self, batch: Any, index: int) -> None:
        """Log."""
        self.log("val/reward", 7.0)

    def configure_optimizers(self) -> Any:
        """Plain gradient descent."""
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])


def _data(rows: int = 20) -> Any:
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(rows, 2)), batch_size=2)


def _trainer(tmp_path: Path, logger: Any, **settings: Any) -> Trainer:
    return Trainer(
        logger=logger,
        default_root_dir=tmp_path,
        accelerator="cpu",
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 1, "enable_checkpointing": False, **settings},
    )


def test_metrics_steps_settings_and_checkpoints_are_recorded(tmp_path: Path) -> None:
    logger = ForeshockLogger(tmp_path / "runs" / "a", total_steps=20)
    checkpoint = ModelCheckpoint(every_n_train_steps=10, save_top_k=-1)
    trainer = _trainer(tmp_path, logger, max_epochs=2, enable_checkpointing=True, callbacks=[checkpoint])
    trainer.fit(Model(), _data(), _data(4))
    logger.experiment.close()
    run = open_run(tmp_path / "runs" / "a")
    rewards = {int(s): v for s, v in zip(run.steps, run.series["reward"], strict=True) if v == v}
    assert rewards == {step: float(step) for step in range(20)}
    assert run.series["val/reward"][list(run.steps).index(9)] == 7.0
    assert any("NaN" in line and '"step":3,' in line for line in _lines(tmp_path / "runs" / "a"))
    assert run.facts["total_steps"] == 20
    saved = [event for event in run.events if event.kind == "checkpoint_saved"]
    assert [event.step for event in saved] == [10, 20]
    # The only logger's folder holds the checkpoints, too.
    assert Path(str(saved[0].payload["path"])).parent == tmp_path / "runs" / "a" / "checkpoints"
    assert Path(str(saved[0].payload["path"])).exists()


def test_hyperparameters_are_the_configuration_and_secrets_are_masked(tmp_path: Path) -> None:
    logger = ForeshockLogger(tmp_path / "a")
    _trainer(tmp_path, logger).fit(Model(lr=0.25), _data())
    logger.experiment.close()
    kept = logger.experiment.last("config")
    assert kept is not None and "0.25" in str(kept)
    assert "s3cret-value-of-a-key" not in "".join(_lines(tmp_path / "a"))


def test_a_resumed_training_continues_the_run_and_tells_what_changed(tmp_path: Path) -> None:
    first = ForeshockLogger(tmp_path / "a")
    trainer = _trainer(tmp_path, first, max_steps=6, max_epochs=-1)
    trainer.fit(Model(lr=0.1), _data())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    first.experiment.close()
    second = ForeshockLogger(tmp_path / "a")
    model = Model(lr=0.2)
    _trainer(tmp_path, second, max_steps=12, max_epochs=-1).fit(
        model, _data(), ckpt_path=tmp_path / "last.ckpt", weights_only=False
    )
    second.experiment.close()
    run = open_run(tmp_path / "a")
    assert run.steps.tolist() == list(range(12))
    assert run.facts["attempts"] == 2
    kinds = {event.kind for event in run.events}
    assert {"resumed", "config_changed"} <= kinds


def test_the_structure_of_the_model_is_recorded_once(tmp_path: Path) -> None:
    logger = ForeshockLogger(tmp_path / "a")
    _trainer(tmp_path, logger).fit(Model(), _data())
    logger.experiment.close()
    run = open_run(tmp_path / "a")
    assert run.series["foreshock/model/parameters"][0] == 3


def test_a_failed_training_is_an_event_and_the_exception_is_the_users(tmp_path: Path) -> None:
    logger = ForeshockLogger(tmp_path / "a")
    with pytest.raises(RuntimeError, match="out of memory"):
        _trainer(tmp_path, logger).fit(Model(fail_at=4), _data())
    logger.experiment.close()
    run = open_run(tmp_path / "a")
    assert [event.kind for event in run.events if event.kind == "training_failed"] == ["training_failed"]
    assert max(run.steps) == 3


def test_it_stands_beside_other_loggers_and_changes_nothing_for_them(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    def trained(name: str, *more: Any) -> str:
        csv = CSVLogger(tmp_path, name=name, version="0")
        _trainer(tmp_path, [csv, *more]).fit(Model(), _data())
        return (tmp_path / name / "0" / "metrics.csv").read_text()

    assert trained("without") == trained("with", ForeshockLogger(tmp_path / "rec"))
    assert open_run(tmp_path / "rec").series["reward"].tolist() == [float(step) for step in range(10)]


def test_other_ranks_record_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch.utilities import rank_zero

    monkeypatch.setattr(rank_zero.rank_zero_only, "rank", 1)  # type: ignore[attr-defined]
    logger = ForeshockLogger(tmp_path / "a")
    logger.log_hyperparams({"lr": 1})
    logger.log_metrics({"reward": 1.0}, 1)
    logger.finalize("failed")
    logger.experiment.event("own")
    assert not (tmp_path / "a").exists()


def test_a_recorder_can_be_given(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a", environment=False) as recorder:
        logger = ForeshockLogger(recorder, group_size=8)
        assert (logger.name, logger.save_dir, logger.version) == ("a", str(tmp_path), "")
        logger.log_metrics({"reward": 1.0}, 5)
    run = open_run(tmp_path / "a")
    assert run.steps.tolist() == [5]
    assert run.facts["group_size"] == 8


def test_a_folder_that_cannot_be_written_does_not_stop_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    logger = ForeshockLogger(tmp_path / "file" / "a")
    trainer = _trainer(tmp_path, logger)
    trainer.fit(Model(), _data())
    assert trainer.global_step == 10
    assert logger.experiment.lost == 10


def test_two_real_processes_leave_one_recording(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[1] / "examples" / "lightning_logger.py"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path / "a"), "--devices", "2"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in sorted((tmp_path / "a").glob("journal-*"))] == ["journal-0.jsonl"]
    run = open_run(tmp_path / "a")
    assert len(run.steps) > 10
    assert not [note for note in run.notes if note.kind == "other-processes"]


def _lines(folder: Path) -> list[str]:
    return (folder / "journal-0.jsonl").read_text().splitlines()

"""Lightning (`lightning` or `pytorch_lightning`): a logger beside, or instead of, the ones a script has."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from foreshock.integrations._recorders import Target, folder_for, keep_config, plain
from foreshock.record import Recorder

if TYPE_CHECKING:
    from lightning.fabric.loggers.logger import rank_zero_experiment
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.loggers import Logger
    from lightning.pytorch.utilities.rank_zero import rank_zero_only  # type: ignore[attr-defined]
else:
    try:
        from lightning.pytorch.loggers import Logger
        from lightning.pytorch.loggers.logger import rank_zero_experiment
        from lightning.pytorch.utilities.rank_zero import rank_zero_only
    except ImportError:
        try:
            from pytorch_lightning.loggers import Logger
            from pytorch_lightning.loggers.logger import rank_zero_experiment
            from pytorch_lightning.utilities.rank_zero import rank_zero_only
        except ImportError as error:
            raise ImportError("ForeshockLogger needs Lightning: pip install lightning") from error


class ForeshockLogger(Logger):
    """Records what a `LightningModule` logs, its hyperparameters, its structure and its checkpoints.

    ```python
    trainer = Trainer(logger=[ForeshockLogger("runs/countdown", total_steps=500), *others])
    ```

    Rank zero alone records. Steps are the optimizer steps that Lightning counts. The recording goes on over
    `fit`, `validate` and `test`, and ends with the process (or with `logger.experiment.close()`).
    """

    def __init__(self, to: Target | None = None, **facts: Any) -> None:
        """Prepare; nothing is written before something is logged.

        Args:
            to: the folder to record into, or a `Recorder`. Default: `$FORESHOCK_RUN`, else
                `foreshock-runs/run`. Where this is the first logger, checkpoints go to `checkpoints` in it.
            facts: as in `Recorder`.
        """
        super().__init__()
        self._folder = to.path if isinstance(to, Recorder) else folder_for(to)
        self._recorder = to if isinstance(to, Recorder) else None
        self._settings: dict[str, Any] = {}
        self._facts = facts
        if self._recorder is not None and facts:
            self._recorder.describe(**facts)

    @property
    @rank_zero_experiment
    def experiment(self) -> Recorder:
        """The recorder, for events and evidence of your own; on other ranks an object that does nothing."""
        if self._recorder is None:
            self._recorder = Recorder(self._folder, config=self._settings or None, **self._facts)
        return self._recorder

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self._folder.name

    @property
    def version(self) -> str:
        """Empty: attempts of a run share its folder."""
        return ""

    @property
    def save_dir(self) -> str:
        """Where the folder lies."""
        return os.fspath(self._folder.parent)

    @property
    def log_dir(self) -> str:
        """The folder of the run."""
        return os.fspath(self._folder)

    @property
    def root_dir(self) -> str:
        """The folder of the run."""
        return os.fspath(self._folder)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record one row."""
        self.experiment.log(metrics, step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Record the settings; what differs from the attempt before becomes an event."""
        self._settings.update(plain(params))
        if self._recorder is not None:
            keep_config(self._recorder, self._settings)

    @rank_zero_only
    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Record the structure of the model, once at the start."""
        with self.experiment.quietly("model evidence"):
            from foreshock.record.model import ModelFingerprint

            found = ModelFingerprint(self.experiment.last("model")).step(model, 0)
            if found is not None:
                self.experiment.evidence(found)

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Record a checkpoint as an event."""
        path = (
            getattr(checkpoint_callback, "_last_checkpoint_saved", "") or checkpoint_callback.best_model_path
        )
        step = getattr(checkpoint_callback, "_last_global_step_saved", None)
        self.experiment.event("checkpoint_saved", f"Checkpoint {path} saved.", step, path=str(path))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Record an end that is no success; the recording stays open, as `test` may follow `fit`."""
        if status not in ("success", "finished"):
            self.experiment.event("training_failed", f"Lightning ended the training: {status}.")

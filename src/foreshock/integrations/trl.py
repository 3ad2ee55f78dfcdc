"""Record a TRL training, or that of any Hugging Face trainer: one callback.

```python
from foreshock.integrations.trl import ForeshockCallback

trainer = GRPOTrainer(..., callbacks=[ForeshockCallback()])
```
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foreshock.errors import MissingExtraError
from foreshock.integrations import _hf_trainer as hf
from foreshock.integrations._hf_recording import Recording
from foreshock.integrations._trl_evidence import Settings
from foreshock.record import Recorder

_MISSING = False
if TYPE_CHECKING:
    from transformers import TrainerCallback

    from foreshock.detect import Alarm
else:
    try:
        from transformers import TrainerCallback
    except ImportError:
        TrainerCallback, _MISSING = object, True

NAME = "foreshock"
_log = logging.getLogger("foreshock")


def register() -> None:
    """Make `report_to=["foreshock"]` known to transformers; call it before the trainer is built.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    if _MISSING:
        raise MissingExtraError("Recording a TRL training", "trl")
    from transformers.integrations import integration_utils

    integration_utils.INTEGRATION_TO_CALLBACK[NAME] = ForeshockCallback


class ForeshockCallback(TrainerCallback):
    """Records metrics, evidence and events of a training into a folder, from its first process.

    With GRPOTrainer and RLOOTrainer: the batches, each reward function, some completions, the sampler.
    With any Hugging Face trainer: metrics, settings, tokenizer, model, resumes and checkpoints. It computes
    nothing that the training uses and draws no random numbers of the training: the results are the same
    with and without it. Whatever goes wrong in it is warned of once, and training goes on.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        samples: int = 4,
        max_sample_bytes: int = 64 << 20,
        redact: Callable[[str], str] | None = None,
        model_every: int = 10,
        source_column: str | None = None,
        id_column: str | None = None,
        fsync: bool = False,
        strict: bool = False,
        monitor: bool | Mapping[str, Any] = False,
        on_alarm: Callable[[Alarm], None] | Sequence[Callable[[Alarm], None]] = (),
        **facts: Any,
    ) -> None:
        """Prepare; the folder is opened when the training begins.

        Args:
            path: the folder of the run; default: `foreshock` in the trainer's `output_dir`.
            samples: completions kept of each step; 0 keeps none.
            max_sample_bytes: what they may take on the disk.
            redact: is given each text of a sample before anything is written.
            model_every: steps between two looks at the norms of the model's layers.
            source_column: column of the dataset that says where a prompt comes from; default: the first of
                "source", "data_source", "dataset", "dataset_name", "task", "domain", "environment".
            id_column: column that identifies a prompt; default: "prompt_id", "id", "uid", "problem_id" or
                "question_id", else the text of the prompt.
            fsync: wait after every step until it is on the disk.
            strict: raise what goes wrong, for tests.
            monitor: judge each step as `foreshock watch` does; alarms are events of the run, and one that
                opens is a warning in the log of the trainer. Instead of True, options as for `Recorder`.
            on_alarm: called with each alarm, as by `Recorder`.
            facts: what else is known about the run: `units={"reward": "points"}`, ...

        Raises:
            MissingExtraError: transformers is not installed.
        """
        if _MISSING:
            raise MissingExtraError("Recording a TRL training", "trl")
        self._path = path
        self._settings = Settings(samples, max_sample_bytes, redact, model_every, source_column, id_column)
        self._fsync = fsync
        self._strict = strict
        self._monitor = monitor
        self._on_alarm = (on_alarm,) if callable(on_alarm) else tuple(on_alarm)
        self._facts = facts
        self._trainer: Any = None
        self._recording: Recording | None = None

    @property
    def recorder(self) -> Recorder | None:
        """The recorder of the current or last training; None before one, and in other processes."""
        return self._recording.recorder if self._recording else None

    @property
    def spent(self) -> dict[str, float]:
        """Seconds that each part of recording took in this training until now."""
        return dict(self._recording.spent) if self._recording else {}

    def attach(self, trainer: Any) -> ForeshockCallback:
        """Say which trainer it is, where it cannot be found among the callers of the callback."""
        self._trainer = trainer
        return self

    def close(self) -> None:
        """End the recording; happens when the process ends, too. What is logged later is not recorded."""
        if self._recording is not None:
            self._recording.release()
            self._recording.recorder.close()
        self._recording = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the run."""
        if not state.is_world_process_zero:
            return
        try:
            self.close()
            trainer = self._trainer if self._trainer is not None else hf.find_trainer(self)
            if trainer is None:
                _log.warning("foreshock: the trainer was not found; call attach(trainer) to record rewards")
            path = Path(self._path) if self._path is not None else Path(args.output_dir) / "foreshock"
            recorder = Recorder(
                path,
                process=0,
                environment=False,
                fsync=self._fsync,
                strict=self._strict,
                monitor=self._monitor,
                on_alarm=(hf.warn_of, *self._on_alarm),
                **self._facts,
            )
            recording = Recording(recorder, self._settings, trainer, args, kwargs.get("model"))
            recording.begin(state, kwargs.get("processing_class"), hf.find_checkpoint(trainer))
            self._recording = recording
        except Exception as error:
            if self._strict:
                raise
            _log.warning("foreshock: nothing is recorded (%s: %s)", type(error).__name__, error)

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep what was generated for this part of a step."""
        if self._recording is not None:
            self._recording.collect()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Record the evidence of a step."""
        if self._recording is not None:
            self._recording.step(state.global_step, kwargs.get("optimizer"))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Record the metrics of a step or of an evaluation."""
        if self._recording is not None and logs:
            self._recording.log(state.global_step, logs)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Record that a checkpoint was written."""
        if self._recording is not None:
            self._recording.saved(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Give the trainer its own methods back; evaluations that follow are still recorded."""
        if self._recording is not None:
            self._recording.release()

"""OpenRLHF: a logger with the methods of its `WandbLogger`, put beside those a trainer has.

OpenRLHF has no extension point: its trainers log to `wandb_logger` and `tensorboard_logger`, each if it is
set. `install()` puts ours in the first place, with W&B's behind it. The trainer lives in a Ray process of
its own, so `install` has to run there; Ray does that by `worker_process_setup_hook`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from foreshock.integrations._hooks import Then, Undo, listen, when_imported
from foreshock.integrations._recorders import Target, at, recorder_for
from foreshock.record import Recorder


class ForeshockLogger:
    """Records training and evaluation metrics, and passes every call on to another logger.

    Names get the prefixes `train/` and `eval/`, as with OpenRLHF's own loggers. The one sample that it
    decodes at each step goes to the samples of the run; prompt and completion are not apart in it.
    """

    def __init__(
        self, to: Target | None = None, args: Any = None, beside: Any = None, samples: bool = True
    ) -> None:
        """Begin the recording.

        Args:
            to: the folder, or a `Recorder`. Default: `$FORESHOCK_RUN`, else `foreshock-runs/RUN_NAME`.
            args: OpenRLHF's arguments.
            beside: a logger that gets every call, too.
            samples: whether to keep the decoded samples.
        """
        self._beside = beside
        self.recorder: Recorder = recorder_for(
            to,
            at(args, "logger", "wandb", "run_name"),
            config=args,
            framework="openrlhf",
            model=at(args, "actor", "model_name_or_path"),
            prompts_per_step=at(args, "rollout", "batch_size"),
            group_size=at(args, "rollout", "n_samples_per_prompt"),
        )
        self._reservoir: Any = None
        if samples:
            with self.recorder.quietly("samples"):
                from foreshock.record.samples import Reservoir

                self._reservoir = Reservoir(self.recorder.path, self.recorder.process)

    def log_train(self, global_step: int, logs_dict: Mapping[str, Any]) -> None:
        """Record the metrics of a training step."""
        with self.recorder.quietly("training metrics"):
            values = {f"train/{key}": value for key, value in logs_dict.items() if key != "generated_samples"}
            self.recorder.log(values, global_step)
            self._keep(global_step, logs_dict.get("generated_samples"))
        if self._beside is not None:
            self._beside.log_train(global_step, logs_dict)

    def log_eval(self, global_step: int, logs_dict: Mapping[str, Any]) -> None:
        """Record the metrics of an evaluation."""
        with self.recorder.quietly("evaluation metrics"):
            self.recorder.log({f"eval/{key}": value for key, value in logs_dict.items()}, global_step)
        if self._beside is not None:
            self._beside.log_eval(global_step, logs_dict)

    def close(self) -> None:
        """End the recording."""
        self.recorder.close()
        if self._beside is not None:
            self._beside.close()

    def _keep(self, step: int, sample: Any) -> None:
        if self._reservoir is not None and sample:
            text, reward = sample
            self._reservoir.step(step, [""], [text], {"reward": [reward]})

    def __getattr__(self, name: str) -> Any:
        # What a later version asks of its W&B logger, that one answers.
        return getattr(self.__dict__["_beside"], name)


def install(to: Target | None = None) -> Undo:
    """Record every trainer of this process, now or as soon as OpenRLHF is imported.

    Args:
        to: the folder, or a `Recorder`. Default: `$FORESHOCK_RUN`, else `foreshock-runs/RUN_NAME`.

    Returns:
        A function that undoes it.
    """
    undo: list[Undo] = []

    def began(trainer: Any, *_: Any, **__: Any) -> Then:
        def put(done: bool) -> None:
            if done:
                trainer.wandb_logger = ForeshockLogger(
                    to, getattr(trainer, "args", None), getattr(trainer, "wandb_logger", None)
                )

        return put

    def imported(module: ModuleType) -> None:
        undo.append(listen(module.BasePPOTrainer, "__init__", began))

    undo.append(when_imported("openrlhf.trainer.ppo_trainer", imported))

    def all_undone() -> None:
        while undo:
            undo.pop()()

    return all_undone

"""verl: `foreshock` as one more name in `trainer.logger`.

```sh
python -m verl.trainer.main_ppo trainer.logger='["console","foreshock"]' +trainer.foreshock_dir=/data/runs/a
```

verl 0.9 loads this module by itself (entry point `verl.plugins`), earlier versions with
`VERL_USE_EXTERNAL_MODULES=foreshock.integrations.verl`. It waits for `verl.utils.tracking`, and imports
nothing of verl.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from foreshock.integrations._hooks import Then, Undo, listen, when_imported
from foreshock.integrations._recorders import Target, at, recorder_for

NAME = "foreshock"


class ForeshockBackend:
    """What verl's `Tracking` keeps among its loggers: `log(data, step)`, as its others have."""

    def __init__(
        self,
        to: Target | None = None,
        project: str | None = None,
        experiment: str | None = None,
        config: Any = None,
    ) -> None:
        """Begin the recording.

        Args:
            to: the folder, or a `Recorder`. Default: `trainer.foreshock_dir` of the configuration, else
                `$FORESHOCK_RUN`, else `foreshock-runs/PROJECT/EXPERIMENT`.
            project: verl's `trainer.project_name`.
            experiment: verl's `trainer.experiment_name`.
            config: verl's configuration, as mappings.
        """
        to = to if to is not None else at(config, "trainer", "foreshock_dir")
        self.recorder = recorder_for(
            to,
            project,
            experiment,
            config=config,
            framework="verl",
            model=at(config, "actor_rollout_ref", "model", "path"),
            prompts_per_step=at(config, "data", "train_batch_size"),
            group_size=at(config, "actor_rollout_ref", "rollout", "n"),
            total_steps=at(config, "trainer", "total_training_steps"),
        )

    def log(self, data: Mapping[str, Any], step: int) -> None:
        """Record one row."""
        self.recorder.log(data, step)

    def finish(self) -> None:
        """End the recording."""
        self.recorder.close()


def install() -> Undo:
    """Make the name known to verl, now or as soon as verl is imported; gives a function that undoes it."""
    undo: list[Undo] = []

    def imported(module: ModuleType) -> None:
        known = module.Tracking.supported_backend
        if NAME not in known:
            known.append(NAME)
            undo.append(lambda: known.remove(NAME))
            undo.append(listen(module.Tracking, "__init__", _began))
            if hasattr(module.Tracking, "finish"):  # since 0.9; before, a recording ends with the process
                undo.append(listen(module.Tracking, "finish", _finished))

    undo.append(when_imported("verl.utils.tracking", imported))

    def all_undone() -> None:
        while undo:
            undo.pop()()

    return all_undone


def _began(
    tracking: Any,
    project_name: str,
    experiment_name: str,
    default_backend: str | list[str] = "console",
    config: Any = None,
) -> Then | None:
    names = [default_backend] if isinstance(default_backend, str) else default_backend
    if NAME not in names:
        return None

    def began(done: bool) -> None:
        if done:
            tracking.logger[NAME] = ForeshockBackend(
                project=project_name, experiment=experiment_name, config=config
            )

    return began


def _finished(tracking: Any, *_: Any, **__: Any) -> None:
    backend = getattr(tracking, "logger", {}).get(NAME)
    if backend is not None:
        backend.finish()


install()

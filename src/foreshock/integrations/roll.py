"""ROLL: a tracker under the name `foreshock`.

```yaml
track_with: foreshock
tracker_kwargs:
  to: /data/runs/countdown
  beside: wandb            # another tracker of ROLL, which gets every call too
  beside_kwargs: {project: countdown}
```

with `import foreshock.integrations.roll` in the script that starts the pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from foreshock.integrations._hooks import Undo, when_imported
from foreshock.integrations._recorders import Target, at, recorder_for

NAME = "foreshock"

_registry: dict[str, Any] = {}
"""ROLL's `tracker_registry`, once it is imported."""


class ForeshockTracker:
    """Records what a pipeline logs."""

    def __init__(
        self,
        config: Mapping[str, Any],
        to: Target | None = None,
        beside: str | None = None,
        beside_kwargs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Begin the recording.

        Args:
            config: the configuration of the pipeline.
            to: the folder, or a `Recorder`. Default: `$FORESHOCK_RUN`, else `foreshock-runs/EXP_NAME`.
            beside: name of another tracker of ROLL that gets every call, too.
            beside_kwargs: its `tracker_kwargs`.
        """
        self._beside = _registry[beside](config, **(beside_kwargs or {})) if beside else None
        self.recorder = recorder_for(
            to,
            at(config, "exp_name"),
            config=config,
            framework="roll",
            model=at(config, "pretrain"),
            prompts_per_step=at(config, "rollout_batch_size"),
            group_size=at(config, "num_return_sequences_in_group"),
            total_steps=at(config, "max_steps"),
        )

    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Record one row."""
        self.recorder.log(values, step)
        if self._beside is not None:
            self._beside.log(values=values, step=step, **kwargs)

    def finish(self) -> None:
        """End the recording."""
        self.recorder.close()
        if self._beside is not None:
            self._beside.finish()


def install() -> Undo:
    """Make the name known, now or as soon as ROLL is imported; gives a function that undoes it."""

    def imported(module: ModuleType) -> None:
        global _registry
        _registry = module.tracker_registry
        _registry.setdefault(NAME, ForeshockTracker)

    waiting = when_imported("roll.utils.tracking", imported)

    def undo() -> None:
        waiting()
        _registry.pop(NAME, None)

    return undo


install()

"""The tap for TensorBoard: `SummaryWriter` of torch.utils.tensorboard and of tensorboardX.

Not TensorFlow's own `tf.summary`, which has no such class.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from foreshock.integrations._hooks import Then
from foreshock.integrations._recorders import keep_config
from foreshock.integrations.taps._tap import Tap, numbers

_MODULES = ("torch.utils.tensorboard.writer", "tensorboardX.writer")


def attach(tap: Tap) -> None:
    """Listen to the writers as soon as one of the two libraries is imported."""
    listeners = _Listeners(tap)

    def imported(module: ModuleType) -> None:
        for method in ("add_scalar", "add_scalars", "add_hparams"):
            tap.on_call(module.SummaryWriter, method, getattr(listeners, method))

    for name in _MODULES:
        tap.on_import(name, imported)


class _Listeners:
    """A run is a folder of event files, as TensorBoard itself sees it."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._within = 0
        """Depth of calls of `add_hparams`, whose second writer is no run of its own."""

    def add_scalar(
        self, writer: Any, tag: str, scalar_value: Any, global_step: Any = None, *_: Any, **__: Any
    ) -> Then | None:
        return None if self._within else self._then(writer, {tag: scalar_value}, global_step)

    def add_scalars(
        self, writer: Any, main_tag: str, tag_scalar_dict: Any, global_step: Any = None, *_: Any, **__: Any
    ) -> Then | None:
        return self._then(writer, {f"{main_tag}/{tag}": v for tag, v in tag_scalar_dict.items()}, global_step)

    def add_hparams(
        self, writer: Any, hparam_dict: Any, metric_dict: Any, *_: Any, global_step: Any = None, **__: Any
    ) -> Then:
        self._within += 1

        def added(done: bool) -> None:
            self._within -= 1
            recorder = self._tap.recorder(_folder(writer)) if done else None
            if recorder is None:
                return
            keep_config(recorder, hparam_dict)
            if global_step is None:
                recorder.describe(hparam_metrics=numbers(metric_dict))
            else:
                recorder.log(numbers(metric_dict), int(global_step))

        return added

    def _then(self, writer: Any, values: Mapping[str, Any], step: Any) -> Then | None:
        kept = numbers(values)
        if not kept:
            return None

        def added(done: bool) -> None:
            recorder = self._tap.recorder(_folder(writer)) if done else None
            if recorder is not None:
                number = None if step is None else int(step)
                recorder.log(kept, self._tap.step_of(_folder(writer), next(iter(kept)), number))

        return added


def _folder(writer: Any) -> str:
    return os.path.abspath(str(getattr(writer, "log_dir", None) or writer.logdir))

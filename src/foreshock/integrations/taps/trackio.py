"""The tap for Trackio: listens to `trackio.Run.log`, which `trackio.log` calls."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from foreshock.integrations._hooks import Then
from foreshock.integrations.taps._tap import Tap, numbers


def attach(tap: Tap) -> None:
    """Listen as soon as Trackio is imported."""

    def imported(module: ModuleType) -> None:
        tap.on_call(module.Run, "log", log)

    def log(run: Any, metrics: Any, step: int | None = None, *_: Any, **__: Any) -> Then | None:
        if not isinstance(metrics, Mapping):
            return None
        # Read before the call, which counts it on.
        place = step if step is not None else getattr(run, "_next_step", None)
        values = numbers(metrics)

        def logged(done: bool) -> None:
            key = str(getattr(run, "id", None) or f"{run.project}/{run.name}")
            recorder = tap.recorder(
                key,
                run.name,
                lambda: run.config,
                project=getattr(run, "project", None),
                steps_count_calls=True,
            )
            if done and recorder is not None and values:
                recorder.log(values, place)

        return logged

    tap.on_import("trackio.run", imported)

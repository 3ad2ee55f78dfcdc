"""The tap for Weights & Biases: listens to `wandb.Run.log`, which `wandb.log` is, too."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from foreshock.integrations._hooks import Then
from foreshock.integrations.taps._tap import Tap, numbers


def attach(tap: Tap) -> None:
    """Listen as soon as W&B is imported."""

    def imported(module: ModuleType) -> None:
        tap.finally_(lambda: _bind_again(module.Run))
        tap.on_call(module.Run, "log", log)
        _bind_again(module.Run)

    def log(run: Any, data: Any, step: int | None = None, *_: Any, **__: Any) -> Then | None:
        now = _next_step(run)
        if not isinstance(data, Mapping) or (step is not None and now is not None and step < now):
            return None  # W&B refuses the one with an error, the other with a warning
        values, place = numbers(data), now if step is None else int(step)

        def logged(done: bool) -> None:
            recorder = tap.recorder(
                str(run.id),
                run.name,
                lambda: run.config,
                project=getattr(run, "project", None),
                steps_count_calls=True,
            )
            if done and recorder is not None and values:
                recorder.log(values, place)

        return logged

    tap.on_import("wandb.sdk.wandb_run", imported)


def _next_step(run: Any) -> int | None:
    """The step that a call without one will get.

    W&B's public `run.step` asks another process and waits for the answer; the attributes do not.
    """
    for name in ("_local_step", "_step"):
        step = getattr(run, name, None)
        if isinstance(step, int):
            return step
    return None


def _bind_again(run_class: type) -> None:
    """Let `wandb.log`, a method bound when the run began, be the one that the class has now."""
    wandb = sys.modules.get("wandb")
    run = getattr(getattr(wandb, "log", None), "__self__", None)
    if wandb is not None and type(run) is run_class:
        wandb.log = run.log  # type: ignore[attr-defined]

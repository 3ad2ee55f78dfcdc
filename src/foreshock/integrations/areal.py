"""AReaL: listens to `StatsLogger`, through which every trainer logs."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from foreshock.integrations._hooks import Then, Undo, listen, when_imported
from foreshock.integrations._recorders import Target, at, not_the_first_rank, recorder_for
from foreshock.record import Recorder

_COUNTS = "__count"  # helpers for averaging, which AReaL leaves out, too


def install(to: Target | None = None) -> Undo:
    """Record every `StatsLogger` of this process, now or as soon as AReaL is imported.

    Args:
        to: the folder, or a `Recorder`. Default: `$FORESHOCK_RUN`, else
            `foreshock-runs/EXPERIMENT/TRIAL`.

    Returns:
        A function that undoes it.
    """
    undo: list[Undo] = []
    recording = _Recording(to)

    def imported(module: ModuleType) -> None:
        for method in ("commit", "close"):
            undo.append(listen(module.StatsLogger, method, getattr(recording, method)))

    undo.append(when_imported("areal.utils.stats_logger", imported))

    def all_undone() -> None:
        while undo:
            undo.pop()()
        recording.end()

    return all_undone


class _Recording:
    def __init__(self, to: Target | None) -> None:
        self._to = to
        self._recorder: Recorder | None = None

    def commit(self, logger: Any, epoch: int, step: int, global_step: int, data: Any, *_: Any) -> Then | None:
        if not_the_first_rank():
            return None
        # As AReaL numbers them: a list takes one step for each of its rows.
        first = max(global_step, getattr(logger, "_last_commit_step", -1) + 1)

        def committed(done: bool) -> None:
            if not done:
                return
            recorder = self._begun(logger)
            for place, row in enumerate([data] if isinstance(data, dict) else data):
                kept = {key: value for key, value in row.items() if not key.endswith(_COUNTS)}
                recorder.log(kept, first + place)

        return committed

    def close(self, logger: Any) -> None:
        self.end()

    def end(self) -> None:
        if self._recorder is not None and self._recorder is not self._to:
            self._recorder.close()
        self._recorder = None

    def _begun(self, logger: Any) -> Recorder:
        if self._recorder is None:
            settings = logger.exp_config
            self._recorder = recorder_for(
                self._to,
                at(logger, "config", "experiment_name"),
                at(logger, "config", "trial_name"),
                config=settings,
                framework="areal",
                total_steps=at(logger, "ft_spec", "total_train_steps"),
                model=at(settings, "actor", "path"),
                prompts_per_step=at(settings, "train_dataset", "batch_size"),
                group_size=at(settings, "gconfig", "n_samples"),
            )
        return self._recorder

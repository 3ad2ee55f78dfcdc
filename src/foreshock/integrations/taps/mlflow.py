"""The tap for MLflow: listens to `MlflowClient`, through which `mlflow.log_metric` and autologging go."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

from foreshock.integrations._hooks import Then, quietly
from foreshock.integrations._recorders import keep_config
from foreshock.integrations.taps._tap import Tap

_HARDWARE = "system/"  # sampled by a thread of MLflow, in steps of its own


def attach(tap: Tap) -> None:
    """Listen as soon as MLflow is imported."""
    listeners = _Listeners(tap)

    def imported(module: ModuleType) -> None:
        for method in ("log_metric", "log_batch", "log_param"):
            tap.on_call(module.MlflowClient, method, getattr(listeners, method))

    tap.on_import("mlflow.tracking.client", imported)


class _Listeners:
    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._params: dict[str, dict[str, Any]] = {}

    def log_metric(
        self,
        client: Any,
        run_id: str,
        key: str,
        value: Any,
        timestamp: Any = None,
        step: int | None = None,
        *_: Any,
        **__: Any,
    ) -> Then:
        return self._then(run_id, [(key, value, step)], ())

    def log_param(self, client: Any, run_id: str, key: str, value: Any, *_: Any, **__: Any) -> Then:
        return self._then(run_id, (), [(key, value)])

    def log_batch(
        self,
        client: Any,
        run_id: str,
        metrics: Sequence[Any] = (),
        params: Sequence[Any] = (),
        *_: Any,
        **__: Any,
    ) -> Then:
        points = [(metric.key, metric.value, metric.step) for metric in metrics]
        return self._then(run_id, points, [(param.key, param.value) for param in params])

    def _then(
        self,
        run: str,
        points: Sequence[tuple[str, Any, int | None]],
        params: Sequence[tuple[str, Any]],
    ) -> Then:
        def logged(done: bool) -> None:
            if done and params:
                self._keep(run, params)
            kept = [point for point in points if not point[0].startswith(_HARDWARE)]
            if done and kept:
                self._log(run, kept)

        return logged

    def _keep(self, run: str, params: Iterable[tuple[str, Any]]) -> None:
        """Hold parameters until the run logs a metric, or add them to its recording."""
        known = self._params.setdefault(run, {})
        known.update(params)
        if run in self._tap.recorders:
            keep_config(self._tap.recorders[run], known)

    def _log(self, run: str, points: Iterable[tuple[str, Any, int | None]]) -> None:
        recorder = self._tap.recorder(run, quietly(_name, run), lambda: self._params.get(run))
        if recorder is None:
            return
        rows: dict[int, dict[str, Any]] = {}
        for key, value, step in points:
            rows.setdefault(self._tap.step_of(run, key, step), {})[key] = value
        for step, values in rows.items():
            recorder.log(values, step)


def _name(run: str) -> str | None:
    """The run's name, where it is the active one: others would have to be asked for over the network."""
    active = sys.modules["mlflow"].active_run()
    return str(active.info.run_name) if active is not None and active.info.run_id == run else None

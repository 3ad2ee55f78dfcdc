"""torchforge's metric loggers: contract test against a stand-in of `forge/observability`."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from _standins import put_on_path
from foreshock.integrations import torchforge
from foreshock.readers import open_run

# torchforge 6e77f0b, forge/observability/metrics.py and metric_actors.py: loggers and who makes them.
METRICS = """
class LoggerBackend:
    def __init__(self, logger_backend_config):
        self.logger_backend_config = logger_backend_config


class ConsoleBackend(LoggerBackend):
    pass


def get_logger_backend_class(cls_name):
    if cls_name == "console":
        return ConsoleBackend
    raise ValueError(f"Unknown logger backend type: {cls_name}")
"""
ACTORS = """
from forge.observability.metrics import get_logger_backend_class


class GlobalLoggingActor:
    def __init__(self):
        self.backends = {}

    async def init_backends(self, config):
        for name, settings in config.items():
            backend = get_logger_backend_class(name)(settings)
            await backend.init(role="global", process_name="Controller")
            self.backends[name] = backend

    async def flush(self, metrics, global_step):
        for backend in self.backends.values():
            await backend.log_batch(metrics, global_step)

    async def shutdown(self):
        for backend in self.backends.values():
            await backend.finish()
"""
SOURCES = {"forge.observability.metrics": METRICS, "forge.observability.metric_actors": ACTORS}


@pytest.fixture(params=["before", "after"])
def actor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """An actor of the stand-in, imported before or after Foreshock's module."""
    put_on_path(monkeypatch, tmp_path / "site", SOURCES)
    if request.param == "after":
        importlib.import_module("forge.observability.metric_actors")
    undo = torchforge.install()
    yield importlib.import_module("forge.observability.metric_actors").GlobalLoggingActor()
    undo()


def _metric(key: str, value: float) -> SimpleNamespace:
    return SimpleNamespace(key=key, value=value, reduction="mean", timestamp=0.0)


def test_reduced_metrics_are_recorded(actor: Any, tmp_path: Path) -> None:
    async def train() -> None:
        await actor.init_backends(
            {"foreshock": {"logging_mode": "global_reduce", "to": str(tmp_path / "rec")}}
        )
        for step in range(1, 4):
            reward = _metric("reward/evaluate_response/avg_total_reward", 0.5 * step)
            await actor.flush([reward, _metric("grpo_loss/kl", float("nan"))], step)
        await actor.shutdown()

    asyncio.run(train())
    run = open_run(tmp_path / "rec")
    assert run.steps.tolist() == [1, 2, 3]
    assert run.series["reward_mean"].tolist() == [0.5, 1.0, 1.5]
    assert run.facts["framework"] == "torchforge"
    assert run.facts["ended"]
    assert (tmp_path / "rec" / "journal-Controller.jsonl").exists()


def test_other_loggers_are_found_as_before(actor: Any) -> None:
    metrics = importlib.import_module("forge.observability.metrics")
    actors = importlib.import_module("forge.observability.metric_actors")
    for module in (metrics, actors):
        assert module.get_logger_backend_class("console").__name__ == "ConsoleBackend"
        assert module.get_logger_backend_class("foreshock") is torchforge.ForeshockBackend
        with pytest.raises(ValueError, match="nonsense"):
            module.get_logger_backend_class("nonsense")


def test_undone_the_name_is_unknown_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_on_path(monkeypatch, tmp_path / "site", SOURCES)
    undo = torchforge.install()
    actors = importlib.import_module("forge.observability.metric_actors")
    undo()
    with pytest.raises(ValueError, match="foreshock"):
        importlib.import_module("forge.observability.metrics").get_logger_backend_class("foreshock")
    with pytest.raises(ValueError, match="foreshock"):
        actors.get_logger_backend_class("foreshock")


def test_streamed_values_are_recorded_at_once_and_settings_may_come_one_by_one(tmp_path: Path) -> None:
    backend = torchforge.ForeshockBackend(to=str(tmp_path / "rec"), logging_mode="per_rank_no_reduce")
    backend.log_stream(_metric("lost", 0.0), 1)  # before init: nothing to record into
    asyncio.run(backend.init(role="local"))
    backend.log_stream(_metric("reward", 1.0), 4)
    assert open_run(tmp_path / "rec").steps.tolist() == [4]
    asyncio.run(backend.finish())

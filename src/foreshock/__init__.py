"""Foreshock: the seismograph and the on-call engineer for RL post-training runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foreshock.analysis import analyze as analyze
    from foreshock.analysis import change_points as change_points
    from foreshock.errors import ForeshockError as ForeshockError
    from foreshock.integrations.taps import tap as tap
    from foreshock.readers import open_run as open_run
    from foreshock.record import Recorder as Recorder
    from foreshock.report import write as write
    from foreshock.run import Run as Run

__version__ = "0.1.0"

# Public name -> module that holds it, imported on first use: `import foreshock` stays light.
_EXPORTS = {
    "ForeshockError": "foreshock.errors",
    "Recorder": "foreshock.record",
    "Run": "foreshock.run",
    "analyze": "foreshock.analysis",
    "change_points": "foreshock.analysis",
    "open_run": "foreshock.readers",
    "tap": "foreshock.integrations.taps",
    "write": "foreshock.report",
}
__all__ = sorted([*_EXPORTS, "__version__"])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module 'foreshock' has no attribute {name!r}")
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return __all__

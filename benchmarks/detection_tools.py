"""Detectors that must be installed: river's ADWIN, and the live monitors of rldoctor and rlwatch."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from detection_measure import BoolArray
from detection_methods import Method, noise_scale
from foreshock.run import FloatArray

DELTAS = (1e-6, 1e-4, 0.002, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.999)
BASELINE = 30  # rows whose noise is ADWIN's unit
SLOW = 12  # curves that a tool in another process is given


def river_methods() -> list[Method]:
    """River's ADWIN, tuned and as it comes; none where river is not installed."""
    try:
        import river.drift  # type: ignore[import-not-found, unused-ignore] # noqa: F401
    except ImportError as missing:
        print(f"left out: {missing}; pip install river", file=sys.stderr)
        return []
    return [
        Method(
            "ADWIN",
            "river's, checked at every row, delta from a grid, in units of the noise of the first 30 rows; "
            "only falls count",
            alarms=lambda y, delta: adwin(y, delta, clock=1),
            settings=DELTAS,
        ),
        Method(
            "ADWIN, as it comes",
            "river's defaults (delta 0.002, every 32 rows) on the reward as logged; only falls count",
            alarms=lambda y, delta: adwin(y, delta, unit=False),
            settings=(0.002,),
        ),
    ]


def adwin(y: FloatArray, delta: float, clock: int = 32, *, unit: bool = True) -> BoolArray:
    """Where river's ADWIN cuts its window and the mean is lower afterwards."""
    from river.drift import ADWIN

    told = np.zeros(y.shape, dtype=bool)
    scale = noise_scale(y[:, :BASELINE])[:, -1]
    for k, row in enumerate(y):
        values = (row - row[0]) / scale[k] if unit and scale[k] > 0 else row
        detector = ADWIN(delta=delta, clock=clock)
        for t, value in enumerate(values.tolist()):
            before = detector.estimation
            detector.update(value)
            if detector.drift_detected and t >= (BASELINE if unit else 0):
                told[k, t] = detector.estimation < before
    return told


def peers(pythons: Mapping[str, str]) -> list[Method]:
    """Live monitors of other tools, each with an interpreter that has it (name -> path)."""
    return [
        Method(
            f"{name}, as it comes",
            f"{version(name, python)}; its live monitor with its defaults, given the reward only; "
            f"all that it says counts; at most {SLOW} curves of each kind",
            alarms=partial(peer_alarms, name, python),
            settings=(0.0,),
            most=SLOW,
        )
        for name, python in pythons.items()
    ]


def version(name: str, python: str) -> str:
    """Name and version of a tool."""
    tool = _tool(name, python)
    found = str(tool.version()).partition("+")[0]
    tool.stop()
    return f"{name} {found}"


def peer_alarms(name: str, python: str, y: FloatArray, setting: float = 0.0) -> BoolArray:
    """Where a tool's monitor says something, given each curve as the reward of a run of its own.

    There is no setting: it comes with its own.
    """
    told = np.zeros(y.shape, dtype=bool)
    for k, row in enumerate(y):
        steps = peer_steps(name, python, range(len(row)), [{"reward": value} for value in row.tolist()])
        told[k, [step for step, _ in steps]] = True
    return told


def peer_steps(
    name: str, python: str, steps: Sequence[int], rows: Sequence[Mapping[str, float]]
) -> list[tuple[int, str]]:
    """(step, what) that a tool's monitor says of one run; the tool's process is kept for the next."""
    tool = _tool(name, python)
    tool.ask({"begin": 0})
    told = [
        (step, what)
        for step, row in zip(steps, rows, strict=True)
        for what in tool.ask({"step": step, "row": dict(row)})["alarms"]
    ]
    tool.ask({"end": True})
    return told


@cache
def _tool(name: str, python: str) -> Any:
    """The lab's adapter of a tool, which keeps its process."""
    root = str(Path(__file__).resolve().parents[1])
    if root not in sys.path:
        sys.path.insert(0, root)
    from lab.adapters import find

    return find(name, {name: python})

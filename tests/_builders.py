"""Runs and analyses made by hand, for tests that need to know every number in advance.

The figure: the two curves that Foreshock started from, rebuilt from a description and therefore synthetic:
piecewise linear levels with normal noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from foreshock.analysis import (
    Analysis,
    Change,
    KeyPoint,
    Noise,
    Phase,
    PhaseRelation,
    Quality,
    Relation,
    SignalAnalysis,
)
from foreshock.run import Column, FloatArray, Note, Run, Series

LENGTH = ((0, 20, 35, 50, 70), (475.0, 550.0, 600.0, 665.0, 680.0))
REWARD = ((0, 5, 10, 20, 45, 60, 65, 70), (1.50, 1.70, 1.75, 1.80, 1.88, 1.875, 1.70, 1.75))
KEYS = {"reward_mean": "reward", "response_length_mean": "completions/mean_length"}


def run_of(
    series: Mapping[str, Any],
    *,
    steps: Any = None,
    unrecognised: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Run:
    """A run with these canonical signals; `fields` are those of `Run`."""
    canonical = {name: np.asarray(values, dtype=np.float64) for name, values in series.items()}
    others = {key: np.asarray(values, dtype=np.float64) for key, values in (unrecognised or {}).items()}
    count = len(next(iter({**canonical, **others}.values()), []))
    columns = {name: Column(KEYS.get(name, name)) for name in canonical}
    given: dict[str, Any] = {
        "id": "figure",
        "source": "figure.csv",
        "format": "csv_table",
        "framework": "trl_grpo",
        "steps": np.arange(count) if steps is None else np.asarray(steps),
        "series": Series({**{columns[n].key: canonical[n] for n in canonical}, **others}, canonical),
        "columns": columns,
        "unrecognised": tuple(others),
        **fields,
    }
    given["steps"] = np.asarray(given["steps"], dtype=np.int64)
    return Run(**given)


def figure_curves(seed: int = 0, count: int = 71) -> tuple[FloatArray, FloatArray]:
    """Reward and length of the synthetic figure, stretched over `count` steps."""
    draw = np.random.default_rng(seed)
    at = np.linspace(0, 70, count)
    length = np.interp(at, *LENGTH) + draw.normal(0, 12, count)
    reward = np.interp(at, *REWARD) + draw.normal(0, 0.012, count)
    return reward, length


def figure_run(seed: int = 0, count: int = 71, **fields: Any) -> Run:
    """The synthetic figure as a run."""
    reward, length = figure_curves(seed, count)
    return run_of({"reward_mean": reward, "response_length_mean": length}, **fields)


def drop(**fields: Any) -> Change:
    """The fall of the figure as it was drawn: 1.88 to 1.70, 28 % of it recovered."""
    given: dict[str, Any] = {
        "signal": "reward_mean",
        "kind": "drop",
        "step": 61,
        "step_interval": (60, 62),
        "end_step": 65,
        "from_value": 1.88,
        "to_value": 1.70,
        "percent_of_peak": 100 * 0.18 / 1.88,
        "percent_of_gain": 100 * 0.18 / 0.38,
        "sigma": 15.0,
        "p_value": 1e-9,
        "significant": True,
        "recovered": 0.05 / 0.18,
        "recovered_by": 70,
        **fields,
    }
    return Change(**given)


def _phase(kind: str, start: int, end: int, a: float, b: float, sd: float) -> Phase:
    slope = (b - a) / (end - start)
    return Phase(kind, start, end, a, b, slope, min(a, b) - sd, max(a, b) + sd, sd)


def figure_analysis(**fields: Any) -> Analysis:
    """What there is to say about the figure, every number set by hand."""
    change = drop()
    reward = SignalAnalysis(
        name="reward_mean",
        key="reward",
        title="Train Reward",
        unit="reward units",
        good="up",
        count=71,
        first=1.50,
        last=1.75,
        min=1.49,
        max=1.90,
        noise=Noise(0.012, 0.0, 0.012, 71),
        phases=(
            _phase("rapid_rise", 0, 10, 1.50, 1.75, 0.012),
            _phase("slow_rise", 10, 60, 1.75, 1.88, 0.012),
            _phase("drop", 60, 65, 1.88, 1.70, 0.012),
            _phase("recovery", 65, 70, 1.70, 1.75, 0.012),
        ),
        key_points=(
            KeyPoint("start", 0, 1.50, 1.50),
            KeyPoint("half_gain", 5, 1.69, 1.70),
            KeyPoint("peak", 60, 1.88, 1.875),
            KeyPoint("trough", 0, 1.50, 1.50),
            KeyPoint("end", 70, 1.75, 1.75),
        ),
        changes=(change,),
    )
    length = SignalAnalysis(
        name="response_length_mean",
        key="completions/mean_length",
        title="Response Length",
        unit="tokens",
        good=None,
        count=71,
        first=475.0,
        last=680.0,
        min=470.0,
        max=692.0,
        noise=Noise(12.0, 0.0, 12.0, 71),
        phases=(
            _phase("rapid_rise", 0, 20, 475.0, 550.0, 12.0),
            _phase("slow_rise", 20, 50, 550.0, 665.0, 12.0),
            _phase("plateau", 50, 70, 665.0, 680.0, 12.0),
        ),
        key_points=(
            KeyPoint("start", 0, 475.0, 475.0),
            KeyPoint("peak", 70, 680.0, 680.0),
            KeyPoint("end", 70, 680.0, 680.0),
        ),
    )
    relation = Relation(
        a="reward_mean",
        b="response_length_mean",
        count=71,
        level_correlation=0.81,
        change_correlation=0.05,
        change_p_value=0.62,
        lag=None,
        trending=True,
        phases=(PhaseRelation(0, 10, 0.95, 0.10), PhaseRelation(10, 60, 0.88, None)),
        decoupled_at=61,
    )
    given: dict[str, Any] = {
        "signals": {"reward_mean": reward, "response_length_mean": length},
        "changes": (change,),
        "relations": (relation,),
        "quality": (),
        "verdict": "trouble",
        "reasons": ("reward_mean drops at step 61 and stays down",),
        "false_alarm_rate": 0.05,
        "primary": ("reward_mean", "response_length_mean"),
        **fields,
    }
    return Analysis(**given)


def torn_note() -> Note:
    """A repair as readers report it."""
    return Note("torn-line", "the last line is cut off and was left out", 1)


def too_few(name: str = "reward_mean", count: int = 3) -> Quality:
    """The reason why a short run gets no verdict."""
    return Quality(
        name, "too_few_points", f"{name} has {count} values: too few to tell a change from noise", count
    )

"""One run in, everything a careful expert would say about its curves out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foreshock.analysis._records import Analysis, SignalAnalysis
from foreshock.analysis.noise import estimate_noise
from foreshock.run import Run

PRIMARY = ("reward_mean", "response_length_mean")


def analyze(run: Run, *, signals: Sequence[str] | None = None, alpha: float = 0.05) -> Analysis:
    """Analyse the curves of a run.

    Args:
        run: the run, as `open_run` returns it.
        signals: names to look at (canonical or original); default: every signal that the dictionary knows.
        alpha: share of healthy runs on which any reward drop may be called significant.
    """
    names = list(signals) if signals is not None else list(run.series.canonical)
    found = {}
    for name in names:
        y = run.series[name]
        finite = y[np.isfinite(y)]
        if not len(finite):
            continue
        found[name] = SignalAnalysis(
            name=name,
            key=run.columns[name].key if name in run.columns else name,
            title=name,
            unit="",
            good=None,
            count=len(finite),
            first=float(finite[0]),
            last=float(finite[-1]),
            min=float(finite.min()),
            max=float(finite.max()),
            noise=estimate_noise(y),
        )
    return Analysis(
        signals=found,
        changes=(),
        relations=(),
        quality=(),
        verdict="cannot tell",
        false_alarm_rate=alpha,
        primary=tuple(name for name in PRIMARY if name in found),
    )

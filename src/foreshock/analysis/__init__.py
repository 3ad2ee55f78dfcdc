"""What the curves of one run say: phases, key points, changes, relations, quality. Pure functions."""

from __future__ import annotations

from foreshock.analysis._analyze import analyze
from foreshock.analysis._records import (
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
from foreshock.analysis.noise import estimate_noise
from foreshock.analysis.segments import change_points

__all__ = [
    "Analysis",
    "Change",
    "KeyPoint",
    "Noise",
    "Phase",
    "PhaseRelation",
    "Quality",
    "Relation",
    "SignalAnalysis",
    "analyze",
    "change_points",
    "estimate_noise",
]

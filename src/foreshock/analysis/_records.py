"""What an analysis says: plain records, no arrays, no text beyond short details.

Steps are the run's own step numbers (not row indices). Values are in the signal's unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Noise:
    """The run's own scatter around its trend.

    Attributes:
        sd: marginal standard deviation of one point, slow wander excluded.
        phi: lag-1 autocorrelation of the scatter.
        long_run_sd: sqrt of the long-run variance per point, including slow wander (>= sd under
            positive correlation); what the mean of m points scatters by is long_run_sd / sqrt(m).
        count: finite points it was estimated from.
    """

    sd: float
    phi: float
    long_run_sd: float
    count: int


@dataclass(frozen=True)
class Phase:
    """A stretch of one signal that a person would describe in one sentence.

    Kinds: rapid_rise, slow_rise, plateau, fluctuation, slow_decline, drop, recovery (and `single` for
    a run too short to have phases).
    """

    kind: str
    start: int  # first step
    end: int  # last step, inclusive
    start_value: float  # robust level at both ends
    end_value: float
    slope: float  # per step
    low: float  # range of the raw values
    high: float
    noise_sd: float


@dataclass(frozen=True)
class KeyPoint:
    """A point that a person would name: start, end, peak, trough, half_gain, boundary."""

    name: str
    step: int
    value: float  # robust level around the step
    raw: float  # the value logged at the step


@dataclass(frozen=True)
class Change:
    """Something happened to one signal.

    Kinds: drop, rise, spike, level_shift, slow_decline, variance_change, flat_line, saturation,
    non_finite. Sizes are magnitudes (never negative); `from_value` and `to_value` give the direction.
    """

    signal: str
    kind: str
    step: int  # onset: first step of the new behaviour
    step_interval: tuple[int, int]  # interval for the onset (95 %)
    end_step: int  # where the change is complete: bottom of a drop, last step of a flat line
    from_value: float
    to_value: float
    percent_of_peak: float | None  # None where the scale has no meaningful zero (values of both signs)
    percent_of_gain: float | None  # None where the signal had not moved before the change
    sigma: float | None  # size in units of the run's noise
    p_value: float | None  # allows for autocorrelation and for having searched the whole run
    significant: bool
    recovered: float | None = None  # share of the change undone by the end of the run, 0..1
    recovered_by: int | None = None  # step at which that share was reached
    detail: str = ""


@dataclass(frozen=True)
class PhaseRelation:
    """How two signals move together between two steps."""

    start: int
    end: int
    level_correlation: float | None
    change_correlation: float | None


@dataclass(frozen=True)
class Relation:
    """How two signals move together over the run.

    `level_correlation` of two trending curves is high whatever they have to do with one another
    (`trending` says when that is so); `change_correlation` is computed on what is left after each
    signal's trend and is the one to believe.
    """

    a: str
    b: str
    count: int
    level_correlation: float | None
    change_correlation: float | None
    change_p_value: float | None
    lag: int | None  # rows by which b follows a (negative: leads), where the lagged link is significant
    trending: bool
    phases: tuple[PhaseRelation, ...] = ()
    decoupled_at: int | None = None  # first step at which one changes and the other does not follow
    detail: str = ""


@dataclass(frozen=True)
class Quality:
    """What limits how far a signal, or the whole run (signal None), can be trusted.

    Kinds: dead, constant, forward_filled, repeated_steps, missing_steps, too_few_points, non_finite.
    """

    signal: str | None
    kind: str
    detail: str  # one sentence for people
    count: int = 1
    step: int | None = None


@dataclass(frozen=True)
class SignalAnalysis:
    """Everything said about one signal on its own."""

    name: str  # canonical name, or the original key where there is none
    key: str
    title: str
    unit: str
    good: str | None  # "up", "down" or None
    count: int  # finite points
    first: float
    last: float
    min: float
    max: float
    noise: Noise | None
    phases: tuple[Phase, ...] = ()
    key_points: tuple[KeyPoint, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """What a careful expert would say about the curves of one run, before any cause.

    Attributes:
        verdict: "healthy", "watch", "trouble" or "cannot tell".
        reasons: why that verdict, each a short sentence.
        false_alarm_rate: share of healthy runs on which any reward drop is called significant.
    """

    signals: dict[str, SignalAnalysis]
    changes: tuple[Change, ...]  # of all signals, by step
    relations: tuple[Relation, ...]
    quality: tuple[Quality, ...]
    verdict: str
    reasons: tuple[str, ...] = ()
    false_alarm_rate: float = 0.05
    primary: tuple[str, ...] = field(default_factory=tuple)  # reward first, then length, as present

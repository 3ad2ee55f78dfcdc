"""One run in, everything a careful expert would say about its curves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from foreshock.analysis._records import Analysis, Change, Noise, Quality, SignalAnalysis
from foreshock.analysis._trace import Trace, trace_of
from foreshock.analysis._verdict import LENGTH, REWARD, verdict
from foreshock.analysis.changes import FEWEST, find_changes
from foreshock.analysis.key_points import key_points
from foreshock.analysis.noise import estimate_noise
from foreshock.analysis.phases import phases
from foreshock.analysis.quality import run_quality, signal_quality, without_fill
from foreshock.analysis.relations import find_relations
from foreshock.errors import MetricError
from foreshock.run import FloatArray, IntArray, Run
from foreshock.signals import catalogue, evidence_signal

PRIMARY = (REWARD, LENGTH)
# Counters, schedules, clocks and extremes: read and described, but nobody is told that they changed.
_UNSEARCHED = {
    "step",
    "epoch",
    "tokens_total",
    "tokens_step",
    "learning_rate",
    "critic_learning_rate",
    "kl_coef",
    "eval_runtime",
    "step_time",
    "generation_time",
    "reward_time",
    "throughput",
    "mfu",
    "prompt_length_mean",
    "prompt_length_max",
    "response_length_max",
    "response_length_min",
    "response_length_terminated_mean",
    "response_length_terminated_max",
    "response_length_terminated_min",
    "reward_max",
    "reward_min",
    "advantage_max",
    "advantage_min",
    "advantage_mean",
    "eos_count",
    "reward_component_std",
}


def analyze(run: Run, *, signals: Sequence[str] | None = None, alpha: float = 0.05) -> Analysis:
    """Analyse the curves of a run: phases, key points, changes, relations, quality, and a verdict.

    Reward and length come first. Falls of the reward are called significant at `alpha` for the whole
    run: that is the false-alarm promise. The length has an `alpha` of its own, and the changes of all
    other signals together share another (Holm), so that a run with forty metrics does not list a handful
    by chance.

    Cannot see causes: two curves never decide one. Values are analysed as logged, never smoothed; a
    forward-filled signal counts only where it was measured.

    Args:
        run: the run, as `open_run` returns it.
        signals: names to look at, canonical or original; default: every signal that the dictionary knows.
            Reward and length are always looked at.
        alpha: share of healthy runs on which any reward drop may be called significant.

    Raises:
        MetricError: `signals` names something that the run does not have.
    """
    names = _names(run, signals)
    series = {name: without_fill(np.asarray(run.series[name], dtype=np.float64)) for name in names}
    known = catalogue()
    goods = {name: known[_base(name)].good if _base(name) in known else None for name in names}
    traces = {
        name: trace_of(name, run.steps, y) for name, y in series.items() if np.isfinite(y).sum() >= FEWEST
    }
    changes = _changes(run, series, traces, goods, alpha)
    found: dict[str, SignalAnalysis] = {}
    for name, y in series.items():
        own = tuple(change for change in changes if change.signal == name)
        if np.isfinite(y).any():
            noise = traces[name].noise if name in traces else estimate_noise(y)
            found[name] = _describe(run, name, y, noise, own)
    quality = _quality(run, names, goods)
    relations = find_relations(
        run.steps, series, changes, {name: signal.phases for name, signal in found.items()}, alpha
    )
    word, reasons = verdict(found, changes, quality)
    return Analysis(
        signals=found,
        changes=tuple(sorted(changes, key=lambda change: change.step)),
        relations=tuple(relations),
        quality=tuple(quality),
        verdict=word,
        reasons=reasons,
        false_alarm_rate=alpha,
        primary=tuple(name for name in PRIMARY if name in found),
    )


def _names(run: Run, asked: Sequence[str] | None) -> list[str]:
    """Signals to look at, reward and length first."""
    for name in asked or ():
        if name not in run.series:
            there = ", ".join(list(run.series)[:20])
            raise MetricError(f"this run has no signal {name!r}; it has {there}")
    wanted = [name for name in run.series.canonical if name != "step"] if asked is None else list(asked)
    first = [name for name in PRIMARY if name in run.series.canonical]
    return list(dict.fromkeys([*first, *wanted]))


def _changes(
    run: Run,
    series: Mapping[str, FloatArray],
    traces: Mapping[str, Trace],
    goods: Mapping[str, str | None],
    alpha: float,
) -> list[Change]:
    """Changes of all signals: reward and length at `alpha` each, all others together at `alpha`."""
    primary: list[Change] = []
    others: dict[str, list[Change]] = {}
    for name, y in series.items():
        key = run.columns[name].key if name in run.columns else name
        explicit = run.nan_steps.get(key)
        good = "up" if name == REWARD else goods[name]
        if _base(name) in _UNSEARCHED:
            continue
        changes = find_changes(
            name, run.steps, y, good=good, alpha=alpha, nan_steps=explicit, trace=traces.get(name)
        )
        if name in PRIMARY:
            primary += changes
        else:
            others[name] = changes
    return primary + _holm(others, alpha)


def _holm(found: Mapping[str, list[Change]], alpha: float) -> list[Change]:
    """Keep of each signal what stands when all signals share one `alpha`; facts without a p-value stay."""
    smallest = {
        name: min((c.p_value for c in changes if c.p_value is not None), default=1.0)
        for name, changes in found.items()
    }
    kept: list[Change] = []
    rest = len(found)
    limit = alpha / max(rest, 1)
    for name in sorted(found, key=lambda n: smallest[n]):
        if smallest[name] <= alpha / max(rest, 1):
            limit = alpha / max(rest, 1)
        rest -= 1
        kept += [c for c in found[name] if c.p_value is None or c.p_value <= limit]
    return kept


def _describe(
    run: Run, name: str, y: FloatArray, noise: Noise, changes: tuple[Change, ...]
) -> SignalAnalysis:
    """One signal on its own."""
    finite = np.isfinite(y)
    steps: IntArray = run.steps[finite]
    values = y[finite]
    spans = phases(steps, values, noise, changes)
    about = catalogue().get(_base(name)) or evidence_signal(name)
    part = name.partition("/")[2] if about is None or about.name != name else ""
    return SignalAnalysis(
        name=name,
        key=run.columns[name].key if name in run.columns else name,
        title=name if about is None else f"{about.title} ({part})" if part else about.title,
        unit=_unit(run, name),
        good=about.good if about is not None else None,
        count=len(values),
        first=float(values[0]),
        last=float(values[-1]),
        min=float(values.min()),
        max=float(values.max()),
        noise=noise if len(values) >= 3 else None,
        phases=tuple(spans),
        key_points=tuple(key_points(steps, values, spans)),
        changes=changes,
    )


def _unit(run: Run, name: str) -> str:
    """What the values of a signal are counted in: the log's own unit where it differs from the signal's."""
    column = run.columns.get(name)
    about = catalogue().get(_base(name)) or evidence_signal(name)
    return (column.unit if column else "") or (about.unit if about else "")


def _quality(run: Run, names: Sequence[str], goods: Mapping[str, str | None]) -> list[Quality]:
    """What limits the run, then each signal."""
    repairs: Counter[str] = Counter()
    for note in run.notes:
        repairs[note.kind] += note.count
    found = run_quality(run.steps, repairs, run.series.canonical)
    short = {quality.kind for quality in found} & {"too_few_points"}
    for name in names:
        own = signal_quality(name, run.steps, run.series[name], goods[name])
        # Of a short run it is said once; a clock or an extreme with few points is no news.
        quiet = (short and name != REWARD) or _base(name) in _UNSEARCHED
        found += [q for q in own if not (quiet and q.kind == "too_few_points")]
    return found


def _base(name: str) -> str:
    """Name in the dictionary of a signal that comes in several (`reward_component_mean/format`)."""
    return name.partition("/")[0]

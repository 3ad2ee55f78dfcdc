"""One word for a run, and why."""

from __future__ import annotations

from collections.abc import Iterable

from foreshock.analysis._records import Change, Quality, SignalAnalysis

REWARD, LENGTH = "reward_mean", "response_length_mean"
_FATAL = (REWARD, "loss", "grad_norm", "kl_ref")
_UNDONE = 0.5  # a fall with less recovered by the end counts as lasting
_WORTH = 1.5  # in noise: a lasting fall below this is something to watch, not trouble
# A shift of the length or the entropy that is smaller (in noise) or less sure is told, not judged.
_MARKED, _SURE = 4.0, 0.01
_WATCHED = {
    "rise": ("kl_ref", "grad_norm", "truncation_ratio", "mismatch_logprob_abs", "mismatch_kl"),
    "saturation": (LENGTH, "truncation_ratio"),
    "spike": (REWARD,),  # of KL or gradients alone they seldom have consequences
    "non_finite": None,  # of any signal
}
_SAYS = {
    "level_shift": "shifts to another level",
    "rise": "rises abruptly",
    "saturation": "reaches its limit",
    "spike": "leaves its course for a point or two",
    "non_finite": "is not finite",
    "drop": "drops",
    "slow_decline": "declines",
}


def verdict(
    signals: dict[str, SignalAnalysis], changes: Iterable[Change], quality: Iterable[Quality]
) -> tuple[str, tuple[str, ...]]:
    """Judge a run by its reward first: "healthy", "watch", "trouble" or "cannot tell", with reasons.

    Trouble is a reward that fell and stayed down, or a reward, loss, gradient or KL that is not finite. A
    fall that was made good, a length that jumps or sits at its limit, an abrupt rise of KL and the like
    are to be watched. Without a living reward of a handful of points nothing can be told, unless
    something is plainly broken.
    """
    changes = [change for change in changes if change.significant]
    trouble = [_sentence(change) for change in changes if _is_trouble(change)]
    if trouble:
        return "trouble", tuple(dict.fromkeys(trouble))
    blind = _blindness(signals, quality)
    if blind:
        return "cannot tell", blind
    watch = [_sentence(change) for change in changes if _is_watched(change)]
    if watch:
        return "watch", tuple(dict.fromkeys(watch))
    return "healthy", ("no fall of the reward and nothing else out of the ordinary",)


def _blindness(signals: dict[str, SignalAnalysis], quality: Iterable[Quality]) -> tuple[str, ...]:
    """Why the reward says nothing, if so."""
    if REWARD not in signals:
        return ("the run has no reward",)
    return tuple(q.detail for q in quality if q.signal == REWARD and q.kind in ("dead", "too_few_points"))


def _is_trouble(change: Change) -> bool:
    if change.kind == "non_finite":
        return change.signal in _FATAL
    if change.signal != REWARD or change.kind not in ("drop", "slow_decline"):
        return False
    return (change.recovered or 0.0) < _UNDONE and (change.sigma is None or change.sigma >= _WORTH)


def _is_watched(change: Change) -> bool:
    if change.signal == REWARD and change.kind in ("drop", "slow_decline"):
        return True
    if change.kind == "level_shift" and (
        (change.sigma or _MARKED) < _MARKED or (change.p_value or 0) > _SURE
    ):
        return False
    names = _WATCHED.get(change.kind, ())
    return names is None or change.signal in names


def _sentence(change: Change) -> str:
    """One short sentence; its only number is the step."""
    text = f"{change.signal} {_SAYS[change.kind]} at step {change.step}"
    if change.kind in ("drop", "slow_decline"):
        text += " and stays down" if _is_trouble(change) else " and recovers"
        if not _is_trouble(change) and (change.recovered or 0.0) < _UNDONE:
            text = text.replace(" and recovers", " by little more than its noise")
    return text

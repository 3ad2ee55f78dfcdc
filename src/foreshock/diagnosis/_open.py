"""Which causes remain open after looking at the curves: compatible signatures, no probabilities.

The question is asked of one event, the gravest significant change of the run. A cause stays open when its
signature has the event's signal move that way; it is listed with what fits and what speaks against it. What did
not move counts as much as what did. Cannot rank by probability and does not read recorded events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from foreshock.analysis import Analysis, Change
from foreshock.diagnosis._catalogue import Cause, Sign, causes
from foreshock.run import Run
from foreshock.signals import catalogue

_GRAVE = ("drop", "slow_decline", "non_finite")
_MOVES = ("drop", "rise", "level_shift", "slow_decline")
_TWO_SIDED = ("response_length_mean", "entropy", "kl_ref", "grad_norm", "truncation_ratio")
# Only a score on held-out data can tell these from real learning.
_NEED_HELD_OUT = ("reward_hacking", "rm_overopt", "overfit_memorise")
_SHOWN = 12


@dataclass(frozen=True)
class OpenCause:
    """A cause that the curves do not exclude.

    Attributes:
        id: as in the catalogue.
        title: what people call it.
        why: what fits.
        against: what speaks against it; empty where nothing does.
        decide: the experiment that would decide.
        log: signals to log that this run lacks and that would speak for or against it.
    """

    id: str
    title: str
    why: str
    against: str
    decide: str
    log: tuple[str, ...]


def open_causes(run: Run, analysis: Analysis) -> tuple[OpenCause, ...]:
    """Causes compatible with the gravest significant change, most compatible first; () where there is none."""
    event = gravest(analysis)
    if event is None:
        return ()
    seen = _directions(analysis, event)
    weighed = []
    for order, cause in enumerate(causes().values()):
        if not _possible(cause, event, seen):
            continue
        fits, against, score = _compare(cause, event, seen)
        opened = OpenCause(
            cause.id,
            cause.title,
            why=_sentence(fits),
            against=_sentence(against),
            decide=cause.experiment,
            log=_missing(cause, run),
        )
        weighed.append((-score, order, opened))
    return tuple(opened for _, _, opened in sorted(weighed, key=lambda item: item[:2])[:_SHOWN])


def what_to_log(run: Run, most: int = 5) -> tuple[tuple[str, str], ...]:
    """Signals that the run lacks and that the most causes of the catalogue are told apart by: (signal, why)."""
    votes: dict[str, int] = {}
    for cause in causes().values():
        for name in _missing(cause, run):
            votes[name] = votes.get(name, 0) + 1
    ranked = sorted(votes, key=lambda name: -votes[name])[:most]
    return tuple((name, catalogue()[name].meaning) for name in ranked)


def gravest(analysis: Analysis) -> Change | None:
    """The change to be explained: of the reward first, then of the other main signals."""
    significant = [change for change in analysis.changes if change.significant]
    for names, kinds in (
        (("reward_mean",), _GRAVE),
        (_TWO_SIDED, (*_MOVES, "saturation")),
    ):
        found = [change for change in significant if change.signal in names and change.kind in kinds]
        if found:
            return max(found, key=lambda change: (change.recovered or 0) < 0.5 and (change.sigma or 0))
    return None


def _directions(analysis: Analysis, event: Change) -> dict[str, int]:
    """What each analysed signal did around the onset: 1 up, -1 down, 0 no significant change there."""
    low, high = event.step_interval
    reach = max(high - low, event.end_step - event.step, 1)
    directions = {}
    for name, signal in analysis.signals.items():
        directions[name] = 0
        for change in analysis.changes:
            near = change.step_interval[0] <= high + reach and change.step_interval[1] >= low - reach
            if change.signal == signal.name and change.significant and change.kind in _MOVES and near:
                directions[name] = 1 if change.to_value > change.from_value else -1
                break
    directions[event.signal] = 1 if event.to_value > event.from_value else -1
    return directions


def _possible(cause: Cause, event: Change, seen: dict[str, int]) -> bool:
    """Whether the catalogue has this cause move the event's signal that way, at the onset or later."""
    if cause.id in _NEED_HELD_OUT and "eval_score" not in seen:
        return False
    signs = cause.signature.get(event.signal)
    if signs is None:
        return False
    wanted = seen[event.signal]
    return any(_agrees(sign, wanted) for sign in signs[1:]) and not _opposes(signs[1], wanted)


def _agrees(sign: Sign, direction: int) -> bool:
    if isinstance(sign, str):
        return sign in ("step", "nonfinite") or (sign == "zero" and direction < 0)
    return sign is not None and sign * direction > 0


def _opposes(sign: Sign, direction: int) -> bool:
    return isinstance(sign, (int, float)) and sign * direction < 0


def _compare(cause: Cause, event: Change, seen: dict[str, int]) -> tuple[list[str], list[str], float]:
    """What fits, what speaks against, and a score that only serves to order the list."""
    fits, against, score = [], [], 0.0
    for name, direction in seen.items():
        signs = cause.signature.get(name)
        if signs is None:
            continue
        expected, later = signs[1], signs[2]
        title = catalogue()[name].title.lower() if name in catalogue() else name
        if name == event.signal:
            at_once = _agrees(expected, direction)
            fits.append(f"{title} {_went(direction)}" + ("" if at_once else " (later, not at once)"))
            score += abs(expected) if at_once and isinstance(expected, (int, float)) else 0.5
        elif _agrees(expected, direction) or (expected == 0 == direction):
            fits.append(f"{title} {_went(direction)}")
            score += 1 if direction else 0.5
        elif isinstance(expected, (int, float)) and not (direction and _agrees(later, direction)):
            against.append(f"{title} {_went(direction)}, expected {_expected(expected)}")
            score -= 1.5 if direction * expected < 0 else (0.5 if expected == 0 else abs(expected))
    return fits, against, score


def _went(direction: int) -> str:
    return {1: "rose", -1: "fell", 0: "did not move"}[direction]


def _expected(sign: float) -> str:
    if sign == 0:
        return "no move at once"
    return ("strongly " if abs(sign) > 1 else "") + ("up" if sign > 0 else "down")


def _sentence(parts: Iterable[str]) -> str:
    return "; ".join(parts)


def _missing(cause: Cause, run: Run) -> tuple[str, ...]:
    """Signals of the signature that say something at the onset and that the run does not have."""
    present = {name.partition("/")[0] for name in run.series.canonical}
    return tuple(
        name for name, signs in cause.signature.items() if name not in present and signs[1] is not None
    )

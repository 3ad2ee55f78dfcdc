"""Which causes remain open after looking at the curves: compatible signatures, no probabilities.

The question is asked of one event, the gravest significant change of the run. A cause stays open when its
signature has the event's signal move that way and nothing contradicts it outright; it is listed with what
fits and what speaks against it. What did not move counts as much as what did. Does not rank by probability
and does not read recorded events: the curves alone never decide a cause.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

from foreshock.analysis import Analysis, Change
from foreshock.diagnosis._catalogue import Cause, Sign, causes
from foreshock.diagnosis._seen import Seen, gravest, look, passed_an_epoch
from foreshock.run import Run
from foreshock.signals import signal

_SHOWN = 12
_TWO_ENGINES = ("mismatch_logprob_abs", "mismatch_kl", "staleness_mean")  # moved by what parts the two only
_LOGGED = 5  # signals to name per cause
_MOVED = 2.0  # weight of another signal that moved as expected; most signals stand still for any cause
_AGAINST = 2.0  # weight of contradictions from which a cause is left out where they outweigh what fits ...
_OUTWEIGHED = 1.5  # ... by this factor; one contradiction alone excludes only where nothing fits at the onset
_IN_PART, _FULLY = 0.25, 0.8  # shares of a fall that count as made good
_SOON = 3  # rows within which an unlucky batch is made good


@dataclass(frozen=True)
class OpenCause:
    """A cause that the curves do not exclude.

    Attributes:
        id: as in the catalogue.
        title: what people call it.
        why: what fits, and on what condition.
        against: what speaks against it; empty where nothing does.
        decide: the experiment that would decide.
        log: signals that this run lacks and that would speak for or against it.
    """

    id: str
    title: str
    why: str
    against: str
    decide: str
    log: tuple[str, ...]


class _Weighed:
    """A cause with what fits, what speaks against it, and two weights that only serve to order the list."""

    def __init__(self, cause: Cause) -> None:
        self.cause = cause
        self.fits: list[str] = []
        self.against: list[str] = []
        self.for_weight = 0.0
        self.against_weight = 0.0

    def fit(self, text: str, weight: float = 1.0) -> None:
        self.fits.append(text)
        self.for_weight += weight

    def oppose(self, text: str, weight: float = 1.0) -> None:
        self.against.append(text)
        self.against_weight += weight

    @property
    def outweighed(self) -> bool:
        """Whether so much speaks against it that it is not worth listing."""
        enough = _AGAINST if self.for_weight >= 1 else 1.0  # nothing that fits at the onset: sooner
        return self.against_weight >= max(enough, _OUTWEIGHED * self.for_weight)


def open_causes(run: Run, analysis: Analysis) -> tuple[OpenCause, ...]:
    """Causes compatible with the gravest significant change, most compatible first; () where there is none.

    Overfitting, reward hacking and an over-optimised reward model need a held-out score to be named at all.
    A cause that presupposes something of the run (two engines, a critic, tools) stands behind the others
    until one of its own signals has moved.
    """
    event = gravest(analysis)
    if event is None:
        return ()
    seen = look(run, analysis, event)
    weighed = []
    for order, cause in enumerate(causes().values()):
        if not _possible(cause, run, event, seen):
            continue
        found = _weigh(cause, run, event, seen)
        if not found.outweighed:
            score = found.for_weight - found.against_weight
            weighed.append((_presupposes(cause, seen), -score, order, found))
    weighed.sort(key=lambda item: item[:3])
    return tuple(_opened(found, run) for *_, found in weighed[:_SHOWN])


def what_to_log(run: Run, among: Collection[str] | None = None, most: int = 5) -> tuple[tuple[str, str], ...]:
    """Signals that the run lacks and that tell the most pairs of causes apart: (signal, why).

    Args:
        run: the run.
        among: ids of the causes in question; default: all of the catalogue.
        most: how many signals to name.
    """
    asked = [cause for id, cause in causes().items() if among is None or id in among]
    present = {name.partition("/")[0] for name in run.series.canonical}
    pairs: dict[str, list[tuple[Cause, Cause]]] = {}
    for a, b in combinations(asked, 2):
        for name in a.signature.keys() & b.signature.keys() - present:
            if _differ(a.signature[name][1], b.signature[name][1]):
                pairs.setdefault(name, []).append((a, b))
    ranked = sorted(pairs, key=lambda name: (-len(pairs[name]), name))[:most]
    return tuple((name, _reason(name, *pairs[name][0])) for name in ranked)


def _differ(a: Sign, b: Sign) -> bool:
    """Whether two expectations at the onset cannot both be met."""
    if a is None or b is None:
        return False
    if isinstance(a, int) and isinstance(b, int):
        return _towards(a) != _towards(b)
    return a == 0 or b == 0


def _reason(name: str, a: Cause, b: Cause) -> str:
    meaning = getattr(signal(name), "meaning", name).partition(". ")[0].rstrip(".")
    return f"{meaning}. It tells, for example, “{a.title}” from “{b.title}”."


def _possible(cause: Cause, run: Run, event: Change, seen: dict[str, Seen]) -> bool:
    """Whether the catalogue has this cause move the event's signal that way, at the onset or later."""
    if cause.held_out and "eval_score" not in seen:
        return False
    if cause.id == "epoch_boundary" and passed_an_epoch(run, event) is False:
        return False
    name = event.signal.partition("/")[0]
    signs = cause.signature.get(name)
    if signs is None or _opposes(signs[1], seen[name]):
        return False
    return _agrees(signs[1], seen[name]) or _agrees(signs[2], seen[name])


def _presupposes(cause: Cause, seen: dict[str, Seen]) -> bool:
    """Whether the cause has a condition of which the run shows nothing."""
    if not cause.condition:
        return False
    return not any(
        name in seen and seen[name].at and _agrees(cause.signature[name][1], seen[name])
        for name in cause.evidence
        if name in cause.signature
    )


def _agrees(sign: Sign, seen: Seen) -> bool:
    if sign is None or seen.at is None:
        return False
    if seen.broke or sign == "nonfinite":
        return seen.broke and sign in ("nonfinite", "spike")
    if isinstance(sign, int):
        return sign * seen.at > 0
    if sign == "spike":
        return seen.spiked
    return {"step": seen.at != 0, "zero": seen.floored, "one": seen.at > 0}.get(sign, False)


def _opposes(sign: Sign, seen: Seen) -> bool:
    at = seen.at or 0
    if isinstance(sign, str):
        return (sign == "zero" and at > 0) or (sign == "one" and at < 0)
    return sign is not None and sign * at < 0


def _weigh(cause: Cause, run: Run, event: Change, seen: dict[str, Seen]) -> _Weighed:
    found = _Weighed(cause)
    own = event.signal.partition("/")[0]
    if cause.signature[own][1] is not None and _agrees(cause.signature[own][1], seen[own]):
        found.fit(_went(own, seen[own]))
    else:
        found.fit(f"{_went(own, seen[own])}, which it does later rather than at once", 0.5)
    for name, signs in cause.signature.items():
        if name in seen and name != own:
            _compare(found, name, signs, seen[name])
    unexplained = [name for name in _TWO_ENGINES if name in seen and seen[name].at]
    if unexplained and not cause.signature.keys() & set(_TWO_ENGINES):
        found.oppose(f"{_went(unexplained[0], seen[unexplained[0]])}, which it does not explain", _MOVED)
    if own == "reward_mean":
        _weigh_recovery(found, run, event)
    if cause.id == "epoch_boundary" and passed_an_epoch(run, event):
        found.fit("a new epoch began there")
    return found


def _compare(found: _Weighed, name: str, signs: tuple[Sign, Sign, Sign], seen: Seen) -> None:
    """One signal beside the event's own."""
    before, expected, later = signs
    if expected is None or expected == "noisy" or seen.at is None:
        return
    if seen.at == 0 and (before == expected != 0 or seen.stuck * _towards(expected) > 0):
        return  # a trend that goes on is no change, and what is at its limit cannot move further
    if _agrees(expected, seen):
        found.fit(_went(name, seen), _MOVED)
    elif expected == 0 and seen.at == 0 and not seen.broke:
        found.fit(_went(name, seen), 0.5)
    elif seen.at == 0 and isinstance(before, int) and before * seen.before > 0:
        found.fit(f"{_title(name)} {'rose' if seen.before > 0 else 'fell'} before", 0.5)
    elif seen.at and _agrees(later, seen) and expected == 0:
        found.oppose(f"{_went(name, seen)} at once, expected later", 0.5)
    elif _opposes(expected, seen):
        found.oppose(f"{_went(name, seen)}, expected {_expected(expected)}", _strength(expected))
    else:
        found.oppose(f"{_went(name, seen)}, expected {_expected(expected)}", 0.5 * _strength(expected))


def _towards(sign: Sign) -> int:
    """The direction that is expected: 1, -1, or 0 where it is either or none."""
    if isinstance(sign, int):
        return (sign > 0) - (sign < 0)
    return {"one": 1, "zero": -1}.get(sign or "", 0)


def _weigh_recovery(found: _Weighed, run: Run, event: Change) -> None:
    """Whether the reward came back as this cause has it, where enough was logged afterwards to say so."""
    rows = int((run.steps > event.end_step).sum())
    recovers = found.cause.recovers
    if event.recovered is None or rows < _SOON or recovers is None:
        return
    if recovers == "quickly":
        lasted = int(
            ((run.steps >= event.step) & (run.steps <= (event.recovered_by or event.end_step))).sum()
        )
        if event.recovered < 0.5 or lasted > _SOON:
            found.oppose("it lasted, expected to pass within three steps", 1.5)
        else:
            found.fit("it passed at once")
    elif recovers and event.recovered >= (_FULLY if recovers == "fully" else _IN_PART):
        found.fit("it came back" + ("" if recovers == "fully" else " at least in part"), 0.5)
    elif not recovers and event.recovered >= 0.5:
        found.oppose("it came back, expected to stay down")


def _strength(sign: Sign) -> float:
    """How firmly the catalogue expects it: twice for a strong move, once for a move, once for none."""
    return 2.0 if sign in (2, -2, "zero", "one") else 1.0


def _went(name: str, seen: Seen) -> str:
    if seen.broke:
        return f"{_title(name)} was not finite"
    if seen.spiked and not seen.at:
        return f"{_title(name)} spiked"
    return f"{_title(name)} " + {1: "rose", -1: "fell", 0: "shows no significant change"}[seen.at or 0]


def _title(name: str) -> str:
    """The title inside a sentence: only abbreviations keep their capitals."""
    words = getattr(signal(name), "title", name).split()
    return " ".join(word if word.isupper() else word.lower() for word in words)


def _expected(sign: Sign) -> str:
    return {
        2: "to rise strongly",
        1: "to rise",
        0: "not to move at once",
        -1: "to fall",
        -2: "to fall strongly",
        "step": "to step up or down",
        "spike": "to spike",
        "nonfinite": "not to be finite",
        "zero": "to go to its floor",
        "one": "to go to its ceiling",
    }.get(sign or 0, "")


def _opened(found: _Weighed, run: Run) -> OpenCause:
    cause = found.cause
    condition = [f"only where {cause.condition}"] if cause.condition else []
    return OpenCause(
        id=cause.id,
        title=cause.title,
        why="; ".join([*found.fits, *condition]),
        against="; ".join(found.against),
        decide=cause.experiment,
        log=_missing(cause, run),
    )


def _missing(cause: Cause, run: Run) -> tuple[str, ...]:
    """Signals that say something at the onset and that the run does not have, the firmest first."""
    present = {name.partition("/")[0] for name in run.series.canonical}
    names = [name for name, s in cause.signature.items() if name not in present and s[1] is not None]
    return tuple(sorted(names, key=lambda name: -_strength(cause.signature[name][1]))[:_LOGGED])

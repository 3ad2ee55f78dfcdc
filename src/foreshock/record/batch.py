"""What each batch of prompts was: how many, how long, from where, seen before, and whether it drifts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foreshock.record._prompts import Batch, distinct
from foreshock.record._seen import Seen
from foreshock.record._shares import ALPHA, Past, Shares, Shift, past_from
from foreshock.record.evidence import Change, Evidence
from foreshock.record.sketch import BUCKETS, presence, sketch

if TYPE_CHECKING:
    from foreshock.record._shares import Counts

KIND = "batch"

_SOURCES = 64  # different sources told apart; the last place is for all others
_TOLD = 8  # sources named in a line and in an event
_OTHER = "(other)"
_STEADY = 4  # steps after which a number of prompts is what the run usually has
_USUAL = 0.9  # share of steps that must have had it
_EVENTS = 20  # events of one kind in an attempt, after which the rest is only in the curves


class BatchFingerprint:
    """Looks at the prompts of each step; keeps counts and hashes, no text.

    The unit is the prompt: the completions of one prompt count once. Two properties are tested against the
    run's own past, the mix of sources and the words of the prompts; each test raises a false alarm in at
    most 1 % of attempts as long as chance decides the order of the prompts (see `_shares`). A change of the
    number of prompts or of the group size is told when two steps in a row agree on it, so the short last
    batch of an epoch is none.

    It cannot see what the prompts mean, a change of what has no words (images), or a change within the
    first eight steps of a run.
    """

    def __init__(self, before: Mapping[str, Any] | None = None, *, memory: Path | None = None) -> None:
        """Begin, or go on after an earlier attempt.

        Args:
            before: data of the newest evidence of the attempt before, from `Recorder.last("batch")`.
            memory: file that keeps the hash of each distinct prompt (8 bytes), so that `seen_share` of a
                resumed run knows the prompts of the attempts before. Without it the count starts anew.
        """
        before = before or {}
        self._seen = Seen(memory)
        names = _names(before.get("source_past"))
        self._places = {name: place for place, name in enumerate(names[: _SOURCES - 1])}
        self._source_shares = Shares(_SOURCES, _old_sources(before.get("source_past"), len(self._places)))
        self._word_shares = Shares(BUCKETS, past_from(before.get("word_past"), BUCKETS))
        usual = before.get("usual")
        usual = usual if isinstance(usual, Mapping) else {}
        self._steady = {
            name: _Steady(value if isinstance(value := usual.get(name), int) else None)
            for name in ("prompts", "group_size")
        }
        self._told: dict[str, Any] = {}
        self._events: Counter[str] = Counter()

    def step(
        self,
        prompts: Sequence[Any],
        *,
        sources: Sequence[Any] | None = None,
        ids: Sequence[Any] | None = None,
        lengths: Sequence[int] | None = None,
        group_size: int | None = None,
    ) -> Evidence:
        """Look at one step.

        Args:
            prompts: one per completion, then the group size follows from the repeats, or one per prompt;
                each a string, a list of chat messages, or token ids.
            sources: for each of them, the dataset or task it comes from.
            ids: for each of them, what identifies the prompt; default: its text.
            lengths: for each of them, its length in tokens; default: counted in tokens where the prompts
                are token ids, in words otherwise (`length_unit` in the data says which).
            group_size: completions per prompt, where the caller knows it and it is not in the repeats.
        """
        if not len(prompts):
            return Evidence(KIND)
        batch = distinct(prompts, sources, ids, lengths, group_size)
        counts = presence(batch.words)
        drift = self._word_shares.drift(counts, len(batch.digests))
        seen = self._seen.share(batch.digests)
        data: dict[str, Any] = {
            "prompts": batch.prompts,
            "distinct": len(batch.digests),
            "hash": f"{sum(batch.digests) & 0xFFFFFFFFFFFFFFFF:016x}",
            "sketch": sketch(counts, len(batch.digests)),
        }
        changes = [*self._sizes(batch), *self._mix(batch, data), *self._drifted(batch, counts, drift, data)]
        self._tell_once(data, batch)
        return Evidence(KIND, data, _metrics(batch, seen, drift), tuple(self._limited(changes)))

    def _tell_once(self, data: dict[str, Any], batch: Batch) -> None:
        """Add what is only written when it is not what the last line said."""
        facts = {
            "length_unit": batch.unit,
            "group_size": batch.group_size,
            "usual": {name: steady.usual for name, steady in self._steady.items() if steady.usual},
            "seen_restored": self._seen.restored,
        }
        data.update({key: value for key, value in facts.items() if self._told.get(key, ...) != value})
        self._told = facts

    def _sizes(self, batch: Batch) -> list[Change]:
        changes = []
        numbers = {"prompts": batch.prompts, "group_size": batch.group_size}
        texts = {"prompts": "Prompts per step", "group_size": "The group size"}
        kinds = {"prompts": "prompts_per_step_changed", "group_size": "group_size_changed"}
        for name, steady in self._steady.items():
            value = numbers[name]
            before = None if value is None else steady.step(value)
            if value is not None and before is not None:
                text = f"{texts[name]} changed from {before} to {value}, for the second step in a row."
                changes.append(Change(kinds[name], text, {"before": before, "now": value, "steps": 2}))
        return changes

    def _mix(self, batch: Batch, data: dict[str, Any]) -> list[Change]:
        if not batch.sources:
            return []
        import numpy as np

        names = Counter(batch.sources)
        data["sources"] = dict(names.most_common(_TOLD))
        counts = np.zeros(_SOURCES, np.int64)
        for name, count in names.items():
            counts[self._place(name)] += count
        shift = self._source_shares.step(counts, len(batch.digests))
        if self._source_shares.due():
            data["source_past"] = {**self._source_shares.state(), "names": list(self._places)}
        if shift is None:
            return []
        now = self._by_name(shift.counts, shift.prompts)
        before = self._by_name(shift.past.counts, shift.past.prompts)
        told = sorted(
            (name for name in now if now[name] or before[name]), key=lambda n: -abs(now[n] - before[n])
        )
        text = "; ".join(f"{name} {before[name]:.0%} to {now[name]:.0%}" for name in told[:3])
        more = ", ..." if len(told) > 3 else ""
        change = Change(
            "source_mix_changed",
            f"The mix of prompt sources changed{_against(shift)}: {text}{more} {_window(shift)}.",
            {
                "before": {name: round(before[name], 4) for name in told[:_TOLD]},
                "now": {name: round(now[name], 4) for name in told[:_TOLD]},
                **_terms(shift),
            },
        )
        return [change]

    def _place(self, name: str) -> int:
        if name not in self._places and len(self._places) < _SOURCES - 1:
            self._places[name] = len(self._places)
        return self._places.get(name, _SOURCES - 1)

    def _by_name(self, counts: Counts, prompts: int) -> dict[str, float]:
        places = {**self._places, _OTHER: _SOURCES - 1}
        return {name: float(counts[place]) / prompts for name, place in places.items()}

    def _drifted(
        self, batch: Batch, counts: Counts, drift: float | None, data: dict[str, Any]
    ) -> list[Change]:
        shift = self._word_shares.step(counts, len(batch.digests))
        if self._word_shares.due():
            data["word_past"] = self._word_shares.state()
        if shift is None:
            return []
        text = (
            f"The prompts are worded differently{_against(shift)}: words that were in {shift.before:.0%} of "
            f"them are in {shift.now:.0%} {_window(shift)}."
        )
        details = {"before": round(shift.before, 4), "now": round(shift.now, 4), **_terms(shift)}
        if drift is not None and not shift.resumed:
            details["drift"] = round(drift, 2)
        return [Change("prompt_drift", text, details)]

    def _limited(self, changes: list[Change]) -> list[Change]:
        """The changes, less those of a kind that has been told so often that it says nothing any more."""
        told = []
        for change in changes:
            self._events[change.kind] += 1
            count = self._events[change.kind]
            if count == _EVENTS:
                text = f"{change.text} This has happened {count} times; what follows is not told."
                change = Change(change.kind, text, change.data)
            if count <= _EVENTS:
                told.append(change)
        return told


class _Steady:
    """A number that is the same at almost every step, and when it has become another."""

    def __init__(self, usual: int | None = None) -> None:
        self.usual = usual
        self._last: int | None = None
        self._counts: Counter[int] = Counter()

    def step(self, value: int) -> int | None:
        """The usual value until now, if this is the second step with another."""
        before, again = self.usual, value == self._last
        self._last = value
        self._counts[value] += 1
        if before is not None and value != before and again:
            self._counts = Counter({value: 2})
            self.usual = value
            return before
        common, count = self._counts.most_common(1)[0]
        steps = self._counts.total()
        if steps >= _STEADY:
            self.usual = common if count >= _USUAL * steps else None
        if len(self._counts) > 1000:  # every step has another number of prompts
            self._counts.clear()
        return None


def _metrics(batch: Batch, seen: float | None, drift: float | None) -> dict[str, float]:
    lengths = sorted(batch.lengths)
    metrics: dict[str, float | None] = {
        "prompts": batch.prompts,
        "group_size": batch.group_size,
        "prompt_length_mean": sum(lengths) / len(lengths),
        "prompt_length_p10": lengths[int(0.1 * (len(lengths) - 1) + 0.5)],
        "prompt_length_p90": lengths[int(0.9 * (len(lengths) - 1) + 0.5)],
        "seen_share": seen,
        "drift": drift,
    }
    return {f"foreshock/batch/{name}": value for name, value in metrics.items() if value is not None}


def _names(state: Any) -> list[str]:
    names = state.get("names") if isinstance(state, Mapping) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _old_sources(state: Any, names: int) -> Past | None:
    """The mix of the attempt before; a source that is not in it had no prompts."""
    past = past_from(state, _SOURCES) if names else None
    return past and Past(past.prompts, past.steps, past.counts, past.squares)


def _against(shift: Shift) -> str:
    return " since the attempt before" if shift.resumed else ""


def _window(shift: Shift) -> str:
    steps = "this step" if shift.steps == 1 else f"the last {shift.steps} steps"
    return f"of the {shift.prompts} prompts of {steps}"


def _terms(shift: Shift) -> dict[str, Any]:
    return {
        "steps": shift.steps,
        "prompts": shift.prompts,
        "compared_with": {"steps": shift.past.steps, "prompts": shift.past.prompts},
        "false_alarms_per_attempt": ALPHA,
    }

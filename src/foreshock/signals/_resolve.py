"""From the keys of a log to canonical signals.

The user's word comes first, then the keys that the dictionary has for the trainer, then plain names. A key
that nothing explains is listed, one that two signals share gives both, and nothing is ever dropped.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from foreshock.errors import MetricError
from foreshock.run import Column, FloatArray, Note
from foreshock.signals._catalogue import FAMILIES, Key, catalogue, frameworks, lineage, step_keys
from foreshock.signals._evidence import PREFIX, stands_in
from foreshock.signals._generic import (
    fullest,
    in_range,
    normal_form,
    plain_names,
    same_values,
    speaks_of_reward,
)
from foreshock.signals._match import Match, matches_of, signal_of, without_eval
from foreshock.signals._recognise import recognise_framework
from foreshock.signals._transform import ZERO_IS_NONE, apply

SHORT = {"reward": "reward_mean", "length": "response_length_mean", "kl": "kl_ref"}
_PRIMARY = {"reward_mean": "reward", "response_length_mean": "length"}
_FEW = 8  # values from which "only 0 and 1" says something


@dataclass
class Resolution:
    """What the keys of one log mean.

    Attributes:
        framework: the trainer, or None.
        canonical: canonical name -> values after the transform, each of shape (n,). A run has several
            component rewards, and may have several held-out scores: `reward_component_mean/format`.
        columns: canonical name -> original key, transform, and how it was matched.
        unrecognised: keys that nothing explains, in the order logged.
        ambiguous: canonical name -> keys that could all be it, where nothing decides.
        twins: key of an evaluation -> the training signal it belongs to. Never mixed with training.
        notes: what was left as logged, and why.
    """

    framework: str | None
    canonical: dict[str, FloatArray] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    unrecognised: tuple[str, ...] = ()
    ambiguous: dict[str, tuple[str, ...]] = field(default_factory=dict)
    twins: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def resolve(
    columns: Mapping[str, FloatArray],
    *,
    framework: str | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Resolution:
    """Resolve the columns of a log to canonical signals.

    A guess by a plain name is taken only where its values lie in the range of the signal. Where several
    such names could be the reward (or the length) and their values differ, the signal is `ambiguous`.
    Cannot see whether a trainer's key was overwritten with something else by the user's own code.

    Args:
        columns: original key -> values, each of shape (n,).
        framework: the trainer, where known; else it is recognised from the keys.
        mapping: signal -> key, what the user says; wins over everything, values as logged. "reward",
            "length" and "kl" are short for `reward_mean`, `response_length_mean` and `kl_ref`.

    Raises:
        MetricError: `mapping` names a signal or a key that does not exist, or `framework` no trainer.
    """
    if framework is not None and framework not in frameworks():
        raise MetricError(f"there is no trainer {framework!r}{_near(framework, list(frameworks()))}")
    logged = {key: values for key, values in columns.items() if not key.startswith(PREFIX)}
    work = _Work(columns, framework or recognise_framework(logged))
    for name, key in _checked(mapping or {}, columns).items():
        work.take(name, key, Key(key), "map")
        work.known.add(key)
    for trainer in lineage(work.found.framework):
        work.by_dictionary(trainer)
    work.twins()
    work.by_plain_names()
    work.component_rewards()
    work.by_evidence()
    work.by_resemblance()
    work.notes()
    work.found.unrecognised = tuple(key for key in columns if key not in work.known)
    return work.found


def _checked(mapping: Mapping[str, str], columns: Mapping[str, FloatArray]) -> dict[str, str]:
    """The user's mapping with canonical names, or an error that names what is nearest."""
    checked = {}
    for name, key in mapping.items():
        canonical = SHORT.get(name, name)
        base, _, part = canonical.partition("/")
        if canonical not in catalogue() and not (part and base in FAMILIES):
            hint = _near(name, [*SHORT, *catalogue()]) or "; `foreshock signals` lists them"
            raise MetricError(f"--map: there is no signal {name!r}{hint}")
        if key not in columns:
            near = difflib.get_close_matches(key, list(columns), 3, 0.5) or list(columns)[:8]
            raise MetricError(f"--map: the log has no key {key!r}; it has for example {', '.join(near)}")
        checked[canonical] = key
    return checked


def _near(text: str, names: list[str]) -> str:
    near = difflib.get_close_matches(text, names, 3, 0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""


class _Work:
    """One resolution in the making; `known` holds the keys that are explained so far."""

    def __init__(self, columns: Mapping[str, FloatArray], framework: str | None) -> None:
        self.columns = columns
        self.found = Resolution(framework)
        self.known = {key for key in columns if key in step_keys() or key.startswith(PREFIX)}
        self.explained = set(self.known)  # by the dictionary, for this trainer or one that inherits from it
        self.skipped: dict[str, Note] = {}

    def take(self, name: str, original: str, key: Key, via: str) -> bool:
        """Make `original` the signal `name`; False where its transform needs a number that is missing."""
        transform = key.transform
        values = self.columns[original]
        if name.startswith("response_length_terminated") and (values == 0).any():
            transform = ZERO_IS_NONE
        made = apply(transform, values, self.found.canonical.get("response_length_mean"))
        if made is None:
            why = f"needs a number that is not logged ({transform})"
            text = f"{original} could give {name} but {why}; it is kept as logged."
            self.skipped[name] = Note("needs-a-number", text)
            return False
        self.found.canonical[name] = made
        self.found.columns[name] = Column(original, transform.rpartition("=")[2], via, key.unit)
        return True

    # --- the dictionary -------------------------------------------------------------------------

    def by_dictionary(self, trainer: str) -> None:
        """The keys that the dictionary has for a trainer; of each signal the first that is logged wins."""
        matches = matches_of(self.columns, trainer, self.explained)
        # Sums over a sequence are divided by the length, so the length comes first.
        for name in sorted(matches, key=lambda name: name != "response_length_mean"):
            self.explained.update(match.original for match in matches[name])
            usable = [match for match in matches[name] if match.key.transform != "other"]
            if name in FAMILIES:
                self._take_family(name, usable)
            elif name != "step" and name not in self.found.canonical:
                self._take_first(name, usable)
        self.known |= self.explained

    def _take_first(self, name: str, matches: Sequence[Match]) -> None:
        """The preferred key that holds numbers; where one `*` fits several keys, the aggregate of them."""
        patterns = list(dict.fromkeys(match.key for match in matches))
        rows = [[match for match in matches if match.key == key] for key in patterns]
        rows.sort(key=lambda row: not any(np.isfinite(self.columns[match.original]).any() for match in row))
        for row in rows:
            chosen = row if len(row) == 1 else [match for match in row if "agg" in match.part.split("/")]
            if len(chosen) != 1:
                keys = tuple(match.original for match in row)
                if name in _PRIMARY:
                    self._ambiguous(name, keys)
                    return
                self.skipped[name] = _several(name, keys)
            elif self.take(name, chosen[0].original, chosen[0].key, "dictionary"):
                return

    def _take_family(self, name: str, matches: Sequence[Match]) -> None:
        """All series of the first key that is logged, each under its own name."""
        first = [match for match in matches if match.key == matches[0].key]
        for match in first:
            alone = name == "eval_score" and len(first) == 1
            part = match.part or match.original.rpartition("/")[2]
            target = name if alone else f"{name}/{part}"
            if target not in self.found.canonical:
                self.take(target, match.original, match.key, "dictionary")

    def twins(self) -> None:
        """Keys of evaluations that repeat a key of training: explained, and kept out of training."""
        for original in self.columns:
            for plain in without_eval(original, self.found.framework) if original not in self.known else ():
                for trainer in lineage(self.found.framework):
                    name = signal_of(plain, trainer)
                    if name:
                        self.found.twins.setdefault(original, name)
                        self.known.add(original)

    # --- plain names ----------------------------------------------------------------------------

    def by_plain_names(self) -> None:
        """Plain names that many home-made loops use, for whatever is still missing."""
        forms: dict[str, list[str]] = {}
        for key in self.columns:
            if key not in self.known:
                forms.setdefault(normal_form(key), []).append(key)
        for name, tiers in plain_names().items():
            if name not in self.found.canonical and name not in self.found.ambiguous:
                self._take_tier(name, tiers, forms)

    def _take_tier(
        self, name: str, tiers: tuple[tuple[str, ...], ...], forms: Mapping[str, list[str]]
    ) -> None:
        for tier in tiers:
            logged = [key for plain in tier for key in forms.get(plain, ())]
            keys = [key for key in logged if in_range(name, self.columns[key])]
            keys = [key for key in keys if np.isfinite(self.columns[key]).any()] or keys
            if not keys:
                continue
            if name in _PRIMARY and not same_values(keys, self.columns) and len(keys) > 1:
                self._ambiguous(name, tuple(key for key in self.columns if key in keys))
                return
            chosen = fullest(keys, self.columns) if name in _PRIMARY else keys[0]
            self.take(name, chosen, Key(chosen), "generic")
            self.known.update(keys if name in _PRIMARY else [chosen])
            return

    def component_rewards(self) -> None:
        """`rewards/NAME` and `rewards/NAME/mean` of logs whose trainer is not known."""
        for original in self.columns:
            found = re.fullmatch(r"(?:train/)?rewards/(.+?)(?:/(mean|std))?", original)
            if original in self.known or not found or found[1] in ("mean", "std", "min", "max"):
                continue
            kind = "reward_component_std" if found[2] == "std" else "reward_component_mean"
            self.take(f"{kind}/{found[1]}", original, Key(original), "generic")
            self.known.add(original)

    def by_evidence(self) -> None:
        """What Foreshock's recorder saw for itself stands in where the trainer logged nothing."""
        rewards = []
        for original in self.columns:
            name, unit = stands_in(original)
            if name.startswith("reward_component_mean/"):
                rewards.append(original)
            if name and name not in self.found.canonical:
                self.take(name, original, Key(original, unit=unit), "dictionary")
        if len(rewards) == 1 and "reward_mean" not in self.found.canonical:
            self.take("reward_mean", rewards[0], Key(rewards[0]), "dictionary")

    def by_resemblance(self) -> None:
        """One unknown key that speaks of a reward is taken for it; several are a question to the user."""
        name = "reward_mean"
        if name in self.found.canonical or name in self.found.ambiguous:
            return
        keys = [
            key
            for key in self.columns
            if key not in self.known and speaks_of_reward(key) and np.isfinite(self.columns[key]).any()
        ]
        if len(keys) > 1 and not same_values(keys, self.columns):
            self._ambiguous(name, tuple(keys))
        elif keys:
            chosen = fullest(keys, self.columns)
            self.take(name, chosen, Key(chosen), "generic")
            self.known.update(keys)
            text = f"{chosen} was taken for the reward: no other column speaks of one."
            self.found.notes.append(Note("guessed-reward", text))

    def _ambiguous(self, name: str, keys: tuple[str, ...]) -> None:
        self.found.ambiguous[name] = keys
        self.known.update(keys)

    # --- what to tell ---------------------------------------------------------------------------

    def notes(self) -> None:
        """What was left as logged, and readings that mislead."""
        found = self.found
        found.notes += [note for name, note in self.skipped.items() if name not in found.canonical]
        for name, keys in found.ambiguous.items():
            if name != "reward_mean":  # the reader makes that an error
                what = catalogue()[name].title
                text = f"{what} could be {' or '.join(keys)}; choose with --map {_PRIMARY[name]}={keys[0]}."
                found.notes.append(Note("ambiguous", text, len(keys)))
        ended = [column for column in found.columns.values() if column.transform == ZERO_IS_NONE]
        if ended:
            count = max(int((self.columns[column.key] == 0).sum()) for column in ended)
            text = (
                f"No response ended by itself at {count:,} steps; {ended[0].key} is 0 there: read as missing."
            )
            found.notes.append(Note("none-terminated", text, count))
        groups = found.canonical.get("frac_zero_variance_groups", np.array([]))
        groups = groups[np.isfinite(groups)]
        if len(groups) >= _FEW and set(groups.tolist()) == {0, 1}:
            key = found.columns["frac_zero_variance_groups"].key
            text = f"{key} is only ever 0 or 1: taken over the whole batch (or one group per step), no share."
            found.notes.append(Note("not-a-share", text))


def _several(name: str, keys: Sequence[str]) -> Note:
    shown = ", ".join(keys[:6]) + (", ..." if len(keys) > 6 else "")
    text = f"{len(keys)} keys could give {name} ({shown}); all are kept as logged."
    return Note("several-keys", text, len(keys))

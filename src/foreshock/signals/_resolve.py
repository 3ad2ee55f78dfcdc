"""From the keys of a log to canonical signals."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from foreshock.errors import MetricError
from foreshock.run import Column, FloatArray, Note
from foreshock.signals._catalogue import Key, catalogue, data
from foreshock.signals._recognise import recognise_framework
from foreshock.signals._transform import apply

SHORT = {"reward": "reward_mean", "length": "response_length_mean", "kl": "kl_ref"}
_TRL = ("trl_grpo", "trl_rloo", "trl_async_grpo", "trl_ppo", "trl_online_dpo", "ms_swift", "unsloth")
_PREFIXES = ("train/",)  # added by the W&B, TensorBoard and Trackio callbacks of the HF Trainer
_EVAL = ("eval_", "eval/", "val_", "val/", "val-", "validation", "test_", "test/", "heldout")
_NOT_MEAN = (
    "std",
    "max",
    "min",
    "var",
    "component",
    "weight",
    "coef",
    "scale",
    "time",
    "loss",
    "baseline",
    "clip",
)


@dataclass
class Resolution:
    """What the keys of one log mean.

    Attributes:
        framework: the trainer, or None.
        canonical: canonical name -> values after the transform, each of shape (n,).
        columns: canonical name -> original key, transform, and how it was matched.
        unrecognised: keys that nothing explains, in the order logged.
        ambiguous: canonical name -> keys that could all be it, where nothing decides.
        notes: what was left out, and why.
    """

    framework: str | None
    canonical: dict[str, FloatArray] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    unrecognised: tuple[str, ...] = ()
    ambiguous: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def resolve(
    columns: Mapping[str, FloatArray],
    *,
    framework: str | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Resolution:
    """Resolve the columns of a log to canonical signals.

    Args:
        columns: original key -> values, each of shape (n,).
        framework: the trainer, where known; else it is recognised from the keys.
        mapping: signal -> key, what the user says; wins over everything. "reward", "length" and "kl" are
            short for `reward_mean`, `response_length_mean` and `kl_ref`.

    Raises:
        MetricError: `mapping` names a signal or a key that does not exist.
    """
    found = Resolution(framework or recognise_framework(columns))
    known: set[str] = set()
    for name, key in _checked(mapping or {}, columns).items():
        _take(found, name, key, "identity", "map", columns)
        known.add(key)
    if found.framework:
        _by_dictionary(found, columns, known)
    _by_plain_names(found, columns, known)
    _component_rewards(found, columns, known)
    if "reward_mean" not in found.canonical and "reward_mean" not in found.ambiguous:
        _by_resemblance(found, columns, known)
    _truncation_from_eos(found)
    found.unrecognised = tuple(key for key in columns if key not in known)
    return found


def _checked(mapping: Mapping[str, str], columns: Mapping[str, FloatArray]) -> dict[str, str]:
    """The user's mapping with canonical names, or an error that names what is nearest."""
    checked = {}
    for name, key in mapping.items():
        canonical = SHORT.get(name, name)
        if canonical not in catalogue():
            near = difflib.get_close_matches(name, [*SHORT, *catalogue()], 3, 0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; `foreshock signals` lists them"
            raise MetricError(f"--map: there is no signal {name!r}{hint}")
        if key not in columns:
            near = difflib.get_close_matches(key, list(columns), 3, 0.5) or list(columns)[:8]
            raise MetricError(f"--map: the log has no key {key!r}; it has for example {', '.join(near)}")
        checked[canonical] = key
    return checked


def _take(
    found: Resolution, name: str, key: str, transform: str, via: str, columns: Mapping[str, FloatArray]
) -> None:
    if name.startswith("response_length_terminated"):
        transform = "0 is none"
    values = apply(transform, columns[key], found.canonical.get("response_length_mean"))
    if values is None:
        text = f"`{key}` could be `{name}` but needs a number that is not logged ({transform}); kept as it is"
        found.notes.append(Note("needs-a-number", text))
        return
    found.canonical[name] = values
    found.columns[name] = Column(key, transform, via)


def _by_dictionary(found: Resolution, columns: Mapping[str, FloatArray], known: set[str]) -> None:
    """The keys that the dictionary has for this trainer; the first that is logged wins."""
    framework = found.framework
    # Sums over a sequence are divided by the length, so the length comes first.
    names = sorted(catalogue(), key=lambda name: name != "response_length_mean")
    for name in names:
        signal = catalogue()[name]
        keys = signal.keys.get(framework or "", ())
        if framework in _TRL:  # they all inherit what GRPOTrainer logs
            keys = tuple(dict.fromkeys([*keys, *signal.keys.get("trl_grpo", ())]))
        for key in keys:
            for original, part in _matches(key, columns, framework, name):
                if original in known and name not in ("eos_count",):
                    continue
                known.add(original)
                target = f"{name}/{part}" if name.startswith("reward_component") else name
                if target not in found.canonical:
                    _take(found, target, original, key.transform, "dictionary", columns)


def _matches(
    key: Key, columns: Mapping[str, FloatArray], framework: str | None, name: str
) -> Iterator[tuple[str, str]]:
    """Original keys that match, each with the text that its first `*` stands for."""
    held_out = name.startswith("eval")
    for original in columns:
        for plain in _variants(original, framework):
            if "*" not in key.pattern:
                matched = plain == key.pattern
            else:
                matched = fnmatch.fnmatchcase(plain, key.pattern)
            if matched and framework in _TRL and not held_out and original.startswith(("eval_", "eval/")):
                matched = False
            if matched:
                head, _, tail = key.pattern.partition("*")
                end = len(plain) - len(tail) if tail and "*" not in tail else len(plain)
                part = plain[len(head) : end] if "*" in key.pattern else plain.rsplit("/", 1)[-1]
                if name == "reward_component_mean" and part.endswith(("/std", "/mean", "/max", "/min")):
                    continue
                yield original, part
                break


def _variants(original: str, framework: str | None) -> Iterator[str]:
    """The key as logged, then without what a logger adds to it."""
    yield original
    if framework in _TRL or framework == "llama_factory":
        for prefix in _PREFIXES:
            if original.startswith(prefix):
                yield original[len(prefix) :]
    if framework == "roll" and "@" in original:
        yield original.rsplit("@", 1)[0]
    if framework == "openrlhf" and not original.startswith("train/"):
        yield f"train/{original}"


def _by_plain_names(found: Resolution, columns: Mapping[str, FloatArray], known: set[str]) -> None:
    """Plain names that many home-made loops use, for whatever is still missing."""
    lowered = {key.lower().replace(" ", "_").replace("-", "_"): key for key in reversed(list(columns))}
    for name, plain in data()["generic"].items():
        if name in found.canonical:
            continue
        candidates = [lowered[text] for text in plain if text in lowered and lowered[text] not in known]
        candidates = list(dict.fromkeys(candidates))
        if not candidates:
            continue
        if name == "reward_mean" and not _same(candidates, columns):
            found.ambiguous[name] = tuple(candidates)
            known.update(candidates)
            continue
        _take(found, name, candidates[0], "identity", "generic", columns)
        known.add(candidates[0])


def _same(candidates: list[str], columns: Mapping[str, FloatArray]) -> bool:
    """Whether all candidates hold the same values wherever two of them are logged."""
    first = columns[candidates[0]]
    for other in candidates[1:]:
        both = np.isfinite(first) & np.isfinite(columns[other])
        if not np.allclose(first[both], columns[other][both], rtol=1e-9, atol=0) or not both.any():
            return False
    return True


def _component_rewards(found: Resolution, columns: Mapping[str, FloatArray], known: set[str]) -> None:
    """`rewards/NAME` of logs whose trainer is not known."""
    for key in columns:
        if key in known or not key.startswith("rewards/"):
            continue
        part = key.removeprefix("rewards/")
        kind = "reward_component_std" if part.endswith("/std") else "reward_component_mean"
        part = part.removesuffix("/mean").removesuffix("/std")
        _take(found, f"{kind}/{part}", key, "identity", "generic", columns)
        known.add(key)


def _by_resemblance(found: Resolution, columns: Mapping[str, FloatArray], known: set[str]) -> None:
    """A single unknown key that speaks of a reward is taken for it; several are a question to the user."""
    candidates = [
        key
        for key in columns
        if key not in known
        and "reward" in key.lower()
        and not key.lower().startswith(_EVAL)
        and not any(word in key.lower() for word in _NOT_MEAN)
        and np.isfinite(columns[key]).any()
    ]
    if len(candidates) == 1 or (candidates and _same(candidates, columns)):
        _take(found, "reward_mean", candidates[0], "identity", "generic", columns)
        known.add(candidates[0])
    elif candidates:
        found.ambiguous["reward_mean"] = tuple(candidates)


def _truncation_from_eos(found: Resolution) -> None:
    """Trap 10: some trainers log the share of responses that ended by themselves, not of those cut."""
    column = found.columns.get("eos_count")
    if column is None or "truncation_ratio" in found.canonical or column.key.endswith("num_eos_tokens"):
        return
    found.canonical["truncation_ratio"] = 1 - found.canonical["eos_count"]
    found.columns["truncation_ratio"] = Column(column.key, "1-x", column.via)

"""Which trainer wrote a log, from its keys alone."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping

from foreshock.signals._catalogue import catalogue, data, glob

_ENOUGH = 3  # keys that only one trainer uses, where no fingerprint is found


def recognise_framework(keys: Iterable[str]) -> str | None:
    """The trainer that logs such keys, or None where they do not tell.

    A fingerprint (one to three keys that only this trainer writes together) decides; without any, the
    trainer to which at least three of the keys belong exclusively. Two fingerprints of unrelated trainers
    are no answer. Cannot tell TRL's GRPO from its RLOO or from Unsloth, which log the same keys: the answer
    is then "trl_grpo".
    """
    present = set(keys)
    # The W&B, TensorBoard and Trackio callbacks of the HF Trainer put "train/" before every key.
    present |= {key.removeprefix("train/") for key in present}
    found: set[str] = set()
    special: set[str] = set()
    for framework, patterns, over in data()["fingerprints"]:
        if all(_any(pattern, present) for pattern in patterns):
            found.add(framework)
            special.update(over)
    left = found - special
    if left:
        return left.pop() if len(left) == 1 else None
    return _by_exclusive_keys(present)


def _any(pattern: str, present: set[str]) -> bool:
    if "*" not in pattern:
        return pattern in present
    return any(glob(pattern).fullmatch(key) for key in present)


def _by_exclusive_keys(present: set[str]) -> str | None:
    count = Counter(_exclusive()[key] for key in present if key in _exclusive())
    best = count.most_common(2)
    if best and best[0][1] >= _ENOUGH and (len(best) == 1 or best[1][1] < best[0][1]):
        return best[0][0]
    return None


@functools.cache
def _exclusive() -> Mapping[str, str]:
    """Key -> the only trainer that has it."""
    owners: dict[str, set[str]] = {}
    for signal in catalogue().values():
        for framework, known in signal.keys.items():
            for entry in known:
                owners.setdefault(entry.pattern, set()).add(framework)
    return {key: min(held) for key, held in owners.items() if len(held) == 1}

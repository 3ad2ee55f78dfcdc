"""Which trainer wrote a log, from its keys alone."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from foreshock.signals._catalogue import catalogue, data

_ENOUGH = 3  # keys that only one trainer uses, where no fingerprint is found


def recognise_framework(keys: Iterable[str]) -> str | None:
    """The trainer that logs such keys, or None where they do not tell.

    A fingerprint (one or two keys that only this trainer writes) decides; else the trainer to which at
    least three of the keys belong exclusively. Cannot tell TRL's GRPO from RLOO or Unsloth: they log the
    same keys, and the answer is then "trl_grpo".
    """
    present = set(keys)
    # The W&B, TensorBoard and Trackio callbacks of the HF Trainer put "train/" before every key.
    present |= {key.removeprefix("train/") for key in present}
    for framework, patterns in data()["fingerprints"]:
        if all(any(fnmatch.fnmatchcase(key, pattern) for key in present) for pattern in patterns):
            return str(framework)
    owners: dict[str, set[str]] = {}
    for signal in catalogue().values():
        for framework, known in signal.keys.items():
            for entry in known:
                owners.setdefault(entry.pattern, set()).add(framework)
    exclusive: dict[str, int] = {}
    for key in present:
        if len(owners.get(key, ())) == 1:
            (framework,) = owners[key]
            exclusive[framework] = exclusive.get(framework, 0) + 1
    best = sorted(exclusive.items(), key=lambda item: -item[1])
    if best and best[0][1] >= _ENOUGH and (len(best) == 1 or best[1][1] < best[0][1]):
        return best[0][0]
    return None

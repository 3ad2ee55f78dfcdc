"""Plain names that home-made training loops use, whatever the spelling."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

import numpy as np

from foreshock.run import FloatArray
from foreshock.signals._catalogue import catalogue, data

# Words that do not change what a name means, and spellings of one word.
_FILLERS = {"mean", "avg", "average", "train", "training"}
_SPELLINGS = {
    "rewards": "reward",
    "scores": "score",
    "returns": "return",
    "len": "length",
    "lens": "length",
    "lengths": "length",
    "seqlen": "seq length",
    "resp": "response",
    "responses": "response",
    "completions": "completion",
    "prompts": "prompt",
    "generations": "generation",
    "toks": "tokens",
    "token": "tokens",
    "advantages": "advantage",
    "gradient": "grad",
    "fraction": "frac",
    "divergence": "div",
    "entropies": "entropy",
}
# Words that say that a key which speaks of a reward is not the mean of the training reward.
_NOT_THE_REWARD = set(
    "std stddev sd var variance min max median best rate ratio frac fraction count num number calls sum "
    "cumulative gap delta diff norm kl coef coefficient scale weight weights shaping bonus penalty baseline "
    "threshold margin loss clip clipped ema smoothed running time seconds latency step steps lr model id "
    "valid failure fail failed error errors eval val test validation heldout advantage adv target "
    "component".split()
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def normal_form(key: str) -> str:
    """A key in plain words: `avg_reward`, `reward/mean` and `Train Reward` are all "reward"."""
    words = [word.lower() for word in _WORDS.findall(key)]
    return " ".join(_SPELLINGS.get(word, word) for word in words if word not in _FILLERS)


@functools.cache
def plain_names() -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Signal -> tiers of normal forms; a later tier counts only where no earlier one is logged."""
    return {name: tuple(map(tuple, tiers)) for name, tiers in data()["generic"].items()}


def in_range(name: str, values: FloatArray) -> bool:
    """Whether a guess is possible: no finite value outside the signal's range.

    A percentage is no fraction, and a negative number is no length.
    """
    signal = catalogue()[name]
    finite = values[np.isfinite(values)]
    above = signal.low is None or bool((finite >= signal.low - 1e-9).all())
    return above and (signal.high is None or bool((finite <= signal.high + 1e-6).all()))


def speaks_of_reward(key: str) -> bool:
    """Whether an unknown key could be the mean training reward, going by its words."""
    words = {word.lower() for word in _WORDS.findall(key)}
    return bool(words & {"reward", "rewards"}) and not words & _NOT_THE_REWARD


def same_values(keys: list[str], columns: Mapping[str, FloatArray]) -> bool:
    """Whether all columns agree wherever two of them are finite, and they do meet."""
    for at, a in enumerate(keys):
        for b in keys[at + 1 :]:
            both = np.isfinite(columns[a]) & np.isfinite(columns[b])
            if not both.any() or not np.allclose(columns[a][both], columns[b][both], rtol=1e-9, atol=0):
                return False
    return True


def fullest(keys: list[str], columns: Mapping[str, FloatArray]) -> str:
    """The key with the most finite values; the first of several."""
    return max(keys, key=lambda key: int(np.isfinite(columns[key]).sum()))

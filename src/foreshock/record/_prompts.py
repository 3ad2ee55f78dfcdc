"""The rows of a step as distinct prompts: who is a repeat of whom, how long they are, from where."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foreshock.record._seen import digest
from foreshock.record.sketch import text_of, tokens_of, words_of

_NAME = 60  # characters kept of the name of a source
_USUAL_GROUP = 0.75  # share of prompts whose number of completions is the group size


@dataclass
class Batch:
    """The distinct prompts of a step, in the order they came."""

    rows: int
    group_size: int | None
    digests: list[int]
    words: list[list[str] | list[int]]
    lengths: list[int]
    unit: str
    sources: list[str]

    @property
    def prompts(self) -> int:
        return round(self.rows / (self.group_size or 1))


def distinct(
    prompts: Sequence[Any],
    sources: Sequence[Any] | None,
    ids: Sequence[Any] | None,
    lengths: Sequence[int] | None,
    group_size: int | None,
) -> Batch:
    """The distinct prompts of the rows of a step."""
    rows = len(prompts)
    keys: list[Any] = [prompt if isinstance(prompt, str) else None for prompt in prompts]
    tokens: dict[int, list[int]] = {}
    texts = keys
    if None in keys:
        for row, prompt in enumerate(prompts):
            found = tokens_of(prompt)
            if found is not None:
                tokens[row] = found
        texts = [
            repr(tokens[row]) if row in tokens else text_of(prompt) for row, prompt in enumerate(prompts)
        ]
    keys = [str(value) for value in ids] if ids is not None and len(ids) == rows else texts
    first: dict[str, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    chosen = list(first.values())
    pieces = [tokens[row] if row in tokens else words_of(texts[row]) for row in chosen]
    given = lengths is not None and len(lengths) == rows
    return Batch(
        rows=rows,
        group_size=group_size or _group_size(list(Counter(keys).values())),
        digests=[digest(key) for key in first],
        words=pieces,
        lengths=[int(lengths[row]) for row in chosen]
        if lengths is not None and given
        else list(map(len, pieces)),
        unit="tokens" if given or len(tokens) == rows else "words",
        sources=[str(sources[row])[:_NAME] for row in chosen]
        if sources is not None and len(sources) == rows
        else [],
    )


def _group_size(repeats: list[int]) -> int | None:
    """Completions per prompt; None where no prompt is repeated.

    A prompt that was drawn twice has two groups. Where some groups are not whole, the size of at least three
    in four is taken; fewer are prompts that happened to be drawn again.
    """
    common = math.gcd(*repeats)
    if common == 1:
        common, count = Counter(repeats).most_common(1)[0]
        common = common if count >= _USUAL_GROUP * len(repeats) else 1
    return common if common > 1 else None

"""Prompts as small sets of numbers: which hashed words and pairs of words a prompt holds.

The numbers are the same on every machine and in every attempt, and no text can be read back from them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # NumPy is imported when the first batch is looked at: importing this costs nothing
    import numpy as np
    import numpy.typing as npt

BUCKETS = 8192
"""Words and pairs of words fall into this many buckets."""
CELLS = 64
"""Length of a sketch."""

_SCALE = 100
_ENDS = 2048  # words looked at from either end of a prompt
_MEMO = 200_000
_SOLID = 16  # characters per word above which a text is taken for one without spaces between words
_CHUNK = 256  # prompts looked at together: 2 MB


class _Hashes(dict[str, int]):
    """Word -> 32 bits, worked out once for each word; forgets everything before it grows large."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _MEMO:
            self.clear()
        value = self[word] = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        return value


_hashes = _Hashes()


def text_of(prompt: Any) -> str:
    """The text of a prompt or completion: a string, a chat message or a list of them.

    Parts of a message that are no text (images, audio) are told by their type only.
    """
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Mapping):
        if "content" in prompt:
            role = prompt.get("role", "")
            return f"{role}\n{text_of(prompt['content'])}" if role else text_of(prompt["content"])
        if "text" in prompt:
            return text_of(prompt["text"])
        return f"<{prompt.get('type', 'part')}>"
    if isinstance(prompt, (list, tuple)):
        return "\n".join(map(text_of, prompt))
    return "" if prompt is None else str(prompt)


def tokens_of(prompt: Any) -> list[int] | None:
    """The token ids that a prompt consists of; None where it is a text."""
    if isinstance(prompt, (str, Mapping)) or prompt is None:
        return None
    tolist = getattr(prompt, "tolist", None)
    values = tolist() if callable(tolist) else prompt
    if isinstance(values, (list, tuple)) and values and set(map(type, values)) == {int}:
        return list(values)
    return None


def words_of(text: str) -> list[str]:
    """The words of a text; its characters where words are not set apart by spaces."""
    words = text.split()
    return list(text) if len(text) > _SOLID * max(len(words), 1) else words


def presence(prompts: Iterable[Sequence[str] | Sequence[int]]) -> npt.NDArray[np.int64]:
    """For each bucket, how many prompts hold a word, token or pair of neighbours that falls into it.

    Args:
        prompts: their words, or their token ids.
    """
    import numpy as np

    total = np.zeros(BUCKETS, np.int64)
    for chunk in _chunks(prompts):
        lengths = np.array([len(hashes) for hashes in chunk])
        hashes = np.concatenate(chunk) if lengths.sum() else np.zeros(0, np.uint32)
        owner = np.repeat(np.arange(len(chunk)) * BUCKETS, lengths)
        held = np.zeros(len(chunk) * BUCKETS, np.bool_)
        held[owner + hashes % BUCKETS] = True
        pairs = hashes[:-1] * np.uint32(31) + hashes[1:]
        held[(owner[1:] + (pairs >> np.uint32(7)) % BUCKETS)[owner[1:] == owner[:-1]]] = True
        total += held.reshape(len(chunk), BUCKETS).sum(0)
    return total


def _chunks(prompts: Iterable[Sequence[Any]]) -> Iterator[list[npt.NDArray[np.uint32]]]:
    """The hashes of the words of each prompt, a few hundred prompts at a time."""
    import numpy as np

    chunk = []
    for prompt in prompts:
        if len(prompt) > 2 * _ENDS:
            prompt = [*prompt[:_ENDS], *prompt[-_ENDS:]]
        if len(prompt) and isinstance(prompt[0], int):
            ids = np.array([token & 0xFFFFFFFF for token in prompt], np.uint32)
            chunk.append(ids * np.uint32(2654435761))
        else:
            chunk.append(np.fromiter(map(_hashes.__getitem__, prompt), np.uint32, len(prompt)))
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def sketch(counts: npt.NDArray[np.int64], prompts: int) -> list[int]:
    """A batch as `CELLS` small integers.

    Args:
        counts: for each bucket, how many prompts of the batch hold something that falls into it.
        prompts: how many there are.
    """
    import numpy as np

    rows = np.arange(BUCKETS // CELLS, dtype=np.uint32) * np.uint32(0x9E3779B1)
    signs = np.where(rows >> np.uint32(31), 1, -1)
    cells = signs @ counts.reshape(-1, CELLS)
    return [int(cell) for cell in np.rint(_SCALE * cells / max(prompts, 1))]


def distance(a: Sequence[int], b: Sequence[int]) -> float:
    """How far two sketches are apart: 0 where they are the same, about 1 where they share nothing.

    The sketch is linear, so this is the distance between the shares of prompts that hold each word,
    within about a fifth of its value. Two random batches of one pool of prompts are not at 0: that depends
    on their size and their words, so compare with the distances between other steps of the run.

    Raises:
        ValueError: the sketches have different lengths.
    """
    apart = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    size = sum(x * x for x in a) + sum(y * y for y in b)
    return math.sqrt(apart / size) if size else 0.0

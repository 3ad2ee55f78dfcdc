"""What the evidence of a batch costs per step: prompts, rewards and samples of 64 prompts x 8 completions.

Run `python benchmarks/evidence.py`; the prompts and completions are synthetic, of 300 words each.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foreshock.record.batch import BatchFingerprint
from foreshock.record.rewards import RewardWatch
from foreshock.record.samples import Reservoir

PROMPTS, GROUP, WORDS, STEPS = 64, 8, 300, 120
WORD_COUNT = 20_000


def texts(rng: random.Random, count: int) -> list[str]:
    """Texts whose words are as unevenly common as those of a language."""
    weights = [1 / (rank + 1) for rank in range(WORD_COUNT)]
    words = [f"word{rank}" for rank in range(WORD_COUNT)]
    return [" ".join(rng.choices(words, weights, k=WORDS)) for _ in range(count)]


def accuracy(completions: list[str]) -> list[float]:
    """A reward that takes next to no time."""
    return [1.0] * len(completions)


def brevity(completions: list[str]) -> list[float]:
    """Another one."""
    return [0.5] * len(completions)


def main() -> None:
    """Print the median and the worst step of each piece, in milliseconds."""
    rng = random.Random(0)
    spent: dict[str, list[float]] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        spent.setdefault(name, []).append(1000 * (time.perf_counter() - start))

    with tempfile.TemporaryDirectory() as folder:
        batch = BatchFingerprint(memory=Path(folder) / "prompts-0.seen")
        watch = RewardWatch([accuracy, brevity], weights=[1.0, 0.5])
        reservoir = Reservoir(Path(folder))
        for step in range(STEPS):
            prompts = [prompt for prompt in texts(rng, PROMPTS) for _ in range(GROUP)]
            completions = texts(rng, 16) * (len(prompts) // 16)
            sources = ["math" if row % (3 * GROUP) else "code" for row in range(len(prompts))]
            for name, functions in (("bare", [accuracy, brevity]), ("watched", watch.functions)):
                with timed(f"two reward calls, {name}"):
                    for function in functions:
                        function(completions)
            with timed("batch"):
                batch.step(prompts, sources=sources)
            with timed("samples"):
                reservoir.step(step, prompts, completions, watch.scores(), source=sources)
            with timed("reward"):
                watch.step()
    for name, times in spent.items():
        print(f"{name:28s} median {statistics.median(times):8.3f} ms   worst {max(times):8.3f} ms")


if __name__ == "__main__":
    main()

"""Evidence from a step's prompts, completions and rewards, for frameworks that hand those over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from foreshock.record import Evidence, Recorder
from foreshock.record.batch import BatchFingerprint
from foreshock.record.samples import Reservoir

Scores = Mapping[str, Sequence[float | None]]


@dataclass
class Rollouts:
    """What a framework generated for one training step; one entry per completion.

    Attributes:
        prompts: texts, lists of chat messages, or token ids.
        completions: the same; only the few that are kept are looked at.
        rewards: per reward function; None = not scored.
        shown: the prompts as they are kept among the samples, where `prompts` are token ids.
        sources: dataset or task of each, where known.
        lengths: tokens of each prompt, where known.
        group_size: completions per prompt, where known.
        columns: what else belongs to a sample.
    """

    prompts: Sequence[Any]
    completions: Sequence[Any]
    rewards: Scores = field(default_factory=dict)
    shown: Sequence[Any] | None = None
    sources: Sequence[Any] | None = None
    lengths: Sequence[int] | None = None
    group_size: int | None = None
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)


class RolloutEvidence:
    """Hands the rollouts of each step to the pieces of evidence."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        samples: int = 4,
        max_sample_bytes: int = 64 << 20,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        """Begin, or go on after an earlier attempt; the parameters are those of `Reservoir`."""
        self._recorder = recorder
        memory = recorder.path / f"prompts-{recorder.process}.seen"
        self._prompts = BatchFingerprint(recorder.last("batch"), memory=memory)
        self._samples: Reservoir | None = None
        if samples > 0:
            self._samples = Reservoir(
                recorder.path, recorder.process, per_step=samples, max_bytes=max_sample_bytes, redact=redact
            )

    def step(self, rollouts: Rollouts, step: int) -> None:
        """Record the evidence of one step; each piece on its own, and nothing is raised."""
        if not len(rollouts.completions):
            return
        with self._recorder.quietly("batch evidence"):
            found = self._prompts.step(
                rollouts.prompts,
                sources=rollouts.sources,
                lengths=rollouts.lengths,
                group_size=rollouts.group_size,
            )
            self._recorder.evidence(found, step)
        with self._recorder.quietly("reward evidence"):
            if rollouts.rewards:
                self._recorder.evidence(_reward(rollouts.rewards), step)
        if self._samples is not None:
            with self._recorder.quietly("samples"):
                shown = rollouts.prompts if rollouts.shown is None else rollouts.shown
                self._samples.step(step, shown, rollouts.completions, rollouts.rewards, **rollouts.columns)


class Decoded(Sequence[str]):
    """Texts of token ids, decoded when one is asked for: a step keeps four, and decoding all is slow."""

    def __init__(self, tokens: Sequence[Sequence[int]], tokenizer: Any) -> None:
        self._tokens = tokens
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        return self._tokenizer.decode(self._tokens[place])

    def __iter__(self) -> Iterator[str]:
        return (self[place] for place in range(len(self)))


def _reward(rewards: Scores) -> Evidence:
    """Mean, spread and share of unscored completions of each reward function."""
    metrics: dict[str, float] = {}
    for name, values in rewards.items():
        scored = [float(value) for value in values if value is not None]
        of = f"foreshock/reward/{name}"
        metrics[f"{of}/unscored"] = 1 - len(scored) / len(values) if values else math.nan
        if scored:
            mean = sum(scored) / len(scored)
            metrics[f"{of}/mean"] = mean
            metrics[f"{of}/std"] = math.sqrt(sum((value - mean) ** 2 for value in scored) / len(scored))
    return Evidence("reward", {}, metrics)

"""Hand each step of a training to Foreshock, as a user's own loop would: metrics and all pieces of evidence.

Nothing of the fault may be seen here but what it changes in the batch, the model or the declared settings:
the command line and the options of the fault are not recorded.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from foreshock import Recorder
from foreshock.record import environment
from foreshock.record.batch import BatchFingerprint
from foreshock.record.engine import EngineWatch
from foreshock.record.model import ModelFingerprint
from foreshock.record.rewards import RewardWatch
from foreshock.record.samples import Reservoir
from lab.train import Batch, Options, Row, Training

_RECORDED = (
    "lr",
    "warm_up",
    "beta",
    "clip",
    "clip_high",
    "epochs",
    "entropy_bonus",
    "staleness",
    "max_tokens",
)


class Recording:
    """One recorder and its pieces of evidence for a training."""

    def __init__(self, folder: Path, options: Options, identity: str, samples: int = 4) -> None:
        config = {name: value for name, value in dataclasses.asdict(options).items() if name in _RECORDED}
        self.recorder = Recorder(
            folder,
            id=identity,
            config=config,
            environment=False,  # it holds the command line, which names the fault
            strict=True,
            prompts_per_step=options.prompts,
            group_size=options.group,
            total_steps=options.steps,
            model=f"{options.task} 0.15M",
            units={"reward": "points", "completions/mean_length": "tokens"},
        )
        last = self.recorder.last
        self._batches = BatchFingerprint(last("batch"), memory=folder / "prompts-0.seen")
        self._model = ModelFingerprint(last("model"), every=5)
        self._engine = EngineWatch(last("engine"))
        self._samples = Reservoir(folder, per_step=samples) if samples else None
        self._rewards: RewardWatch | None = None
        self._told: dict[str, Any] = {}

    def step(self, training: Training, metrics: Row, batch: Batch, lag: float) -> None:
        """Record one step."""
        recorder, step = self.recorder, batch.step
        recorder.log(metrics, step=step)
        if self._rewards is None:
            functions = list(training.rewards.values())
            self._rewards = RewardWatch(functions, list(training.rewards), before=recorder.last("reward"))
        for name, scores in batch.scores.items():
            self._rewards.add(name, scores)
        weights = [training.weights[name] for name in self._rewards.names]
        recorder.evidence(self._rewards.step(weights), step)
        sources = batch.columns["source"]
        lengths = (batch.rollout.starts).tolist()
        recorder.evidence(self._batches.step(batch.prompts, sources=sources, lengths=lengths), step)
        seen = self._model.step(training.policy, step, training.optimizer)
        if seen is not None:
            recorder.evidence(seen, step)
        gap = metrics["sampling/sampling_logp_difference/mean"]
        version = training.version - training.options.epochs
        recorder.evidence(
            self._engine.step(weight_version=version - lag, trainer_version=version, logp_gap=gap), step
        )
        self._declared(training, step)
        if self._samples is not None:
            columns = {name: values for name, values in batch.columns.items() if name != "numbers"}
            self._samples.step(step, batch.prompts, batch.completions, batch.scores, **columns)

    def _declared(self, training: Training, step: int) -> None:
        """Settings and template as they are declared, when they changed."""
        options, words = training.options, training.words
        settings = {"temperature": options.temperature, "max_tokens": options.max_tokens}
        pieces = {
            "generation": environment.generation(self.recorder.last("generation"), settings),
            "tokenizer": environment.tokenizer(self.recorder.last("tokenizer"), words),
        }
        for kind, evidence in pieces.items():
            if self._told.get(kind) != evidence.data:
                self.recorder.evidence(evidence, step)
                self._told[kind] = evidence.data

    def close(self) -> None:
        """End the record."""
        self.recorder.close()

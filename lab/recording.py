"""Hand each step of a training to Foreshock, as a user's own loop would: metrics and all pieces of evidence.

Nothing of the fault may be seen here but what it changes in the batch, the model or the declared settings:
the command line and the options of the fault are not recorded.
"""

from __future__ import annotations

import copy
import dataclasses
import random
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foreshock import Recorder
from foreshock.record import environment
from foreshock.record.batch import BatchFingerprint
from foreshock.record.engine import EngineWatch
from foreshock.record.evidence import Change, Evidence
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


def facts(options: Options) -> dict[str, Any]:
    """What the owner of a run says about it."""
    return {
        "prompts_per_step": options.prompts,
        "group_size": options.group,
        "total_steps": options.steps,
        "model": f"{options.task} 0.15M",
        "units": {"reward": "points", "completions/mean_length": "tokens"},
    }


def clock(training: Training, tokens: float) -> float:
    """Seconds that a step takes on a machine that only this run is on; the real ones would tell the load."""
    noise = random.Random(f"{training.options.seed}/clock/{training.done}").gauss(0.0, 0.03)
    return round((1.0 + tokens / 5000) * (1 + noise), 4)


def _in_place(training: Training, name: str) -> Callable[..., Any]:
    """A reward function under the name of the task's own: whoever breaks one edits it where it stands."""
    function, original = training.rewards[name], getattr(training.task, name)
    if not isinstance(function, types.MethodType):
        function.__module__, function.__qualname__ = original.__module__, original.__qualname__
    return function


class Recording:
    """One recorder and its pieces of evidence for a training."""

    def __init__(
        self,
        folder: Path,
        options: Options,
        identity: str,
        samples: int = 4,
        commit: str | None = None,
        first: int = 1,
    ) -> None:
        """Open the record, or go on with it.

        Args:
            folder: of the run.
            options: of the training.
            identity: name of the run.
            samples: completions kept of each step.
            commit: the code's; the real one is not looked for, it would be the same for all runs.
            first: the step that comes next.
        """
        config = {name: value for name, value in dataclasses.asdict(options).items() if name in _RECORDED}
        self.recorder = Recorder(
            folder,
            id=identity,
            config=config,
            environment=False,  # it holds the command line, which names the fault
            strict=True,
            **facts(options),
        )
        if commit is not None:
            self._committed(commit, first)
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
            functions = [_in_place(training, name) for name in training.rewards]
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

    def _committed(self, commit: str, step: int) -> None:
        """The commit, and that it is another one than before, in the recorder's own words."""
        old = (self.recorder.last("environment") or {}).get("git")
        new = {"commit": commit, "branch": "main", "dirty": None}
        changes: tuple[Change, ...] = ()
        if old and old["commit"] != commit:
            text = f"The code is at commit {commit[:10]}, was at {old['commit'][:10]}."
            changes = (Change("git_changed", text, {"before": old, "after": new}),)
        self.recorder.evidence(Evidence("environment", {"git": new}, changes=changes), step)

    def fork(self, training: Training) -> tuple[Recording, Training]:
        """Copies of this recording and of its training that go on by themselves, as if nothing had been.

        The copy writes to the same folder, so the original must have moved its own out of the way. The
        journal gets a start line that is no restart; whoever reads it has to leave it out.
        """
        pieces = {name: value for name, value in vars(self).items() if name != "recorder"}
        other = Recording.__new__(Recording)
        pieces, branch = copy.deepcopy((pieces, training))
        vars(other).update(pieces)
        other.recorder = Recorder(
            self.recorder.path, id=self.recorder.path.name, environment=False, strict=True
        )
        return other, branch

    def close(self) -> None:
        """End the record."""
        self.recorder.close()

"""From the batches that a TRL trainer scored to evidence: prompts, rewards, completions, rollout engine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from foreshock.integrations import _hf_trainer as hf
from foreshock.integrations._trl_capture import Batch, Capture, Quietly
from foreshock.record import Change, Evidence, Recorder
from foreshock.record.batch import BatchFingerprint
from foreshock.record.samples import Reservoir


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the user asked the callback for; see `ForeshockCallback`."""

    samples: int = 4
    max_sample_bytes: int = 64 << 20
    redact: Callable[[str], str] | None = None
    model_every: int = 10
    source_column: str | None = None
    id_column: str | None = None


class BatchEvidence:
    """Hands what was scored in a training step to the pieces of evidence, each on its own.

    In a training of several processes, TRL gathers prompts and rewards in each of them: those are of the
    whole batch. Sources, ids, samples, latency and errors are of the process that records.
    """

    def __init__(
        self, recorder: Recorder, settings: Settings, trainer: Any, args: Any, capture: Capture
    ) -> None:
        self._recorder = recorder
        self._settings = settings
        self._trainer = trainer
        self._capture = capture
        self._group = getattr(args, "num_generations", None)
        self._shared = getattr(args, "world_size", 1) > 1
        before = recorder.last("batch")
        self._prompts = BatchFingerprint(before, memory=recorder.path / f"prompts-{recorder.process}.seen")
        self._own = BatchFingerprint(before) if self._shared else None
        self._engine: Any = None
        self._samples = None
        if settings.samples > 0:
            self._samples = Reservoir(
                recorder.path,
                recorder.process,
                per_step=settings.samples,
                max_bytes=settings.max_sample_bytes,
                redact=settings.redact,
            )

    def step(self, batches: Sequence[Batch], step: int, quietly: Quietly) -> None:
        """Record what was scored for a training step."""
        if not batches:
            return
        batch = _joined(batches)
        scores: dict[str, Sequence[float | None]] = {}
        with quietly("batch evidence"):
            self._recorder.evidence(self._fingerprint(batch), step)
        with quietly("reward evidence"):
            scores = self._scores(batch)
            self._recorder.evidence(self.rewards(), step)
        if self._samples is not None:
            with quietly("samples"):
                self._samples.step(step, batch.prompts, batch.completions, scores, **batch.columns)
        with quietly("engine evidence"):
            self._look_at_engine(batch, step)

    def _look_at_engine(self, batch: Batch, step: int) -> None:
        gap, version = hf.logp_gap(self._trainer), batch.weight_version
        if gap is None and version is None:
            return
        if self._engine is None:
            from foreshock.record.engine import EngineWatch

            self._engine = EngineWatch()
        trainer_version = None if version is None else batch.trainer_version
        evidence = self._engine.step(weight_version=version, trainer_version=trainer_version, logp_gap=gap)
        self._recorder.evidence(evidence, step)

    def rewards(self) -> Evidence:
        """What the reward functions did since the last call."""
        watch = self._capture.watch
        if watch is None:
            return Evidence("reward")
        evidence = watch.step(self._capture.weights())
        replaced, self._capture.replaced = self._capture.replaced, []
        if not replaced:
            return evidence
        text = f"The reward function {' and '.join(replaced)} was replaced by another during the training."
        change = Change("reward_functions_changed", text, {"replaced": replaced})
        return dataclasses.replace(evidence, changes=(*evidence.changes, change))

    def _fingerprint(self, batch: Batch) -> Evidence:
        sources = hf.sources(batch.columns, self._settings.source_column)
        ids = hf.ids(batch.columns, self._settings.id_column)
        if self._own is None:
            return self._prompts.step(batch.prompts, sources=sources, ids=ids, group_size=self._group)
        whole = self._prompts.step(batch.everyone, group_size=self._group)
        if sources is None:
            return whole
        # The sources of the other processes are not known here; the mix is judged from what is.
        own = self._own.step(batch.prompts, sources=sources, ids=ids, group_size=self._group)
        data = {key: value for key, value in own.data.items() if key in ("sources", "source_past")}
        changes = [change for change in own.changes if change.kind == "source_mix_changed"]
        return dataclasses.replace(whole, data={**whole.data, **data}, changes=(*whole.changes, *changes))

    def _scores(self, batch: Batch) -> dict[str, Sequence[float | None]]:
        """Per reward function, a score for each completion of this process.

        What could not be listened to here is handed to the watch: reward models, and other processes.
        """
        watch = self._capture.watch
        heard = watch.scores() if watch else {}
        scores: dict[str, Sequence[float | None]] = {}
        own = len(batch.completions)
        for place, name in enumerate(watch.names if watch else self._trainer.reward_func_names):
            given = [None if math.isnan(row[place]) else row[place] for row in batch.rewards]
            functions_own = heard.get(name) or []
            scores[name] = functions_own if len(functions_own) == own else given[:own]
            unheard = given[own:] if functions_own else given
            if watch and unheard:
                watch.add(name, unheard)
        return scores


def _joined(batches: Sequence[Batch]) -> Batch:
    """The batches of one training step as one; `rewards` as lists, those of this process first."""
    names = set.intersection(*(set(batch.columns) for batch in batches))
    own, others = [], []
    for batch in batches:
        rows = batch.rewards.tolist()
        own += rows[: len(batch.prompts)]
        others += rows[len(batch.prompts) :]
    return Batch(
        prompts=[prompt for batch in batches for prompt in batch.prompts],
        completions=[completion for batch in batches for completion in batch.completions],
        columns={name: [value for batch in batches for value in batch.columns[name]] for name in names},
        rewards=own + others,
        everyone=[prompt for batch in batches for prompt in batch.everyone],
        weight_version=batches[-1].weight_version,
        trainer_version=batches[-1].trainer_version,
    )

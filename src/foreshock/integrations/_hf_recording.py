"""One training of a Hugging Face trainer while it is being recorded."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from foreshock.integrations import _hf_trainer as hf
from foreshock.integrations._trl_capture import Batch, Capture, Quietly
from foreshock.integrations._trl_evidence import BatchEvidence, Settings
from foreshock.record import Recorder

_SUMMARY = "train_runtime"  # only in what the trainer logs once, when it has finished


class Recording:
    """Turns what a trainer does into rows, evidence and events of a recorder.

    Every public method may be called from within the training: it raises nothing (unless the recorder is
    strict), changes nothing that the training computes with, and its time is counted.
    """

    def __init__(self, recorder: Recorder, settings: Settings, trainer: Any, args: Any, model: Any) -> None:
        self.recorder = recorder
        self.spent: dict[str, float] = {}
        """Seconds that each part of recording took until now."""
        self._settings = settings
        self._trainer = trainer
        self._args = args
        self._model = model
        self._depth = 0
        self._told_seconds = 0.0
        self._generation: dict[str, Any] = {}
        self._capture: Capture | None = None
        self._batches: list[Batch] = []
        self._evidence: BatchEvidence | None = None
        self._fingerprint: Any = None
        self._losses = Losses(trainer, self.quietly)
        self._nan_told: set[str] = set()

    @contextlib.contextmanager
    def quietly(self, what: str) -> Iterator[None]:
        """A block of ours: timed, and its exceptions stay here."""
        start = time.perf_counter()
        self._depth += 1
        try:
            with self.recorder.quietly(what):
                yield
        finally:
            self._depth -= 1
            if not self._depth:
                self.spent[what] = self.spent.get(what, 0.0) + time.perf_counter() - start

    @property
    def seconds(self) -> float:
        """Time that recording took until now."""
        return sum(self.spent.values())

    def begin(self, state: Any, processing_class: Any, checkpoint: str | None) -> None:
        """Record what is known before the first step, and take the place between trainer and rewards."""
        recorder, step = self.recorder, state.global_step + 1
        with self.quietly("facts"):
            recorder.describe(**hf.facts(self._trainer, self._args, state, self._model))
        if state.global_step:
            self._tell_resume(state.global_step, checkpoint)
        with self.quietly("environment"):
            from foreshock.record.environment import environment

            recorder.evidence(environment(recorder.last("environment")), step)
        with self.quietly("config"):
            from foreshock.record.environment import config

            mapping = hf.config(self._trainer, self._args, self._model)
            recorder.evidence(config(recorder.last("config"), mapping), step)
        if processing_class is not None:
            with self.quietly("tokenizer"):
                from foreshock.record.environment import tokenizer

                recorder.evidence(tokenizer(recorder.last("tokenizer"), processing_class), step)
        with self.quietly("model evidence"):
            from foreshock.record.model import ModelFingerprint

            self._fingerprint = ModelFingerprint(recorder.last("model"), every=self._settings.model_every)
        with self.quietly("rewards"):
            self._watch_rewards(state)
        with self.quietly("loss"):
            self._losses.install()

    def _tell_resume(self, step: int, checkpoint: str | None) -> None:
        attempt = self.recorder.attempt
        place = f" from {Path(checkpoint).name}" if checkpoint else ""
        self.recorder.event(
            "resumed",
            f"Training resumed{place} after step {step} (attempt {attempt}).",
            step + 1,
            attempt=attempt,
            checkpoint=checkpoint,
            after=step,
        )

    def _watch_rewards(self, state: Any) -> None:
        if not hasattr(self._trainer, "reward_funcs"):
            return
        capture = Capture(
            self._trainer, self.quietly, lambda: self.recorder.last("reward"), self._settings.redact
        )
        evidence = BatchEvidence(self.recorder, self._settings, self._trainer, self._args, capture)
        capture.on_error = lambda: self.recorder.evidence(evidence.rewards(), state.global_step + 1)
        if capture.install():
            self._capture, self._evidence = capture, evidence
        else:
            self.recorder.event(
                "completions_not_recorded",
                "This version of TRL scores completions in a way that is not known here: rewards and "
                "completions are not recorded, metrics are.",
                state.global_step + 1,
            )

    def collect(self) -> None:
        """Take what was generated since the last call, before the trainer forgets it."""
        if self._capture is None or not self._capture.batches:
            return
        with self.quietly("batches"):
            taken = self._capture.take()
            everyone = list(getattr(self._trainer, "_logs", {}).get("prompt", ()))
            for batch in reversed(taken):
                rows = len(batch.rewards)
                batch.everyone = everyone[-rows:] if len(everyone) >= rows else batch.prompts
                everyone = everyone[:-rows]
            self._batches += taken

    def step(self, step: int, optimizer: Any) -> None:
        """Record a training step that has just been done."""
        self.collect()
        batches, self._batches = self._batches, []
        if self._evidence is not None:
            self._evidence.step(batches, step, self.quietly)
            with self.quietly("generation settings"):
                self._look_at_generation(step)
        if self._fingerprint is not None and not self._flattened():
            with self.quietly("model evidence"):
                evidence = self._fingerprint.step(self._model, step, optimizer)
                if evidence is not None:
                    self.recorder.evidence(evidence, step)

    def _flattened(self) -> bool:
        """Whether the parameters are parts of flat ones (FSDP 1), of which nothing can be told."""
        state = getattr(getattr(self._trainer, "accelerator", None), "state", None)
        plugin = getattr(state, "fsdp_plugin", None)
        return plugin is not None and getattr(plugin, "fsdp_version", 1) == 1

    def _look_at_generation(self, step: int) -> None:
        settings = hf.generation_settings(self._trainer, self._args)
        if settings != self._generation:
            from foreshock.record.environment import generation

            self.recorder.evidence(generation(self.recorder.last("generation"), settings), step)
            self._generation = settings

    def log(self, step: int, logs: Mapping[str, Any]) -> None:
        """Record what the trainer logs, with what it left out of it."""
        with self.quietly("log"):
            if _SUMMARY in logs:
                summary = {key: value for key, value in logs.items() if value is not None}
                self.recorder.event("training_ended", f"Training ended after step {step}.", step, **summary)
                return
            metrics = {key: value for key, value in logs.items() if value is not None}
            if not any(key.startswith("eval_") for key in logs):
                self._add_nan(step, metrics)
                told, self._told_seconds = self._told_seconds, self.seconds
                metrics["foreshock/seconds"] = self.seconds - told
            self.recorder.log(metrics, step)

    def _add_nan(self, step: int, metrics: dict[str, Any]) -> None:
        """Add how many values were NaN, which trainers drop before they average."""
        counts = {**hf.nan_counts(self._trainer), **self._losses.take()}
        for key, (bad, count) in counts.items():
            metrics[f"foreshock/nan/{key}"] = bad
            if bad == count and key != "loss":
                metrics[key] = math.nan
            # A reward that no function gave is NaN by intention, and evidence of its own.
            if key in self._nan_told or key.startswith("reward"):
                continue
            self._nan_told.add(key)
            text = f"{key} was NaN in {bad} of {count} micro-batches; the log shows the others."
            self.recorder.event("nan_seen", text, step, metric=key, nan=bad, values=count)

    def saved(self, step: int) -> None:
        """Record that a checkpoint was written."""
        with self.quietly("checkpoint"):
            path = Path(self._args.output_dir) / f"checkpoint-{step}"
            text = f"Checkpoint {path.name} was saved."
            self.recorder.event("checkpoint_saved", text, step, checkpoint=str(path))

    def release(self) -> None:
        """Give the trainer back what it had before."""
        with self.quietly("release"):
            if self._capture is not None:
                self._capture.remove()
            self._losses.remove()


class Losses:
    """Counts losses that are NaN: a trainer replaces them by the mean of the others before it logs.

    The count stays on the device until the trainer logs, so nothing waits for it.
    """

    def __init__(self, trainer: Any, quietly: Quietly) -> None:
        self._trainer = trainer
        self._quietly = quietly
        self._nan: Any = 0
        self._all = 0

    def install(self) -> None:
        """Stand in for the method of the trainer that computes the loss of a micro-batch."""
        original = getattr(self._trainer, "training_step", None)
        if original is None:
            return

        @functools.wraps(original)
        def training_step(*args: Any, **kwargs: Any) -> Any:
            loss = original(*args, **kwargs)
            with self._quietly("loss"):
                self._nan = self._nan + loss.detach().isnan().sum()
                self._all += 1
            return loss

        self._trainer.training_step = training_step

    def remove(self) -> None:
        """Give the trainer its own method back."""
        if self._trainer is not None:
            vars(self._trainer).pop("training_step", None)

    def take(self) -> dict[str, tuple[int, int]]:
        """{"loss": (NaN, all)} since the last call, where any was NaN."""
        (nan, count), (self._nan, self._all) = (int(self._nan), self._all), (0, 0)
        return {"loss": (nan, count)} if nan else {}

"""SkyRL: a training callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from foreshock.integrations._hooks import quietly
from foreshock.integrations._recorders import Target, at, plain, recorder_for
from foreshock.integrations._rollouts import Decoded, RolloutEvidence, Rollouts
from foreshock.record import Recorder


class ForeshockCallback:
    """Records the metrics of a trainer, the prompts and some completions of each step, and checkpoints.

    ```python
    trainer = RayPPOTrainer(..., callbacks=[ForeshockCallback("runs/countdown")])
    ```

    It has the methods of SkyRL's `TrainingCallback` and imports nothing of SkyRL. It sets no flag of the
    trainer's control, and changes neither metrics nor batches.

    It cannot see rewards of single completions: SkyRL removes them from the batch before the callback gets
    it. The samples carry the advantage instead.
    """

    def __init__(
        self,
        to: Target | None = None,
        *,
        samples: int = 4,
        max_sample_bytes: int = 64 << 20,
        redact: Callable[[str], str] | None = None,
        **facts: Any,
    ) -> None:
        """Prepare; the recording begins with the training.

        Args:
            to: the folder, or a `Recorder`. Default: `$FORESHOCK_RUN`, else `foreshock-runs/PROJECT/RUN`.
            samples: completions kept of each step; 0 keeps none.
            max_sample_bytes: what they may take on disk.
            redact: is given every text of a sample before it is written.
            facts: as in `Recorder`.
        """
        self.recorder: Recorder | None = None
        self._to = to
        self._facts = facts
        self._keep: dict[str, Any] = {
            "samples": samples,
            "max_sample_bytes": max_sample_bytes,
            "redact": redact,
        }
        self._evidence: RolloutEvidence | None = None

    def on_train_start(self, trainer: Any, callback_input: Any, control: Any) -> None:
        """Begin the recording."""
        quietly(self._begin, trainer, callback_input)

    def _begin(self, trainer: Any, callback_input: Any) -> None:
        settings = getattr(trainer, "cfg", None)
        known = {
            "framework": "skyrl",
            "model": at(settings, "trainer", "policy", "model", "path"),
            "prompts_per_step": at(settings, "trainer", "train_batch_size"),
            "group_size": at(settings, "generator", "n_samples_per_prompt"),
            "total_steps": getattr(callback_input, "total_steps", None) or None,
        }
        self.recorder = recorder = recorder_for(
            self._to,
            at(settings, "trainer", "project_name"),
            at(settings, "trainer", "run_name"),
            config=settings,
            **{**known, **self._facts},
        )
        with recorder.quietly("batch evidence"):
            self._evidence = RolloutEvidence(recorder, **self._keep)
        _environment(recorder, trainer, settings)

    def on_step_end(self, trainer: Any, callback_input: Any, control: Any) -> None:
        """Look at the batch that was trained on."""
        if self.recorder is None or self._evidence is None:
            return
        with self.recorder.quietly("batch evidence"):
            batch = callback_input.batch
            if batch is not None:
                self._evidence.step(_rollouts(batch, trainer), callback_input.global_step)

    def on_log(self, trainer: Any, callback_input: Any, control: Any) -> None:
        """Record the row that the trainer is about to log."""
        if self.recorder is not None:
            self.recorder.log(callback_input.logs or {}, callback_input.global_step)

    def on_save(self, trainer: Any, callback_input: Any, control: Any) -> None:
        """Record a checkpoint as an event."""
        if self.recorder is not None:
            path = str(callback_input.ckpt_path)
            text = f"Checkpoint {path} saved."
            self.recorder.event("checkpoint_saved", text, callback_input.global_step, path=path)

    def on_train_end(self, trainer: Any, callback_input: Any, control: Any) -> None:
        """End the recording."""
        if self.recorder is not None and self.recorder is not self._to:
            self.recorder.close()

    def __getattr__(self, name: str) -> Any:
        # All other events of this and later versions: nothing to do.
        if name.startswith("on_"):
            return _nothing
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _nothing(trainer: Any, callback_input: Any, control: Any) -> None:
    pass


def _environment(recorder: Recorder, trainer: Any, settings: Any) -> None:
    """Keep what the tokenizer and the generation settings are."""
    tokenizer = getattr(trainer, "tokenizer", None)
    if tokenizer is not None:
        with recorder.quietly("tokenizer evidence"):
            from foreshock.record.environment import tokenizer as of_tokenizer

            recorder.evidence(of_tokenizer(recorder.last("tokenizer"), tokenizer))
    sampling = plain(at(settings, "generator", "sampling_params"))
    if isinstance(sampling, dict):
        with recorder.quietly("generation evidence"):
            from foreshock.record.environment import generation

            recorder.evidence(generation(recorder.last("generation"), sampling))


def _rollouts(batch: Any, trainer: Any) -> Rollouts:
    """Prompts and completions out of a batch of padded sequences; rows that only fill it up are left out.

    Wherever the padding stands, the tokens that the attention mask keeps are the prompt and after it, as
    many as the response mask counts, the completion.
    """
    padding = (getattr(batch, "metadata", None) or {}).get("pad_size", 0)
    rows = len(batch["sequences"]) - padding
    advantages = batch.get("advantages")
    lengths = batch["response_mask"].sum(dim=-1).tolist()
    prompts, completions, advantage = [], [], []
    for row in range(rows):
        tokens = batch["sequences"][row][batch["attention_mask"][row].bool()].tolist()
        cut = len(tokens) - int(lengths[row])
        prompts.append(tokens[:cut])
        completions.append(tokens[cut:])
        if advantages is not None:
            advantage.append(float(advantages[row][batch["response_mask"][row].bool()][-1]))
    tokenizer = trainer.tokenizer
    return Rollouts(
        prompts,
        Decoded(completions, tokenizer),
        shown=Decoded(prompts, tokenizer),
        columns={"advantage": advantage} if advantages is not None else {},
    )

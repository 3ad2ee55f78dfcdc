"""Between a TRL trainer and its reward functions: what was scored, by which code, how long it took."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foreshock.record.rewards import RewardWatch

_HOOK = "_calculate_rewards"
"""What GRPOTrainer and RLOOTrainer of TRL call once per generated batch."""

Quietly = Callable[[str], AbstractContextManager[None]]


@dataclass
class Batch:
    """One generated batch, as it was handed to the reward functions of this process.

    Attributes:
        prompts: one per completion.
        completions: as the reward functions got them.
        columns: what else the dataset says about each of them.
        rewards: of all processes, one row per completion, one column per reward function; NaN = not scored.
        everyone: the prompts of all processes.
        weight_version: step whose weights the rollout engine had; None without one.
        trainer_version: step of the trainer's own weights.
    """

    prompts: Sequence[Any]
    completions: Sequence[Any]
    columns: dict[str, list[Any]] = field(default_factory=dict)
    rewards: Any = None
    everyone: Sequence[Any] = ()
    weight_version: int | None = None
    trainer_version: int = 0


class Capture:
    """Stands in for the method of a trainer that calls the reward functions.

    Only while a training batch is scored, the trainer sees watched functions in place of its own; what
    evaluation scores is left alone, and so is whatever a user finds in `trainer.reward_funcs`. Functions or
    models that are exchanged during the run are noticed.
    """

    def __init__(
        self,
        trainer: Any,
        quietly: Quietly,
        before: Callable[[], Mapping[str, Any] | None],
        redact: Callable[[str], str] | None = None,
    ) -> None:
        """Begin.

        Args:
            trainer: a GRPOTrainer, RLOOTrainer or a child of them.
            quietly: runs a block of ours whose exceptions must not reach the training.
            before: gives the newest reward evidence.
            redact: is given the messages of exceptions.
        """
        self.batches: list[Batch] = []
        self.watch: RewardWatch | None = None
        self.replaced: list[str] = []
        """Names of functions that another has taken the place of since the training began."""
        self.on_error: Callable[[], None] = lambda: None
        """Called when scoring raised, before the exception goes on to the training."""
        self._trainer = trainer
        self._quietly = quietly
        self._before = before
        self._redact = redact
        self._known: list[Any] = []
        self._original: Callable[..., Any] | None = getattr(trainer, _HOOK, None)

    def install(self) -> bool:
        """Take the place of the trainer's method; False where it has none."""
        original = self._original
        if original is None:
            return False

        @functools.wraps(original)
        def calculate_rewards(*args: Any, **named: Any) -> Any:
            return self._score(original, *args, **named)

        setattr(self._trainer, _HOOK, calculate_rewards)
        return True

    def remove(self) -> None:
        """Give the trainer its own method back."""
        vars(self._trainer).pop(_HOOK, None)

    def take(self) -> list[Batch]:
        """The batches since the last call."""
        taken, self.batches = self.batches, []
        return taken

    def weights(self) -> list[float]:
        """What the trainer multiplies each reward with now."""
        return [float(weight) for weight in self._trainer.reward_weights]

    def _score(
        self,
        original: Callable[..., Any],
        inputs: Any,
        prompts: Any,
        completions: Any,
        *more: Any,
        **named: Any,
    ) -> Any:
        call = functools.partial(original, inputs, prompts, completions, *more, **named)
        trainer = self._trainer
        if not trainer.model.training:
            return call()
        with self._quietly("watching the rewards"):
            self._look()
        originals = trainer.reward_funcs
        if self.watch is not None and len(self.watch.functions) == len(originals):
            trainer.reward_funcs = self.watch.functions
        try:
            rewards = call()
        except Exception:
            with self._quietly("reward error"):
                self.on_error()
            raise
        finally:
            trainer.reward_funcs = originals
        with self._quietly("completions"):
            self.batches.append(self._batch(inputs, prompts, completions, rewards))
        return rewards

    def _look(self) -> None:
        """Watch the functions that the trainer has now."""
        functions = list(self._trainer.reward_funcs)
        if len(self._known) == len(functions) and all(map(operator.is_, self._known, functions)):
            return
        from foreshock.record.rewards import RewardWatch

        self.replaced += [
            name
            for name, old, new in zip(self._trainer.reward_func_names, self._known, functions, strict=False)
            if old is not new
        ]
        self._known = functions
        self.watch = RewardWatch(
            functions, self._trainer.reward_func_names, before=self._before(), redact=self._redact
        )

    def _batch(self, inputs: Any, prompts: Any, completions: Any, rewards: Any) -> Batch:
        trainer = self._trainer
        columns = {
            key: [row.get(key) for row in inputs]
            for key in inputs[0]
            if key not in ("prompt", "completion", "completion_ids", "image", "images")
        }
        batch = Batch(list(prompts), list(completions), columns, rewards.detach())
        batch.trainer_version = trainer.state.global_step
        if getattr(trainer, "use_vllm", False):
            batch.weight_version = getattr(trainer, "_last_loaded_step", None)
        return batch

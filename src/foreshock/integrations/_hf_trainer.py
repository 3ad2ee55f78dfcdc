"""What can be learnt from a Hugging Face trainer: the trainer itself, facts about its run, its settings."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foreshock.detect import Alarm

_DEPTH = 20  # frames between `Trainer.train` and a callback; five at the versions this was written for
_OF_THE_ATTEMPT = frozenset({"resume_from_checkpoint", "local_rank", "logging_dir", "run_name"})
_SOURCES = ("source", "data_source", "dataset", "dataset_name", "task", "domain", "environment")
_IDS = ("prompt_id", "id", "uid", "problem_id", "question_id")
_GENERATION = (
    "max_completion_length", "num_generations", "num_generations_eval", "temperature", "top_p", "top_k",
    "min_p", "repetition_penalty", "generation_kwargs", "chat_template_kwargs", "cache_implementation",
    "use_vllm", "vllm_mode", "use_transformers_continuous_batching", "mask_truncated_completions",
)  # fmt: skip


def find_trainer(callback: Any) -> Any:
    """The trainer that is calling a callback; None where there is none.

    Trainers tell callbacks much, but not who they are. The trainer is the `self` of one of the calling
    functions, and the one whose list of callbacks holds this callback.
    """
    frame = sys._getframe(1)
    for _ in range(_DEPTH):
        if frame.f_back is None:
            break
        frame = frame.f_back
        owner = frame.f_locals.get("self")
        handler = getattr(owner, "callback_handler", None)
        if handler is not None and any(one is callback for one in getattr(handler, "callbacks", ())):
            return owner
    return None


def find_checkpoint(trainer: Any) -> str | None:
    """The checkpoint that `train` of this trainer resumes from, read from the calling functions."""
    frame = sys._getframe(1)
    for _ in range(_DEPTH):
        if frame.f_back is None:
            break
        frame = frame.f_back
        names = frame.f_locals
        checkpoint = names.get("resume_from_checkpoint")
        if names.get("self") is trainer and isinstance(checkpoint, str):
            return checkpoint
    return None


def facts(trainer: Any, args: Any, state: Any, model: Any) -> dict[str, Any]:
    """What is known about the run before its first step."""
    known: dict[str, Any] = {
        "framework": "trl" if hasattr(trainer, "reward_funcs") else "transformers",
        "trainer": type(trainer).__name__ if trainer is not None else None,
        "model": getattr(getattr(model, "config", None), "_name_or_path", "") or type(model).__name__,
        "total_steps": state.max_steps if state.max_steps > 0 else None,
        "world_size": getattr(args, "world_size", None),
        "logging_steps": getattr(args, "logging_steps", None),
        "group_size": getattr(args, "num_generations", None),
        "prompts_per_step": prompts_per_step(args),
        "num_iterations": getattr(args, "num_iterations", None),
    }
    return {name: value for name, value in known.items() if value is not None}


def prompts_per_step(args: Any) -> int | None:
    """How many prompts stand behind the rewards that one training step logs.

    A generated batch may last for several steps (its rewards are logged at the first of them), or a step
    may take several batches.
    """
    completions = getattr(args, "generation_batch_size", None)
    group = getattr(args, "num_generations", None)
    if not completions or not group:
        return None
    batches = max(1, args.gradient_accumulation_steps // (args.steps_per_generation or 1))
    return int(batches * completions // group)


def config(trainer: Any, args: Any, model: Any) -> dict[str, Any]:
    """The settings of the training, less what differs between attempts by nature."""
    settings = {key: value for key, value in args.to_dict().items() if key not in _OF_THE_ATTEMPT}
    configuration = getattr(model, "config", None)
    if configuration is not None and hasattr(configuration, "to_dict"):
        settings["model"] = configuration.to_dict()
    names = getattr(trainer, "reward_func_names", None)
    if names:
        settings["reward_functions"] = list(names)
    return settings


def generation_settings(trainer: Any, args: Any) -> dict[str, Any]:
    """How completions are sampled now: TRL copies the settings from the arguments to the trainer."""
    settings = {}
    for name in _GENERATION:
        value = getattr(trainer, name, getattr(args, name, None))
        if value is not None:
            settings[name] = value
    return settings


def column(columns: Mapping[str, list[Any]], wanted: str | None, usual: tuple[str, ...]) -> list[Any] | None:
    """The column of that name, or the first that has one of the usual names."""
    for name in (wanted,) if wanted else usual:
        if name in columns:
            return columns[name]
    return None


def sources(columns: Mapping[str, list[Any]], wanted: str | None) -> list[Any] | None:
    """Which dataset or task each prompt comes from."""
    return column(columns, wanted, _SOURCES)


def ids(columns: Mapping[str, list[Any]], wanted: str | None) -> list[Any] | None:
    """What identifies each prompt."""
    return column(columns, wanted, _IDS)


def warn_of(alarm: Alarm) -> None:
    """Put an alarm that opens into the log of the trainer."""
    if alarm.state == "open":
        logging.getLogger("transformers.trainer").warning("foreshock: %s", alarm.text)


def nan_counts(trainer: Any) -> dict[str, tuple[int, int]]:
    """Metric -> (values that are NaN, all values) since the last log, where there is a NaN.

    TRL averages what is left when it has dropped them, so the log does not show them.
    """
    metrics = getattr(trainer, "_metrics", None)
    if not isinstance(metrics, Mapping):
        return {}
    counts = {}
    for key, values in metrics.get("train", {}).items():
        bad = sum(isinstance(value, float) and math.isnan(value) for value in values)
        if bad:
            counts[key] = (bad, len(values))
    return counts


def logp_gap(trainer: Any) -> float | None:
    """Mean |difference| between the log-probabilities of the sampler and of the trainer, per token.

    Of the newest batch, and only where TRL holds both: with a `rollout_func` that returns log-probabilities,
    when a batch lasts for more than one update. With vLLM, TRL logs the gap itself.
    """
    buffered = getattr(trainer, "_buffered_inputs", None)
    part = buffered[0] if buffered else {}
    sampled, own = part.get("sampling_per_token_logps"), part.get("old_per_token_logps")
    if sampled is None or own is None:
        return None
    gaps = (own - sampled).abs()[part["completion_mask"].bool()]
    gaps = gaps[~gaps.isnan()]
    return float(gaps.mean()) if gaps.numel() else None

"""What a tracker's copy of the configuration says about the run, under names that the analysis knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foreshock.readers._records import number

# Fact -> settings that state it: TRL and ms-swift, verl, OpenRLHF, prime-rl, slime.
_COUNTS = {
    "group_size": (
        "num_generations", "actor_rollout_ref.rollout.n", "n_samples_per_prompt", "rollouts_per_example",
    ),
    "prompts_per_step": ("data.train_batch_size", "rollout_batch_size"),
    "total_steps": ("max_steps", "trainer.total_training_steps"),
}  # fmt: skip
_MODEL = (
    "model_name_or_path",
    "actor_rollout_ref.model.path",
    "_name_or_path",
    "model",
    "pretrain",
    "model.name",
)


def from_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Model, total steps, prompts per step and group size, as far as the configuration states them.

    It cannot know prompts per step of TRL from the batch size of one device, as the number of devices is
    not stored; `generation_batch_size` counts them in.
    """
    facts: dict[str, Any] = {}
    for name, keys in _COUNTS.items():
        count = _first_count(config, keys)
        if count:
            facts[name] = count
    completions = _first_count(config, ("generation_batch_size",))
    group = facts.get("group_size")
    if completions and group and completions % group == 0:
        facts["prompts_per_step"] = completions // group
    model = next((config[key] for key in _MODEL if isinstance(config.get(key), str) and config[key]), None)
    if model:
        facts["model"] = model
    return facts


def _first_count(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        value = number(config.get(key))
        if value is not None and value >= 1 and value == int(value):
            return int(value)
    return None

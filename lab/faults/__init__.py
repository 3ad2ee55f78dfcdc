"""Faults: one file each, found here by name.

A fault has the id of its cause in Foreshock's catalogue, a dose, and a check that proves that it acted. It is
put in by replacing a part of `Training`; `python -m lab faults` lists them.
"""

from __future__ import annotations

import importlib

from lab.faults.base import Check, Fault

NAMES = (
    "none",
    "noisy_labels",
    "degraded_data",
    "prompt_shift",
    "sorted_epochs",
    "data_replay",
    "shuffled_advantages",
    "small_pool",
    "only_solved",
    "pruned_layer",
    "reset_weights",
    "stale_rollout",
    "corrupt_rollout",
    "staleness",
    "sampler_temperature",
    "sampler_rounding",
    "reward_parser_bug",
    "reward_false_positive",
    "verifier_outage",
    "chat_template",
    "lost_eos",
    "reward_hacking",
    "entropy_collapse",
    "entropy_explosion",
    "kl_blowup",
    "lr_too_high",
    "lr_restart",
    "optimizer_lost",
    "batch_change",
    "nan_gradient",
    "length_explosion",
    "length_collapse",
    "length_bias",
    "max_length",
    "metric_artifact",
)


def find(name: str, dose: float | None = None, at: int = 1) -> Fault:
    """The fault of a name, at a dose, from a step on."""
    if name not in NAMES:
        raise SystemExit(f"no fault {name!r}; there is {', '.join(NAMES)}")
    kind: type[Fault] = importlib.import_module(f"lab.faults.{name}").FAULT
    return kind(kind.doses[-1] if dose is None else dose, at)


def main(arguments: list[str]) -> None:
    """`python -m lab faults`: print all faults."""
    for name in NAMES:
        fault = find(name)
        doses = ", ".join(f"{dose:g}" for dose in fault.doses)
        print(f"{name:<22} {fault.cause:<22} {doses:<14} {fault.meaning}")


__all__ = ["NAMES", "Check", "Fault", "find"]

"""Faults: one file each, found here by name.

A fault has the id of its cause in Foreshock's catalogue, a dose, and a check that proves that it acted. It is
put in by replacing a part of `Training`; `python -m lab faults` lists them all.
"""

from __future__ import annotations

import importlib

from lab.faults.base import Check, Fault

NAMES = (
    "none",
    "noisy_labels",
    "prompt_shift",
    "pruned_layer",
    "reward_parser_bug",
    "reward_false_positive",
    "verifier_outage",
    "small_pool",
)


def find(name: str, dose: float | None = None, at: int = 1) -> Fault:
    """The fault of a name, at a dose, from a step on."""
    if name not in NAMES:
        raise SystemExit(f"no fault {name!r}; there is {', '.join(NAMES)}")
    kind: type[Fault] = importlib.import_module(f"lab.faults.{name}").FAULT
    return kind(kind.doses[-1] if dose is None else dose, at)


__all__ = ["NAMES", "Check", "Fault", "find"]

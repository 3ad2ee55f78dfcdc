"""Four small real GRPO runs that come with the package, and what was done to each.

They were trained for Foreshock: TRL's GRPOTrainer (the last one: a plain loop) on a CPU, Countdown with
three numbers, a decoder of 0.15 M parameters, reward = format 0/1 + accuracy 0/1. In the first three the
fault acts from step 61 and the steps before are the same run. `foreshock demo` opens the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GROUP_SIZE = 8  # completions per prompt, in all of them


@dataclass(frozen=True)
class DemoRun:
    """A bundled run: its name, and what was really done to it."""

    name: str
    prompts_per_step: int
    truth: str

    @property
    def path(self) -> Path:
        """The CSV file of the run, inside the installed package."""
        return Path(__file__).parent / f"{self.name}.csv"


RUNS = (
    DemoRun(
        "sampling-temperature",
        12,
        "from step 61 completions were sampled at temperature 1.4 while the trainer computed their "
        "log-probs at 1.0",
    ),
    DemoRun("layer-pruned", 12, "from step 61 the second of the three layers was skipped"),
    DemoRun("prompt-shift-all", 12, "from step 61 every prompt came from a pool of hard problems"),
    DemoRun("clean-64-prompts", 64, "nothing: a healthy run with 64 prompts a step"),
)

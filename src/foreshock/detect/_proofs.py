"""The guaranteed mode: which signals a theorem is applied to, with which part of the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from foreshock.detect import guarantee
from foreshock.run import FloatArray

_PARTS = {"reward_mean": 0.8, "pass_rate": 0.2}
"""Shares are fixed before the run, as the theorem asks; whatever is logged later changes none."""


class Proofs:
    """Confidence sequences of one run.

    Args:
        budget: false alarms per 1000 rows.
        facts: of the run: "reward_range" and "prompts_per_step".

    Raises:
        ValueError: the range is empty.
    """

    def __init__(self, budget: float, facts: Mapping[str, Any]) -> None:
        prompts = int(facts.get("prompts_per_step") or 1)
        ranges = {"pass_rate": (0.0, 1.0)}
        if facts.get("reward_range"):
            low, high = facts["reward_range"]
            ranges["reward_mean"] = (float(low), float(high))
        self._new = {
            name: guarantee.start(part * budget / 1000, *ranges[name], prompts)
            for name, part in _PARTS.items()
            if name in ranges
        }
        self._budget = budget
        self._states = dict(self._new)

    def step(self, names: Sequence[str], raw: FloatArray) -> list[tuple[int, int, str, float]]:
        """Take in one row; for each proven fall the signal's place, rows since, a sentence, and the rate."""
        found = []
        for row, name in enumerate(names):
            if name not in self._states:
                continue
            self._states[name], verdict = guarantee.step(self._states[name], raw[row : row + 1])
            if verdict.score[0] > 0:
                sentence = (
                    f"the mean since then lies below that of before by at least {verdict.score[0]:.3g}, "
                    "proven but for the stated rate"
                )
                found.append((row, int(verdict.rows[0]), sentence, self._budget))
        return found

    def again(self, name: str) -> None:
        """Begin anew after an event."""
        self._states[name] = self._new[name]

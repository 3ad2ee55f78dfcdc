"""What a piece of evidence hands to the recorder: what it saw, what makes a curve, and what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Change:
    """Something that is not as it was before; it becomes an event of the run.

    Attributes:
        kind: slug in snake case, past tense ("reward_code_changed").
        text: one plain sentence with its numbers.
        data: what programs need to know about it.
    """

    kind: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """What one piece saw at one step.

    Attributes:
        kind: the piece ("batch", "reward", "model", "environment", ...).
        data: what JSON can hold, small; what did not change since the last line may be left out.
        metrics: what makes a curve, under names that start with "foreshock/".
        changes: what differs from what the piece saw before.
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

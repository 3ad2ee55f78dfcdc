"""From step K on, longer completions score less."""

from __future__ import annotations

from lab.faults.length_explosion import LengthExplosion


class LengthCollapse(LengthExplosion):
    """A length penalty gone too strong: the policy gives up early."""

    cause = "length_collapse"
    sign = -1.0


FAULT = LengthCollapse

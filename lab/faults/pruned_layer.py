"""At step K, the middle layer is shrunk or pruned away."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.train import Row, Training

LAYER = 1


class PrunedLayer(Fault):
    """What the layer adds to the stream is multiplied by 1 - dose; the layer may recover by training."""

    cause = "arch_change"
    meaning = "share of the layer's output that is taken away; 1 prunes the layer"
    doses = (0.2, 0.5, 1.0)

    def act(self, run: Training) -> None:
        """Shrink the matrices that write into the stream."""
        layer = run.policy.model.blocks[LAYER]
        for linear in (layer.self_attn.o_proj, layer.mlp.down_proj):
            linear.weight.data.mul_(1 - self.dose)

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The norm of that layer fell by the dose, the others kept theirs."""
        ratios = [faulty[0][f"norm_{n}"] / clean[0][f"norm_{n}"] for n in range(3)]
        acted = abs(ratios[LAYER] - (1 - self.dose)) < 0.03 and all(abs(ratios[n] - 1) < 0.03 for n in (0, 2))
        return Check(acted, "norms of layers against the twin: " + ", ".join(f"{r:.3f}" for r in ratios))


FAULT = PrunedLayer

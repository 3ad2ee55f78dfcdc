"""For some steps from step K on, the sampler does not know the word that ends a completion."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault, mean
from lab.train import Row, Training


class LostEos(Fault):
    """A tokenizer of another version: completions run on to the cap."""

    cause = "chat_template_eos"
    meaning = "steps that it lasts"
    doses = (2.0, 1000.0)

    def install(self, run: Training) -> None:
        """Wait for a word that never comes."""
        sync, right = run.sync, run.eos

        def lost() -> None:
            sync()
            run.eos = -1 if run.done + 1 < self.at + self.dose else right

        run.sync = lost

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """While it lasts, all completions are cut."""
        cut = mean(faulty[: int(self.dose)], "completions/clipped_ratio")
        return Check(cut == 1.0, f"cut {cut:.2f}, was {mean(clean, 'completions/clipped_ratio'):.2f}")


FAULT = LostEos

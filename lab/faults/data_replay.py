"""At step K, the data loader begins again at its first batch."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault
from lab.train import Row, Training


class DataReplay(Fault):
    """A resume that lost its place: prompts that were seen come again, in a circle of so many steps."""

    cause = "data_order_bug"
    meaning = "steps that are replayed"
    doses = (20.0, 3.0)

    def install(self, run: Training) -> None:
        """Draw the problems of the first steps."""
        draw = run.draw
        run.draw = lambda step: draw(1 + (step - self.at) % int(self.dose))
        self.expected = [sum(p.ease for p in run.draw(self.at + n)) / run.options.prompts for n in range(3)]

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """The problems are those of the first steps, and not the twin's."""
        pairs = list(zip(faulty, self.expected, strict=False))
        same = all(abs(row["ease"] - ease) < 1e-9 for row, ease in pairs)
        other = self.at == 1 or any(a["ease"] != b["ease"] for a, b in zip(clean, faulty, strict=True))
        return Check(
            same and other,
            f"{len(pairs)} batches compared with the first ones: {'equal' if same else 'other'}",
        )


FAULT = DataReplay

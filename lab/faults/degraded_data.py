"""From step K on, the prompts of a share of the problems are damaged."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault, chosen, mean
from lab.task import Problem
from lab.train import Row, Training


class DegradedData(Fault):
    """Numbers misread on their way into the data set: what is asked is not what the label answers."""

    cause = "noisy_data_late"
    meaning = "share of the problems in whose prompt each second number is another one"
    doses = (0.3, 1.0)

    def install(self, run: Training) -> None:
        """Damage the same problems in the same way in each step."""
        render = run.render
        numbers = [word for word in run.words.words if word.isdigit() and 0 < int(word) < 10]

        def damaged(problem: Problem) -> Sequence[str]:
            words = render(problem)
            text = " ".join(words)
            if not chosen(text, self.dose):
                return words
            return [
                numbers[(numbers.index(word) + 1 + place) % len(numbers)]
                if word in numbers and place % 2
                else word
                for place, word in enumerate(words)
            ]

        run.render = damaged

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """A share of prompts is not what it should be, and fewer answers are right."""
        share, usual = mean(faulty, "broken_prompts"), mean(clean, "broken_prompts")
        fell = mean(clean, "true_accuracy") - mean(faulty, "true_accuracy")
        acted = usual == 0 and abs(share - self.dose) < 0.3 and share > 0
        return Check(acted, f"damaged {share:.2f}; true accuracy down by {fell:.2f}")


FAULT = DegradedData

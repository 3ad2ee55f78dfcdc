"""From step K on, the prompts of a share of the problems are damaged."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lab.faults.base import Check, Fault, chosen, mean
from lab.task import Problem
from lab.train import Row, Training

_NUMBER = re.compile(r"[+-]?[1-9]")


class DegradedData(Fault):
    """Numbers misread on their way into the data set: what is asked is not what the label answers."""

    cause = "noisy_data_late"
    meaning = "share of the problems in whose prompt each second number is another one"
    doses = (0.3, 1.0)

    def install(self, run: Training) -> None:
        """Damage the same problems in the same way in each step."""
        render = run.render
        numbers = [word for word in run.words.words if _NUMBER.fullmatch(word)]

        def damaged(problem: Problem) -> Sequence[str]:
            words = list(render(problem))
            if chosen(" ".join(words), self.dose):
                places = [place for place, word in enumerate(words) if word in numbers]
                for place in places[1::2]:
                    # In the vocabulary, numbers stand in order: the neighbour's neighbour is another number.
                    words[place] = numbers[(numbers.index(words[place]) + 2) % len(numbers)]
            return words

        run.render = damaged

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """A share of prompts is not what it should be, and fewer answers are right."""
        share, usual = mean(faulty, "broken_prompts"), mean(clean, "broken_prompts")
        fell = mean(clean, "true_accuracy") - mean(faulty, "true_accuracy")
        acted = usual == 0 and abs(share - self.dose) < 0.3 and share > 0
        return Check(acted, f"damaged {share:.2f}; true accuracy down by {fell:.2f}")


FAULT = DegradedData

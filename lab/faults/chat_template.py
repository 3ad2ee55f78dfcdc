"""From step K on, a share of the prompts is rendered with a broken template."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault, chosen, mean
from lab.task import Problem
from lab.train import Row, Training


class ChatTemplate(Fault):
    """The word that opens the thoughts is missing and the first is doubled; the declared template stays."""

    cause = "chat_template_eos"
    meaning = "share of the prompts that are rendered wrongly"
    doses = (0.3, 1.0)

    def install(self, run: Training) -> None:
        """Break the rendering of the same share of problems in each step."""
        render = run.render

        def broken(problem: Problem) -> Sequence[str]:
            words = render(problem)
            return ("<bos>", *words[:-1]) if chosen(" ".join(words), self.dose) else words

        run.render = broken

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """A share of prompts has lost its last word."""
        share = mean(faulty, "broken_prompts")
        return Check(
            abs(share - self.dose) < 0.25 and mean(clean, "broken_prompts") == 0, f"broken {share:.2f}"
        )


FAULT = ChatTemplate

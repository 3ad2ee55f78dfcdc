"""From step K on, a share of the prompts are ones that the policy solves already."""

from __future__ import annotations

from collections.abc import Sequence

from lab.faults.base import Check, Fault, mean
from lab.sampler import sample
from lab.task import Problem
from lab.train import Row, Training

TRIES = 4


class OnlySolved(Fault):
    """A difficulty filter the wrong way round: groups score alike, there is nothing to learn from."""

    cause = "saturation_zero_adv"
    meaning = "share of prompts that the filter lets through only if they are solved"
    doses = (0.5, 1.0)

    def install(self, run: Training) -> None:
        """Let many candidates be solved, and keep those that every one of four completions solves."""
        draw = run.draw

        def solved(step: int) -> list[Problem]:
            rng, problems = run.random("only solved", step), draw(step)
            candidates = [run.task.problem(rng, "easy") for _ in range(3 * len(problems))]
            prompts = [run.words.encode(run.render(p)) for p in candidates for _ in range(TRIES)]
            seed = run.seed("only solved", step)
            drawn = sample(run.policy, prompts, longest=run.max_tokens, eos=run.words.eos, seed=seed)
            texts = run.texts(drawn)
            good = [
                problem
                for n, problem in enumerate(candidates)
                if all(run.task.solved(problem, text) for text in texts[n * TRIES : (n + 1) * TRIES])
            ]
            many = min(round(self.dose * len(problems)), len(good))
            return good[:many] + problems[many:]

        run.draw = solved

    def check(self, clean: Sequence[Row], faulty: Sequence[Row]) -> Check:
        """Problems are easier, and no fewer groups are without spread."""
        flat, usual = mean(faulty, "frac_reward_zero_std"), mean(clean, "frac_reward_zero_std")
        easier = mean(faulty, "ease") - mean(clean, "ease")
        return Check(
            flat >= usual and easier > 0,
            f"groups without spread {flat:.2f}, twin {usual:.2f}; ease {easier:+.3f}",
        )


FAULT = OnlySolved

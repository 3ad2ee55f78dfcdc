"""Countdown with three numbers: make the target from all of them, thinking aloud by guessing and checking.

    use 3 7 2 make 27 <think> try 3 + 7 = 10 * 2 = 20 vs 27 no try 7 + 2 = 9 * 3 = 27 vs 27 yes </think>
    <answer> ( 7 + 2 ) * 3 </answer> <eos>

Restating the target ("vs 27") next to the result is what lets a model of 0.15 M parameters compare them.

Numbers are 1 to 9, operators + - *, results within 0 to 60. How hard a problem is follows from its share of
solving attempts: "train" problems have at least 10 %, "wide" ones 8 %, "hard" ones at most 6 %, "easy" ones
at least 25 %. A twelfth of the problems is held out as "probe" and never trained on.

Demonstrations try expressions at random, none twice, and give up with a chance of `GIVE_UP` after each failed
attempt; a part of them breaks the form. That leaves the training something to learn: hold on, keep the form.
"""

from __future__ import annotations

import functools
import itertools
import operator
import random
import re
from typing import Any

from lab.task import FORM, Problem

TOP = 60
SHARDS = ("shard-0", "shard-1", "shard-2", "shard-3")
GIVE_UP = 0.12
BROKEN = 0.05
LONGEST = 30  # attempts
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_POOLS = {
    "train": (0.10, 1.0),
    "wide": (0.08, 1.0),  # of the figure: a few harder problems, for which length goes on growing
    "hard": (0.0, 0.06),
    "easy": (0.25, 1.0),
    "probe": (0.10, 1.0),
}
_ANSWER = re.compile(r"<answer> \( (\d+) ([+*-]) (\d+) \) ([+*-]) (\d+)(?= |$)")
_FORM = re.compile(r"(?:(?!</?think>|</?answer>).)*</think> <answer> [^<]+ </answer> <eos>")

Attempt = tuple[int, str, int, int, str, int, int]
"""a, op, b, their result, op, c, the result."""


@functools.cache
def attempts(numbers: tuple[int, ...]) -> tuple[Attempt, ...]:
    """All expressions (a op b) op c over the numbers whose results stay within 0 to 60."""
    found = []
    for a, b, c in sorted(set(itertools.permutations(numbers))):
        for first, second in itertools.product(OPERATORS, OPERATORS):
            middle = OPERATORS[first](a, b)
            result = OPERATORS[second](middle, c)
            if 0 <= middle <= TOP and 0 <= result <= TOP:
                found.append((a, first, b, middle, second, c, result))
    return tuple(found)


@functools.cache
def problems(pool: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    """(numbers, target) of every problem in a pool, in a fixed order."""
    low, high = _POOLS[pool]
    found = []
    for numbers in itertools.combinations_with_replacement(range(1, 10), 3):
        results = [attempt[-1] for attempt in attempts(numbers)]
        for target in sorted(set(results)):
            held_out = (sum(numbers) * 31 + numbers[0] * numbers[1] * 7 + target) % 12 == 0
            share = results.count(target) / len(results)
            if low <= share <= high and held_out == (pool == "probe"):
                found.append((numbers, target))
    return tuple(found)


class Countdown:
    """The task; see the head of this file."""

    name = "countdown"
    words: tuple[str, ...] = (
        *FORM,
        *("use", "make", "try"),
        *("=", "vs", "yes", "no", "+", "-", "*", "(", ")"),
        *map(str, range(TOP + 1)),
    )
    longest = 288
    cuts: tuple[int, ...] = (39, 104, 1000)

    def problem(self, rng: random.Random, pool: str = "train") -> Problem:
        """Draw a problem; the numbers come in random order."""
        numbers, target = rng.choice(problems(pool))
        shuffled = rng.sample(numbers, 3)
        return Problem(
            words=("<bos>", "use", *map(str, shuffled), "make", str(target), "<think>"),
            label=target,
            truth=target,
            pool=pool,
            source=rng.choice(SHARDS),
            ease=[attempt[-1] for attempt in attempts(numbers)].count(target) / len(attempts(numbers)),
            columns={"numbers": tuple(shuffled)},
        )

    def demonstration(self, rng: random.Random, problem: Problem) -> tuple[list[str], list[float]]:
        """Guess and check; the words that carry the arithmetic and the verdict weigh more."""
        words: list[str] = []
        weights: list[float] = []
        possible = attempts(tuple(sorted(problem.columns["numbers"])))
        for count, attempt in enumerate(rng.sample(possible, len(possible)), 1):
            a, first, b, middle, second, c, result = attempt
            solved = result == problem.truth
            words += ["try", f"{a}", first, f"{b}", "=", f"{middle}", second, f"{c}", "=", f"{result}", "vs"]
            words += [f"{problem.truth}", "yes" if solved else "no"]
            weights += [1, 1, 1, 1, 1, 4, 1, 1, 1, 4, 1, 1, 8 if solved else 4]
            if solved or rng.random() < GIVE_UP or count == LONGEST:
                break
        answer = [
            "</think>",
            "<answer>",
            "(",
            f"{a}",
            first,
            f"{b}",
            ")",
            second,
            f"{c}",
            "</answer>",
            "<eos>",
        ]
        if rng.random() < BROKEN:  # a part of the form is lacking; what is left can often still be read
            answer.remove(rng.choice(["</think>", "</answer>", "</answer>", "<answer>"]))
        return words + answer, weights + [1.0] * len(answer)

    def format_reward(self, completions: list[str], **columns: Any) -> list[float]:
        """1.0 where the completion is thoughts, </think>, one answer in its tags, and the end."""
        return [float(_FORM.fullmatch(text) is not None) for text in completions]

    def accuracy_reward(
        self, completions: list[str], label: list[int], numbers: list[tuple[int, ...]], **columns: Any
    ) -> list[float]:
        """1.0 where the one answer uses the numbers, each once, and gives the label."""
        scores = []
        for text, target, given in zip(completions, label, numbers, strict=True):
            found = _ANSWER.search(text)
            right = False
            if found and text.count("<answer>") == 1:
                a, first, b, second, c = found.groups()
                value = OPERATORS[second](OPERATORS[first](int(a), int(b)), int(c))
                right = value == target and sorted((int(a), int(b), int(c))) == sorted(given)
            scores.append(float(right))
        return scores

    def solved(self, problem: Problem, completion: str) -> bool:
        """The independent scorer: looks the answer up among all solving expressions."""
        words = completion.split()
        if words.count("<answer>") != 1:
            return False
        answer = words[words.index("<answer>") + 1 :][:7]
        solving = (
            ["(", f"{a}", first, f"{b}", ")", second, f"{c}"]
            for a, first, b, _, second, c, result in _every(tuple(sorted(problem.columns["numbers"])))
            if result == problem.truth
        )
        return answer in solving


@functools.cache
def _every(numbers: tuple[int, ...]) -> tuple[Attempt, ...]:
    """All expressions, those with results beyond the limits too."""
    return tuple(
        (a, first, b, 0, second, c, OPERATORS[second](OPERATORS[first](a, b), c))
        for a, b, c in set(itertools.permutations(numbers))
        for first in OPERATORS
        for second in OPERATORS
    )


COUNTDOWN = Countdown()

"""A chain of additions and subtractions: carry it out step by step, check a step, or give up early.

    from 23 a -5 b +8 c -7 end <think> a -5 = 18 b +8 = 27 check 27 -8 = 19 vs 18 off b +8 = 26
    c -7 = 19 done yes </think> <answer> 23 to 19 </answer> <eos>

Each link of the chain has a letter; who writes the letter finds what to do. More steps written are more often
right: an answer without them is a guess, and a chain given up (`done no`) ends where it was left. Undoing a
step (`check`) tells whether it was right; a wrong one can be done again. Nothing pays but the answer.

Numbers are 0 to 40, links add or subtract 1 to 9. How hard a problem is follows from its number of links:
"train" problems have 5 to 12, "hard" ones 14 to 18, "easy" ones 2 to 4. A twelfth of all problems is held out
as "probe" and never trained on.

Demonstrations give up with a chance of `GIVE_UP` after each step, get a step wrong with a chance of `SLIP`,
check a step with a chance of `CHECK`, and a part of them breaks the form. That leaves the training something
to learn, and all of it but the form makes completions longer: hold on, check.
"""

from __future__ import annotations

import random
import re
import zlib
from typing import Any

from lab.task import FORM, Problem

TOP = 40
SHARDS = ("shard-0", "shard-1", "shard-2", "shard-3")
GIVE_UP = 0.09
SLIP = 0.02
CHECK = 0.05
BROKEN = 0.16
TRIES = 3  # of one step, at most
LETTERS = tuple("abcdefghijklmnopqr")
_POOLS = {"train": (5, 12), "hard": (14, 18), "easy": (2, 4), "probe": (5, 12)}
_ANSWER = re.compile(r"<answer> (\d+) to (\d+)(?= |$)")
_FORM = re.compile(r"(?:(?!</?think>|</?answer>).)*</think> <answer> [^<]+ </answer> <eos>")


def prompt(start: int, links: tuple[int, ...]) -> tuple[str, ...]:
    """The words of a problem."""
    words = ["<bos>", "from", f"{start}"]
    for letter, link in zip(LETTERS, links, strict=False):
        words += [letter, f"{link:+}"]
    return (*words, "end", "<think>")


class Chain:
    """The task; see the head of this file."""

    name = "chain"
    words: tuple[str, ...] = (
        *FORM,
        *("from", "end", "to"),
        *("check", "vs", "ok", "off", "done", "yes", "no", "="),
        *(f"{link:+}" for link in range(-9, 10) if link),
        *LETTERS,
        *map(str, range(TOP + 1)),
    )
    longest = 120
    cuts: tuple[int, ...] = (20, 50, 1000)

    def problem(self, rng: random.Random, pool: str = "train") -> Problem:
        """Draw a problem; no value on the way leaves 0 to 40."""
        fewest, most = _POOLS[pool]
        while True:
            start = value = rng.randint(0, TOP)
            links = []
            for _ in range(rng.randint(fewest, most)):
                link = rng.choice([by for by in range(-9, 10) if by and 0 <= value + by <= TOP])
                links.append(link)
                value += link
            words = prompt(start, tuple(links))
            if (zlib.crc32(" ".join(words).encode()) % 12 == 0) == (pool == "probe"):
                break
        return Problem(
            words=words,
            label=value,
            truth=value,
            pool=pool,
            source=rng.choice(SHARDS),
            ease=(1 - GIVE_UP) ** (len(links) - 1),
            columns={"numbers": (start, *links)},
        )

    def demonstration(self, rng: random.Random, problem: Problem) -> tuple[list[str], list[float]]:
        """Step by step; the words that carry the arithmetic and the verdict weigh more."""
        start, *links = problem.columns["numbers"]
        words: list[str] = []
        weights: list[float] = []
        value = start
        for place, link in enumerate(links):
            more, value = _step(rng, LETTERS[place], value, link)
            words += [word for word, _ in more]
            weights += [weight for _, weight in more]
            if place + 1 < len(links) and rng.random() < GIVE_UP:
                verdict = "no"
                break
        else:
            verdict = "yes"
        answer = ["</think>", "<answer>", f"{start}", "to", f"{value}", "</answer>", "<eos>"]
        if rng.random() < BROKEN:  # a part of the form is lacking; what is left can often still be read
            answer.remove(rng.choice(["</think>", "</answer>", "</answer>", "<answer>"]))
        return [*words, "done", verdict, *answer], [*weights, 1.0, 4.0, *[1.0] * len(answer)]

    def format_reward(self, completions: list[str], **columns: Any) -> list[float]:
        """1.0 where the completion is thoughts, </think>, one answer in its tags, and the end."""
        return [float(_FORM.fullmatch(text) is not None) for text in completions]

    def accuracy_reward(
        self, completions: list[str], label: list[int], numbers: list[tuple[int, ...]], **columns: Any
    ) -> list[float]:
        """1.0 where the one answer goes from the first number to the label."""
        scores = []
        for text, target, given in zip(completions, label, numbers, strict=True):
            found = _ANSWER.findall(text)
            scores.append(float(text.count("<answer>") == 1 and found == [(f"{given[0]}", f"{target}")]))
        return scores

    def solved(self, problem: Problem, completion: str) -> bool:
        """The independent scorer: carries out the words of the prompt."""
        words = completion.split()
        if words.count("<answer>") != 1:
            return False
        chain = problem.words[2:-2]  # the first number, then a letter and what to do for each link
        value = int(chain[0])
        for link in chain[2::2]:
            value = value + int(link[1:]) if link[0] == "+" else value - int(link[1:])
        place = words.index("<answer>") + 1
        return words[place : place + 3] == [chain[0], "to", str(value)]


def _step(rng: random.Random, letter: str, value: int, link: int) -> tuple[list[tuple[str, float]], int]:
    """Words and weights of one link carried out, perhaps checked and done again; and the value after it."""
    made: list[tuple[str, float]] = []
    for nth in range(TRIES):
        result = min(max(value + link, 0), TOP)  # after a slip, a chain may lead out of the numbers
        if rng.random() < SLIP:
            result = rng.choice([near for by in (-2, -1, 1, 2) if 0 <= (near := result + by) <= TOP])
        made += [(letter, 1.0), (f"{link:+}", 3.0), ("=", 1.0), (f"{result}", 4.0)]
        undone = result - link
        if nth + 1 == TRIES or not 0 <= undone <= TOP or rng.random() >= CHECK:
            break
        right = undone == value
        made += [("check", 1.0), (f"{result}", 1.0), (f"{-link:+}", 2.0), ("=", 1.0), (f"{undone}", 4.0)]
        made += [("vs", 1.0), (f"{value}", 2.0), ("ok" if right else "off", 4.0)]
        if right:
            break
    return made, result


CHAIN = Chain()

"""The tasks of the lab: rewards by hand, right demonstrations, an independent scorer, pools apart."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

import pytest

import _lab  # noqa: F401  # makes the lab importable

# isort: split
from lab.chain import CHAIN, prompt
from lab.countdown import COUNTDOWN
from lab.task import Problem, Task, find

TASKS: list[Task] = [COUNTDOWN, CHAIN]
POOLS = ("train", "hard", "easy", "probe")
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


def scores(task: Task, problem: Problem, text: str) -> tuple[float, float]:
    """Form and accuracy of one completion."""
    columns = {"label": [problem.label], **{name: [value] for name, value in problem.columns.items()}}
    return task.format_reward([text], **columns)[0], task.accuracy_reward([text], **columns)[0]


def problems(task: Task, pool: str = "train", count: int = 300) -> list[Problem]:
    """Some problems of a pool, the same each time."""
    rng = random.Random(f"{task.name}/{pool}")
    return [task.problem(rng, pool) for _ in range(count)]


# -- rewards by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "form", "accuracy"),
    [
        ("try 3 + 7 = 10 </think> <answer> ( 7 + 2 ) * 3 </answer> <eos>", 1, 1),
        ("</think> <answer> ( 3 + 7 ) * 2 </answer> <eos>", 1, 0),  # 20
        ("</think> <answer> ( 9 * 3 ) - 0 </answer> <eos>", 1, 0),  # 27, of other numbers
        ("</think> <answer> ( 7 + 2 ) * 3 </answer>", 0, 1),  # cut
        ("<answer> ( 7 + 2 ) * 3 </answer> <eos>", 0, 1),
        ("</think> ( 7 + 2 ) * 3 </answer> <eos>", 0, 0),
        ("</think> </think> <answer> ( 7 + 2 ) * 3 </answer> <eos>", 0, 1),
        ("</think> <answer> yes </answer> <eos>", 1, 0),
        ("", 0, 0),
    ],
)
def test_countdown_scores(text: str, form: float, accuracy: float) -> None:
    problem = Problem(
        ("<bos>", "use", "3", "7", "2", "make", "27", "<think>"), 27, 27, "train", "shard-0", 0.1,
        {"numbers": (3, 7, 2)},
    )  # fmt: skip
    assert scores(COUNTDOWN, problem, text) == (form, accuracy)


@pytest.mark.parametrize(
    ("text", "form", "accuracy"),
    [
        ("a -5 = 18 b +8 = 26 done yes </think> <answer> 23 to 26 </answer> <eos>", 1, 1),
        ("done yes </think> <answer> 23 to 26 </answer> <eos>", 1, 1),  # a lucky guess counts
        ("a -5 = 18 done no </think> <answer> 23 to 18 </answer> <eos>", 1, 0),
        ("done yes </think> <answer> 22 to 26 </answer> <eos>", 1, 0),
        ("done yes </think> <answer> 23 to 26 </answer>", 0, 1),
        ("done yes <answer> 23 to 26 </answer> <eos>", 0, 1),
        ("done yes </think> <answer> 23 to 26 <eos>", 0, 1),
        ("done yes </think> 23 to 26 </answer> <eos>", 0, 0),
        ("</think> <answer> 23 to 26 </answer> <answer> 23 to 18 </answer> <eos>", 0, 0),
        ("</think> <answer> 23 to 2 6 </answer> <eos>", 1, 0),
        ("", 0, 0),
    ],
)
def test_chain_scores(text: str, form: float, accuracy: float) -> None:
    words = prompt(23, (-5, 8))
    assert " ".join(words) == "<bos> from 23 a -5 b +8 end <think>"
    problem = Problem(words, 26, 26, "train", "shard-0", 0.9, {"numbers": (23, -5, 8)})
    assert scores(CHAIN, problem, text) == (form, accuracy)
    assert CHAIN.solved(problem, text) == bool(accuracy)


# -- both tasks ------------------------------------------------------------------------------------------


def test_tasks_are_found_by_name() -> None:
    assert [find(task.name) for task in TASKS] == TASKS
    with pytest.raises(SystemExit, match="countdown, chain"):
        find("sudoku")


@each_task
def test_words_are_known_and_differ(task: Task) -> None:
    assert task.words[0] == "<pad>"
    assert len(set(task.words)) == len(task.words)
    rng = random.Random(0)
    for problem in problems(task, count=50):
        words, weights = task.demonstration(rng, problem)
        assert set(problem.words) | set(words) <= set(task.words)
        assert len(weights) >= len(words)
        assert min(weights) > 0


@each_task
def test_scorer_and_reward_agree_on_demonstrations_and_on_spoiled_ones(task: Task) -> None:
    rng = random.Random(1)
    right = spoiled_right = 0
    for problem in problems(task):
        words, _ = task.demonstration(rng, problem)
        for text in (" ".join(words), *spoil(task, rng, words)):
            _, accuracy = scores(task, problem, text)
            assert task.solved(problem, text) == bool(accuracy), (problem.words, text)
        right += task.solved(problem, " ".join(words))
        spoiled_right += any(task.solved(problem, text) for text in spoil(task, rng, words))
    assert 0.3 < right / 300 < 0.85, "some are right, some leave something to learn"
    assert 0 < spoiled_right


def spoil(task: Task, rng: random.Random, words: list[str]) -> Iterator[str]:
    """One word replaced, one left out, the end cut off, and words at random."""
    place = rng.randrange(max(len(words) - 9, 0), len(words))  # in the answer, mostly
    yield " ".join([*words[:place], rng.choice(task.words[1:]), *words[place + 1 :]])
    yield " ".join(words[:place] + words[place + 1 :])
    yield " ".join(words[:place])
    yield " ".join(rng.choices(task.words, k=20))


@each_task
def test_who_holds_on_is_right_more_often(task: Task) -> None:
    """A demonstration that goes on to the end is mostly right, one that gives up hardly ever."""
    rng = random.Random(2)
    given_up: list[bool] = []
    held_on: list[bool] = []
    for problem in problems(task):
        words, _ = task.demonstration(rng, problem)
        verdict = words[: words.index("<answer>")] if "<answer>" in words else words
        (held_on if "yes" in verdict else given_up).append(task.solved(problem, " ".join(words)))
    assert sum(held_on) / len(held_on) > 0.65
    assert sum(given_up) / len(given_up) < 0.1


@each_task
def test_pools_differ_in_ease_and_the_probe_is_held_out(task: Task) -> None:
    pools = {pool: problems(task, pool) for pool in POOLS}
    ease = {pool: sum(problem.ease for problem in found) / len(found) for pool, found in pools.items()}
    assert ease["hard"] < 0.8 * ease["train"]
    assert ease["train"] < 0.8 * ease["easy"]
    assert ease["probe"] == pytest.approx(ease["train"], rel=0.15)
    for pool, found in pools.items():
        assert {problem.pool for problem in found} == {pool}
        assert all(problem.label == problem.truth for problem in found)
        assert all(0 < problem.ease <= 1 for problem in found)
    held_out = {key(problem) for problem in pools["probe"]}
    assert len(held_out) > 20
    assert not any(key(problem) in held_out for pool in POOLS[:3] for problem in pools[pool])
    assert {problem.source for problem in pools["train"]} == {f"shard-{n}" for n in range(4)}


def key(problem: Problem) -> tuple[object, ...]:
    """What makes a problem the same, whatever the order in which Countdown shows its numbers."""
    numbers = problem.columns["numbers"]
    return tuple(sorted(numbers)) if problem.words[1] == "use" else numbers, problem.truth


@each_task
def test_a_wrong_label_is_what_the_reward_goes_by_and_the_scorer_does_not(task: Task) -> None:
    rng = random.Random(3)
    for problem in problems(task, "easy", 50):
        text = " ".join(task.demonstration(rng, problem)[0])
        if task.solved(problem, text):
            wrong = dataclasses.replace(problem, label=problem.label + 1)
            assert scores(task, wrong, text)[1] == 0.0
            assert task.solved(wrong, text)


@each_task
def test_all_randomness_is_that_of_the_generator(task: Task) -> None:
    def draw() -> list[object]:
        rng = random.Random(4)
        found = [task.problem(rng, pool) for pool in POOLS * 5]
        return [found, [task.demonstration(rng, problem) for problem in found]]

    assert draw() == draw()

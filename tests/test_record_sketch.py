"""Sketches of prompts: the same everywhere, linear, and far apart where the words are."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.record.sketch import (
    BUCKETS,
    CELLS,
    distance,
    presence,
    sketch,
    text_of,
    tokens_of,
    words_of,
)

TEXTS = st.lists(st.text(max_size=60), min_size=1, max_size=6)


def _sketch(texts: list[str]) -> list[int]:
    return sketch(presence([words_of(text) for text in texts]), len(texts))


def _prompts(rng: random.Random, words: range, count: int) -> list[str]:
    return [" ".join(f"w{rng.choice(words)}" for _ in range(40)) for _ in range(count)]


def test_a_bucket_counts_the_prompts_that_hold_the_word_not_how_often() -> None:
    once, often = presence([["solve"], ["solve"]]), presence([["solve"] * 5, ["solve"] * 5])
    assert once.sum() == 2
    assert once.max() == 2
    assert often[once.argmax()] == 2
    assert often.sum() == 4  # the word, and the pair of it with itself


def test_pairs_do_not_reach_across_prompts() -> None:
    apart = presence([["a", "b"], ["c", "d"]])
    assert (apart == presence([["a", "b"]]) + presence([["c", "d"]])).all()


def test_the_order_of_words_counts() -> None:
    assert (presence([["take", "five"]]) != presence([["five", "take"]])).any()


@given(TEXTS)
def test_presence_adds_up_over_prompts_in_any_order(texts: list[str]) -> None:
    words = [words_of(text) for text in texts]
    each = sum((presence([one]) for one in words), np.zeros(BUCKETS, np.int64))
    assert (presence(words) == each).all()
    assert (presence(words[::-1]) == each).all()


def test_many_prompts_are_the_sum_of_their_parts() -> None:
    words = [words_of(text) for text in _prompts(random.Random(0), range(500), 600)]
    assert (presence(words) == presence(words[:300]) + presence(words[300:])).all()


def test_the_sketch_is_the_same_in_another_process() -> None:
    code = (
        "from foreshock.record.sketch import presence, sketch, words_of\n"
        "print(sketch(presence([words_of('What is 17 + 25 ?'), [5, 7, 11]]), 2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sketch(presence([words_of("What is 17 + 25 ?"), [5, 7, 11]]), 2))


@given(TEXTS, TEXTS)
def test_distance_is_symmetric_and_at_most_the_square_root_of_two(a: list[str], b: list[str]) -> None:
    one, other = _sketch(a), _sketch(b)
    assert len(one) == CELLS
    assert distance(one, one) == 0
    assert distance(one, other) == distance(other, one) <= 2**0.5 + 1e-9


def test_other_words_are_farther_than_another_batch_of_the_same() -> None:
    rng = random.Random(1)
    first, second = _sketch(_prompts(rng, range(300), 64)), _sketch(_prompts(rng, range(300), 64))
    strange = _sketch(_prompts(rng, range(1000, 1300), 64))
    assert distance(first, second) < 0.6  # shares of 64 prompts scatter
    assert 0.8 < distance(first, strange) <= 2**0.5


def test_distance_wants_sketches_of_one_length() -> None:
    with pytest.raises(ValueError):
        distance([1, 2], [1])


def test_text_of_chats_parts_and_odd_things() -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]
    assert text_of(chat) == "system\nBe brief.\nuser\n2+2?"
    parts = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]
    assert text_of(parts) == "user\n<image>\nWhat is it?"
    assert text_of({"role": "assistant", "content": None}) == "assistant\n"
    assert text_of(None) == ""
    assert text_of(17) == "17"


def test_token_ids_are_told_from_texts() -> None:
    assert tokens_of([1, 2, 3]) == [1, 2, 3]
    assert tokens_of(np.array([1, 2])) == [1, 2]
    for other in ("1 2", ["a"], [True, False], [], [{"role": "user", "content": "x"}], None, [1.5]):
        assert tokens_of(other) is None
    assert presence([[7, -100, 2**40]]).sum() == 5


def test_a_text_without_spaces_is_taken_apart_into_characters() -> None:
    assert words_of("一个农夫有十七只羊除了九只以外都死了") == list("一个农夫有十七只羊除了九只以外都死了")
    assert words_of("") == []
    assert words_of("a plain sentence") == ["a", "plain", "sentence"]


def test_a_long_prompt_is_looked_at_from_both_ends() -> None:
    middle = [f"m{i}" for i in range(9000)]
    short = presence([["begin", *middle, "end"]])
    assert short.sum() < 2 * 4096
    assert short[presence([["begin"]]).argmax()] == 1
    assert short[presence([["end"]]).argmax()] == 1

"""The fingerprint of batches: sizes, what was seen before, and changes found at once without crying wolf."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.record import _seen
from foreshock.record._seen import Seen
from foreshock.record._shares import MIN_STEPS, Shares, past_from, surprise
from foreshock.record.batch import BatchFingerprint
from foreshock.record.evidence import Change, Evidence

Batches = Iterator[tuple[list[str], list[str]]]
PROMPTS = 16


def _pool(seed: int, size: int) -> list[tuple[str, str]]:
    """Synthetic (prompt, source) pairs: sums and words to spell, with a shared template."""
    rng = random.Random(seed)
    pool = []
    for _ in range(size):
        source = rng.choices(["sums", "words", "codes"], [6, 3, 1])[0]
        words = " ".join(f"{source[0]}{int(rng.paretovariate(0.7)) % 500}" for _ in range(rng.randint(5, 25)))
        pool.append((f"Answer briefly : {words} ?", source))
    return pool


def _split(batch: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [prompt for prompt, _ in batch], [source for _, source in batch]


def with_replacement(seed: int, pool: int = 3000) -> Batches:
    rng, prompts = random.Random(-seed - 1), _pool(seed, pool)
    while True:
        yield _split(rng.choices(prompts, k=PROMPTS))


def shuffled_epochs(seed: int, pool: int = 400) -> Batches:
    rng, prompts = random.Random(-seed - 1), _pool(seed, pool)
    while True:
        rng.shuffle(prompts)
        for start in range(0, pool - PROMPTS + 1, PROMPTS):
            yield _split(prompts[start : start + PROMPTS])


def small_pool(seed: int) -> Batches:
    return with_replacement(seed, pool=24)


def one_source_a_batch(seed: int) -> Batches:
    rng, prompts = random.Random(-seed - 1), _pool(seed, 3000)
    while True:
        source = rng.choice(["sums", "words"])
        yield _split(rng.choices([p for p in prompts if p[1] == source], k=PROMPTS))


def _changes(batches: Batches, steps: int, fingerprint: BatchFingerprint | None = None) -> list[Change]:
    fingerprint = fingerprint or BatchFingerprint()
    changes: list[Change] = []
    for _, (prompts, sources) in zip(range(steps), batches, strict=False):
        changes += fingerprint.step(prompts, sources=sources).changes
    return changes


@pytest.mark.parametrize("loader", [with_replacement, shuffled_epochs, small_pool])
def test_no_false_alarm_while_chance_orders_the_prompts(loader: Callable[[int], Batches]) -> None:
    # Two tests with at most 1 % of runs each: 2 or more of 20 would have a probability of 6 %.
    alarmed = sum(bool(_changes(loader(seed), 80)) for seed in range(20))
    assert alarmed <= 1


def test_batches_of_one_source_each_are_the_habit_of_the_loader_not_a_change() -> None:
    alarmed = sum(bool(_changes(one_source_a_batch(seed), 80)) for seed in range(20))
    assert alarmed <= 1


@pytest.mark.parametrize("start", [MIN_STEPS, 60, 300])
def test_another_source_is_found_at_once(start: int) -> None:
    batches, fingerprint = with_replacement(3), BatchFingerprint()
    assert not _changes(batches, start, fingerprint)
    prompts, _ = next(batches)
    evidence = fingerprint.step(prompts, sources=["web"] * PROMPTS)
    (change,) = evidence.changes
    assert change.kind == "source_mix_changed"
    assert change.text.startswith("The mix of prompt sources changed: web 0% to 100%; ")
    assert change.text.endswith(" of the 16 prompts of this step.")
    assert change.data["now"]["web"] == 1.0
    assert change.data["steps"] == 1
    assert change.data["compared_with"]["steps"] == start
    assert evidence.data["sources"] == {"web": PROMPTS}


def test_a_milder_change_of_the_mix_is_found_within_a_few_steps() -> None:
    rng, delays = random.Random(5), []
    for _ in range(10):
        fingerprint = BatchFingerprint()
        for step in range(200):
            share = 0.5 if step < 100 else 0.9
            sources = ["a" if rng.random() < share else "b" for _ in range(PROMPTS)]
            prompts = [f"{rng.random()}" for _ in range(PROMPTS)]
            kinds = [change.kind for change in fingerprint.step(prompts, sources=sources).changes]
            if "source_mix_changed" in kinds:
                delays.append(step - 99)
                break
    assert len(delays) == 10
    assert min(delays) > 0
    assert sorted(delays)[5] <= 8


def test_another_template_is_found_at_once() -> None:
    batches, fingerprint = with_replacement(4), BatchFingerprint()
    assert not _changes(batches, 60, fingerprint)
    prompts, _ = next(batches)
    evidence = fingerprint.step(["Think first . " + prompt for prompt in prompts])
    (change,) = evidence.changes
    assert change.kind == "prompt_drift"
    assert change.data["now"] == 1.0
    assert change.data["before"] < 0.2
    assert "Think" not in change.text
    assert evidence.metrics["foreshock/batch/drift"] > 1.3


def test_words_that_vanish_are_found_at_once() -> None:
    batches, fingerprint = with_replacement(4), BatchFingerprint()
    assert not _changes(batches, 60, fingerprint)
    prompts, _ = next(batches)
    (change,) = fingerprint.step([p.removeprefix("Answer briefly : ") for p in prompts]).changes
    assert change.kind == "prompt_drift"
    assert change.data["before"] == 1.0


def test_after_a_change_the_new_prompts_are_the_measure() -> None:
    fingerprint = BatchFingerprint()
    changes = _changes(with_replacement(4), 60, fingerprint)
    other = (([f"other {prompt}" for prompt in prompts], sources) for prompts, sources in with_replacement(4))
    changes += _changes(other, 100, fingerprint)
    assert [change.kind for change in changes] == ["prompt_drift"]


def test_token_ids_drift_like_words() -> None:
    rng, fingerprint = random.Random(0), BatchFingerprint()
    for _ in range(30):
        evidence = fingerprint.step([[1, *rng.sample(range(5, 3000), 30)] for _ in range(PROMPTS)])
        assert not evidence.changes
    evidence = fingerprint.step([[1, 1, *rng.sample(range(5, 3000), 30)] for _ in range(PROMPTS)])
    assert [change.kind for change in evidence.changes] == ["prompt_drift"]  # a doubled first token


def test_a_resumed_run_notices_other_sources_and_another_template() -> None:
    first = BatchFingerprint()
    before = _last(first, with_replacement(7), 40)
    prompts, sources = next(with_replacement(7))
    assert not _changes(with_replacement(8), 40, BatchFingerprint(before))
    changes = BatchFingerprint(before).step([f"Please : {p}" for p in prompts], sources=sources).changes
    assert [change.kind for change in changes] == ["prompt_drift"]
    changes = BatchFingerprint(before).step([p[9:] for p in prompts], sources=["web"] * PROMPTS).changes
    assert [change.kind for change in changes] == ["source_mix_changed", "prompt_drift"]
    assert "since the attempt before" in changes[0].text
    assert 0.4 < changes[0].data["before"]["sums"] < 0.8


def _last(fingerprint: BatchFingerprint, batches: Batches, steps: int) -> dict[str, Any]:
    """What a recorder would give after a resume: the newest value of everything ever said."""
    data: dict[str, Any] = {}
    for _, (prompts, sources) in zip(range(steps), batches, strict=False):
        data.update(json.loads(json.dumps(fingerprint.step(prompts, sources=sources).data)))
    return data


def test_a_past_that_makes_no_sense_is_ignored() -> None:
    strange = {"source_past": {"names": 5}, "word_past": {"index": [-1], "counts": ["x"]}, "usual": [1]}
    assert not _changes(with_replacement(1), 20, BatchFingerprint(strange))
    for state in (None, {}, {"index": [0], "counts": [9], "squares": [1.0], "prompts": 3, "steps": 9}):
        assert past_from(state, 4) is None


# Sizes


def test_groups_are_inferred_from_repeats_in_any_order() -> None:
    for rows in (["a", "a", "b", "b"], ["a", "b", "a", "b"]):
        evidence = BatchFingerprint().step(rows)
        assert evidence.metrics["foreshock/batch/prompts"] == 2
        assert evidence.metrics["foreshock/batch/group_size"] == 2


def test_a_prompt_drawn_twice_has_two_groups_and_a_torn_group_changes_nothing() -> None:
    twice = BatchFingerprint().step(["a"] * 8 + ["b"] * 4 + ["c"] * 4)
    assert twice.metrics["foreshock/batch/group_size"] == 4
    assert twice.metrics["foreshock/batch/prompts"] == 4
    assert twice.data["distinct"] == 3
    torn = BatchFingerprint().step(["a"] * 4 + ["b"] * 4 + ["c"] * 4 + ["d"] * 3)
    assert torn.metrics["foreshock/batch/group_size"] == 4
    assert torn.metrics["foreshock/batch/prompts"] == 4


def test_one_prompt_a_row_has_no_group_size_unless_it_is_told() -> None:
    plain = BatchFingerprint().step(["a", "b"])
    assert "foreshock/batch/group_size" not in plain.metrics
    assert plain.metrics["foreshock/batch/prompts"] == 2


def test_lengths_say_their_unit() -> None:
    words = BatchFingerprint().step(["one two three", "one"])
    assert words.data["length_unit"] == "words"
    assert words.metrics["foreshock/batch/prompt_length_mean"] == 2
    given_ = BatchFingerprint().step(["a"] * 2 + ["b"] * 2, lengths=[10, 10, 20, 20])
    assert given_.data["length_unit"] == "tokens"
    assert given_.metrics["foreshock/batch/prompt_length_mean"] == 15
    assert BatchFingerprint().step([[1, 2], [3, 4]]).data["length_unit"] == "tokens"


def test_percentiles_of_the_length() -> None:
    metrics = BatchFingerprint().step([str(i) for i in range(101)], lengths=list(range(101))).metrics
    assert metrics["foreshock/batch/prompt_length_p10"] == 10
    assert metrics["foreshock/batch/prompt_length_p90"] == 90


def _sizes(sizes: list[int], group: int = 4) -> list[tuple[int, Change]]:
    fingerprint, found, serial = BatchFingerprint(), [], 0
    for step, size in enumerate(sizes):
        rows = [f"p{serial + i}" for i in range(size) for _ in range(group)]
        serial += size
        found += [(step, change) for change in fingerprint.step(rows).changes]
    return found


def test_prompts_per_step_changed_is_told_at_the_second_step() -> None:
    ((step, change),) = _sizes([16] * 10 + [8] * 10)
    assert step == 11
    assert change.kind == "prompts_per_step_changed"
    assert change.text == "Prompts per step changed from 16 to 8, for the second step in a row."
    assert change.data == {"before": 16, "now": 8, "steps": 2}


def test_short_last_batches_and_ever_changing_sizes_are_no_change() -> None:
    assert not _sizes(([16] * 9 + [5]) * 5)
    rng = random.Random(2)
    assert not _sizes([rng.randint(10, 20) for _ in range(200)])


def test_group_size_changed_also_over_a_resume() -> None:
    fingerprint = BatchFingerprint()
    data: dict[str, Any] = {}
    for step in range(6):
        data.update(fingerprint.step([f"{step}-{i // 8}" for i in range(64)]).data)
    again = BatchFingerprint(data)
    kinds = [
        [change.kind for change in again.step([f"{step}-{i // 4}" for i in range(32)]).changes]
        for step in range(4)
    ]
    assert kinds == [[], ["group_size_changed"], [], []]


# Seen before


def test_seen_share_counts_prompts_not_completions() -> None:
    fingerprint = BatchFingerprint()
    shares = [
        fingerprint.step(rows).metrics["foreshock/batch/seen_share"]
        for rows in (["a", "a", "b", "b"], ["b", "b", "c", "c"], ["a", "b", "c", "d"])
    ]
    assert shares == [0.0, 0.5, 0.75]


def test_ids_identify_prompts() -> None:
    fingerprint = BatchFingerprint()
    fingerprint.step(["a", "a"], ids=[1, 2])
    evidence = fingerprint.step(["z", "z"], ids=[2, 3])
    assert evidence.metrics["foreshock/batch/seen_share"] == 0.5
    assert evidence.data["distinct"] == 2


def test_seen_survives_a_resume_where_it_has_a_file(tmp_path: Path) -> None:
    memory = tmp_path / "prompts-0.bin"
    BatchFingerprint(memory=memory).step(["a", "b"])
    with memory.open("ab") as file:
        file.write(b"\x01\x02\x03")  # killed while writing
    again = BatchFingerprint(memory=memory)
    evidence = again.step(["b", "c"])
    assert evidence.metrics["foreshock/batch/seen_share"] == 0.5
    assert evidence.data["seen_restored"] == 2
    third = BatchFingerprint(memory=memory).step(["a", "b", "c", "d"])
    assert third.metrics["foreshock/batch/seen_share"] == 0.75
    assert BatchFingerprint().step(["a"]).metrics["foreshock/batch/seen_share"] == 0


def test_the_memory_of_prompts_is_bounded_and_tells_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_seen, "_BITS", 1 << 12)
    seen = Seen()
    rng = random.Random(0)
    shares = [seen.share([rng.getrandbits(64) for _ in range(50)]) for _ in range(20)]
    assert shares[0] == 0
    assert all(share is None or share <= 0.1 for share in shares)
    assert shares[-1] is None


def test_the_hash_of_a_batch_does_not_depend_on_its_order() -> None:
    one, other = (BatchFingerprint().step(rows).data["hash"] for rows in (["a", "b"], ["b", "a", "b", "a"]))
    assert one == other
    assert one != BatchFingerprint().step(["a", "c"]).data["hash"]


# What is written


def test_a_line_is_small_and_repeats_nothing() -> None:
    fingerprint = BatchFingerprint()
    sizes = []
    batches = with_replacement(1)
    for _ in range(60):
        prompts, sources = next(batches)
        evidence = fingerprint.step(prompts, sources=sources)
        assert evidence.kind == "batch"
        sizes.append(len(json.dumps(evidence.data)))
    assert sorted(sizes)[30] < 600
    assert max(sizes) < 5000  # with what a resumed attempt needs, at 8, 16, 32, ... steps
    assert "length_unit" not in evidence.data


@given(st.lists(st.text(max_size=30), max_size=12), st.integers(1, 4))
def test_any_prompts_give_finite_metrics(prompts: list[str], repeats: int) -> None:
    fingerprint = BatchFingerprint()
    for _ in range(3):
        evidence: Evidence = fingerprint.step([p for p in prompts for _ in range(repeats)])
        assert all(math.isfinite(value) for value in evidence.metrics.values())
        assert all(name.startswith("foreshock/batch/") for name in evidence.metrics)
        json.dumps(evidence.data)


def test_chats_and_odd_prompts_are_taken() -> None:
    chat: list[Any] = [{"role": "user", "content": "2+2?"}]
    evidence = BatchFingerprint().step([chat, chat, None, 7, [1, 2], "\ud800"])
    assert evidence.data["distinct"] == 5
    assert BatchFingerprint().step([]).metrics == {}


# The test behind it


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_surprise_is_the_exact_two_sided_probability(past: int, prompts: int, data: st.DataObject) -> None:
    before, now = data.draw(st.integers(0, past)), data.draw(st.integers(0, prompts))
    having, total = before + now, past + prompts
    ways = [math.comb(having, k) * math.comb(total - having, prompts - k) for k in range(prompts + 1)]
    whole = math.comb(total, prompts)
    tail = min(Fraction(sum(ways[: now + 1]), whole), Fraction(sum(ways[now:]), whole))
    assert surprise(before, past, now, prompts) == pytest.approx(max(0.0, -math.log(2 * tail)), abs=1e-8)


def test_surprise_of_huge_counts_is_finite() -> None:
    assert 40 < surprise(0, 10**7, 4, 64) < 60
    assert surprise(5 * 10**6, 10**7, 32, 64) < 1


def test_nothing_is_said_before_eight_steps() -> None:
    shares = Shares(2)
    for step in range(MIN_STEPS):
        assert shares.step(np.array([64, 0] if step % 2 else [0, 64]), 64) is None

"""The words: every number is a field of the JSON, sizes are computed, nothing is claimed beyond the data."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from _builders import drop, figure_analysis, figure_run, run_of
from _documents import document_of, figure_document, sentences
from foreshock.demo import RUNS
from foreshock.readers import open_run
from foreshock.report._numbers import decimals_for, look_up, show_value
from foreshock.report.markdown import render
from foreshock.run import Column, Note

NUMERAL = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def check_numbers(
    text: str, numbers: list[dict[str, Any]], quotes: list[dict[str, Any]], document: Any
) -> int:
    """Parse every numeral of `text` back to its field; returns how many there were."""
    for quote in quotes:
        assert " ".join(str(look_up(document, quote["path"])).split()) == quote["shown"]
        text = text.replace(quote["shown"], "")
    text = re.sub(r"`[^`]*`", "", text)  # names of the log
    assert NUMERAL.findall(text) == [number["shown"] for number in numbers], text
    for number in numbers:
        value = look_up(document, number["path"])
        assert value == number["value"], number
        shown = Decimal(number["shown"])
        if number.get("bound") == "below":
            assert value < shown
            continue
        digit = Decimal(1).scaleb(int(shown.as_tuple().exponent))
        exact = Decimal(float(value)) * number.get("scale", 1)
        assert abs(shown - exact) <= digit * Decimal("0.5000001"), number
    return len(numbers)


def check_document(document: dict[str, Any]) -> int:
    """Parse back the summary, every sentence and every numeric cell of a document."""
    count = check_numbers(
        document["summary"], document["summary_numbers"], document["summary_quotes"], document
    )
    for sentence in sentences(document):
        count += check_numbers(sentence["text"], sentence["numbers"], sentence["quotes"], document)
    for section in document["narrative"]:
        for number in section["table"]["numbers"] if section["table"] else ():
            cell = section["table"]["rows"][number["row"]][number["column"]]
            count += check_numbers(cell, [number], [], document)
    return count


def words(document: dict[str, Any]) -> str:
    """Everything that the report says in sentences."""
    return " ".join(sentence["text"] for sentence in sentences(document))


@pytest.mark.parametrize("seed", range(4))
def test_every_number_of_the_figure_parses_back_to_its_field(seed: int) -> None:
    assert check_document(document_of(figure_run(seed))) > 60


def test_every_number_of_the_hand_made_figure_parses_back() -> None:
    assert check_document(figure_document()) > 60


@pytest.mark.parametrize("demo", RUNS, ids=lambda run: run.name)
def test_every_number_of_the_bundled_runs_parses_back(demo: Any) -> None:
    assert check_document(document_of(open_run(demo.path))) > 60


@pytest.mark.parametrize(
    "name", ["036-grpodyn", "042-grpodyn", "052-grpodyn", "062-grpodyn", "094-wordle-tb"]
)
def test_every_number_of_published_logs_parses_back(shared: Path, name: str) -> None:
    assert check_document(document_of(open_run(shared / "data" / "real" / "raw" / name))) > 60


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 10_000])
def test_every_number_of_short_and_long_runs_parses_back(count: int) -> None:
    document = document_of(figure_run(0, count))
    assert check_document(document) > 10
    assert document["run"]["steps"]["count"] == count
    assert f" {count} logged step" in words(document)


values = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-2, 2),
    st.sampled_from([0.0, 1.0, 1e-9, 1e300, -1e300]),
)


# What was found wrong once: a scatter of rounding errors, values at the limit of a double.
@example([(0.0, 0.0), (0.0, 0.0), (0.0, -47.0), (0.0, 1.0), *[(0.0, 0.0)] * 14])
@example([(1.0, 0.0), (0.0, 0.0), (0.0, 0.0), (1.0, 0.0), *[(2.2e-309, 0.0)] * 30])
@example([(0.0, 0.0), (0.0, 5e-324)])
@example([(1.797693124862316e308, 0.0), (-1e300, 0.0)])
@example([(0.0, 6.0), *[(0.0, 0.0)] * 5, (0.0, 1.0), (0.0, 3.7e26), (0.0, 0.0)])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(st.tuples(values, values), min_size=1, max_size=40))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_whatever_is_logged_gives_sentences_that_parse_back(rows: list[tuple[float, float]]) -> None:
    reward, length = np.array(rows, dtype=np.float64).T
    check_document(document_of(run_of({"reward_mean": reward, "response_length_mean": length})))


def test_the_fall_of_the_figure_is_told_in_all_its_measures() -> None:
    text = words(figure_document())
    assert "drops from 1.88 to 1.70 between steps 61 and 65" in text
    assert "9.6 % of the peak" in text
    assert "47 % of the gain since the start" in text
    assert "15 times its noise" in text
    assert "onset between steps 60 and 62, p < 0.001" in text
    assert "By step 70, it has recovered 28 % of this" in text


def test_the_fifteen_percent_of_the_caption_is_never_repeated() -> None:
    assert not re.search(r"\b15 ?%", render(figure_document()))
    for seed in range(3):
        document = document_of(figure_run(seed))
        fall = next(change for change in document["changes"] if 58 <= change["step"] <= 63)
        assert 7 < fall["percent_of_peak"] < 12
        assert fall["percent_of_peak"] == pytest.approx(100 * (1 - fall["to"] / fall["from"]))


def test_a_fall_from_below_the_peak_is_not_called_a_share_of_the_peak() -> None:
    lower = drop(from_value=1.80, to_value=1.70, percent_of_peak=100 * 0.10 / 1.80)
    text = words(document_of(figure_run(), figure_analysis(changes=(lower,))))
    assert "5.6 % of its former level" in text
    assert "of the peak" not in text


def test_a_fall_below_the_start_says_so() -> None:
    deep = drop(to_value=1.40, percent_of_peak=100 * 0.48 / 1.88, percent_of_gain=100 * 0.48 / 0.38)
    text = words(document_of(figure_run(), figure_analysis(changes=(deep,))))
    assert "126 % of the gain since the start, so below where it began" in text


def test_a_fall_of_which_nothing_came_back_says_so() -> None:
    text = words(document_of(figure_run(), figure_analysis(changes=(drop(recovered=0.0),))))
    assert "Nothing of this has come back by the end of the run." in text


def test_what_came_back_within_the_noise_is_no_recovery() -> None:
    for share, told in ((0.07, False), (0.5, True)):
        fall = drop(recovered=share, recovered_by=68)
        document = document_of(figure_run(), figure_analysis(changes=(fall,)))
        noise = document["signals"]["reward_mean"]["noise_sd"]
        assert (share * (fall.from_value - fall.to_value) > 1.3 * noise) is told
        assert ("Nothing beyond the noise has come back" in words(document)) is not told


def test_two_curves_never_decide_a_cause_and_the_report_says_what_to_log() -> None:
    document = figure_document()
    text = words(document)
    assert "Train reward and response length alone cannot decide a cause" in text
    assert "cannot decide a cause" in document["summary"]
    assert f"{len(document['causes'])} causes remain possible" in text
    assert len(document["causes"]) >= 3
    for entry in document["to_log"]:
        assert f"`{entry['signal']}`" in text


def test_reward_hacking_is_never_named_without_held_out_evidence() -> None:
    for document in (figure_document(), *(document_of(open_run(demo.path)) for demo in RUNS)):
        assert "hack" not in render(document).lower()


def test_two_rising_curves_are_said_to_correlate_in_any_case() -> None:
    text = words(figure_document())
    assert "correlate with r = 0.81, which says little: two curves with a trend always correlate" in text
    assert "no link between train reward and response length can be shown (r = 0.05, p = 0.62)" in text


def test_where_the_curves_part_is_told_with_the_one_that_did_not_move() -> None:
    text = words(figure_document())
    assert "decouple at step 61: train reward changes there, response length shows no move" in text
    assert "speaks, weakly, against a change of the model itself" in text


def test_which_metric_is_more_sensitive_is_told_with_both_numbers() -> None:
    text = words(figure_document())
    assert "ranges over 32 times its noise and that of response length over 17 times" in text
    assert "so train reward is the more sensitive of the two" in text


def test_what_is_not_significant_is_called_noise_and_the_false_alarm_rate_is_stated() -> None:
    document = document_of(open_run(next(run.path for run in RUNS if run.name.startswith("clean"))))
    text = words(document)
    assert document["verdict"] == "healthy"
    assert "what does not stand out is treated as noise" in text
    assert "at most 5 % of healthy runs" in text
    assert "There is no event to explain." in text
    assert "drops" not in text


def test_the_number_of_prompts_is_told_where_known_and_asked_for_where_not() -> None:
    assert "how many prompts a step has. It matters" in words(figure_document())
    known = document_of(figure_run(facts={"prompts_per_step": 64}), figure_analysis())
    assert "A step has 64 prompts" in words(known)


def test_a_length_of_unknown_unit_is_said_to_be_of_unknown_unit() -> None:
    columns = {
        "reward_mean": Column("reward"),
        "response_length_mean": Column("response_length", via="generic"),
    }
    document = document_of(figure_run(columns=columns), figure_analysis())
    assert document["signals"]["response_length_mean"]["unit_known"] is False
    assert "The log does not state the unit of the response length" in words(document)
    assert "475 to 680 tokens" not in words(document)


def test_three_steps_get_no_trend_no_noise_and_no_verdict() -> None:
    document = document_of(figure_run(0, 3))
    assert document["verdict"] == "cannot tell"
    assert "These data do not allow a verdict" in document["summary"]
    text = words(document)
    assert "scatters" not in text
    assert "it gains" not in text
    assert "more sensitive" not in text
    assert "stands out" not in text


def test_one_step_is_not_told_as_a_course() -> None:
    text = words(document_of(run_of({"reward_mean": [0.5]}, steps=[7])))
    assert "has 1 logged step, step 7" in text
    assert "Train reward is 0.5 at the one step where it is logged." in text


def test_a_run_without_length_says_what_that_leaves_open() -> None:
    reward = figure_run().series["reward_mean"]
    document = document_of(run_of({"reward_mean": reward}))
    assert "Response length is not logged" in words(document)
    assert "Train reward alone cannot decide a cause: it shows" in words(document)
    assert [section["id"] for section in document["narrative"]].count("signal-reward_mean") == 1


def test_a_run_without_reward_is_described_by_its_length() -> None:
    length = figure_run().series["response_length_mean"]
    document = document_of(run_of({"response_length_mean": length}))
    assert document["verdict"] == "cannot tell"
    assert "the run has no reward" in document["summary"]
    check_document(document)


def test_other_signals_get_one_line_each_and_only_if_they_changed() -> None:
    reward, length = (figure_run().series[name] for name in ("reward_mean", "response_length_mean"))
    noise = np.random.default_rng(3).normal(0, 0.01, (2, 71))
    entropy = np.where(np.arange(71) < 40, 1.0, 0.3) + noise[0]
    signals = {"reward_mean": reward, "response_length_mean": length, "entropy": entropy, "loss": noise[1]}
    document = document_of(run_of(signals))
    (others,) = (section for section in document["narrative"] if section["id"] == "others")
    assert len(others["text"]) == 1
    assert others["text"][0]["text"].startswith("Entropy shifts down from 0.99 to 0.30 at step 40")


def test_sections_stand_in_the_order_in_which_people_read_such_figures() -> None:
    assert [section["id"] for section in figure_document()["narrative"]] == [
        "overview",
        "axes",
        "signal-reward_mean",
        "signal-response_length_mean",
        "observations",
        "interpretation",
        "anomalies",
        "decide",
        "quality",
    ]


def test_repairs_are_told_with_their_counts() -> None:
    run = figure_run(notes=(Note("repeated-steps", "5 steps were logged twice after a resume", 5),))
    (quality,) = (s for s in document_of(run, figure_analysis())["narrative"] if s["id"] == "quality")
    assert ["repeated steps", "5", "5 steps were logged twice after a resume"] in quality["table"]["rows"]


@pytest.mark.parametrize(
    ("noise", "low", "high", "value", "shown"),
    [
        (0.012, 1.5, 1.9, 1.8793421, "1.88"),
        (12.0, 475, 692, 680.4, "680"),
        (0.09, 0.0, 1.0, 0.5312, "0.53"),
        (None, 1e-6, 1e-6, 1e-6, "1.00e-06"),
        (0.0, 16, 16, 16.0, "16"),
        (3e5, 1e6, 3e7, 2.5e7, "2.50e+07"),
    ],
)
def test_values_are_printed_with_the_digits_that_their_noise_allows(
    noise: float | None, low: float, high: float, value: float, shown: str
) -> None:
    assert show_value(value, decimals_for(noise, low, high)) == shown

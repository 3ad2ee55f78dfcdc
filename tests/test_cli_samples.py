"""`foreshock samples`: completions before and after a step side by side, harmless in a terminal."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner, Result

from foreshock.cli import command_line
from foreshock.errors import InputError
from foreshock.record.samples import Reservoir, Sample
from foreshock.report.side_by_side import Pair, clean, pair_up, plain_text, print_pairs


def sample(step: int, prompt: Any = "2+2?", completion: Any = "four", row: int = 0, **fields: Any) -> Sample:
    given: dict[str, Any] = {"rewards": {"accuracy": 1.0}, "columns": {}, **fields}
    return Sample(step=step, process="0", row=row, rows=8, prompt=prompt, completion=completion, **given)


def steps_of(pairs: list[Pair]) -> list[tuple[int, int, bool]]:
    return [(pair.before.step, pair.after.step, pair.same_prompt) for pair in pairs]


def printed(pairs: list[Pair], width: int = 100, *, full: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_pairs(pairs, Console(file=stream, width=width, highlight=False, markup=False), full=full)
    stream.flush()
    return raw.getvalue().decode(encoding)


# --- which completions are compared -------------------------------------------------------------------


def test_the_same_prompt_is_preferred_and_the_nearest_pair_comes_first() -> None:
    samples = [
        sample(60, "far"),
        sample(63, "near"),
        sample(64, "other"),
        sample(65, "another"),
        sample(66, "near"),
        sample(67, "far"),
        sample(62, "near"),
    ]
    pairs = pair_up(samples, 65)
    assert steps_of(pairs) == [(63, 66, True), (60, 67, True), (64, 65, False)]


def test_other_prompts_come_from_the_steps_beside_the_one_asked_for() -> None:
    samples = [sample(step, f"prompt {step} {row}", row=row) for step in range(60, 70) for row in range(4)]
    assert steps_of(pair_up(samples, 65)) == [(64, 65, False)] * 3
    assert steps_of(pair_up(samples, 65, before=3)) == [(62, 65, False)] * 3
    assert len(pair_up(samples, 65, most=2)) == 2
    assert {id(pair.before) for pair in pair_up(samples, 65)} <= set(map(id, samples))


def test_no_completion_is_shown_twice() -> None:
    samples = [sample(64, "a"), sample(65, "a"), sample(65, "b", row=1)]
    assert steps_of(pair_up(samples, 65)) == [(64, 65, True)]


def test_where_not_every_step_has_samples_the_nearest_ones_count() -> None:
    samples = [sample(step, str(step)) for step in range(0, 100, 10)]
    assert steps_of(pair_up(samples, 65))[0] == (60, 70, False)


def test_a_prompt_far_away_is_not_taken_for_the_same_moment() -> None:
    samples = [sample(0, "old"), *(sample(step, str(step)) for step in range(40, 65)), sample(65, "old")]
    assert steps_of(pair_up(samples, 65)) == [(64, 65, False)]


@pytest.mark.parametrize(("step", "side"), [(0, "at or before step -1"), (90, "at or after step 90")])
def test_a_step_without_samples_on_one_side_says_which_there_are(step: int, side: str) -> None:
    with pytest.raises(InputError, match=f"no sample {side}; there are samples from step 0 to step 80"):
        pair_up([sample(0), sample(80)], step)


# --- how they are shown -------------------------------------------------------------------------------


def test_wide_terminals_get_two_columns_and_narrow_ones_one() -> None:
    pairs = [Pair(sample(64, completion="left"), sample(65, completion="right"), True)]
    (line,) = (line for line in printed(pairs).splitlines() if "left" in line)
    assert line.index("right") > 40
    assert not any("left" in line and "right" in line for line in printed(pairs, 60).splitlines())


@pytest.mark.parametrize("width", [20, 40, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = "x" * 500 + " 答案是四十二。" * 30 + " word" * 100
    pairs = [Pair(sample(64, long, long), sample(65, "b", long, rewards={"r" * 60: 0.123456}), False)]
    assert max(cell_len(line) for line in printed(pairs, width).splitlines()) <= width


def test_rewards_are_shown_by_component_and_unscored_is_not_zero() -> None:
    rewards = {"accuracy": 0.0, "judge": None, "format": math.nan, "length": -0.123456}
    text = printed([Pair(sample(64, rewards=rewards), sample(65, rewards={}), True)], 200)
    assert "accuracy 0, judge not scored, format NaN, length -0.1235" in text
    assert "no rewards recorded" in text


def test_the_prompt_is_shown_once_where_it_is_the_same_and_twice_where_not() -> None:
    assert printed([Pair(sample(64), sample(65), True)]).count("2+2?") == 1
    other = printed([Pair(sample(64), sample(65, "3+3?"), False)])
    assert other.count("2+2?") == 1 and other.count("3+3?") == 1


def test_what_else_was_kept_is_shown_where_it_is_short() -> None:
    columns = {"answer": "4", "source": "gsm8k", "trace": "x" * 500, "none": None}
    text = printed([Pair(sample(64, columns=columns), sample(65), True)], 200)
    assert "answer: 4, source: gsm8k" in text and "trace" not in text and "none" not in text


def test_long_texts_are_cut_in_the_middle_and_full_shows_them() -> None:
    pairs = [Pair(sample(64, completion="a" * 1200 + "b" * 5000 + "c" * 500), sample(65), True)]
    text = printed(pairs)
    assert "[5,000 characters left out; --full shows them]" in text
    assert text.count("b") < 10 < printed(pairs, full=True).count("b")


@pytest.mark.parametrize(
    "evil",
    [
        "\x1b[2J\x1b[31mred\x1b]0;title\x07 \x1b]8;;http://e.vil\x1b\\link\x1b(0",
        "bell\x07 back\x08space \x9b31m \x00 null \x7f",
        "\u202eturned\u202c \u2066isolated\u2069 zero\u200bwidth \ufeff",
        "carriage\rreturn\r\nline\u2028separator",
        "[red]markup[/red] :smile:",
    ],
)
def test_nothing_in_a_completion_is_obeyed(evil: str) -> None:
    bad = sample(65, evil, evil, rewards={evil: 1.0}, columns={evil: evil})
    text = printed([Pair(sample(64), bad, False)])
    assert all(c == "\n" or c.isprintable() for c in text)
    assert "[red]markup[/red] :smile:" in text or "markup" not in evil


def test_lines_and_indentation_of_a_completion_survive() -> None:
    assert clean("def f():\r\n\treturn 1\n\n") == "def f():\n    return 1\n\n"


def test_a_terminal_without_unicode_gets_ascii() -> None:
    assert "answer ??" in printed(
        [Pair(sample(64, completion="answer 答案"), sample(65), True)], encoding="ascii"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            "system: Be brief.\nuser: Hi",
        ),
        ({"role": "assistant", "content": [{"type": "text", "text": "parts"}]}, "assistant: parts"),
        (list(range(100)), "(token ids: " + " ".join(map(str, range(40))) + " ...)"),
        ("", "(empty)"),
        (None, "(not recorded)"),
        ([], "(empty)"),
    ],
)
def test_messages_token_ids_and_empty_texts(value: Any, text: str) -> None:
    assert plain_text(value) == text


# --- the command --------------------------------------------------------------------------------------


def samples(*args: str | Path) -> Result:
    return CliRunner().invoke(command_line(), ["samples", *map(str, args)])


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    reservoir = Reservoir(tmp_path, per_step=2)
    for step in range(60, 70):
        good = step < 65
        text = "The answer is 4." if good else "the the the"
        rewards: dict[str, list[float | None]] = {"accuracy": [float(good)] * 2, "judge": [None, None]}
        reservoir.step(step, ["What is 2+2?", "What is 3+3?"], [text, text], rewards, answer=["4", "6"])
    return tmp_path


def test_the_command_shows_both_sides_of_the_step(recorded: Path) -> None:
    text = samples(recorded, "--step", "65").stdout
    assert "step 64" in text and "step 65" in text
    assert "The answer is 4." in text and "the the the" in text
    assert "accuracy 1, judge not scored" in text and "accuracy 0, judge not scored" in text
    assert "step 61" in samples(recorded, "--step", "65", "--before", "4").stdout


def test_json_has_the_samples_as_recorded(recorded: Path) -> None:
    pairs = json.loads(samples(recorded, "--step", "65", "--json").stdout)
    assert len(pairs) == 2
    for pair in pairs:
        assert pair["same_prompt"] and pair["before"]["prompt"] == pair["after"]["prompt"]
        assert pair["before"]["rewards"] == {"accuracy": 1.0, "judge": None}
        assert (pair["before"]["step"], pair["after"]["step"]) == (64, 65)


def test_a_run_without_samples_is_an_input_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from foreshock.cli import main

    with pytest.raises(SystemExit) as left:
        main(["samples", str(tmp_path), "--step", "3"])
    assert left.value.code == 2
    assert "holds no samples-*.jsonl" in capsys.readouterr().err

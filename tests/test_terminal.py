"""The terminal summary: complete within a page, plain where it is no terminal, deaf to control characters."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from _builders import figure_analysis, figure_run, run_of
from _documents import document_of
from foreshock.analysis import Analysis, analyze
from foreshock.demo import RUNS
from foreshock.readers import open_run
from foreshock.report.terminal import print_summary
from foreshock.run import Column, Note, Run


def printed(run: Run, analysis: Analysis | None = None, *, width: int = 100, **options: Any) -> str:
    """What the summary of a run prints."""
    analysis = analyze(run) if analysis is None else analysis
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, **options)
    print_summary(document_of(run, analysis), run, analysis, console)
    return stream.getvalue()


def test_the_figure_is_summarised_on_a_page() -> None:
    text = printed(figure_run(), figure_analysis())
    flat = " ".join(text.split())
    assert text.splitlines()[0] == "figure  71 steps (0 to 70), read as csv_table, trl_grpo"
    assert text.splitlines()[1] == "Verdict: trouble"
    assert "Response Length vs Step" in text.splitlines()[3]
    assert "Train Reward vs Step" in text.splitlines()[3]
    assert "drops from 1.88 to 1.70 between steps 61 and 65: 9.6 % of the peak, 47 % of the gain" in flat
    assert "Train Reward drop 61 (60 to 62) 1.88 1.70 9.6 47 15 < 0.001 28" in flat
    assert "60 to 65 drop 1.88 1.70 -0.036" in flat
    assert "cannot decide a cause" in flat
    assert "also log entropy" in flat


@pytest.mark.parametrize("demo", RUNS, ids=lambda run: run.name)
def test_real_runs_fit_into_about_sixty_lines_of_a_hundred_columns(demo: Any) -> None:
    lines = printed(open_run(demo.path)).splitlines()
    assert len(lines) <= 64
    assert max(len(line) for line in lines) <= 100


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for run in (figure_run(), figure_run(0, 3)):
        assert max(len(line) for line in printed(run, width=width).splitlines()) <= width


def test_without_a_terminal_there_are_no_escape_codes_and_with_one_there_are_colours() -> None:
    assert "\x1b" not in printed(figure_run(), figure_analysis())
    assert "\x1b[" in printed(figure_run(), figure_analysis(), force_terminal=True, color_system="standard")


def test_control_characters_and_markup_of_a_log_are_not_obeyed() -> None:
    evil = "\x1b[2J\x1b]0;owned\x07[red]x[/red]\r\nnext\u202e"
    columns = {"reward_mean": Column(evil), "response_length_mean": Column("length")}
    run = figure_run(
        id=evil, columns=columns, framework="\x1b[31m", format="x\x07", notes=(Note("torn-line", evil),)
    )
    text = printed(run, figure_analysis())
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert "\u202e" not in text
    assert "[red]x[/red]" in text


def test_a_terminal_without_unicode_gets_ascii() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    run = figure_run(id="läuft")
    print_summary(
        document_of(run, figure_analysis()), run, figure_analysis(), Console(file=stream, width=100)
    )
    stream.flush()
    assert b"l?uft" in raw.getvalue()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_runs_are_summarised_too(count: int) -> None:
    text = printed(figure_run(0, count))
    assert "Verdict: cannot tell" in text
    assert "too few" in text


def test_a_run_with_the_reward_alone_has_one_chart() -> None:
    text = printed(run_of({"reward_mean": figure_run().series["reward_mean"]}))
    assert text.count("vs Step") == 1
    assert "Response length is not logged" not in text  # the report says that

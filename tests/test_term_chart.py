"""The chart in the terminal: right size, right values at the axis, every point drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from foreshock.report.term_chart import render


def rows(steps: object, y: object, **options: Any) -> list[str]:
    text = render(
        np.asarray(steps, dtype=np.int64),
        np.asarray(y, dtype=float),
        width=60,
        height=8,
        title="Train Reward vs Step",
        color="red",
        **options,
    )
    return text.plain.split("\n")


def dots(lines: list[str]) -> int:
    return sum(
        bin(ord(character) - 0x2800).count("1")
        for line in lines
        for character in line
        if "⠀" <= character <= "⣿"
    )


def test_chart_has_title_axis_values_and_first_and_last_step() -> None:
    lines = rows(range(71), np.linspace(1.5, 1.9, 71))
    assert "Train Reward vs Step" in lines[0]
    assert lines[1].lstrip().startswith("1.9") and lines[8].lstrip().startswith("1.5")
    assert lines[-1].split() == ["0", "35", "70"]
    assert max(len(line) for line in lines) <= 60


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    lines = rows(range(50), np.arange(50.0), ascii_only=True)[1:9]
    first = [line.index("*") for line in lines]
    assert first == sorted(first, reverse=True)


def test_one_point_among_ten_thousand_is_drawn() -> None:
    y = np.zeros(10_000)
    y[1234] = 5.0
    assert "5" in rows(range(10_000), y)[1] and dots(rows(range(10_000), y)[1:2]) > 0


@pytest.mark.parametrize("y", [[1.0], [2.0, 2.0, 2.0], [1.0, np.nan, 3.0], [np.nan], [1.0, np.inf, 2.0]])
def test_short_constant_and_broken_series_are_drawn_without_a_warning(y: list[float]) -> None:
    lines = rows(range(len(y)), y)
    assert ("(no values)" in lines[1]) == (not np.isfinite(y).any())


def test_without_braille_the_chart_is_plain_ascii() -> None:
    assert all(
        line.isascii()
        for line in rows(range(20), np.sin(np.arange(20)), ascii_only=True)[1:]
        if "−" not in line
    )


def test_a_gap_stays_open_and_a_long_value_is_never_cut() -> None:
    y = np.zeros(100)
    y[40:60] = np.nan
    middle = rows(range(100), y, ascii_only=True)[1:9]
    drawn = next(line for line in middle if "*" in line)
    assert "* " in drawn.strip() and drawn.count("*") > 30
    lines = rows(range(20), np.linspace(-123_456_789.0, 1.0, 20))
    assert lines[8].lstrip().startswith("−1.23e+08┤")
    assert max(len(line) for line in lines) <= 60

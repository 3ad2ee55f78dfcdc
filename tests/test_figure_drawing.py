"""The figures: what people expect to see is there, legible, and nothing covers anything else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock.analysis import analyze
from foreshock.demo import RUNS
from foreshock.errors import MetricError, UsageError
from foreshock.readers import open_run
from foreshock.report._display import connect, decimate, envelope, robust_limits
from foreshock.report._text import tick_text
from foreshock.report.comparison import draw_comparison
from foreshock.report.figure import draw, save
from foreshock.run import Column, Run, Series

DEMO = {run.name: run.path for run in RUNS}


def make_run(reward: Any, length: Any = None, id: str = "run", steps: Any = None) -> Run:
    """A run with the two main signals (length left out where None)."""
    columns = {"reward": np.asarray(reward, dtype=float)}
    canonical = {"reward_mean": columns["reward"]}
    if length is not None:
        columns["len"] = canonical["response_length_mean"] = np.asarray(length, dtype=float)
    keys = {"reward_mean": Column("reward"), "response_length_mean": Column("len")}
    rows = np.arange(len(columns["reward"])) if steps is None else np.asarray(steps)
    return Run(
        id=id,
        source="run.jsonl",
        format="jsonl",
        framework=None,
        steps=rows.astype(np.int64),
        series=Series(columns, canonical),
        columns={name: keys[name] for name in canonical},
    )


def lines_of(ax: Any, name: str) -> Any:
    return next(line for line in ax.lines if line.get_gid() == f"line-{name}")


def test_length_is_blue_on_the_left_and_reward_red_on_the_right() -> None:
    run = open_run(DEMO["layer-pruned"])
    left, right = draw(run, analyze(run)).axes
    assert left.get_title() == "Response Length vs Step" and right.get_title() == "Train Reward vs Step"
    assert left.get_position().x0 < right.get_position().x0
    assert left.get_xlabel() == right.get_xlabel() == "Step"
    assert "tokens" in left.get_ylabel()
    for ax, name, strongest in ((left, "response_length_mean", 2), (right, "reward_mean", 0)):
        colour = lines_of(ax, name).get_color().lstrip("#")
        parts = [int(colour[i : i + 2], 16) for i in (0, 2, 4)]
        assert int(np.argmax(parts)) == strongest
        assert ax.xaxis.get_gridlines()[0].get_visible()


def test_every_logged_point_of_a_short_run_is_on_the_line() -> None:
    run = open_run(DEMO["clean-64-prompts"])
    _, ax = draw(run, analyze(run), smooth=9).axes
    line = lines_of(ax, "reward_mean")
    np.testing.assert_array_equal(line.get_ydata(), run.series["reward_mean"])
    assert any(other.get_label() == "median of 9 steps" for other in ax.lines), "smoothing is an overlay"


def test_a_significant_drop_is_marked_and_labelled_with_its_numbers() -> None:
    run = open_run(DEMO["layer-pruned"])
    analysis = analyze(run)
    _, ax = draw(run, analysis).axes
    drop = next(c for c in analysis.changes if c.signal == "reward_mean" and c.kind == "drop")
    texts = " ".join(text.get_text() for text in ax.texts)
    assert f"drop at {drop.step}" in texts and "% of peak" in texts


@pytest.mark.parametrize("name", DEMO)
@pytest.mark.parametrize("size", ["screen", "page", "column"])
def test_labels_neither_overlap_nor_leave_the_figure(name: str, size: str) -> None:
    run = open_run(DEMO[name])
    figure = draw(run, analyze(run), size=size)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    width, height = figure.bbox.width, figure.bbox.height
    boxes = []
    for ax in figure.axes:
        for text in [*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label]:
            if text.get_text().strip() and text.get_visible():
                boxes.append((text.get_text(), text.get_window_extent(renderer)))
                assert float(text.get_fontsize()) >= 6.5
    for index, (words, box) in enumerate(boxes):
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, words
        for other, there in boxes[index + 1 :]:
            overlap = (
                min(box.x1, there.x1) - max(box.x0, there.x0),
                min(box.y1, there.y1) - max(box.y0, there.y0),
            )
            assert min(overlap) <= 2, f"{words!r} covers {other!r}"


@pytest.mark.parametrize("rows", [1, 2, 3, 10_000])
def test_runs_of_any_length_are_drawn(tmp_path: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    run = make_run(rng.normal(size=rows), 100 + rng.normal(size=rows))
    target = tmp_path / "figure.png"
    save(draw(run, analyze(run)), target)
    assert target.stat().st_size > 3000


def test_a_run_without_length_gets_one_wide_chart() -> None:
    run = make_run(np.linspace(0, 1, 30))
    (ax,) = draw(run, analyze(run)).axes
    assert ax.get_title() == "Train Reward vs Step" and ax.get_position().width > 0.6


def test_more_signals_fill_a_grid_and_unknown_ones_are_refused() -> None:
    run = open_run(DEMO["layer-pruned"])
    analysis = analyze(run)
    assert len(draw(run, analysis, signals=["reward_mean", "entropy", "kl_ref"]).axes) == 3
    with pytest.raises(MetricError, match="nonsense"):
        draw(run, analysis, signals=["nonsense"])
    with pytest.raises(UsageError, match="screen"):
        draw(run, analysis, size="poster")


def test_far_values_and_infinities_are_counted_at_the_edge_and_do_not_flatten_the_curve() -> None:
    values = np.sin(np.arange(60) / 5)
    values[[10, 20]] = [1e14, np.inf]
    run = make_run(values)
    (ax,) = draw(run, analyze(run)).axes
    assert ax.get_ylim()[1] < 10
    assert "off scale" in " ".join(text.get_text() for text in ax.texts)
    limits = robust_limits(values)
    assert limits.above.tolist() == [10, 20] and limits.below.size == 0


def test_decimation_keeps_a_drop_of_a_single_point() -> None:
    y = np.ones(100_000)
    y[54_321] = -3.0
    x, kept = decimate(np.arange(100_000.0), y, 500)
    assert len(x) <= 1002 and kept.min() == -3.0 and x[np.argmin(kept)] == 54_321


def test_missing_values_leave_gaps_and_lone_points_stay_visible() -> None:
    y = np.array([1.0, 2, np.nan, 3, np.nan, 4, 5])
    _, shown = connect(np.arange(7), y)
    assert np.isnan(shown[2]) and np.isnan(shown[4])
    run = make_run(y)
    (ax,) = draw(run, analyze(run)).axes
    dotted = [line for line in ax.lines if line.get_marker() == "o"]
    assert any(3.0 in np.asarray(line.get_ydata()) for line in dotted)


def test_names_from_a_log_are_never_read_as_mathematics(tmp_path: Path) -> None:
    run = make_run(np.arange(20.0), id="$x^2_{evil}$ run_1 \x1b[31m")
    target = tmp_path / "figure.svg"
    save(draw(run, analyze(run)), target)
    assert "$x^2_{evil}$ run_1" in target.read_text()


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    run = open_run(DEMO["layer-pruned"])
    analysis = analyze(run)
    for kind in ("png", "svg", "pdf"):
        first, second = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
        save(draw(run, analysis), first)
        save(draw(run, analysis), second)
        assert first.read_bytes() == second.read_bytes()
    with pytest.raises(UsageError, match=".png, .svg or .pdf"):
        save(draw(run, analysis), tmp_path / "figure.gif")


def test_compared_runs_get_a_legend_and_lines_that_differ_without_colour() -> None:
    runs = [open_run(path) for path in DEMO.values()]
    figure = draw_comparison(runs)
    left, right = figure.axes
    legend = right.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [run.id for run in runs]
    assert len({str(vars(line)["_unscaled_dash_pattern"]) for line in left.lines}) == 4


def test_a_band_spans_the_seeds_at_the_steps_they_share() -> None:
    runs = [
        make_run([0.0, 1, 2, 3], steps=[0, 1, 2, 3], id="a"),
        make_run([2.0, 3, 4, 9], steps=[1, 2, 3, 4], id="b"),
    ]
    (ax,) = draw_comparison(runs, band=True).axes
    (mean,) = [line for line in ax.lines if line.get_label() == "mean of 2"]
    np.testing.assert_array_equal(mean.get_xydata(), [[1, 1.5], [2, 2.5], [3, 3.5]])
    with pytest.raises(UsageError, match="share no step"):
        draw_comparison([runs[0], make_run([1.0], steps=[99])], band=True)


def test_runs_with_the_same_name_stay_apart_in_the_legend() -> None:
    runs = [make_run(np.arange(9.0)), make_run(np.arange(9.0))]
    (ax,) = draw_comparison(runs).axes
    legend = ax.get_legend()
    assert legend is not None and len({text.get_text() for text in legend.get_texts()}) == 2


def test_real_blow_up_still_gets_a_readable_chart(shared: Path) -> None:
    run = open_run(next((shared / "data/real/raw/094-wordle-tb").iterdir()))
    (ax,) = draw(run, analyze(run), signals=["kl_ref"]).axes
    assert ax.get_ylim()[1] < 1e12, "one value of 1e14 must not flatten the rest"
    assert "off scale" in " ".join(text.get_text() for text in ax.texts)


def test_a_unit_is_named_only_where_the_log_vouches_for_it() -> None:
    length = np.linspace(100, 200, 30)
    known = make_run(np.linspace(0, 1, 30), length)
    columns = {name: Column(column.key, via="generic") for name, column in known.columns.items()}
    plain = dataclasses.replace(known, columns=columns)
    left, right = draw(known, analyze(known)).axes
    assert left.get_ylabel() == "Response length (tokens)" and right.get_ylabel() == "Train reward"
    left, _ = draw(plain, analyze(plain)).axes
    assert left.get_ylabel() == "Response length (unit not logged)"


@pytest.mark.parametrize(
    ("gap", "value", "text"),
    [(2.5, 7.5, "7.5"), (0.25, 0.5, "0.50"), (200, 1000, "1,000"), (1e-6, 5e-6, "5e−06"), (0.1, 0, "0.0")],
)
def test_ticks_show_as_many_digits_as_tell_them_apart(gap: float, value: float, text: str) -> None:
    assert tick_text(value, gap) == text


def test_a_band_of_long_runs_is_thinned_but_spans_their_extremes() -> None:
    rng = np.random.default_rng(2)
    runs = [make_run(rng.normal(size=50_000), id=name) for name in "ab"]
    low = np.minimum(*(run.series["reward_mean"] for run in runs))
    high = np.maximum(*(run.series["reward_mean"] for run in runs))
    steps, bottom, top = envelope(np.arange(50_000.0), low, high, 500)
    assert len(steps) == 500 and bottom.min() == low.min() and top.max() == high.max()
    (ax,) = draw_comparison(runs, band=True).axes
    assert all(np.size(line.get_xdata()) < 5_000 for line in ax.lines)

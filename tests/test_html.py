"""The page: self-contained, harmless whatever the log says, complete."""

from __future__ import annotations

import base64
import html
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from foreshock.analysis import analyze
from foreshock.demo import RUNS
from foreshock.diagnosis import open_causes, what_to_log
from foreshock.readers import open_run
from foreshock.report import build
from foreshock.report.html import render
from foreshock.report.json import dumps
from foreshock.run import Column, FloatArray, Note, Run, Series

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}\u2028"


def page_of(run: Run) -> tuple[str, dict[str, Any]]:
    analysis = analyze(run)
    document = build(run, analysis, open_causes(run, analysis), what_to_log(run))
    return render(document, run, analysis, svg=b"<svg xmlns='http://www.w3.org/2000/svg'/>"), document


def data_of(page: str, block: str = "data") -> Any:
    """What the page's script reads, as a browser would."""
    found = re.findall(rf'<script type="application/json" id="{block}">(.*?)</script>', page, flags=re.S)
    assert len(found) == 1
    return json.loads(found[0])


def hostile_run(rows: int = 40) -> Run:
    """A run in which every text that a log can carry tries to break out."""
    reward = np.linspace(1, 2, rows)
    return Run(
        id=HOSTILE,
        source=f"/logs/{HOSTILE}",
        format="jsonl",
        framework=None,
        steps=np.arange(rows),
        series=Series({HOSTILE: reward, "odd" + HOSTILE: reward}, {"reward_mean": reward}),
        columns={"reward_mean": Column(HOSTILE)},
        unrecognised=("odd" + HOSTILE,),
        notes=(Note("torn-line", f"the last line was {HOSTILE}"),),
    )


def reward_run(values: FloatArray) -> Run:
    """A run that logged nothing but its reward."""
    series = Series({"a": values}, {"reward_mean": values})
    return Run("r", "r.csv", "csv_table", None, np.arange(len(values)), series, {"reward_mean": Column("a")})


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(page)
    return parser.tags


def test_nothing_from_a_log_becomes_markup_or_script() -> None:
    page, _ = page_of(hostile_run())
    tags = tags_of(page)
    assert [attrs.get("type") for tag, attrs in tags if tag == "script"] == [
        "application/json",
        "application/json",
        None,
        None,
    ]
    images = [attrs.get("src") for tag, attrs in tags if tag == "img"]
    assert len(images) == 1 and str(images[0]).startswith("data:image/svg+xml;base64,"), "ours, no other"
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]
    assert "alert(1)</script>" not in page and "49" not in re.findall(r"<h1>(.*?)</h1>", page, flags=re.S)[0]


def test_the_page_loads_nothing_from_anywhere() -> None:
    page, _ = page_of(open_run(RUNS[0].path))
    for tag, attrs in tags_of(page):
        assert tag not in ("link", "iframe", "object", "base")
        assert not {"href", "action", "srcset"} & set(attrs), (tag, attrs)
        assert str(attrs.get("src", "data:")).startswith("data:"), (tag, attrs)
    addresses = set(re.findall(r"https?://[^\s'\")]*", page))
    assert addresses <= {"https://github.com/leeoniya/uPlot"}, "only uPlot's own notice names an address"
    assert "url(" not in page and "@import" not in page
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0]
    assert policy.startswith("default-src &#39;none&#39;") or policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy and "script-src 'unsafe" not in policy


def test_verdict_summary_every_sentence_and_every_table_are_in_the_page() -> None:
    run = open_run(RUNS[0].path)
    page, document = page_of(run)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    text = html.unescape(text)
    assert document["verdict"] in text
    for section in document["narrative"]:
        assert section["title"] in text
        for sentence in section["text"]:
            assert sentence["text"].replace("`", "") in text
        for row in (section["table"] or {"rows": []})["rows"]:
            for cell in row:
                assert re.sub(r"\s+", " ", str(cell).replace("`", "")).strip() in text


@pytest.mark.parametrize("rows", [1, 3, 100_000])
def test_short_and_long_runs_give_a_page_of_bounded_size(rows: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=rows)
    if rows == 100_000:
        values[70_001] = -25.0
    run = reward_run(values)
    page, _ = page_of(run)
    assert len(page) < 3_000_000
    (panel,) = data_of(page)["panels"]
    shown = [value for value in panel["y"] if value is not None]
    assert min(shown) == values.min() and max(shown) == values.max()


def test_infinities_reach_the_page_as_gaps_that_are_counted() -> None:
    values = np.r_[np.linspace(0, 1, 30), np.inf, np.nan, 0.5, 0.4]
    run = reward_run(values)
    page, _ = page_of(run)
    (panel,) = data_of(page)["panels"]
    assert panel["beyond"] == 1 and None in panel["y"]
    assert any("∞ at step 30" in note for note in panel["notes"])


def test_the_page_carries_the_whole_document_for_download() -> None:
    page, document = page_of(open_run(RUNS[0].path))
    assert data_of(page, "json") == json.loads(dumps(document))


def test_smoothing_of_a_thinned_curve_follows_all_points_and_not_the_extremes() -> None:
    rng = np.random.default_rng(1)
    values = rng.exponential(size=50_000)
    page, _ = page_of(reward_run(values))
    (panel,) = data_of(page)["panels"]
    assert np.median(panel["smooth"]) == pytest.approx(np.median(values), rel=0.02)
    assert max(panel["y"]) == values.max() and max(panel["smooth"]) < values.max() / 2


def test_without_scripts_the_charts_are_shown_as_an_image() -> None:
    page, _ = page_of(open_run(RUNS[0].path))
    inside = re.findall(r"<noscript>(.*?)</noscript>", page, flags=re.S)[0]
    image = re.findall(r"base64,([^\"]*)", inside)[0]
    assert base64.b64decode(image).startswith(b"<svg")

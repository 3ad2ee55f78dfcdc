"""The page in a real browser: charts drawn, cursor and zoom over all panels, themes, no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from _builders import figure_curves
from foreshock import Recorder
from foreshock.demo import RUNS
from foreshock.readers import open_run
from foreshock.report import write

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install -e '.[dev]')")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write(open_run(next(r.path for r in RUNS if r.name == "layer-pruned")), folder, formats=["html"])
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium or Chrome on this machine")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1300, "height": 900}, color_scheme="light")
    opened.problems = []
    opened.requests = []
    opened.on("console", lambda message: opened.problems.append(message.text))
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.on("request", lambda request: opened.requests.append(request.url))
    opened.goto(report.as_uri())
    opened.wait_for_selector("#charts canvas")
    yield opened
    assert opened.problems == [], "errors or warnings in the console"
    assert len(opened.requests) == 1, "the page may load nothing but itself"
    opened.close()


def test_both_charts_are_drawn_side_by_side(page: Any) -> None:
    boxes = [chart.bounding_box() for chart in page.query_selector_all("#charts .u-wrap")]
    assert len(boxes) == 2
    left, right = boxes
    assert abs(left["y"] - right["y"]) < 2 and left["x"] + left["width"] <= right["x"] + 1
    assert abs(left["width"] - right["width"]) < 2
    titles = [heading.inner_text() for heading in page.query_selector_all("#charts h3")]
    assert titles == ["Response Length vs Step", "Train Reward vs Step"]


def test_the_cursor_shows_the_values_of_one_step_in_all_panels(page: Any) -> None:
    over = page.query_selector_all("#charts .u-over")[0].bounding_box()
    page.mouse.move(over["x"] + over["width"] / 2, over["y"] + over["height"] / 2)
    page.wait_for_timeout(100)
    shown = []
    for legend in page.query_selector_all("#charts .u-legend"):
        shown.append([value.inner_text() for value in legend.query_selector_all(".u-value")][:2])
    (step, length), (same_step, reward) = shown
    run = open_run(next(r.path for r in RUNS if r.name == "layer-pruned"))
    row = run.steps.tolist().index(int(step))
    assert step == same_step
    assert float(length) == pytest.approx(run.series["response_length_mean"][row], abs=0.5)
    assert float(reward) == pytest.approx(run.series["reward_mean"][row], abs=0.005)


def test_zooming_one_panel_zooms_all_and_reset_undoes_it(page: Any) -> None:
    def picture() -> list[bytes]:
        return [chart.screenshot() for chart in page.query_selector_all("#charts .u-wrap")]

    before = picture()
    over = page.query_selector_all("#charts .u-over")[1].bounding_box()
    page.mouse.move(over["x"] + over["width"] * 0.6, over["y"] + 50)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] * 0.9, over["y"] + 60, steps=5)
    page.mouse.up()
    page.mouse.move(5, 5)
    page.wait_for_timeout(100)
    zoomed = picture()
    assert zoomed[0] != before[0] and zoomed[1] != before[1]
    page.click("#reset")
    page.mouse.move(5, 5)
    page.wait_for_timeout(100)
    assert picture() != zoomed


def test_light_and_dark(page: Any) -> None:
    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    page.click("#theme")
    assert background() != light
    page.click("#theme")
    assert background() == light


def test_smoothing_says_what_it_does_and_keeps_the_raw_line(page: Any) -> None:
    assert page.inner_text("#smooth-says") == "off"
    page.evaluate("s => { s.value = 9; s.dispatchEvent(new Event('input')) }", page.query_selector("#smooth"))
    assert page.inner_text("#smooth-says") == "centred median of 9 steps"
    labels = page.query_selector_all("#charts .u-legend")[0].inner_text()
    assert "Response Length" in labels and "median" in labels


def test_further_metrics_can_be_added_and_taken_away(page: Any) -> None:
    page.click("#more summary")
    first, second = page.query_selector_all("#picker input")[:2]
    first.check()
    second.check()
    page.wait_for_selector("#extra .panel:nth-child(2) canvas")
    left, right = (chart.bounding_box() for chart in page.query_selector_all("#extra .u-wrap"))
    assert left["x"] + left["width"] <= right["x"] + 1 or left["y"] + left["height"] <= right["y"] + 1
    first.uncheck()
    second.uncheck()
    assert page.query_selector("#extra canvas") is None


def test_the_document_can_be_downloaded(page: Any) -> None:
    with page.expect_download() as download:
        page.click("#download")
    document = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert document["schema"] == "foreshock.report/1"


def test_without_scripts_the_charts_are_still_there(browser: Any, tmp_path: Path) -> None:
    write(open_run(RUNS[0].path), tmp_path, formats=["html", "svg"])
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto((tmp_path / "report.html").as_uri())
    image = plain.locator("img.fallback")
    assert image.is_visible() and image.bounding_box()["height"] > 100
    context.close()


def test_a_phone_shows_everything_without_scrolling_sideways(browser: Any, report: Path) -> None:
    phone = browser.new_page(viewport={"width": 380, "height": 800}, color_scheme="dark")
    phone.goto(report.as_uri())
    phone.wait_for_selector("#charts canvas")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 380
    phone.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a recorded run with an event at the onset of its fall, and fifty resumes."""
    folder = tmp_path_factory.mktemp("recorded")
    reward, length = figure_curves(3)
    with Recorder(folder / "run", environment=False) as recorder:
        for step in range(71):
            metrics = {"reward": reward[step], "completions/mean_length": length[step]}
            recorder.log({**metrics, "foreshock/batch/drift": 1.0}, step=step)
            if 5 <= step < 55:
                recorder.event("resumed", "The run was resumed.")
            if step == 60:
                recorder.event("reward_code_changed", "Reward code of <b>accuracy</b> changed.")
    write(open_run(folder / "run"), folder, formats=["html"])
    return folder / "report.html"


def test_pointing_at_an_event_shows_what_was_recorded(browser: Any, recorded: Path) -> None:
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(recorded.as_uri())
    page.wait_for_selector("#charts canvas")
    assert page.inner_text("#events-say").endswith("ticks: 50 × resumed")
    for chart in page.query_selector_all("#charts .u-over"):
        box = chart.bounding_box()
        page.mouse.move(box["x"] + box["width"] * 60 / 70, box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
        assert page.inner_text("#events-say") == "60: Reward code of <b>accuracy</b> changed."
        page.mouse.move(box["x"] + box["width"] * 66 / 70, box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
        assert "ticks" in page.inner_text("#events-say")
    assert problems == []
    page.close()


def test_events_are_drawn_in_every_panel(browser: Any, recorded: Path) -> None:
    """The dotted line of the event is darker than its surroundings, in a column where the curve is not."""
    page = browser.new_page(viewport={"width": 1300, "height": 900}, color_scheme="light")
    page.goto(recorded.as_uri())
    page.wait_for_selector("#charts canvas")
    page.click("#more summary")
    page.check("#picker input[value='foreshock/batch/drift']")
    page.wait_for_selector("#extra canvas")
    dark = """canvas => {
      const over = canvas.parentNode.querySelector(".u-over").getBoundingClientRect();
      const there = canvas.getBoundingClientRect();
      const scale = canvas.width / there.width;
      const [top, height] = [(over.top - there.top) * scale, over.height * scale];
      const count = (part) => {
        const x = Math.round((over.left - there.left + over.width * part) * scale);
        const pixels = canvas.getContext("2d").getImageData(x - 1, top, 3, height * 0.9).data;
        let found = 0;
        for (let i = 0; i < pixels.length; i += 4)
          found += pixels[i + 3] > 80 && pixels[i] + pixels[i + 1] + pixels[i + 2] < 500;
        return found;
      };
      return [count(60 / 70), count(57.5 / 70)];
    }"""
    for canvas in page.query_selector_all("#charts canvas, #extra canvas"):
        at_event, beside = page.evaluate(dark, canvas)
        assert at_event > 20 + beside
    page.close()

"""Recorded events in the report: matched to changes in time, told, and marked on every kind of chart."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from _builders import drop, figure_analysis, figure_run
from _documents import document_of, sentences
from foreshock import Recorder
from foreshock.analysis import Analysis, Change, analyze
from foreshock.readers import open_run
from foreshock.report._event_marks import EventMarks, Line, event_marks
from foreshock.report._known import Known, summaries
from foreshock.report._recorded import Near, kinds, near, told
from foreshock.report.figure import draw
from foreshock.report.html import render as page_of
from foreshock.report.markdown import render as markdown_of
from foreshock.report.term_chart import render as chart_of
from foreshock.report.terminal import print_summary
from foreshock.run import Event, Run
from test_narrative import check_document

CODE = "Reward code of accuracy changed: 3f2a81 to 9bc014."


def event(step: int, kind: str = "reward_code_changed", text: str = CODE, **payload: Any) -> Event:
    return Event(step, kind, {"text": text, **payload})


def close_to(change: Change, events: Sequence[Event], steps: Sequence[int] = range(71)) -> tuple[Near, ...]:
    recorded = told(events)
    return near(change, recorded, kinds(recorded), np.asarray(steps, dtype=np.int64))


def text_of(*events: Event, analysis: Analysis | None = None, section: str = "") -> str:
    """What the report of the figure says with these events, all of it or one section."""
    document = document_of(figure_run(events=events), analysis or figure_analysis())
    check_document(document)
    chosen = [part for part in document["narrative"] if section in ("", part["id"])]
    return " ".join(sentence["text"] for part in chosen for sentence in part["text"])


# --- which events lie near a change -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "when", "apart"),
    [(58, None, 0), (59, None, 0), (60, "before", 1), (61, "at", 0), (62, "after", 1), (63, None, 0)],
)
def test_an_event_matches_within_one_step_of_the_onset(step: int, when: str | None, apart: int) -> None:
    found = close_to(drop(step_interval=(61, 61)), [event(step)])
    assert [(one.when, one.apart) for one in found] == ([(when, apart)] if when else [])


def test_an_event_matches_anywhere_in_the_interval_of_the_onset() -> None:
    assert [one.apart for one in close_to(drop(step_interval=(56, 61)), [event(55), event(57)])] == [4]


def test_where_few_steps_are_logged_an_event_since_the_row_before_matches() -> None:
    every_ten = drop(step=60, step_interval=(60, 60))
    (found,) = close_to(every_ten, [event(49), event(53), event(65)], range(0, 101, 10))
    assert (found.event, found.when, found.apart) == (1, "before", 7)


def test_the_chance_of_a_match_is_that_of_events_anywhere_in_the_run() -> None:
    (one,) = close_to(drop(step_interval=(61, 61)), [event(61)], range(100))
    assert one.chance == pytest.approx(3 / 100) and one.telling
    many = [event(step) for step in range(1, 100, 2)]
    assert all(
        found.chance == pytest.approx(1 - 0.97**50) and not found.telling
        for found in close_to(drop(step_interval=(61, 61)), many, range(100))
    )


def test_the_stated_chance_holds_for_events_that_have_nothing_to_do_with_the_change() -> None:
    draws = np.random.default_rng(0).integers(0, 200, (4000, 5))
    change = drop(step=100, step_interval=(98, 103))
    found = [close_to(change, [event(int(step)) for step in row], range(200)) for row in draws]
    stated = next(one[0].chance for one in found if len({row.event for row in one}) and one)
    assert np.mean([bool(one) for one in found]) == pytest.approx(stated, abs=0.02)


def test_a_checkpoint_is_never_a_hint_and_an_event_in_a_vague_interval_is_none() -> None:
    (saved,) = close_to(drop(), [event(61, "checkpoint_saved")])
    assert not saved.telling
    (vague,) = close_to(drop(step_interval=(30, 62)), [event(40)])
    assert not vague.telling
    (sharp,) = close_to(drop(step_interval=(30, 62)), [event(60)])
    assert sharp.telling


def test_an_event_that_took_some_steps_to_be_sure_counts_from_the_first_of_them() -> None:
    late = event(72, "source_mix_changed", steps=12)
    (found,) = close_to(drop(step_interval=(61, 61)), [late], range(200))
    assert (found.when, found.apart, found.telling) == ("after", 11, True)
    assert found.chance == pytest.approx(14 / 200)
    assert not close_to(drop(step_interval=(61, 61)), [event(80, "source_mix_changed", steps=12)], range(200))
    run = figure_run(events=(event(70, "source_mix_changed", "The mix changed.", steps=10),))
    document = document_of(run, figure_analysis())
    check_document(document)
    sentence = "Recorded at step 70, 9 steps after its onset, about what began at step 61 or later: The mix"
    assert sentence in document["summary"]


def test_a_change_of_the_model_counts_from_the_look_before_it() -> None:
    looks = [Event(step, "model", {}) for step in range(0, 71, 10)]
    zero = event(70, "layer_norm_zero", "The norm of layer 3 fell to 0.")
    (found,) = told([zero], looks)
    assert (found.since, found.step) == (61, 70)
    run = figure_run(events=(zero,), evidence=tuple(looks))
    assert (
        "about what began at step 61 or later: The norm of layer 3"
        in document_of(run, figure_analysis())["summary"]
    )
    assert told([event(70, "reward_code_changed")], looks)[0].since == 70


def test_the_most_telling_event_comes_first() -> None:
    events = [event(60, "checkpoint_saved"), event(62, "resumed"), event(60), event(61, "evaluated")]
    found = close_to(drop(), events)
    assert [told(events)[one.event].kind for one in found][:2] == ["reward_code_changed", "resumed"]


def test_an_event_that_several_processes_recorded_is_one() -> None:
    events = [event(60, process=str(rank)) for rank in range(8)]
    (one,) = told(events)
    assert one.processes == tuple("01234567")
    assert kinds((one,))["reward_code_changed"].count == 1


def test_an_event_without_a_text_gets_one_from_its_particulars() -> None:
    (one,) = told([Event(3, "lr_set", {"value": 0.1, "process": "0"})])
    assert one.text == "Lr set (value 0.1)."


# --- the words ----------------------------------------------------------------------------------------


def test_an_event_at_the_onset_is_named_in_the_summary_the_anomalies_and_what_decides() -> None:
    sentence = f"Recorded at step 60, 1 step before its onset: {CODE}"
    document = document_of(figure_run(events=(event(60),)), figure_analysis())
    assert sentence in document["summary"]
    assert "stronger hint to its cause than any curve" in document["summary"]
    assert sentence in text_of(event(60), section="anomalies")
    decide = text_of(event(60), section="decide")
    assert decide.startswith("Look first at what was recorded at step 60, at the onset of the drop of train")
    assert document["causes"], "an event does not close the list of causes"


def test_every_number_beside_an_event_is_a_field() -> None:
    events = [event(step, "resumed", f"Attempt {step} resumed.") for step in range(50)]
    document = document_of(figure_run(events=(*events, event(60))), figure_analysis())
    assert check_document(document) > 60
    (change,) = document["changes"]
    (hint,) = change["recorded"]
    assert hint == {"event": 50, "apart": 1, "when": "before", "chance": hint["chance"], "telling": True}
    assert document["events"][hint["event"]]["text"] == CODE


def test_a_match_that_may_be_chance_says_so_and_is_no_hint() -> None:
    events = [event(step, "resumed", "The run was resumed.") for step in range(1, 71, 2)]
    anomalies = text_of(*events, section="anomalies")
    assert "That may be chance: such events lie as near to any step with a probability of 78 %." in anomalies
    assert "stronger hint" not in text_of(*events)
    assert "Look first" not in text_of(*events)


def test_a_healthy_run_with_events_is_not_told_to_look_at_them() -> None:
    healthy = figure_analysis(changes=(), verdict="healthy", reasons=())
    text = text_of(event(60), analysis=healthy)
    assert "Look first" not in text and "stronger hint" not in text
    assert "1 event was recorded: 1 × reward code changed." in text


def test_frequent_kinds_share_a_row_and_the_hint_keeps_its_own() -> None:
    events = [event(step, "checkpoint_saved", f"Saved at {step}.") for step in range(10, 70)]
    document = document_of(figure_run(events=(*events, event(60))), figure_analysis())
    (section,) = (part for part in document["narrative"] if part["id"] == "events")
    rows = section["table"]["rows"]
    assert rows == [
        ["10", "checkpoint saved", "60", "69", "", ""],
        ["60", "reward code changed", "", "", CODE, "drop of train reward"],
    ]


def test_a_run_without_events_has_no_section_about_them() -> None:
    document = document_of(figure_run(), figure_analysis())
    assert "events" not in [section["id"] for section in document["narrative"]]
    assert "recorded at" not in markdown_of(document)


def test_what_an_event_says_stays_text_in_markdown() -> None:
    evil = event(60, "x`y", "![a](http://e.vil) `code` <script>\nnext")
    document = document_of(figure_run(events=(evil,)), figure_analysis())
    check_document(document)
    text = markdown_of(document)
    assert "!\\[a\\](http\\://e.vil) 'code' \\<script\\> next." in text
    assert not re.search(r"(?<!\\)(\]\(http|<script)", text)


# --- the marks ----------------------------------------------------------------------------------------


def marks(*events: Event, changes: tuple[Change, ...] = ()) -> EventMarks:
    return event_marks(figure_run(events=events), changes)


def test_few_events_get_lines_and_frequent_or_routine_ones_ticks() -> None:
    found = marks(
        event(20, "config_changed"),
        event(60),
        event(60, "git_changed"),
        *(event(step, "resumed") for step in range(0, 50)),
        event(30, "checkpoint_saved"),
    )
    assert {(line.step, line.name) for line in found.lines} == {
        (20, "config changed at 20"),
        (60, "reward code changed +1 at 60"),
    }
    assert found.ticks == tuple(range(50))
    assert found.notes[0] == "ticks: 50 × resumed, 1 × checkpoint saved"
    assert found.notes[-1] == "ticks: 51 events"


def test_what_may_explain_a_change_gets_its_line_however_many_there_are() -> None:
    crowd = [event(step, f"kind_{step}") for step in range(0, 40)]
    assert marks(*crowd, event(60), changes=(drop(),)).lines[0].step == 60
    assert len(marks(*crowd, event(60), changes=(drop(),)).lines) == 6


def shown(figure: Any) -> list[list[str]]:
    return [[text.get_text() for text in ax.texts] for ax in figure.axes]


CROWDS: dict[str, tuple[Event, ...]] = {
    "few": (event(20, "config_changed"), event(40, "source_mix_changed"), event(60)),
    "fifty resumes": tuple(event(step, "resumed") for step in range(10, 60)),
    "many kinds": tuple(event(4 * i, f"{'a_rather_long_kind_of_' * (i % 3)}event_{i}") for i in range(18)),
    "all at one step": tuple(event(61, f"kind_{i}") for i in range(18)),
    "outside the run": (event(-5), event(500)),
}


@pytest.mark.parametrize("crowd", CROWDS)
@pytest.mark.parametrize("size", ["screen", "page", "column"])
def test_labels_of_events_cover_no_other_label_and_stay_in_the_figure(crowd: str, size: str) -> None:
    figure = draw(figure_run(events=CROWDS[crowd]), figure_analysis(), size=size)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    for ax in figure.axes:
        boxes = [
            (text.get_text(), text.get_window_extent(renderer))
            for text in [*ax.texts, ax.xaxis.label]
            if text.get_text().strip()
        ]
        for index, (words, box) in enumerate(boxes):
            assert box.x0 >= -1 and box.x1 <= figure.bbox.width + 1, words
            for other, there in boxes[index + 1 :]:
                across = min(box.x1, there.x1) - max(box.x0, there.x0)
                up = min(box.y1, there.y1) - max(box.y0, there.y0)
                assert min(across, up) <= 2, f"{words!r} covers {other!r}"


@pytest.mark.parametrize("crowd", sorted(CROWDS))
def test_a_named_event_stands_at_its_own_line(crowd: str) -> None:
    figure = draw(figure_run(events=CROWDS[crowd]), figure_analysis())
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    for ax in figure.axes:
        lines = {event.step: ax.transData.transform((event.step, 0))[0] for event in CROWDS[crowd]}
        for text in ax.texts:
            if found := re.search(r" at (\d+)$", text.get_text()):
                box = text.get_window_extent(renderer)
                own = lines.get(int(found[1]))
                if own is not None:
                    assert max(box.x0 - own, own - box.x1) < 30, text.get_text()


def test_events_keep_the_label_of_the_anomaly_and_name_the_one_beside_it() -> None:
    (_, reward) = shown(draw(figure_run(events=CROWDS["few"]), figure_analysis()))
    assert any("drop at 61" in text for text in reward)
    assert "reward code changed at 60" in reward


def test_fifty_resumes_are_ticks_with_a_count_and_no_lines() -> None:
    figure = draw(figure_run(events=CROWDS["fifty resumes"]), figure_analysis())
    assert "ticks: 50 × resumed" in [text.get_text() for text in figure.texts]
    for texts in shown(figure):
        assert not any(text.startswith("resumed at") for text in texts)


def test_events_leave_the_limits_of_the_steps_alone() -> None:
    plain = draw(figure_run(), figure_analysis()).axes[0].get_xlim()
    ax = draw(figure_run(events=CROWDS["outside the run"]), figure_analysis()).axes[0]
    assert ax.get_xlim() == plain
    assert not any("reward code" in text.get_text() for text in ax.texts)


def test_the_terminal_chart_marks_events_on_its_axis() -> None:
    steps = np.arange(71, dtype=np.int64)
    found = EventMarks((Line(70, "", ()),), (0, 35))
    text = chart_of(
        steps,
        steps.astype(np.float64),
        width=78,
        height=8,
        title="",
        color="red",
        events=found,
        ascii_only=True,
    )
    axis = text.plain.splitlines()[-2].partition("+")[2]
    assert axis[0] == "'" and axis[-1] == "^" and axis.count("'") == 2
    assert set(axis) == set("'^-")


def printed(run: Run, width: int = 100) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        print_summary(document_of(run, figure_analysis()), run, figure_analysis(), console)
    return captured.get()


def test_the_terminal_names_the_events_and_counts_the_rest() -> None:
    run = figure_run(events=(*CROWDS["few"], *CROWDS["fifty resumes"]))
    text = " ".join(printed(run).split())
    assert f"Recorded at step 60, 1 step before its onset: {CODE}" in text
    assert "Recorded events - 20: " in text
    assert "- 50 × resumed" in text
    assert all(len(line) <= 60 for line in printed(run, 60).splitlines())


def test_the_page_holds_the_events_and_lets_nothing_of_them_act() -> None:
    run = figure_run(events=(event(60, text="</script><img src=x onerror=alert(1)>"), event(9, "resumed")))
    page = page_of(document_of(run, figure_analysis()), run, figure_analysis())
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.S)
    events = json.loads(block)["events"]
    assert {line["name"] for line in events["lines"]} == {"reward code changed at 60", "resumed at 9"}
    assert [one["step"] for one in events["told"]] == [9, 60]
    assert "<img src=x" not in page
    assert 'id="events-say"' in page
    assert 'id="events-say"' not in page_of(
        document_of(figure_run(), figure_analysis()), figure_run(), figure_analysis()
    )


def test_sentences_about_events_are_part_of_every_words_check() -> None:
    """The hand-made document that other tests check has an event beside its fall."""
    from _documents import full_document

    texts = [sentence["text"] for sentence in sentences(full_document())]
    assert any("Reward code of accuracy changed." in text for text in texts)


# --- recorded evidence --------------------------------------------------------------------------------


def known(*records: tuple[int, str, dict[str, Any]]) -> dict[tuple[str, str], Known]:
    found = summaries(Event(step, kind, data) for step, kind, data in records)
    return {(one.kind, fact.name): fact for one in found for fact in one.known}


def test_what_a_record_leaves_out_has_not_changed() -> None:
    first = {"code": "a", "weights": {"x": 1.0}}
    found = known((0, "reward", first), (1, "reward", {}), (9, "reward", {"code": "b"}))
    assert found["reward", "code"] == Known("code", "b", 9, 1, False)
    assert found["reward", "weights"] == Known("weights", "x 1", 0, 0, False)
    (one,) = summaries([Event(0, "reward", {}), Event(9, "reward", {})])
    assert (one.records, one.first, one.last) == (2, 0, 9)


def test_what_differs_from_step_to_step_is_said_to_vary() -> None:
    found = known(*((step, "batch", {"distinct": step % 7, "sources": {"a": 4}}) for step in range(50)))
    assert found["batch", "distinct"].varies
    assert not found["batch", "sources"].varies


def test_values_are_told_in_few_words_and_what_is_for_programs_is_not() -> None:
    data = {
        "sketch": [0] * 64,
        "levels": list(range(64)),
        "word_past": {"index": [1, 2]},
        "code": {"accuracy": {"m.accuracy": "3c669be6f4f2ba15"}},
        "packages": {f"p{i}": "1.0" for i in range(9)},
        "template": None,
        "flag": True,
        "long": "x" * 500,
        "evil": "a`b\x1b[31m\nc",
    }
    found = {name: fact.value for (_, name), fact in known((0, "k", data)).items()}
    assert found.keys() == {"code", "packages", "template", "flag", "long", "evil"}
    assert found["code"] == "accuracy 3c669be6"
    assert found["packages"] == "p0 1.0, p1 1.0, p2 1.0, p3 1.0, p4 1.0, p5 1.0 and 3 more"
    assert (found["template"], found["flag"], found["evil"]) == ("none", "yes", "a'b [31m c")
    assert len(found["long"]) <= 160


def evidence_text(*evidence: Event, events: tuple[Event, ...] = (), section: str = "anomalies") -> str:
    document = document_of(figure_run(evidence=evidence, events=events), figure_analysis())
    check_document(document)
    return " ".join(
        s["text"] for part in document["narrative"] if part["id"] == section for s in part["text"]
    )


def test_where_evidence_was_watched_and_nothing_changed_the_report_says_so() -> None:
    watched = [Event(step, kind, {}) for step in (0, 70) for kind in ("batch", "reward")]
    text = evidence_text(*watched)
    assert (
        "Recorded at its onset: nothing. The batches and the reward functions were watched at step 61" in text
    )
    assert "nothing." not in evidence_text(*watched, events=(event(60),))
    assert "nothing." in evidence_text(*watched, events=(event(60, "checkpoint_saved"),))
    assert "nothing." not in evidence_text(*(Event(step, "batch", {}) for step in range(50)))
    assert "nothing." not in evidence_text(Event(0, "environment", {}), Event(70, "environment", {}))


def test_the_section_on_evidence_counts_its_records() -> None:
    text = evidence_text(Event(0, "reward", {"names": ["a"]}), Event(1, "reward", {}), section="evidence")
    assert "the recording holds evidence of the reward functions (2 records)." in text


def test_curves_of_evidence_are_offered_by_the_page_and_are_no_unknown_keys(tmp_path: Path) -> None:
    with Recorder(tmp_path, environment=False) as recorder:
        for step in range(20):
            recorder.log({"reward": 0.5, "rewards/a/mean": 0.5, "foreshock/reward/a/mean": 0.5}, step=step)
            recorder.log({"foreshock/batch/drift": 1.0, "foreshock/reward/a/unscored": 0.0}, step=step)
    run = open_run(tmp_path)
    analysis = analyze(run)
    document = document_of(run, analysis)
    assert document["run"]["unrecognised"] == []
    assert not [name for name in document["signals"] if name.startswith("foreshock/")]
    (block,) = re.findall(r'id="data">(.*?)</script>', page_of(document, run, analysis), flags=re.S)
    panels = {panel["name"]: panel["label"] for panel in json.loads(block)["panels"]}
    assert panels["foreshock/batch/drift"] == "Prompt Drift"
    assert panels["foreshock/reward/a/unscored"] == "Unscored Share (a)"
    assert "foreshock/reward/a/mean" not in panels, "the trainer logs it itself"
    assert next(iter(panels)) == "reward_mean"


def test_a_curve_of_evidence_can_be_asked_for_by_name(tmp_path: Path) -> None:
    with Recorder(tmp_path, environment=False) as recorder:
        for step in range(20):
            recorder.log({"reward": 0.5, "foreshock/batch/seen_share": step / 20}, step=step)
    run = open_run(tmp_path)
    found = analyze(run, signals=["foreshock/batch/seen_share"]).signals["foreshock/batch/seen_share"]
    assert (found.title, found.unit) == ("Prompts Seen Before", "fraction")

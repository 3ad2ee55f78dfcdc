"""The monitor inside the training process: what it records, and that nobody notices it otherwise."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import foreshock
from foreshock.cli import main
from foreshock.detect import Alarm, Monitor
from foreshock.readers import Follower
from foreshock.record import Recorder
from foreshock.record.batch import BatchFingerprint
from foreshock.report._recorded import told
from foreshock.run import Event
from foreshock.watch.session import Options, watch_path

SRC = str(Path(foreshock.__file__).resolve().parents[1])
STEPS = 110
Rows = dict[int, dict[str, float]]


def rows(seed: int = 0, drop: int | None = 80) -> Rows:
    """A run by step; from step `drop` on its reward falls."""
    rng = np.random.default_rng(seed)
    growth = 1 - np.exp(-np.arange(STEPS) / 20)
    reward = 1.5 + 0.3 * growth + 0.02 * rng.standard_normal(STEPS)
    if drop is not None:
        reward[drop:] -= 0.2
    length = 500 + 100 * growth + 10 * rng.standard_normal(STEPS)
    entropy = 0.6 - 0.2 * growth + 0.01 * rng.standard_normal(STEPS)
    return {
        step: {"reward": reward[step], "completion_length": length[step], "entropy": entropy[step]}
        for step in range(STEPS)
    }


def monitored(folder: Path, **options: Any) -> Recorder:
    """A recorder that monitors and raises what goes wrong."""
    return Recorder(folder, environment=False, **{"monitor": True, "strict": True, **options})


def record(folder: Path, logged: Mapping[int, Mapping[str, float]], **options: Any) -> list[Alarm]:
    """Record these steps; the alarms that the callback was given."""
    given: list[Alarm] = []
    with monitored(folder, **{"on_alarm": given.append, **options}) as run:
        for step, values in logged.items():
            run.log(values, step=step)
    return given


def recorded(folder: Path) -> list[dict[str, Any]]:
    """What the journals of a run say about alarms, in the order written, as `Alarm.as_dict` gives it."""
    lines = [line for path in sorted(folder.glob("journal-*")) for line in path.read_text().splitlines()]
    events = [each for each in map(json.loads, lines) if each.get("event") == "alarm"]
    return [{"step": event["step"], "text": event["text"], **event["data"]} for event in events]


def replayed(folder: Path) -> list[dict[str, Any]]:
    """What `foreshock watch --replay --json` says."""
    out = io.StringIO()
    watch_path(Options(str(folder), replay=True, json=True), out, io.StringIO())
    return [json.loads(line) for line in out.getvalue().splitlines()]


def judged(folder: Path) -> list[dict[str, Any]]:
    """What the monitor says of the rows that the readers make of a recording."""
    run = foreshock.open_run(folder, require_reward=False)
    curricula = {event.step for event in run.events if event.kind == "curriculum"}
    monitor, said = Monitor(facts=run.facts), []
    for row in Follower(folder).poll(final=True).rows:
        said += monitor.step(row.step, row.values, row.nan, planned=curricula)
    return [dict(alarm.as_dict()) for alarm in said]


def opened(alarms: Iterable[Mapping[str, Any]], signal: str = "reward_mean") -> list[int]:
    return [alarm["step"] for alarm in alarms if alarm["state"] == "open" and alarm["signal"] == signal]


def test_a_drop_is_an_event_and_reaches_the_callback_in_the_step_that_shows_it(tmp_path: Path) -> None:
    at: list[tuple[int, Alarm]] = []
    now = -1
    with monitored(tmp_path, on_alarm=lambda alarm: at.append((now, alarm))) as run:
        for now, values in rows().items():
            run.log(values, step=now)
    step, first = next((step, alarm) for step, alarm in at if alarm.signal == "reward_mean")
    assert (step, first.state) == (first.step, "open")
    assert 80 <= first.step <= 83
    events = [event for event in foreshock.open_run(tmp_path).events if event.kind == "alarm"]
    assert [event.step for event in events] == [alarm.step for _, alarm in at]
    payload = events[0].payload
    assert (payload["signal"], payload["onset"], payload["state"]) == ("reward_mean", first.onset, "open")
    assert payload["text"] == first.text


def test_recorder_watch_and_replay_tell_the_same(tmp_path: Path) -> None:
    logged = rows(3)
    for step in (70, 71):
        logged[step]["entropy"] = math.inf
    given = record(tmp_path, logged)
    mine = recorded(tmp_path)
    assert opened(mine) and opened(mine, "entropy") == [70]
    assert mine[0]["to_value"] == "Infinity", "JSON has no word for it"
    assert mine == replayed(tmp_path)
    assert numbers(mine) == judged(tmp_path) == [dict(alarm.as_dict()) for alarm in given]


def numbers(alarms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [alarm | {"to_value": float(alarm["to_value"])} for alarm in alarms]


def several_calls(run: Recorder, logged: Rows) -> None:
    """Evidence and evaluations in calls of their own, the latter after the step was complete."""
    batch = BatchFingerprint()
    for step, values in logged.items():
        run.evidence(batch.step([f"prompt {step} {place}" for place in range(4)]), step=step)
        run.log({"reward": values["reward"]}, step=step)
        run.log({"entropy": values["entropy"], "completion_length": values["completion_length"]}, step=step)
        if step % 10 == 9:
            run.log({"eval_score/math": 0.5 + 0.001 * step}, step=step)


def several_updates(run: Recorder, logged: Rows) -> None:
    """Each step logs the same twice, half of the drop in each: the readers average them."""
    for step, values in logged.items():
        for sign in (-1, 1):
            run.log({**values, "reward": values["reward"] + 0.3 * sign}, step=step)


def guesses_refuted(run: Recorder, logged: Rows) -> None:
    """A key that could be the KL, until it is negative."""
    for step, values in logged.items():
        run.log({**values, "pass rate": 0.5 if step < 70 else 7.0, "kl": 0.01 * step}, step=step)


def new_keys(run: Recorder, logged: Rows) -> None:
    """What is logged changes within the run; the trainer is recognised late."""
    for step, values in logged.items():
        late = {"completions/clipped_ratio": 0.01, "frac_reward_zero_std": 0.1} if step > 60 else {}
        run.log({**values, **late}, step=step)


def back_in_the_process(run: Recorder, logged: Rows) -> None:
    """The training loop goes back to a checkpoint and on from there."""
    for step in [*range(95), *range(60, STEPS)]:
        run.log(logged[step], step=step)


def late_values(run: Recorder, logged: Rows) -> None:
    """An evaluation of an earlier step."""
    for step, values in logged.items():
        run.log(values, step=step)
        if step in (40, 85):
            run.log({"val": 1.0}, step=step - 3)


def planned(run: Recorder, logged: Rows) -> None:
    """The drop is a curriculum's, said before or after the step is logged."""
    for step, values in logged.items():
        if step == 80:
            run.event("curriculum", "Harder problems.", step=step)
        run.log(values, step=step)


def planned_late(run: Recorder, logged: Rows) -> None:
    """Likewise, but said when the step is logged already."""
    for step, values in logged.items():
        run.log(values, step=step)
        if step == 80:
            run.event("curriculum", "Harder problems.")


def facts_learnt(run: Recorder, logged: Rows) -> None:
    """How many prompts a step has is known only later."""
    for step, values in logged.items():
        run.log({**values, "reward_std": 0.2}, step=step)
        if step == 70:
            run.describe(prompts_per_step=64)


@pytest.mark.parametrize(
    "way",
    [
        several_calls,
        several_updates,
        guesses_refuted,
        new_keys,
        back_in_the_process,
        late_values,
        planned,
        planned_late,
        facts_learnt,
    ],
)
def test_however_it_is_logged_what_is_open_in_the_end_is_what_watch_says(
    way: Callable[[Recorder, Rows], None], tmp_path: Path
) -> None:
    with monitored(tmp_path) as run:
        way(run, rows(5))

    def standing(alarms: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        last = {alarm["id"]: alarm for alarm in alarms}
        return {id: alarm for id, alarm in last.items() if alarm["state"] != "closed"}

    mine, theirs = recorded(tmp_path), judged(tmp_path)
    assert standing(mine) == standing(theirs)
    assert bool(standing(mine)) == (way not in (planned, planned_late))
    if way in (several_calls, several_updates, planned):
        assert mine == theirs, "nothing here is known only later"


def test_a_part_of_a_step_is_not_judged_as_the_whole(tmp_path: Path) -> None:
    given: list[Alarm] = []
    with monitored(tmp_path, on_alarm=given.append) as run:
        several_updates(run, rows(5, drop=None))
    assert [alarm for alarm in given if alarm.signal == "reward_mean"] == []


def test_a_resumed_run_repeats_no_alarm_and_closes_what_was_open(tmp_path: Path) -> None:
    logged = rows(6)
    for step in range(95, STEPS):
        logged[step]["reward"] += 0.2
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    record(whole, logged)
    record(parts, {step: logged[step] for step in range(90)})
    before = len(recorded(parts))
    given = record(parts, {step: logged[step] for step in range(90, STEPS)})
    assert before and recorded(parts) == recorded(whole)
    assert [dict(alarm.as_dict()) for alarm in given] == recorded(whole)[before:]
    assert "closed" in [alarm.state for alarm in given if alarm.signal == "reward_mean"]


def test_steps_that_a_resume_replaces_count_no_more(tmp_path: Path) -> None:
    record(tmp_path, {step: values for step, values in rows(7).items() if step < 90})
    assert opened(recorded(tmp_path))
    given = record(tmp_path, {step: values for step, values in rows(7, drop=None).items() if step >= 70})
    assert not [alarm for alarm in given if alarm.signal == "reward_mean"]
    assert not [event for event in foreshock.open_run(tmp_path).events if event.kind == "alarm"]


def test_a_run_that_was_not_monitored_is_caught_up_with(tmp_path: Path) -> None:
    logged = rows(8)
    record(tmp_path, {step: logged[step] for step in range(100)}, monitor=False)
    assert not recorded(tmp_path)
    given = record(tmp_path, {step: logged[step] for step in range(100, STEPS)})
    assert recorded(tmp_path) == replayed(tmp_path)
    assert opened(alarm.as_dict() for alarm in given), "it lasts, so people are told"


def test_a_run_that_was_sealed_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from foreshock.record.seal import seal

    logged = rows(6)
    record(tmp_path, {step: logged[step] for step in range(90)})
    before = recorded(tmp_path)
    seal(tmp_path)
    record(tmp_path, {step: logged[step] for step in range(90, STEPS)})
    assert before and before + recorded(tmp_path) == judged(tmp_path)


def test_only_the_first_process_monitors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not record(tmp_path / "named", rows(), process=1)
    monkeypatch.setenv("RANK", "3")
    assert not record(tmp_path / "ranked", rows())
    monkeypatch.setenv("RANK", "0")
    with monitored(tmp_path / "two") as first, monitored(tmp_path / "two") as second:
        for step, values in rows().items():
            first.log(values, step=step)
            second.log({"pass_rate": 0.5 if step < 60 else 0.1}, step=step)
    assert len(opened(recorded(tmp_path / "two"))) == 1


def test_nothing_that_fails_reaches_the_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Alarm] = []

    def broken(alarm: Alarm) -> None:
        raise RuntimeError("no network")

    with caplog.at_level(logging.WARNING, "foreshock"):
        record(tmp_path / "callback", rows(), strict=False, on_alarm=[broken, given.append])
    assert len(given) > 1 and recorded(tmp_path / "callback")
    assert [record.message for record in caplog.records if "no network" in record.message] == [
        record.message for record in caplog.records
    ][:1]

    caplog.clear()
    monkeypatch.setattr(Monitor, "step", lambda *_, **__: 1 / 0)
    with caplog.at_level(logging.WARNING, "foreshock"):
        record(tmp_path / "monitor", rows(), strict=False)
    assert len(foreshock.open_run(tmp_path / "monitor").steps) == STEPS
    (message,) = [record.message for record in caplog.records]
    assert "the monitor failed (ZeroDivisionError" in message


def test_options_are_those_of_the_monitor(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = {step: {"mine": values["reward"], "other": 1.0} for step, values in rows().items()}
    with caplog.at_level(logging.WARNING, "foreshock"):
        assert not record(tmp_path / "unknown", own)
    assert "no metric is known as the reward" in caplog.text and "mine, other" in caplog.text
    given = record(tmp_path / "map", own, monitor={"map": {"reward": "mine"}})
    assert opened(alarm.as_dict() for alarm in given)
    given = record(tmp_path / "signals", own, monitor={"signals": ["mine"]})
    assert opened((alarm.as_dict() for alarm in given), "mine")
    sure = record(tmp_path / "sure", rows(), monitor={"budget": 0.001})
    assert opened(a.as_dict() for a in sure) >= opened(recorded(tmp_path / "map"))
    with pytest.raises(ValueError, match=r"must be 0\.001 to 100"):
        monitored(tmp_path / "budget", monitor={"budget": 1000})
    caplog.clear()
    record(tmp_path / "wrong", rows(), strict=False, monitor={"buget": 1.0})
    assert "nothing is monitored" in caplog.text and "buget" in caplog.text


def test_a_callback_may_use_the_recorder(tmp_path: Path) -> None:
    recorders: list[Recorder] = []

    def save(alarm: Alarm) -> None:
        recorders[0].event("checkpoint_saved", "Saved.")

    with monitored(tmp_path, on_alarm=save) as run:
        recorders.append(run)
        for step, values in rows().items():
            run.log(values, step=step)
    assert {event.kind for event in foreshock.open_run(tmp_path).events} == {"alarm", "checkpoint_saved"}


def test_without_it_numpy_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys, foreshock\nrun = foreshock.Recorder(sys.argv[1], environment=False)\n"
        "run.log({'reward': 1.0})\nrun.close()\nassert 'numpy' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": SRC}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)


def test_reports_and_events_show_that_an_alarm_opened_and_closed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logged = rows(6)
    for step in range(95, STEPS):
        logged[step]["reward"] += 0.2
    record(tmp_path, logged)
    with pytest.raises(SystemExit):
        main(["events", str(tmp_path)])
    lines = [line for line in capsys.readouterr().out.splitlines() if "Reward" in line]
    assert len(lines) == 2 < len(recorded(tmp_path))
    assert "alarm  Monitor: Train Reward leapt from" in lines[0] and "Over at step" in lines[1]
    with pytest.raises(SystemExit):
        main(["report", str(tmp_path), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert {event["kind"]: event["routine"] for event in document["events"]} == {"alarm": True}
    assert not [near for change in document["changes"] for near in change["recorded"] if near["telling"]]


def test_an_event_of_that_name_which_somebody_else_recorded_does_no_harm(tmp_path: Path) -> None:
    with monitored(tmp_path) as run:
        run.log({"reward": 1.5}, step=0)
        run.event("alarm", "The fire alarm rang.")
    given = record(tmp_path, {step: values for step, values in rows().items() if step})
    assert opened(alarm.as_dict() for alarm in given)
    (event,) = told([Event(3, "alarm", {"text": "The fire alarm rang."})])
    assert event.text.endswith("The fire alarm rang.")

"""The scoreboard: its arithmetic, what it shows to tools, adapters; on corpora made up here (synthetic)."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from lab import score
from lab.adapters import foreshock as adapter
from lab.adapters import rldoctor, rlprobe, rlwatch
from lab.adapters.base import Record, ToolError, Watcher
from lab.score_data import curves, records, truths, write_journal
from lab.score_measure import delay, detected, draws_of, estimate, median, rate
from lab.score_table import table
from lab.score_watch import look, look_at_all

import foreshock
from foreshock.diagnosis import causes

STEPS = 40


def _corpus(folder: Path, onsets: Mapping[str, int | None], seed: int = 0) -> Path:
    """Runs of two metrics and one piece of evidence; from its onset on a fault takes 1 off the reward.

    A run `NAME` with an onset has the clean twin `clean-NAME`, which is equal before the onset.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    evidence, told = [], {}
    for name, onset in onsets.items():
        noise = rng.normal(0, 0.02, STEPS)
        for id, at in ((name, onset), (f"clean-{name}", None)) if onset else ((name, None),):
            for step in range(1, STEPS + 1):
                fallen = at is not None and step >= at
                reward = 1.5 + noise[step - 1] - fallen
                kl = None if step % 5 else math.nan
                rows.append({"run": id, "step": step, "reward": reward, "kl": kl, "foreshock/seen": 1.0})
            evidence.append({"run": id, "step": 30, "kind": "batch", "data": '{"new": 1}'})
            told[id] = {
                "fault": "made_up" if at else "none",
                "cause": "reward_parser_bug" if at else "no_fault_noise",
                "dose": 1.0,
                "onset": at,
                "twin": f"clean-{name}" if at else None,
                "split": "fit" if name == "practice" else "check",
                "task": "synthetic",
                "ideal": {"power_8": 0.5, "power_16": 0.8, "delay": 3.0} if at else {},
                "acted": True,
                "check": "",
                "options": {},
            }
    folder.mkdir()
    rng.shuffle(rows)
    names = list(rows[0])
    half = len(rows) // 2
    for part, chosen in enumerate((rows[:half], rows[half:])):
        pq.write_table(
            pa.table({name: [row[name] for row in chosen] for name in names}), folder / f"runs-{part}.parquet"
        )
    pq.write_table(pa.Table.from_pylist(evidence), folder / "evidence-0.parquet")
    (folder / "truth.json").write_text(json.dumps({"schema": "foreshock.lab.truth/1", "runs": told}))
    (folder / "runs.json").write_text(json.dumps({id: {"facts": {"group_size": 8}} for id in told}))
    return folder


class _StandIn:
    """A tool that says what a function says of the rows so far; it is also its own watcher."""

    note = "a stand-in"

    def __init__(
        self, watch: Callable[[Record], Sequence[str]], causes: Sequence[str], every: int = 1
    ) -> None:
        self.name = "stand-in"
        self._watch, self._causes, self._every = watch, causes, every
        self.shown: list[int] = []

    def version(self) -> str:
        return "1"

    def every(self, level: str) -> int:
        return self._every

    def lacks(self, level: str) -> tuple[str, str]:
        return "", ""

    def start(self, level: str) -> Watcher:
        return self

    def watch(self, seen: Record) -> Sequence[str]:
        self.shown.append(seen.steps[-1])
        assert all(line["step"] <= seen.steps[-1] for line in seen.evidence)
        return self._watch(seen)

    def causes(self, seen: Record) -> Sequence[str]:
        return self._causes

    def close(self) -> None:
        pass

    def stop(self) -> None:
        pass


def _falls(seen: Record) -> list[str]:
    rewards = [row["reward"] for row in seen.rows]
    return ["fell"] if len(rewards) > 1 and rewards[-1] < rewards[-2] - 0.5 else []


def _scored(corpus: Path, tool: _StandIn) -> dict[str, Any]:
    """The measures over all faults."""
    known = truths(corpus, "check")
    runs = records(corpus, known)
    said = {id: look(tool, "metrics", runs[id]) for id in runs}
    rows = score.score(runs, known, {("stand-in", "metrics"): said})
    assert [row[:2] for row in rows[:2]] == [("all", "ideal observer"), ("all", "stand-in")]
    assert "stand-in" in table(rows)
    return {name: value for name, value in rows[1][4].items()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    onsets = {"a": 20, "b": 25, "c": 30, "healthy": None, "practice": 20}
    return _corpus(tmp_path_factory.mktemp("lab") / "corpus", onsets)


def test_a_delay_counts_steps_of_the_fault_and_alarms_before_it_do_not_count() -> None:
    assert delay([], 10) == math.inf
    assert delay([9], 10) == math.inf
    assert delay([10], 10) == 1
    assert delay([3, 25, 17], 10) == 8
    assert detected([17], 10, last=30) == (1, 1)
    assert detected([18], 10, last=30) == (0, 1)
    within = detected([17], 10, last=24)  # 15 steps of the fault: a window of 16 is not over
    assert within[0] == 1 and math.isnan(within[1])


def test_rates_and_medians_leave_out_what_is_not_known_and_keep_what_is_infinite() -> None:
    once = np.ones((1, 3))
    assert rate(np.array([1.0, 3.0, math.nan]), np.array([100.0, 300.0, 50.0]), once) == pytest.approx(0.01)
    assert math.isnan(rate(np.full(3, math.nan), np.ones(3), once)[0])
    assert median(np.array([5.0, 1.0, 2.0]), once)[0] == 2
    assert median(np.array([5.0, math.inf, math.inf]), once)[0] == math.inf
    assert median(np.array([5.0, math.nan, 7.0]), once)[0] == 5
    assert median(np.array([5.0, 1.0, 2.0]), np.array([[3.0, 1.0, 1.0]]))[0] == 5
    assert math.isnan(median(np.full(3, math.nan), once)[0])


def test_the_bootstrap_draws_clusters_not_runs() -> None:
    # Two clusters of a hundred equal runs: the mean is that of two draws, however many runs there are.
    clusters = ["x"] * 100 + ["y"] * 100
    values = np.array([0.0] * 100 + [1.0] * 100)
    weights = draws_of(clusters)
    assert (weights[0] == 1).all()
    assert set(weights[1:].sum(axis=1)) == {200}
    assert (weights[:, :1] == weights[:, :100]).all() and (weights[:, 100:101] == weights[:, 100:]).all()
    found = estimate(rate(values, np.ones(200), weights), clusters)
    assert found == (0.5, 0.0, 1.0, 200)
    # As many runs, each a cluster of its own: the interval is about that of a binomial.
    alone = [str(n) for n in range(200)]
    found = estimate(rate(values, np.ones(200), draws_of(alone)), alone)
    assert found.low == pytest.approx(0.5 - 1.96 * math.sqrt(0.25 / 200), abs=0.015)
    assert found.high == pytest.approx(0.5 + 1.96 * math.sqrt(0.25 / 200), abs=0.015)
    assert math.isnan(estimate(rate(values, np.ones(200), draws_of(["x"] * 200)), ["x"] * 200).low)


def test_a_perfect_tool_gets_the_perfect_score(corpus: Path) -> None:
    found = _scored(corpus, _StandIn(_falls, ["reward_parser_bug"]))
    for name in ("delay", "within_8", "gain_8", "top1", "top3"):
        assert found[name][:3] == (1, 1, 1), name
    assert found["within_16"].runs == 2  # c has only 11 steps of its fault
    assert found["false_healthy"].value == found["false_before"].value == found["alarmed"].value == 0
    assert found["of_ideal_16"].value == pytest.approx(1 / 0.8)


def test_a_blind_tool_gets_nothing_and_a_shrill_one_gains_nothing(corpus: Path) -> None:
    blind = _scored(corpus, _StandIn(lambda seen: [], []))
    assert blind["delay"].value == math.inf
    for name in ("within_8", "within_16", "gain_16", "of_ideal_16", "top1", "top3", "false_healthy"):
        assert blind[name].value == 0, name
    shrill = _scored(corpus, _StandIn(lambda seen: ["?"], ["dist_shift", "arch_change", "reward_parser_bug"]))
    assert shrill["within_8"].value == 1 and shrill["gain_8"].value == 0
    assert shrill["false_healthy"].value == shrill["false_before"].value == 1000
    assert shrill["top1"].value == 0 and shrill["top3"].value == 1
    assert shrill["blamed"].value == 1 and blind["blamed"].value == 0
    honest = _scored(corpus, _StandIn(lambda seen: [], ["no_fault_noise", "dist_shift"]))
    assert honest["blamed"].value == 0


def test_false_alarms_are_counted_per_thousand_steps(corpus: Path) -> None:
    found = _scored(corpus, _StandIn(lambda seen: ["!"] if seen.steps[-1] in (5, 10) else [], []))
    assert found["false_healthy"].value == pytest.approx(2 / 40 * 1000)  # healthy, and the three twins
    assert found["false_healthy"].runs == 4
    assert found["false_before"].value == pytest.approx(1000 * 6 / (19 + 24 + 29))


def test_a_tool_that_looks_every_few_rows_never_sees_more_than_there_was(corpus: Path) -> None:
    (record,) = records(corpus, ["a"]).values()
    tool = _StandIn(_falls, [], every=16)
    look(tool, "metrics", record)
    assert tool.shown == [16, 32, 40]


def test_levels_hide_what_they_should(corpus: Path) -> None:
    (record,) = records(corpus, ["a"]).values()
    assert set(record.rows[0]) == {"reward", "foreshock/seen"}  # null is not logged
    assert math.isnan(record.rows[4]["kl"])
    assert curves(record) == ("reward",)
    assert set(record.at("curves", ["reward"]).rows[4]) == {"reward"}
    assert set(record.at("metrics", []).rows[4]) == {"reward", "kl"}
    assert not record.at("metrics", []).evidence
    assert record.at("events", []) == record


def test_a_record_is_a_run_folder_again(corpus: Path, tmp_path: Path) -> None:
    (record,) = records(corpus, ["a"]).values()
    run = foreshock.open_run(write_journal(record, tmp_path / "run"))
    assert run.steps.tolist() == list(range(1, 41))
    assert run.facts["group_size"] == 8
    assert [(seen.step, seen.kind) for seen in run.evidence] == [(30, "batch")]
    assert run.nan_steps["kl"].tolist() == [5, 10, 15, 20, 25, 30, 35, 40]


def test_a_folder_made_elsewhere_is_scored_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = _corpus(tmp_path / "elsewhere", {"run": 30})
    out, cache = tmp_path / "score.json", tmp_path / "cache"
    flags = ["--corpus", str(corpus), "--tool", "foreshock@4", "--cache", str(cache), "--out", str(out)]
    score.main(flags)
    text = capsys.readouterr().out
    document = json.loads(out.read_text())
    line = next(
        line
        for line in document["table"]
        if (line["fault"], line["tool"], line["level"]) == ("all", "foreshock@4", "curves")
    )
    assert line["measures"]["within_8"]["value"] == 1, text  # a fall of fifty deviations
    assert document["schema"] == score.SCHEMA
    assert "probes: no alarms: has no probes yet" in text
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("*.json")}
    score.main([*flags, "--brief"])
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.json")} == kept
    assert len(kept) == 6  # two runs at three levels


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--corpus", "nowhere"], "no truth.json"),
        (["--level", "tea leaves"], "no level tea leaves"),
        (["--tool", "oracle"], "no tool 'oracle'"),
        (["--tool", "rldoctor"], "pip install rldoctor"),
        (["--split", "fit"], "no run in the split 'fit'"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, flags: list[str], message: str) -> None:
    corpus = _corpus(tmp_path / "corpus", {"healthy": None})
    with pytest.raises(SystemExit, match=message):
        score.main(["--corpus", str(corpus), "--cache", str(tmp_path), *flags])


def test_what_a_tool_gave_up_on_is_left_out_and_told(corpus: Path) -> None:
    def fail(seen: Record) -> list[str]:
        raise ToolError("out of paper")

    known = truths(corpus, "check")
    runs = records(corpus, known)
    said = {id: look(_StandIn(fail, []), "metrics", runs[id]) for id in runs}
    rows = score.score(runs, known, {("stand-in", "metrics"): said})
    assert rows[1][4]["within_8"].runs == 0
    assert all(each.error == "out of paper" for each in said.values())


def test_foreshock_tells_what_its_monitor_tells_however_often_it_looks(corpus: Path) -> None:
    held = records(corpus, ["a", "clean-a"])
    often, seldom = (look(adapter.Foreshock(every), "metrics", held["a"]).alarms for every in (1, 10))
    assert often is not None and seldom is not None
    assert [what for _, what in often] == [what for _, what in seldom]
    step, what = next((step, what) for step, what in often if what.startswith("reward_mean"))
    assert 20 <= step <= 22
    assert "at 20" in what or "at 21" in what
    clean = look(adapter.Foreshock(), "metrics", held["clean-a"]).alarms
    assert clean is not None and not [what for _, what in clean if what.startswith("reward_mean")]


def test_tables_of_adapters_name_causes_of_the_catalogue() -> None:
    for module in (rldoctor, rlprobe, rlwatch):
        assert {cause for ids in module.CAUSES.values() for cause in ids} <= causes().keys()


_PEER = """
class _Finding:
    detector, metrics, summary = "kl_drift", {}, ""
    class severity:
        label = "WARN"

class _Monitor:
    latest = None
    def check(self):
        self.latest = type("Diagnosis", (), {"problems": [_Finding]})

class RLDoctorCallback:
    def __init__(self, check_every=25):
        self.every, self.rows, self.monitor = check_every, 0, _Monitor()
        print("chatter")
    def on_train_begin(self, *args): pass
    def on_log(self, args, state, control, logs):
        self.rows += 1
        if logs["reward"] < 0:
            raise ValueError("negative")
        if self.rows % self.every == 0:
            self.monitor.on_finding(_Finding)
"""


def test_a_peer_is_asked_in_its_own_process(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the package: the real ones are not among what tests need."""
    package = tmp_path / "rl_doctor" / "integrations"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("__version__ = '9.9'\n")
    (package / "__init__.py").touch()
    (package / "trl.py").write_text(_PEER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    known = {"a": truths(corpus)["a"]}
    runs = records(corpus, known)
    settings: dict[str, Any] = {"pythons": {"": sys.executable}, "cache": tmp_path / "cache", "workers": 1}
    said = look_at_all(["rldoctor", "rldoctor@15"], ["metrics", "events"], runs, known, **settings)
    usual, often = said["rldoctor", "metrics"]["a"], said["rldoctor@15", "metrics"]["a"]
    assert usual.alarms == ((25, "kl_drift WARN"),) and often.alarms is not None
    assert [step for step, _ in often.alarms] == [15, 30]
    assert usual.causes == ("kl_blowup",)
    assert said["rldoctor", "events"] == {}

    tool = rldoctor.tool(sys.executable)
    broken = look(tool, "metrics", Record("x", (1,), ({"reward": -1.0},)))
    assert broken.error == "rldoctor: ValueError: negative" and broken.alarms is None
    tool.stop()


def test_a_peer_that_is_not_installed_is_told() -> None:
    with pytest.raises(ToolError, match="No module named 'rlwatch'|No package metadata"):
        rlwatch.tool(sys.executable).version()

"""The corpus: enough of everything, twins that are twins, nothing that tells the label but the course."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from _lab import small  # makes the lab importable

# isort: split
from lab import corpus, faults, tables
from lab.corpus import load, make, restore
from lab.family import neutral, told
from lab.harmless import Harmless
from lab.plan import AFTER, SHORTEST, Family, Fork, plan, tasks

import foreshock
from foreshock.record.samples import read_samples

DECLARED = ("resumed", "git_changed", "config_changed", "curriculum", "checkpoint_saved")
WHOLE = Path(corpus.__file__).parent / "corpus"
Array = npt.NDArray[np.float64]


def family(number: int, harmless: tuple[Harmless, ...], *forks: Fork) -> Family:
    options = small(prompts=4, group=4, max_tokens=60, steps=500, seed=40 + number, probe_every=4)
    return Family(number, ("fit", "check")[number % 2], options, 11, 10, harmless, forks, samples=True)


# A loophole that opens silently; and a bug that comes with a restart, while another restart is harmless.
TINY = [
    family(0, (Harmless("curriculum", 3),), Fork("max_length", 0.75, 6, 9)),
    family(1, (Harmless("refactor", 4), Harmless("commit", 7)), Fork("reward_parser_bug", 0.3, 7, 11)),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of the two families."""
    out = tmp_path_factory.mktemp("lab") / "corpus"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "plan", lambda **_: TINY)
        make(out)
    return out


# -- the plan --------------------------------------------------------------------------------------------


def test_the_plan_has_enough_of_everything() -> None:
    families = plan()
    assert len(families) >= 80
    assert min(f.end for f in families) >= SHORTEST
    assert max(f.steps for f in families) == 400
    seeds: dict[tuple[str, float], set[int]] = {}
    for each in families:
        for fork in each.forks:
            seeds.setdefault((fork.fault, fork.dose), set()).add(each.options.seed)
            assert AFTER[0] <= fork.end - fork.onset + 1 <= AFTER[1]
            assert SHORTEST <= fork.end <= each.steps
    assert min(map(len, seeds.values())) >= 4
    doses = Counter(name for name, _ in seeds)
    assert len(doses) >= 26
    assert min(doses.values()) >= 2
    assert {event.kind for f in families for event in f.harmless} >= {"commit", "config", "resume"}
    assert any(f.options.warm_up for f in families)
    assert len({f.options.lr for f in families}) > 2
    assert len({f.options.prompts for f in families}) > 2
    assert Counter(f.split for f in families)["fit"] == len(families) / 2
    assert plan() == families


def test_a_changed_plan_is_another_part() -> None:
    first, *_ = plan()
    assert first.key() == plan()[0].key()
    assert first.key() != dataclasses.replace(first, steps=first.steps + 1).key()


# -- no label from metadata ------------------------------------------------------------------------------


def auc(features: Array, labels: Array, groups: Array) -> float:
    """How often a ridge regression ranks a fault above a healthy run, on groups it has not seen."""
    spread = features.std(0)
    x = np.column_stack(
        [(features - features.mean(0)) / np.where(spread > 0, spread, 1), np.ones(len(labels))]
    )
    scores = np.empty(len(labels))
    folds = np.unique(groups, return_inverse=True)[1] % 8
    for fold in range(8):
        fit = folds != fold
        gram = x[fit].T @ x[fit] + 5.0 * np.eye(x.shape[1])
        scores[~fit] = x[~fit] @ np.linalg.solve(gram, x[fit].T @ (labels[fit] - labels[fit].mean()))
    faulty, healthy = scores[labels == 1], scores[labels == 0]
    above = faulty[:, None] - healthy[None, :]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def chance(labels: Array) -> float:
    """Four standard errors of an AUC that knows nothing."""
    many = labels.sum()
    return 4 * float(np.sqrt((1 / many + 1 / (len(labels) - many)) / 12))


def described(run: Family, end: int, onset: int | None) -> list[float]:
    """What an owner of the run sees without looking at a curve."""
    options, past = run.options, [event for event in run.harmless if event.step <= end]
    numbers = [end, options.prompts, options.group, options.lr, options.beta, options.warm_up, run.samples]
    numbers += [options.dataset, options.staleness, options.epochs, len(past)]
    kinds = ("resume", "commit", "config", "refactor", "curriculum")
    numbers += [sum(event.kind == kind for event in past) for kind in kinds]
    since = min((end - event.step for event in past), default=200)
    return [float(number) for number in (*numbers, since, 14 < since < 25, end % 10)]


def test_the_plan_tells_no_label() -> None:
    rows = [(described(f, f.end, None), 0, f.number) for f in plan()]
    rows += [(described(f, fork.end, fork.onset), 1, f.number) for f in plan() for fork in f.forks]
    features, labels, groups = (np.array(part, float) for part in zip(*rows, strict=True))
    assert abs(auc(features, labels, groups) - 0.5) < chance(labels)
    leaking = features.copy()
    leaking[:, 0] += 15 * labels  # runs that go on for a few steps after a fault would be longer
    assert auc(leaking, labels, groups) > 0.5 + chance(labels), "the test would not see a leak"


@pytest.mark.skipif(not (WHOLE / "truth.json").exists(), reason="the corpus is not here")
def test_the_corpus_tells_no_label() -> None:
    whole = load(WHOLE)
    events = tables.columns_of(WHOLE, "events-*.parquet")
    counts = Counter(zip(events["run"], events["kind"], strict=True))
    last = {run: 0 for run in whole.runs}
    for run, kind, step in zip(events["run"], events["kind"], events["step"], strict=True):
        last[run] = max(last[run], step) if kind in DECLARED[:4] else last[run]
    rows = []
    names = ("reward", "completions/mean_length", "entropy", "grad_norm", "step_time", "num_tokens")
    for identity, run in whole.runs.items():
        numbers = [value for value in run.facts.values() if isinstance(value, (int, float))]
        numbers += [len(run.steps), len(run.steps) - last[identity], int(identity, 16) / 16**12]
        numbers += [counts[identity, kind] for kind in DECLARED]
        numbers += [run.metrics[name][step] for name in names for step in range(3)]
        rows.append((numbers, run.truth["fault"] != "none", run.truth["options"]["seed"]))
    features, labels, groups = (np.array(part, float) for part in zip(*rows, strict=True))
    assert len({tuple(sorted(run.facts)) for run in whole.runs.values()}) == 1
    assert abs(auc(np.nan_to_num(features), labels, groups) - 0.5) < chance(labels)


@pytest.mark.skipif(not (WHOLE / "truth.json").exists(), reason="the corpus is not here")
def test_the_corpus_is_what_its_card_says() -> None:
    whole = load(WHOLE)
    assert sum(path.stat().st_size for path in WHOLE.rglob("*") if path.is_file()) < 60e6
    assert sum(run.truth["fault"] == "none" for run in whole.runs.values()) >= 80
    assert len({run.truth["fault"] for run in whole.runs.values()}) > 26
    splits: dict[int, set[str]] = {}
    for run in whole.runs.values():
        splits.setdefault(run.truth["options"]["seed"], set()).add(run.truth["split"])
    assert all(len(each) == 1 for each in splits.values())
    acted = [run.truth["acted"] for run in whole.runs.values()]
    assert sum(acted) / len(acted) > 0.95


# -- a small one, made here ------------------------------------------------------------------------------


def test_a_faulty_run_is_its_twin_until_the_onset(made: Path) -> None:
    whole = load(made)
    assert Counter(run.truth["fault"] for run in whole.runs.values()) == {
        "none": 2,
        "max_length": 1,
        "reward_parser_bug": 1,
    }
    for identity, differences in whole.twins.items():
        run = whole.runs[identity]
        twin, onset = whole.runs[run.truth["twin"]], run.truth["onset"]
        assert run.truth["acted"], run.truth["check"]
        assert twin.truth["fault"] == "none"
        assert twin.truth["split"] == run.truth["split"]
        for name, values in run.metrics.items():
            assert np.array_equal(values[: onset - 1], twin.metrics[name][: onset - 1], equal_nan=True), name
        shared = min(len(run.steps), len(twin.steps)) - onset + 1
        expected = run.metrics["reward"] - np.resize(twin.metrics["reward"], len(run.steps))
        assert differences["reward"][:shared] == pytest.approx(expected[onset - 1 :][:shared])
        assert any(np.nan_to_num(each).any() for each in differences.values())


def test_a_run_can_be_opened_again_and_names_no_fault(made: Path, tmp_path: Path) -> None:
    whole = load(made)
    for identity, run in whole.runs.items():
        folder = restore(made, identity, tmp_path / identity)
        opened = foreshock.open_run(folder)
        assert list(opened.steps) == list(run.steps)
        assert np.array_equal(opened.series["reward"], run.metrics["reward"])
        assert {"batch", "reward", "model", "engine", "config"} <= {each.kind for each in opened.evidence}
        assert opened.facts["total_steps"] == 500
        assert len(read_samples(folder)) == 4 * len(run.steps)
        written = "".join(path.read_text() for path in folder.iterdir())
        written += json.dumps(run.facts) + identity
        for word in ("fault", "buggy", "parser", "harmless", "twin", "lab.base"):
            assert word not in written, word


def test_events_are_there_in_both_twins(made: Path, tmp_path: Path) -> None:
    whole = load(made)
    kinds = {}
    for identity, run in whole.runs.items():
        if run.truth["options"]["seed"] == TINY[1].options.seed:
            opened = foreshock.open_run(restore(made, identity, tmp_path / identity))
            kinds[run.truth["fault"]] = [(event.step, event.kind) for event in opened.events]
    for happened in kinds.values():
        assert {(4, "resumed"), (4, "git_changed"), (4, "reward_code_changed"), (7, "resumed")} <= set(
            happened
        )
    assert (7, "reward_code_changed") in kinds["reward_parser_bug"], "the bug came with a commit"
    assert (7, "reward_code_changed") not in kinds["none"]


def test_a_stopped_corpus_goes_on_and_ends_the_same(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "plan", lambda **_: TINY)
    parts = made.with_name("corpus-parts")
    copy = tmp_path / "corpus-parts"
    copy.mkdir()
    first, second = sorted(parts.glob("*.gz"))
    (copy / first.name).write_bytes(first.read_bytes())
    (copy / f"{second.name}.123").write_bytes(second.read_bytes()[:100])  # a killed worker's
    trained = []
    original = corpus._part

    def watched(task: tuple[Family, Path]) -> tuple[int, float, str]:
        trained.append(task[0].number)
        return original(task)

    monkeypatch.setattr(corpus, "_part", watched)
    make(tmp_path / "corpus")
    assert trained == [1]
    for path in made.iterdir():
        assert path.read_bytes() == (tmp_path / "corpus" / path.name).read_bytes(), path.name


def test_a_family_that_fails_is_told_and_nothing_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = dataclasses.replace(TINY[0], options=dataclasses.replace(TINY[0].options, prompts=0))
    monkeypatch.setattr(corpus, "plan", lambda **_: [broken])
    with pytest.raises(SystemExit, match=r"families \[0\] failed"):
        make(tmp_path / "corpus")
    assert "Traceback" in capsys.readouterr().out
    assert not (tmp_path / "corpus").exists()


def test_names_of_ours_are_taken_out_of_evidence() -> None:
    line = (
        '{"evidence":"reward","step":3,"data":{"code":{"lab.faults.only_solved.A.install.<locals>.bad<x>":'
        '"0123456789abcdef"},"file":"only_solved.py"}}'
    )
    clean = neutral(line, "1")
    assert "only_solved" not in clean
    assert "0123456789abcdef" not in clean
    assert neutral(line, "1") == clean != neutral(line, "2")


def test_a_start_line_of_a_fork_is_no_restart() -> None:
    start, row = '{"start":{"attempt":1}}', '{"step":%d,"time":1.0,"metrics":{"reward":1.0}}'
    lines = [start, row % 1, start, row % 2, start, row % 3]
    assert [event["step"] for event in told(lines, -1, 9, "")["events"]] == [2, 3]
    assert [event["step"] for event in told(lines, 2, 9, "")["events"]] == [3]


def test_every_fault_can_be_forked_in_every_task() -> None:
    assert all(faults.find(fork.fault) for each in plan() for fork in each.forks)
    assert {each.options.task for each in plan()} == set(tasks())

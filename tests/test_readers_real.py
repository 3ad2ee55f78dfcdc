"""Every log that other people published reads to the numbers that an independent parser found in it.

`csv/ID.csv` beside each log has `step,reward,response_length`, then every other metric under its own name.
Where the two differ on purpose the tables below say why ours is right.
"""

from __future__ import annotations

import csv
import functools
from pathlib import Path

import numpy as np
import pytest

from foreshock.readers import list_runs, open_run
from foreshock.run import FloatArray, Run

IDS = (
    "001-verl-gsm8k 005-econ-verl 010-econ-verl 013-verl-nb 014-finqa 015-grpodyn 016-grpodyn 019-grpodyn "
    "035-grpodyn 036-grpodyn 037-grpodyn 040-grpodyn 041-grpodyn 042-grpodyn 043-grpodyn 048-grpodyn "
    "050-grpodyn 052-grpodyn 053-grpodyn 054-grpodyn 059-grpodyn 060-grpodyn 062-grpodyn 077-grpodyn-aser "
    "085-grpodyn-aser 089-verilog 092-wordle 093-wordle-tb 094-wordle-tb 107-wordle-tb 109-slm-rlvr 112-rhe "
    "113-rhe 120-gsm8k-abl 121-gsm8k-abl 137-recgrpo 147-rdan 148-countdown 150-q05 152-fair 153-metascaler "
    "155-food 159-unsloth-gsm8k 161-f1 162-chaos 165-panacea 166-tz-trl 167-hotpot 171-minimind 172-lmbook "
    "174-ftmath"
).split()

# The other parser's row counter, no metric of the log.
NOT_LOGGED = {"_row"}
# Several updates per step: a Run has one value per step, their mean.
AVERAGED = {"077-grpodyn-aser", "085-grpodyn-aser"}
# Two starts in one file, both at step 0: the table holds them one after the other, we tell them apart.
# (rows of the first start, of which the first was itself a start of one row that step 0 repeats)
RESTARTED = {"112-rhe": 7, "113-rhe": 5}
# The table numbers the printed rows; the progress bars show that each stands for 20 steps of 1,875.
STEP_OF_ROW = {"167-hotpot": lambda row: np.minimum(20 * row, 1875)}
# The table counts from 0; the bar after the first row shows 1/300.
STEP_OF_ROW["165-panacea"] = lambda row: row + 1
# Here rows without a reward are joined to the step that they name (evaluation, profiling); the table has
# only rows with a reward, so that cells are empty in it that we fill.
JOINED = {"137-recgrpo", "109-slm-rlvr"}
# W&B's call counter and clock: many calls share a step, the table has those of the row with the reward.
CALLS = {"109-slm-rlvr": {"_step", "_runtime"}}
# What the trainer prints once, after training, is a fact of the run and no curve.
TOTALS = ("train_runtime", "train_loss", "train_samples_per_second", "train_steps_per_second", "total_flos")
# Columns that the other parser renamed.
RENAMED = {
    "171-minimind": {
        "actor_loss": "Actor Loss",
        "adv_std": "Adv Std",
        "correct": "Correct",
        "fmt": "Fmt",
        "kl": "KL_ref",
        "avg_response_len": "Avg Len",
    },
    "172-lmbook": {"grpo_iter": "GRPO iter", "iteration": "Iteration", "avg_reward": "Average Reward"},
    "174-ftmath": {"loss": "Loss"},
}


@functools.cache
def table(path: Path) -> tuple[tuple[str, ...], FloatArray]:
    """(column names, values of shape (rows, columns)) of an independent table, NaN where empty."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return tuple(header), np.array([[float(cell) if cell else np.nan for cell in row] for row in rows])


def log_of(shared: Path, id: str) -> Path:
    (path,) = (shared / "data" / "real" / "raw" / id).iterdir()
    return path


def expected(shared: Path, id: str) -> dict[str, FloatArray]:
    """The table's columns, brought to one row per step by the rules above."""
    header, values = table(shared / "data" / "real" / "csv" / f"{id}.csv")
    if id in STEP_OF_ROW:
        values = values.copy()
        values[:, 0] = STEP_OF_ROW[id](values[:, 0])
    if id in RESTARTED:
        values = values[RESTARTED[id] :]
    if id in AVERAGED:
        steps = np.unique(values[:, 0])
        values = np.array([values[values[:, 0] == step].mean(axis=0) for step in steps])
    return {name: values[:, place] for place, name in enumerate(header)}


def compare(run: Run, name: str, want: FloatArray, got: FloatArray, joined: bool) -> None:
    """Equal to 1e-6, NaN where NaN; `joined`: ours may have values where the table has none."""
    if joined:
        got = np.where(np.isnan(want), np.nan, got)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=0, equal_nan=True, err_msg=f"{run.id}: {name}")


@pytest.mark.parametrize("id", IDS)
def test_every_number_of_a_published_log_is_read(shared: Path, id: str) -> None:
    run = open_run(log_of(shared, id))
    columns = expected(shared, id)
    at = np.searchsorted(run.steps, columns["step"])
    assert np.array_equal(run.steps[np.minimum(at, len(run.steps) - 1)], columns["step"])
    compared = 0
    for name, want in columns.items():
        if name in ("step", *NOT_LOGGED, *CALLS.get(id, ())) or np.isnan(want).all():
            continue
        bare = name.removeprefix("train/")
        if bare in TOTALS and bare in run.facts:
            (value,) = want[~np.isnan(want)]
            assert run.facts[bare] == pytest.approx(value, rel=1e-6)
            continue
        key = RENAMED.get(id, {}).get(name, name)
        if key not in run.series.original and np.array_equal(want, columns["step"]):
            continue  # the column that we took as the step
        if name in ("reward", "response_length"):
            got = run.series.canonical[f"{name}_mean"]
            if run.columns[f"{name}_mean"].key != name:
                compare(run, name, want, got[at], id in JOINED)
                continue
        compare(run, name, want, run.series.original[key][at], id in JOINED)
        compared += 1
    assert compared > 0 or id == "174-ftmath"


@pytest.mark.parametrize("id", IDS)
def test_no_published_log_has_steps_with_a_reward_that_the_table_lacks(shared: Path, id: str) -> None:
    run = open_run(log_of(shared, id))
    columns = expected(shared, id)
    logged = run.steps[~np.isnan(run.series["reward_mean"])]
    assert np.isin(logged, columns["step"]).all()


@pytest.mark.parametrize("id", sorted(RESTARTED))
def test_both_starts_in_one_file_can_be_opened(shared: Path, id: str) -> None:
    path = log_of(shared, id)
    _, values = table(shared / "data" / "real" / "csv" / f"{id}.csv")
    first, second = list_runs(path)
    assert (first.rows, second.rows) == (RESTARTED[id], len(values) - RESTARTED[id])
    early = values[: RESTARTED[id]]
    if id == "112-rhe":  # its first row is a start of its own, which the second row replaces
        early = early[1:]
    run = open_run(path, run=first.id)
    assert run.steps.tolist() == early[:, 0].tolist()
    compare(run, "reward", early[:, 1], run.series["reward_mean"], joined=False)
    assert "restarts" in {note.kind for note in open_run(path).notes}


def test_the_kl_of_094_is_infinite_where_it_was_logged_so(shared: Path) -> None:
    run = open_run(log_of(shared, "094-wordle-tb"))
    kl = run.series["train/kl"]
    assert np.isinf(kl).any()
    assert np.isfinite(run.series["reward_mean"]).all()
    assert np.nanmax(run.series["train/grad_norm"]) > 1e15

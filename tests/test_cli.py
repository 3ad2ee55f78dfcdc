"""The command line end to end: what people type, what they get, and the exit code."""

from __future__ import annotations

import gzip
import json
import math
import random
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from foreshock.cli import command_line, main
from foreshock.demo import RUNS, DemoRun

OUTPUTS = ("report.html", "report.md", "report.json", "charts.png", "charts.svg")


def run(*args: str, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """`foreshock ARGS` as its own process."""
    return subprocess.run(
        [sys.executable, "-m", "foreshock", *args], input=stdin, capture_output=True, cwd=cwd, check=False
    )


def demo_csv(name: str = "layer-pruned") -> Path:
    return next(r.path for r in RUNS if r.name == name)


def test_demo_writes_every_output_and_tells_the_truth(tmp_path: Path) -> None:
    done = run("demo", cwd=tmp_path)
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    for name in OUTPUTS:
        assert (tmp_path / "demo-report" / name).stat().st_size > 1000
    assert "What was really done to this run" in text
    assert any("⠀" <= character <= "⣿" for character in text), "no chart was drawn in the terminal"


@pytest.mark.parametrize("bundled", RUNS, ids=lambda r: r.name)
def test_bundled_runs_get_the_verdict_that_their_truth_asks_for(bundled: DemoRun) -> None:
    document = json.loads(run("report", str(bundled.path), "--json").stdout)
    drops = [c for c in document["changes"] if c["signal"] == "reward_mean" and c["kind"] == "drop"]
    if bundled.name == "clean-64-prompts":
        assert document["verdict"] == "healthy" and not drops
    else:
        assert document["verdict"] == "trouble"
        assert drops and drops[0]["step_interval"][0] <= 61 <= drops[0]["step_interval"][1]


def test_json_on_standard_output_is_one_document_and_writes_nothing(tmp_path: Path) -> None:
    done = run("report", str(demo_csv()), "--json", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert document["schema"] == "foreshock.report/1"
    assert document["run"]["steps"] == {"first": 1, "last": 76, "count": 76}
    assert list(tmp_path.iterdir()) == []


def test_standard_input_and_gzip_give_the_same_report_as_the_file(tmp_path: Path) -> None:
    path = demo_csv()
    packed = tmp_path / "run.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    documents = [
        json.loads(run("report", str(path), "--json").stdout),
        json.loads(run("report", str(packed), "--json").stdout),
        json.loads(run("report", "-", "--json", stdin=path.read_bytes()).stdout),
    ]
    for key in ("signals", "changes", "relations", "verdict", "causes"):
        assert documents[0][key] == documents[1][key] == documents[2][key]


def test_fail_on_turns_the_verdict_into_the_exit_code() -> None:
    assert run("report", str(demo_csv()), "--json").returncode == 0
    assert run("report", str(demo_csv()), "--json", "--fail-on", "trouble").returncode == 1
    assert run("report", str(demo_csv()), "--json", "--fail-on", "watch").returncode == 1
    assert run("report", str(demo_csv("clean-64-prompts")), "--json", "--fail-on", "watch").returncode == 0


def test_map_and_step_key_override_what_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(
        "".join(json.dumps({"it": i * 2, "mine": 0.5 + i / 100, "n": 100 + i}) + "\n" for i in range(30))
    )
    refused = run("report", str(path), "--json")
    assert refused.returncode == 2 and b"--map reward=" in refused.stderr
    document = json.loads(
        run(
            "report", str(path), "--json", "--map", "reward=mine", "--map", "length=n", "--step-key", "it"
        ).stdout
    )
    assert document["run"]["steps"] == {"first": 0, "last": 58, "count": 30}
    assert document["signals"]["reward_mean"]["key"] == "mine"
    assert document["signals"]["response_length_mean"]["last"] == 129


def test_several_runs_are_listed_and_one_can_be_chosen(tmp_path: Path) -> None:
    for seed, name in enumerate(("first", "second")):
        (tmp_path / name).mkdir()
        history = [
            {"step": i, "reward": seed + i / 10, "completions/mean_length": 100.0 + i} for i in range(1, 21)
        ]
        (tmp_path / name / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    refused = run("report", str(tmp_path), "--json")
    assert refused.returncode == 2 and b"first" in refused.stderr and b"--run" in refused.stderr
    listed = run("runs", str(tmp_path))
    assert listed.returncode == 0 and b"first" in listed.stdout and b"second" in listed.stdout
    assert (
        json.loads(run("report", str(tmp_path), "--run", "2", "--json").stdout)["run"]["steps"]["count"] == 20
    )


@pytest.mark.parametrize("size", ["screen", "page", "column"])
@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_plot_writes_each_format_at_each_size(tmp_path: Path, size: str, kind: str) -> None:
    target = tmp_path / f"figure.{kind}"
    result = CliRunner().invoke(command_line(), ["plot", str(demo_csv()), "-o", str(target), "--size", size])
    assert result.exit_code == 0, result.output
    head = target.read_bytes()[:300]
    assert {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}[kind] in head


def test_compare_overlays_runs_and_needs_two(tmp_path: Path) -> None:
    target = tmp_path / "both.png"
    done = run("compare", str(demo_csv()), str(demo_csv("clean-64-prompts")), "-o", str(target))
    assert done.returncode == 0 and target.stat().st_size > 5000, done.stderr.decode()
    assert run("compare", str(demo_csv())).returncode == 2


def test_signals_prints_the_dictionary_and_explains_a_key() -> None:
    listed = run("signals").stdout.decode()
    assert "reward_mean" in listed and "response_length_mean" in listed
    assert "reward_mean" in run("signals", "critic/score/mean").stdout.decode()
    assert len(json.loads(run("signals", "--json").stdout)) == 69
    unknown = run("signals", "reward_meen")
    assert unknown.returncode == 2 and b"reward_mean" in unknown.stderr


BAD = {
    "no such file": None,
    "empty": b"",
    "binary": random.Random(0).randbytes(200_000),
    "prose": b"It was a dark and stormy night; the rain fell in torrents.\n" * 50,
    "wrong header": b"a;b;c\n1;2;3\n4;5;6\n",
    "no reward": b"".join(b'{"step": %d, "loss": %f}\n' % (i, math.sin(i)) for i in range(50)),
    "two rewards": b"".join(
        b'{"step": %d, "mean_reward": %d, "avg_reward": %d}\n' % (i, i, i * i) for i in range(50)
    ),
    "truncated gzip": gzip.compress(random.Random(1).randbytes(100_000))[:50_000],
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_gets_one_clear_sentence_and_exit_2(tmp_path: Path, what: str) -> None:
    path = tmp_path / "log.dat"
    content = BAD[what]
    if content is not None:
        path.write_bytes(content)
    done = run("report", str(path), "--out", str(tmp_path / "out"))
    message = done.stderr.decode()
    assert done.returncode == 2
    assert message.startswith("foreshock: ") and "Traceback" not in message
    assert len(message.splitlines()) <= 6
    assert not (tmp_path / "out").exists(), "nothing may be written for input that was refused"


def test_bad_options_get_one_clear_sentence_and_exit_2() -> None:
    log = str(demo_csv())
    for args in (
        ["--map", "reward"],
        ["--map", "reward=nokey"],
        ["--format", "nosuch"],
        ["--run", "nosuch"],
        ["--signals", "nosuch"],
    ):
        done = run("report", log, "--json", *args)
        assert done.returncode == 2, args
        assert done.stderr.decode().startswith("foreshock: "), args
        assert b"Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file, not a folder")
    done = run("report", str(demo_csv()), "--out", str(taken))
    assert done.returncode == 2 and b"taken" in done.stderr and b"Traceback" not in done.stderr


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code in (0, None)
    assert capsys.readouterr().out.startswith("foreshock ")
    assert CliRunner().invoke(command_line(), ["--help"]).exit_code == 0


@pytest.mark.parametrize(
    "log",
    [
        "001-verl-gsm8k/Qwen2.5-0.5B-bsz256_2-prompt1024-resp512-0.567.log",
        "094-wordle-tb/events.out.tfevents.1767713359.lara_TUF.31628.0",
        "062-grpodyn/adabalance_seed42.log",
        "155-food/trainer_state.json",
        "109-slm-rlvr/run-c3dxcbvj.wandb",
        "171-minimind/r1_main.log",
        "013-verl-nb/verl_getting_started.ipynb",
    ],
)
def test_real_logs_of_every_kind_get_a_full_report(shared: Path, tmp_path: Path, log: str) -> None:
    done = run("report", str(shared / "data" / "real" / "raw" / log), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr.decode()
    for name in OUTPUTS:
        assert (tmp_path / name).stat().st_size > 1000

"""Train once, with or without a fault, and record it.

    python -m lab run --fault reward_parser_bug --dose 0.3 --at 60 --steps 80 --seed 7 --out DIR

Expected: under two minutes on one core at 12 prompts a step; then

    DIR/run/            what a user of Foreshock would have: `foreshock report DIR/run`
    DIR/truth.json      the fault, its dose and step, whether its manipulation check passed
    DIR/secret.jsonl    per step what only the lab knows: true accuracy, wrong labels, versions, norms
    DIR/fork.pt         the state before step K
    DIR/twin.jsonl      the first steps of the same run without the fault, forked from there

A run that was interrupted goes on where it was when the command is given again with --resume.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import zlib
from pathlib import Path
from typing import Any

import torch

from lab import faults
from lab.faults.base import Check, Fault, onset
from lab.recording import Recording
from lab.train import Options, Row, Training


def prepare(
    options: Options, fault: Fault, start: Path | None = None, checkpoint: Path | None = None
) -> Training:
    """A training, from a checkpoint if there is one, with the fault in it if its time has come."""
    torch.set_num_threads(1)
    training = Training(dataclasses.replace(options), start)
    if checkpoint is not None:
        training.restore(checkpoint)
    if training.done >= fault.at:
        fault.install(training)
    return training


def advance(training: Training, fault: Fault) -> tuple[Row, Row, Any]:
    """One step; the fault strikes before the step that is its own."""
    if training.done + 1 == fault.at:
        fault.install(training)
        fault.act(training)
    return training.step()


def branch(
    options: Options, fault: Fault, fork: Path | None, steps: int, start: Path | None = None
) -> list[Row]:
    """Rows of a run from the fork on, everything known of a step in one row."""
    training = prepare(options, fault, start, fork)
    rows = [advance(training, fault) for _ in range(steps)]
    return [{**metrics, **secret} for metrics, secret, _ in rows]


def twins(
    options: Options, fault: Fault, fork: Path | None, steps: int, start: Path | None = None
) -> tuple[list[Row], list[Row]]:
    """Rows of the clean and of the faulty run from the fork on."""
    clean = faults.find("none", at=fault.at)
    return branch(options, clean, fork, steps, start), branch(options, fault, fork, steps, start)


def main(arguments: list[str]) -> None:
    """Read the flags, train, judge, write the truth."""
    parser = argparse.ArgumentParser(
        "lab run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for field in dataclasses.fields(Options):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default
        )
    parser.add_argument("--fault", default="none", choices=faults.NAMES)
    parser.add_argument(
        "--dose", type=float, default=None, help="default: the strongest of the fault's doses"
    )
    parser.add_argument("--at", type=int, default=60, help="the step from which the fault acts; 0 draws it")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, default=None, help="weights; default: lab/checkpoints/TASK")
    parser.add_argument("--fork", type=Path, default=None, help="a fork.pt to begin from")
    parser.add_argument("--twin", type=int, default=10, help="steps of the clean twin; 0 for none, no check")
    parser.add_argument("--save-every", type=int, default=20, help="steps between two checkpoints")
    parser.add_argument("--resume", action="store_true")
    flags = vars(parser.parse_args(arguments))
    options = Options(**{field.name: flags.pop(field.name) for field in dataclasses.fields(Options)})
    go(options, **flags)


def go(
    options: Options,
    *,
    out: Path,
    fault: str = "none",
    dose: float | None = None,
    at: int = 60,
    start: Path | None = None,
    fork: Path | None = None,
    twin: int = 10,
    save_every: int = 20,
    resume: bool = False,
) -> dict[str, Any]:
    """The command as a function; returns the truth."""
    at = at or onset(options.seed, 2, max(2, options.steps - 16))
    out.mkdir(parents=True, exist_ok=True)
    secret_path, latest = out / "secret.jsonl", out / "latest.pt"
    if secret_path.exists() and not resume:
        raise SystemExit(f"{out} holds a run already; give --resume to go on with it, or another --out")
    evil = faults.find(fault, dose, at)
    training = prepare(options, evil, start, latest if resume and latest.exists() else fork)
    first = training.done + 1
    kept = [line for line in _lines(secret_path) if json.loads(line)["step"] < first]
    secret_path.write_text("".join(kept))  # a step after the checkpoint is done again
    recording = Recording(
        out / "run", options, f"lab-{zlib.crc32(repr((options, fault, dose, at)).encode()):08x}"
    )
    faulty: list[Row] = []
    for step in range(first, options.steps + 1):
        if step == evil.at:
            training.save(out / "fork.pt")
        metrics, secret, batch = advance(training, evil)
        recording.step(training, metrics, batch, secret["lag"])
        with secret_path.open("a") as file:
            file.write(json.dumps({"step": step, **finite(secret)}) + "\n")
        if step >= evil.at:
            faulty.append({**metrics, **secret})
        if save_every and step % save_every == 0:
            training.save(latest)
            recording.recorder.event("checkpoint_saved", f"Checkpoint of step {step}.", step=step)
    recording.close()
    truth: dict[str, Any] = {
        "fault": fault,
        "cause": evil.cause,
        "dose": evil.dose,
        "dose_means": evil.meaning,
        "at": evil.at if fault != "none" else None,
        "options": dataclasses.asdict(options),
    }
    steps = min(twin, options.steps - evil.at + 1)
    if steps > 0 and first <= evil.at:
        check = _judge(options, evil, out, start, faulty[:steps])
        truth |= {"acted": check.acted, "check": check.text}
    (out / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    print(f"{fault} at step {evil.at}: {truth.get('check', 'not checked')}; written to {out}")
    return truth


def _judge(options: Options, fault: Fault, out: Path, start: Path | None, faulty: list[Row]) -> Check:
    """Run the clean twin from the fork, keep it, and ask the fault whether it acted."""
    clean = faults.find("none", at=fault.at)
    training = prepare(options, clean, start, out / "fork.pt")
    rows = []
    with (out / "twin.jsonl").open("w") as file:
        for _ in faulty:
            metrics, secret, batch = advance(training, clean)
            rows.append({**metrics, **secret})
            file.write(json.dumps({"step": batch.step, **finite(rows[-1])}) + "\n")
    return fault.check(rows, faulty)


def finite(row: Row) -> dict[str, float | str]:
    """A row as JSON allows it: NaN and infinities as texts."""
    return {name: value if math.isfinite(value) else str(value) for name, value in row.items()}


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True) if path.exists() else []

"""`foreshock samples RUNDIR --step N`: completions before and after a step, side by side."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer


def samples(
    folder: Annotated[Path, typer.Argument(metavar="RUNDIR", help="The folder of a recorded run.")],
    step: Annotated[int, typer.Option("--step", metavar="N", help="The step to compare around.")],
    before: Annotated[
        int | None,
        typer.Option("--before", metavar="N", min=1, help="Compare with N steps before; default: 1."),
    ] = None,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="How many pairs.")] = 3,
    full: Annotated[bool, typer.Option("--full", help="Do not cut long texts.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON, texts as they were recorded.")] = False,
) -> None:
    """Show completions from before a step beside those from it on, to the same prompt where there is one."""
    from foreshock.errors import InputError, NotARunError
    from foreshock.record.samples import read_samples
    from foreshock.report.side_by_side import pair_up, print_pairs

    if not folder.is_dir():
        raise InputError(f"no such folder: {folder}")
    found = read_samples(folder)
    if not found:
        raise NotARunError(
            f"{folder} holds no samples-*.jsonl; give the folder of a run that was recorded with completions"
        )
    pairs = pair_up(found, step, before, count)
    if json:
        from foreshock.report.document import plain
        from foreshock.report.json import dumps

        sys.stdout.buffer.write(dumps(plain([dataclasses.asdict(pair) for pair in pairs])))
        return
    from rich.console import Console

    print_pairs(pairs, Console(highlight=False, markup=False, emoji=False), full=full)

"""Recorded completions before and after a step, next to one another.

What a model wrote is untrusted: control characters, escape sequences and marks that turn the direction of
writing are taken out before anything is printed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from foreshock.errors import InputError
from foreshock.record.samples import Sample
from foreshock.report._numbers import one_line

_WINDOW = 20  # recorded steps on either side that are searched for the same prompt
_WIDE = 80  # columns from which two completions fit next to one another
_HEAD, _TAIL = 1200, 500  # characters of a long text that are shown
_IDS = 40  # token ids shown
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")


@dataclass(frozen=True)
class Pair:
    """Two completions to compare; `same_prompt` says whether they answer the same."""

    before: Sample
    after: Sample
    same_prompt: bool


def pair_up(samples: Sequence[Sample], step: int, before: int | None = None, most: int = 3) -> list[Pair]:
    """Completions from before `step` beside completions from `step` on, those to the same prompt first.

    The same prompt is looked for in the 20 recorded steps on either side; what is nearest to `step` wins. The
    other pairs are from the nearest recorded steps.

    Args:
        samples: as `read_samples` returns them.
        step: the first step of the right side.
        before: compare with so many steps before instead of the steps right before.
        most: how many pairs.

    Raises:
        InputError: there are no samples on one of the sides.
    """
    last_left = step - (before or 1)
    left = _by_step([sample for sample in samples if sample.step <= last_left], nearest_last=True)
    right = _by_step([sample for sample in samples if sample.step >= step], nearest_last=False)
    if not left or not right:
        side = f"at or before step {last_left}" if not left else f"at or after step {step}"
        steps = [sample.step for sample in samples]
        raise InputError(f"no sample {side}; there are samples from step {min(steps)} to step {max(steps)}")
    chosen = [Pair(a, b, True) for a, b in _same_prompts(left, right)][:most]
    used = {id(sample) for pair in chosen for sample in (pair.before, pair.after)}
    rest = [[sample for sample in side[0] if id(sample) not in used] for side in (left, right)]
    chosen += [Pair(a, b, False) for a, b in zip(*rest, strict=False)][: most - len(chosen)]
    return chosen or [Pair(left[0][0], right[0][0], False)]


def _by_step(samples: Sequence[Sample], *, nearest_last: bool) -> list[list[Sample]]:
    """Samples of the recorded steps of one side, the nearest step first."""
    steps: dict[int, list[Sample]] = {}
    for sample in samples:
        steps.setdefault(sample.step, []).append(sample)
    return [steps[step] for step in sorted(steps, reverse=nearest_last)[:_WINDOW]]


def _same_prompts(left: list[list[Sample]], right: list[list[Sample]]) -> Iterator[tuple[Sample, Sample]]:
    """For each prompt on both sides its samples nearest to the step; the nearest pair first."""
    sides: list[dict[str, tuple[int, Sample]]] = [{}, {}]
    for nearest, side in zip(sides, (left, right), strict=True):
        for far, samples in enumerate(side):
            for sample in samples:
                nearest.setdefault(json.dumps(sample.prompt, sort_keys=True, default=str), (far, sample))
    common = sides[0].keys() & sides[1].keys() - {"null"}
    for key in sorted(common, key=lambda key: (sides[0][key][0] + sides[1][key][0], key)):
        yield sides[0][key][1], sides[1][key][1]


def print_pairs(pairs: Sequence[Pair], console: Console, *, full: bool = False) -> None:
    """Print the pairs, in two columns where the terminal is wide enough; long texts are cut unless `full`."""
    for number, pair in enumerate(pairs, 1):
        what = "same prompt" if pair.same_prompt else "different prompts"
        console.print(Rule(f"{number} of {len(pairs)}, {what}", align="left", characters="-"))
        if pair.same_prompt:
            console.print(Group(_heading("prompt"), _text(pair.after.prompt, full, console)))
            console.print()
        cells = [_cell(sample, not pair.same_prompt, full, console) for sample in (pair.before, pair.after)]
        if console.width >= _WIDE:
            grid = Table.grid(padding=(0, 2), expand=True)
            grid.add_column(ratio=1, overflow="fold")
            grid.add_column(ratio=1, overflow="fold")
            grid.add_row(*cells)
            console.print(grid)
        else:
            console.print(Group(cells[0], Text(), cells[1]))
        console.print()


def _cell(sample: Sample, with_prompt: bool, full: bool, console: Console) -> RenderableType:
    parts: list[RenderableType] = [_heading(f"step {sample.step}"), Text(_rewards(sample), style="bold")]
    if with_prompt:
        parts += [_heading("prompt"), _text(sample.prompt, full, console), Text()]
    if columns := _columns(sample.columns):
        parts.append(Text(_shown(columns, console), style="dim", overflow="fold"))
    if with_prompt or columns:
        parts.append(_heading("completion"))
    parts.append(_text(sample.completion, full, console))
    if sample.cut:
        parts.append(_heading("(cut when it was recorded)"))
    return Group(*parts)


def _heading(words: str) -> Text:
    return Text(words, style="cyan")


def _rewards(sample: Sample) -> str:
    """Rewards by component: "accuracy 1, format 0.5, judge not scored"."""
    parts = []
    for name, value in sample.rewards.items():
        shown = "not scored" if value is None else ("NaN" if math.isnan(value) else f"{value:.4g}")
        parts.append(f"{one_line(name)} {shown}")
    return ", ".join(parts) or "no rewards recorded"


def _columns(columns: Mapping[str, Any]) -> str:
    """What else was kept for a sample, short values only."""
    shown = [(one_line(name), one_line(value)) for name, value in columns.items() if value is not None]
    return ", ".join(f"{name}: {value}" for name, value in shown if value and len(value) <= 120)


def _text(value: Any, full: bool, console: Console) -> Text:
    """A prompt or completion, wrapped by the console."""
    text = clean(plain_text(value))
    if not full and len(text) > _HEAD + _TAIL:
        left_out = len(text) - _HEAD - _TAIL
        cut = f"[{left_out:,} characters left out; --full shows them]"
        text = f"{text[:_HEAD]}\n{cut}\n{text[-_TAIL:]}"
    return Text(_shown(text, console), overflow="fold")


def _shown(text: str, console: Console) -> str:
    """The text in what the terminal can show."""
    return text.encode("ascii", "replace").decode() if console.options.ascii_only else text


def plain_text(value: Any) -> str:
    """A prompt or completion as text: chat messages with their roles, token ids as numbers."""
    if value is None:
        return "(not recorded)"
    if isinstance(value, str):
        return value or "(empty)"
    if isinstance(value, Mapping):
        content = plain_text(value.get("content", value.get("text", "")))
        return f"{value['role']}: {content}" if "role" in value else content
    if isinstance(value, Sequence) and value and all(isinstance(one, int) for one in value):
        ids = " ".join(map(str, value[:_IDS])) + (" ..." if len(value) > _IDS else "")
        return f"(token ids: {ids})"
    if isinstance(value, Sequence):
        return "\n".join(plain_text(one) for one in value) or "(empty)"
    return str(value)


def clean(text: str) -> str:
    """`text` with its lines and without anything that a terminal would obey."""
    text = _ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return "".join(c if c == "\n" or c.isprintable() else (" " if c.isspace() else "") for c in text)

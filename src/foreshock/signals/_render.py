"""The dictionary for people: one key explained, and the page of the documentation."""

from __future__ import annotations

import difflib

from foreshock.errors import MetricError
from foreshock.signals._catalogue import Key, Signal, catalogue, frameworks, signal
from foreshock.signals._evidence import evidence_curves, evidence_signal
from foreshock.signals._generic import normal_form, plain_names

_GOOD = {"up": "up", "down": "down", None: "neither"}


def explain(name: str) -> list[Signal]:
    """The signals that `name` may mean: a canonical name, a key as some trainer logs it, or a plain name.

    Raises:
        MetricError: nothing has that name; names what is nearest.
    """
    exact = signal(name) or evidence_signal(name)
    if exact is not None:
        return [exact]
    for found in (_by_key(name), _by_key(name.removeprefix("train/")), _by_plain_name(name)):
        if found:
            return found
    known = [key.pattern for each in catalogue().values() for keys in each.keys.values() for key in keys]
    near = list(dict.fromkeys(difflib.get_close_matches(name, [*catalogue(), *known], 4, 0.5)))
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise MetricError(
        f"the dictionary has no signal and no key {name!r}; {hint}`foreshock signals` lists all signals"
    )


def _by_key(name: str) -> list[Signal]:
    """Signals with this very key; where there is none, those with a `*` that fits, the closest fit first."""
    fits: dict[str, int] = {}
    for each in catalogue().values():
        for keys in each.keys.values():
            for key in keys:
                if key.match(name) is not None:
                    exact = 1000 if "*" not in key.pattern else len(key.pattern)
                    fits[each.name] = max(fits.get(each.name, 0), exact)
    best = max(fits.values(), default=0)
    return [catalogue()[found] for found, fit in fits.items() if fit == best]


def _by_plain_name(name: str) -> list[Signal]:
    form = normal_form(name)
    return [
        catalogue()[found] for found, tiers in plain_names().items() if any(form in tier for tier in tiers)
    ]


def markdown() -> str:
    """The dictionary as the page `docs/signals.md`."""
    signals = catalogue()
    count = sum(len(keys) for each in signals.values() for keys in each.keys.values())
    lines = [
        "# Signals",
        "",
        "<!-- made from src/foreshock/signals/dictionary.json by `make docs`; do not edit -->",
        "",
        f"{len(signals)} canonical signals and the {count} keys under which {len(frameworks())} trainers log",
        "them. `run.series` has each signal under its canonical name and under the key it was logged with.",
        "Of a trainer's keys the first that was logged is used; `*` stands for any text. Where a key needs",
        "arithmetic, or has another unit, that stands behind it. A key that nothing explains is listed in",
        "the report and kept under its own name.",
        "",
        "A log of no known trainer is resolved by plain names, whatever the spelling: `avg_reward`,",
        "`reward/mean` and `Train Reward` are the same. Where several could be the reward and differ, the",
        "command stops and names them; `--map reward=KEY` decides.",
        "",
        "## All signals",
        "",
        "| signal | title | unit | good | valid |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| [{s.name}](#{s.name}) | {s.title} | {s.unit} | {_GOOD[s.good]} | {_cell(s.range)} |"
        for s in signals.values()
    ]
    lines += _recorded() + _trainers()
    for each in signals.values():
        lines += ["", f"## {each.name}", "", f"{each.title}. {each.meaning}", ""]
        for framework, keys in each.keys.items():
            lines.append(f"- {frameworks()[framework].title}: {', '.join(_shown(key) for key in keys)}")
    return "\n".join(lines) + "\n"


def _recorded() -> list[str]:
    """The table of what the recorder keeps beside the trainer's metrics."""
    lines = [
        "",
        "## Recorded by Foreshock",
        "",
        "Curves that the [recorder](record/index.md) keeps as evidence. They are not searched for changes",
        "(what changes in the evidence is an event) and stand in for a signal only where the trainer logs",
        "none.",
        "",
        "| key | title | unit | stands in for | meaning |",
        "|---|---|---|---|---|",
    ]
    for pattern, curve in evidence_curves().items():
        fills = f"[{curve.fills}](#{curve.fills})" if curve.fills else ""
        lines.append(f"| `{pattern}` | {curve.title} | {curve.unit} | {fills} | {_cell(curve.meaning)} |")
    return lines


def _trainers() -> list[str]:
    """The table of trainers."""
    lines = [
        "",
        "## Trainers",
        "",
        "| id | trainer | repository | counts steps by | prefix | keys of evaluations |",
        "|---|---|---|---|---|---|",
    ]
    for each in frameworks().values():
        cells = (f"`{each.id}`", each.title, each.repo, each.step, each.prefix, each.eval)
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return lines


def _shown(key: Key) -> str:
    return f"`{key.pattern}`" + (f" ({key.says})" if key.says else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")

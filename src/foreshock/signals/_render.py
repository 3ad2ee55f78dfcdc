"""The dictionary for people: one key explained, and the page of the documentation."""

from __future__ import annotations

import difflib
import fnmatch

from foreshock.errors import MetricError
from foreshock.signals._catalogue import Signal, catalogue, frameworks

_GOOD = {"up": "up", "down": "down", None: "neither"}


def explain(name: str) -> list[Signal]:
    """The signals that `name` may mean: a canonical name, or a key as some trainer logs it.

    Raises:
        MetricError: nothing has that name; names what is nearest.
    """
    if name in catalogue():
        return [catalogue()[name]]
    found = [
        signal
        for signal in catalogue().values()
        if any(fnmatch.fnmatchcase(name, key.pattern) for keys in signal.keys.values() for key in keys)
    ]
    if found:
        return found
    everything = [
        *catalogue(),
        *(k.pattern for s in catalogue().values() for ks in s.keys.values() for k in ks),
    ]
    near = list(dict.fromkeys(difflib.get_close_matches(name, everything, 4, 0.5)))
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise MetricError(
        f"the dictionary has no signal and no key {name!r}{hint} `foreshock signals` lists all".rstrip()
    )


def markdown() -> str:
    """The dictionary as the page `docs/signals.md`."""
    signals = catalogue()
    count = sum(len(keys) for signal in signals.values() for keys in signal.keys.values())
    lines = [
        "# Signals",
        "",
        "<!-- made from src/foreshock/signals/dictionary.json by `make docs`; do not edit -->",
        "",
        f"{len(signals)} canonical signals and the {count} keys under which {len(frameworks())} trainers log",
        "them. `run.series` has each signal under its canonical name and under the key it was logged with.",
        "Where a key needs arithmetic, it stands behind it. For each trainer the first key is preferred.",
        "",
        "| signal | unit | good | valid |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| [{s.name}](#{s.name}) | {s.unit or '-'} | {_GOOD[s.good]} | {_cell(s.range)} |"
        for s in signals.values()
    ]
    for signal in signals.values():
        lines += ["", f"## {signal.name}", "", f"{signal.title}. {signal.meaning}".replace("|", "\\|"), ""]
        for framework, keys in signal.keys.items():
            shown = ", ".join(
                f"`{key.pattern}`" + ("" if key.transform == "identity" else f" ({key.transform})")
                for key in keys
            )
            lines.append(f"- {frameworks()[framework].title}: {shown}")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

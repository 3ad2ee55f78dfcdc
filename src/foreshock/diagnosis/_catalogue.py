"""The catalogue of causes as records, read once from `catalogue.json`."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreshock.signals import signal

Sign = int | str | None
_SIGNS = {
    2: "strongly up",
    1: "up",
    0: "unchanged",
    -1: "down",
    -2: "strongly down",
    "step": "steps either way",
    "spike": "spikes",
    "noisy": "scatters more",
    "nonfinite": "NaN or infinite",
    "zero": "to 0",
    "one": "to 1",
    None: "",
}


@dataclass(frozen=True)
class Cause:
    """A thing that can go wrong in a run.

    Attributes:
        id: stable name.
        title: what people call it.
        category: data, model, code, infra, system, objective, optim, length, agentic, or null for no fault.
        mechanism: what happens, in a sentence or two.
        signature: signal -> what it does before, at and after the onset: 2 strongly up, 1 up, 0 unchanged,
            -1 down, -2 strongly down, a word for other shapes, None where it says nothing. Put together
            by experts from the sources: expectations, not measurements.
        event: the recorded event that would confirm it.
        experiment: the experiment that would confirm it.
        remedy: what to do now.
        tell_apart: what separates it from look-alikes.
        sources: where this comes from.
        recovers: whether the reward comes back by itself, at least in part ("fully": all of it; "quickly":
            within three steps); None where it may or may not.
        condition: what must hold of the run for this to be possible at all; empty where nothing need.
        evidence: signals, one of which has to move before a cause with a condition may stand among the first.
        held_out: whether only a held-out score can show it.
    """

    id: str
    title: str
    category: str
    mechanism: str
    signature: Mapping[str, tuple[Sign, Sign, Sign]]
    event: str
    experiment: str
    remedy: str
    tell_apart: tuple[str, ...]
    sources: tuple[str, ...]
    recovers: bool | str | None = None
    condition: str = ""
    evidence: tuple[str, ...] = ()
    held_out: bool = False


@functools.cache
def causes() -> Mapping[str, Cause]:
    """All causes by id, in the order of the catalogue."""
    text = Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8")
    held: list[dict[str, Any]] = json.loads(text)["causes"]
    return {fields["id"]: _cause(fields) for fields in held}


def _cause(fields: Mapping[str, Any]) -> Cause:
    """Lists of the file become tuples."""
    signature = {name: tuple(signs) for name, signs in fields["signature"].items()}
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Cause(**{"tell_apart": (), **fields, **lists, "signature": signature})


def markdown() -> str:
    """The catalogue as the page `docs/causes.md`."""
    lines = [
        "# Causes",
        "",
        "<!-- made from src/foreshock/diagnosis/catalogue.json by `make docs`; do not edit -->",
        "",
        f"{len(causes())} things that go wrong in RL post-training: how each shows, what confirms it and",
        "what to do.",
        "The signs were put together from the sources and from how each mechanism works. They are",
        "expectations, not measurements; a report uses them to say which causes a run leaves open, never to",
        "name one.",
    ]
    for cause in causes().values():
        lines += ["", f"## {cause.title}", "", f"`{cause.id}`. {cause.mechanism}"]
        lines += [f"Only where {cause.condition}."] if cause.condition else []
        lines += ["", "| signal | before | at the onset | after |", "|---|---|---|---|"]
        for name, signs in cause.signature.items():
            title = getattr(signal(name), "title", name)
            lines.append(f"| [{title}](signals.md#{name}) | " + " | ".join(_SIGNS[s] for s in signs) + " |")
        lines += [
            "",
            f"- **Confirming event.** {cause.event}",
            f"- **Confirming experiment.** {cause.experiment}",
            f"- **What to do.** {cause.remedy}",
            *(f"- **Tell it apart.** {_capital(text)}." for text in cause.tell_apart),
            f"- **Sources.** {'; '.join(cause.sources)}.",
        ]
    return "\n".join(lines) + "\n"


def _capital(text: str) -> str:
    """A look-alike by its title, or a sentence with a capital."""
    id, _, rest = text.partition(": ")
    if id in causes():
        return f"{causes()[id].title}: {rest}"
    return text[:1].upper() + text[1:]

"""The catalogue of causes as records, read once from `catalogue.json`."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Sign = int | float | str | None


@dataclass(frozen=True)
class Cause:
    """A thing that can go wrong in a run.

    Attributes:
        id: stable name.
        title: what people call it.
        category: data, model, scorer, engine, optimisation, ...
        shape: what the reward curve looks like.
        lead: which signals move first, and by how much.
        signature: signal -> what it does before, at and after the onset: 2 strongly up, 1 up, 0 unchanged, -1 down,
            -2 strongly down, a word for other shapes, None where it says nothing. Expert synthesis from the
            sources: priors, not measurements.
        look_alikes: other causes and what separates them.
        event: the recorded event that would confirm it.
        experiment: the experiment that would confirm it.
        remedy: what to do now (`guard`), in the configuration (`config`), and how to resume (`resume`).
        sources: where this comes from.
    """

    id: str
    title: str
    category: str
    shape: str
    lead: str
    signature: Mapping[str, tuple[Sign, Sign, Sign]]
    look_alikes: tuple[str, ...]
    event: str
    experiment: str
    remedy: Mapping[str, str]
    sources: tuple[str, ...]


@functools.cache
def data() -> dict[str, Any]:
    """The catalogue as JSON holds it."""
    loaded: dict[str, Any] = json.loads(
        Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8")
    )
    return loaded


@functools.cache
def causes() -> Mapping[str, Cause]:
    """All causes by id."""
    found = {}
    for fields in data()["causes"]:
        signature = {name: tuple(signs) for name, signs in fields["signature"].items()}
        lists = {"look_alikes": tuple(fields["look_alikes"]), "sources": tuple(fields["sources"])}
        found[fields["id"]] = Cause(**{**fields, **lists, "signature": signature})
    return found


def markdown() -> str:
    """The catalogue as the page `docs/causes.md`."""
    lines = [
        "# Causes",
        "",
        "<!-- made from src/foreshock/diagnosis/catalogue.json by `make docs`; do not edit -->",
        "",
        f"{len(causes())} things that go wrong in RL post-training runs: how they show, what confirms them, what to do.",
        f"Signs: {data()['codes']}. {data()['basis']}",
    ]
    for cause in causes().values():
        lines += [
            "",
            f"## {cause.title}",
            "",
            f"`{cause.id}` ({cause.category}). Shape: {cause.shape}. {cause.lead}",
            "",
        ]
        lines += ["| signal | before | at the onset | after |", "|---|---|---|---|"]
        for name, signs in cause.signature.items():
            lines.append(
                f"| {name} | " + " | ".join("" if sign is None else str(sign) for sign in signs) + " |"
            )
        lines += [
            "",
            f"- **Confirming event**: {cause.event}",
            f"- **Confirming experiment**: {cause.experiment}",
        ]
        lines += [f"- **Not to be confused with** {text}" for text in cause.look_alikes]
        lines += [f"- **Remedy ({when})**: {text}" for when, text in cause.remedy.items()]
        refs = [data()["sources"].get(source) for source in cause.sources]
        lines.append("- **Sources**: " + "; ".join(str(ref["ref"]) for ref in refs if ref))
    return (
        "\n".join(line.replace("<", "&lt;") if not line.startswith("<!--") else line for line in lines) + "\n"
    )

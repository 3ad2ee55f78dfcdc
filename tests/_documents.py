"""What tests of the report's outputs share: the JSON document of a run, and its fields as generic paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from _builders import figure_analysis, figure_run, torn_note
from foreshock.analysis import Analysis, Quality, analyze
from foreshock.diagnosis import open_causes, what_to_log
from foreshock.report import build
from foreshock.run import Event, Run

# Objects whose keys come from the log: their keys are data, not fields.
_KEYED_BY_DATA = ("signals", "run.columns", "run.facts", "run.events[].payload")


def document_of(run: Run, analysis: Analysis | None = None) -> dict[str, Any]:
    """The document as `foreshock report --json` prints it."""
    analysis = analyze(run) if analysis is None else analysis
    return build(run, analysis, open_causes(run, analysis), what_to_log(run))


def figure_document() -> dict[str, Any]:
    """The synthetic figure with every number set by hand."""
    return document_of(figure_run(), figure_analysis())


def full_document() -> dict[str, Any]:
    """The figure with something in every list of the document."""
    run = figure_run(
        notes=(torn_note(),),
        events=(
            Event(40, "resumed", {"checkpoint": "checkpoint-40"}),
            Event(60, "reward_code_changed", {"text": "Reward code of accuracy changed.", "process": "0"}),
        ),
        evidence=(
            Event(0, "reward", {"code": {"accuracy": "3f2a81b4c0de3f2a"}, "names": ["accuracy"]}),
            Event(60, "reward", {"code": {"accuracy": "9bc014b4c0de3f2a"}}),
        ),
        facts={"prompts_per_step": 64},
        unrecognised={"my/extra": [0.0] * 71},
    )
    quality = (Quality("reward_mean", "forward_filled", "reward_mean repeats each value", 3, 5),)
    return document_of(run, figure_analysis(quality=quality))


def fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(generic path, value) of every leaf: `signals.NAME.phases[].kind`."""
    if isinstance(value, dict):
        for key, item in value.items():
            part = "NAME" if path in _KEYED_BY_DATA else key
            yield from fields(item, f"{path}.{part}" if path else part)
    elif isinstance(value, list):
        for item in value:
            yield from fields(item, f"{path}[]")
    else:
        yield path, value


def sentences(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every sentence of the narrative."""
    return [sentence for section in document["narrative"] for sentence in section["text"]]

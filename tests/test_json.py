"""The JSON document: the fields of foreshock.report/1, strict JSON, and a page that describes every field."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from _builders import figure_analysis, figure_run, run_of
from _documents import document_of, fields, figure_document, full_document
from foreshock import __version__
from foreshock.report.json import dumps

ROOT = Path(__file__).resolve().parents[1]
NUMBER = (int, float)
# What the first version of the schema promises: path -> type; None where the field may be null.
PROMISED: dict[str, tuple[type | None, ...]] = {
    "schema": (str,),
    "run.id": (str,),
    "run.source": (str,),
    "run.format": (str,),
    "run.framework": (str, None),
    "run.steps.first": (int, None),
    "run.steps.last": (int, None),
    "run.steps.count": (int,),
    "run.notes[].kind": (str,),
    "run.notes[].text": (str,),
    "run.notes[].count": (int,),
    "signals.NAME.key": (str,),
    "signals.NAME.unit": (str,),
    "signals.NAME.first": NUMBER,
    "signals.NAME.last": NUMBER,
    "signals.NAME.min": NUMBER,
    "signals.NAME.max": NUMBER,
    "signals.NAME.noise_sd": (*NUMBER, None),
    "signals.NAME.phases[].kind": (str,),
    "signals.NAME.phases[].start": (int,),
    "signals.NAME.phases[].end": (int,),
    "signals.NAME.phases[].start_value": NUMBER,
    "signals.NAME.phases[].end_value": NUMBER,
    "signals.NAME.phases[].slope": NUMBER,
    "signals.NAME.key_points[].name": (str,),
    "signals.NAME.key_points[].step": (int,),
    "signals.NAME.key_points[].value": NUMBER,
    "changes[].signal": (str,),
    "changes[].kind": (str,),
    "changes[].step": (int,),
    "changes[].step_interval[]": (int,),
    "changes[].from": NUMBER,
    "changes[].to": NUMBER,
    "changes[].percent_of_peak": (*NUMBER, None),
    "changes[].percent_of_gain": (*NUMBER, None),
    "changes[].sigma": (*NUMBER, None),
    "changes[].p_value": (*NUMBER, None),
    "changes[].recovered": (*NUMBER, None),
    "relations[].a": (str,),
    "relations[].b": (str,),
    "relations[].decoupled_at": (int, None),
    "quality[].kind": (str,),
    "verdict": (str,),
    "causes[].id": (str,),
    "summary": (str,),
}


def strict(text: bytes) -> Any:
    """Parse as a reader that accepts no bare NaN or Infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_document_has_the_promised_fields_with_their_types(seed: int) -> None:
    for document in (full_document(), document_of(figure_run(seed))):
        assert document["schema"] == "foreshock.report/1"
        assert document["version"] == __version__
        assert document["verdict"] in ("healthy", "watch", "trouble", "cannot tell")
        found: dict[str, list[Any]] = {}
        for path, value in fields(document):
            found.setdefault(path, []).append(value)
        for path, types in PROMISED.items():
            for value in found.get(path, ()):
                allowed = tuple(kind for kind in types if kind is not None)
                assert (value is None and None in types) or isinstance(value, allowed), (path, value)
    assert set(PROMISED) <= {path for path, _ in fields(full_document())}


def test_names_of_changes_are_those_of_the_schema_and_not_of_the_code() -> None:
    (change,) = figure_document()["changes"]
    assert (change["from"], change["to"], change["step_interval"]) == (1.88, 1.70, [60, 62])
    assert change["recovered"] == pytest.approx(0.28, abs=0.005)
    assert change["recovered_by"] == 70
    assert not {"from_value", "to_value"} & set(change)


def test_the_text_is_strict_json_and_reads_back_to_the_same_document() -> None:
    document = full_document()
    assert strict(dumps(document)) == document
    assert dumps(document).endswith(b"}\n")


def test_values_that_are_not_finite_are_named_and_never_lost() -> None:
    reward = np.r_[figure_run().series["reward_mean"][:60], [np.inf] * 3]
    run = run_of({"reward_mean": reward}, facts={"best": float("nan"), "worst": -np.inf, "n": np.int64(3)})
    document = strict(dumps(document_of(run)))
    assert document["run"]["facts"] == {"best": "NaN", "worst": "-Infinity", "n": 3}
    (broken,) = (change for change in document["changes"] if change["kind"] == "non_finite")
    assert broken["to"] == "Infinity"
    assert float(broken["to"]) == np.inf
    assert broken["step"] == 60


def test_text_that_is_no_text_and_numbers_that_are_too_large_still_make_json() -> None:
    run = figure_run(id="run-\udcff\x00", facts={"seed": 2**80, 7: ("a", None, True)})
    document = strict(dumps(document_of(run, figure_analysis())))
    assert document["run"]["id"] == "run-?\x00"
    assert document["run"]["facts"] == {"seed": str(2**80), "7": ["a", None, True]}


def test_the_same_run_gives_the_same_bytes() -> None:
    assert dumps(document_of(figure_run(1))) == dumps(document_of(figure_run(1)))


def test_the_page_describes_every_field_and_no_other() -> None:
    page = (ROOT / "docs" / "json.md").read_text()
    described = set(re.findall(r"^\| `([^`]+)`", page, flags=re.M))
    produced = {path for path, _ in fields(full_document())}
    produced |= {path for path, _ in fields(document_of(figure_run(0, 3)))}
    containers = {"narrative[].table"}  # null where a section has no table
    assert produced - described - containers == set()
    assert described - produced == set()


def test_the_json_path_imports_no_drawing_or_page_library() -> None:
    code = (
        "import sys, numpy as np\n"
        "sys.path.insert(0, 'tests')\n"
        "from _documents import figure_document\n"
        "from foreshock.report.json import dumps\n"
        "dumps(figure_document())\n"
        "found = {'matplotlib', 'rich', 'jinja2', 'typer'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)

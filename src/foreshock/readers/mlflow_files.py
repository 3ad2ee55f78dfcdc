"""MLflow runs in the older file store: `mlruns/<experiment>/<run>/metrics/<key>`, one text file per metric.

Each line is `timestamp value step` (very old versions: no step). A key with "/" is a path of folders.
`meta.yaml` beside `metrics/` names the run; only its plain `name: value` lines are needed, so no YAML
parser is. Runs and experiments deleted in MLflow (`lifecycle_stage: deleted`, `.trash`) are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foreshock.errors import NotARunError
from foreshock.readers._folders import distinguish, reading
from foreshock.readers._log import Log
from foreshock.readers._points import Points
from foreshock.readers._values import settings
from foreshock.readers.mlflow_sqlite import HARDWARE, hardware_note

NAME = "mlflow_files"
DESCRIPTION = "MLflow's older file store: `mlruns/`, an experiment folder or a run folder in it"

_META = "meta.yaml"
_TRASH = ".trash"
_DEPTH = 3  # the folder above mlruns/
_MAX_META = 1 << 16


@dataclass
class _Skipped:
    """What was left out of one run."""

    torn: int = 0
    """Lines that are not `timestamp value step`."""
    hardware: int = 0


def recognises(path: Path, head: bytes) -> bool:
    """A folder with `meta.yaml` and `metrics/`, or one that holds such folders in MLflow's layout."""
    try:
        return path.is_dir() and next(_run_folders(path), None) is not None
    except OSError:
        return False


def _run_folders(path: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """Folders of runs under `path`, by name."""
    if (path / _META).is_file() and (path / "metrics").is_dir():
        yield path
        return
    # Below the folder above mlruns/, every folder of the store has a meta.yaml or is mlruns/ itself.
    for child in sorted(path.iterdir()) if depth else ():
        inside = child.name == "mlruns" or (child / _META).is_file()
        if inside and child.name != _TRASH and child.is_dir() and not child.is_symlink():
            yield from _run_folders(child, depth - 1)


def read(path: Path) -> list[Log]:
    """Every run with metrics that is not deleted, by experiment and in the order started.

    Raises:
        NotARunError: there are runs, but none has metrics.
    """
    found: list[tuple[str, str, Log, str]] = []
    deleted = 0
    for folder in _run_folders(path):
        meta, experiment = _meta(folder / _META), _meta(folder.parent / _META)
        if "deleted" in (meta.get("lifecycle_stage"), experiment.get("lifecycle_stage")):
            deleted += 1
            continue
        log = _read_run(folder, path, meta, experiment)
        if log.rows:
            started = meta.get("start_time", "").zfill(20)
            found.append((folder.parent.name, started, log, folder.name[:8]))
    if not found:
        raise NotARunError(
            f"{path}: an MLflow folder in which no run has metrics (deleted runs are left out)."
        )
    found.sort(key=lambda entry: entry[:2])
    if deleted:
        for _, _, log, _ in found:
            log.note("deleted-runs", f"Runs deleted in MLflow were left out: {deleted:,}.", deleted)
    return distinguish((log, addition) for _, _, log, addition in found)


def _meta(file: Path) -> dict[str, str]:
    """The `name: value` lines of a meta.yaml, quotes removed; empty where there is no such file."""
    try:
        with file.open("rb") as stream:
            lines = stream.read(_MAX_META).decode("utf-8", "replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(": ") for line in lines if not line.startswith((" ", "#", "-")))
    return {key.strip(): value.strip().strip("'\"") for key, _, value in pairs}


def _read_run(folder: Path, source: Path, meta: dict[str, str], experiment: dict[str, str]) -> Log:
    run = meta.get("run_id") or meta.get("run_uuid") or folder.name
    name = meta.get("run_name") or _first_line(folder / "tags" / "mlflow.runName") or run
    log = Log(name, str(source), NAME)
    log.facts.update(run_id=run, name=name)
    if "name" in experiment:
        log.facts["experiment"] = experiment["name"]
    log.facts["config"] = settings(
        {key: _first_line(file) for key, file in _keys(folder / "params")}
        if (folder / "params").is_dir()
        else {}
    )
    skipped = _Skipped()
    points = Points()
    for key, file in _keys(folder / "metrics"):
        if HARDWARE.match(key):
            skipped.hardware += _lines(file)
            continue
        for step, value in _metric(file, skipped):
            points.add(points.index(key), step, value)
    points.fill(log)
    if skipped.torn:
        log.note("torn-line", f"{skipped.torn:,} lines of metric files are cut or damaged.", skipped.torn)
    if skipped.hardware:
        log.note("hardware", hardware_note(skipped.hardware), skipped.hardware)
    return log


def _keys(folder: Path) -> Iterator[tuple[str, Path]]:
    """Key and file of every entry under `metrics/` or `params/`."""
    for place, subfolders, names in os.walk(folder):
        subfolders.sort()
        for name in sorted(names):
            file = Path(place, name)
            yield file.relative_to(folder).as_posix(), file


def _metric(file: Path, skipped: _Skipped) -> Iterator[tuple[int, float]]:
    """Step and value of each whole line, in the order logged."""
    with reading(file), file.open("rb") as stream:
        while line := stream.readline(_MAX_META):
            words = line.split()
            try:
                # A line without its end may hold only the first digits of a number. With a data set
                # attached, its name and digest follow the step.
                if not line.endswith(b"\n") or len(words) not in (2, 3, 5):
                    raise ValueError
                step, value = int(words[2]) if len(words) > 2 else 0, float(words[1])
                if not -(1 << 63) <= step < 1 << 63:
                    raise ValueError
            except ValueError:
                skipped.torn += 1
            else:
                yield step, value


def _lines(file: Path) -> int:
    with file.open("rb") as stream:
        return sum(1 for _ in stream)


def _first_line(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.readline(_MAX_META).decode("utf-8", "replace").strip()
    except OSError:
        return ""

"""The report's files: each written under a temporary name first, so that no half of one is ever seen."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from foreshock.analysis import Analysis, analyze
from foreshock.diagnosis import open_causes, what_to_log
from foreshock.errors import UsageError
from foreshock.report.document import build
from foreshock.run import Run

FORMATS = ("html", "md", "json", "png", "svg")
_NAMES = {
    "html": "report.html",
    "md": "report.md",
    "json": "report.json",
    "png": "charts.png",
    "svg": "charts.svg",
    "pdf": "charts.pdf",
}


def write(
    run: Run,
    folder: str | Path,
    *,
    formats: Sequence[str] = FORMATS,
    signals: list[str] | None = None,
    smooth: int | None = None,
) -> list[Path]:
    """Analyse `run` and write its report into `folder` (created where missing); returns the files.

    Args:
        run: as `open_run` returns it.
        folder: where to.
        formats: any of "html", "md", "json", "png", "svg", "pdf".
        signals: signals to analyse and draw; default: all that the dictionary knows, the two main ones drawn.
        smooth: overlay a centred median of this many steps in the charts; the raw line stays.

    Raises:
        UsageError: an unknown format, or the folder cannot be written.
        MetricError: `signals` names something that the run does not have.
    """
    analysis = analyze(run, signals=signals)
    document = build(run, analysis, open_causes(run, analysis), what_to_log(run))
    return write_all(document, run, analysis, folder, formats=formats, signals=signals, smooth=smooth)


def write_all(
    document: dict[str, Any],
    run: Run,
    analysis: Analysis,
    folder: str | Path,
    *,
    formats: Sequence[str] = FORMATS,
    signals: list[str] | None = None,
    smooth: int | None = None,
) -> list[Path]:
    """Like `write`, for a document that was built already."""
    unknown = [name for name in formats if name not in _NAMES]
    if unknown:
        raise UsageError(f"unknown format {unknown[0]!r}; there are: {', '.join(_NAMES)}")
    folder = Path(folder)
    makers: dict[str, Callable[[Path], None]] = {
        "json": lambda path: _json(document, path),
        "md": lambda path: _markdown(document, path, with_charts="png" in formats),
        "html": lambda path: _html(document, run, analysis, path),
    }
    if {"png", "svg", "pdf"} & set(formats):
        from foreshock.report.figure import draw, save

        figure = draw(run, analysis, signals=signals, smooth=smooth)
        makers.update(dict.fromkeys(("png", "svg", "pdf"), lambda path: save(figure, path)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_atomically(folder / _NAMES[name], makers[name]) for name in formats]
    except OSError as error:
        raise UsageError(
            f"cannot write the report into {folder}: {error.strerror or error}; choose another folder with --out"
        ) from error


def _atomically(path: Path, make: Callable[[Path], None]) -> Path:
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        make(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _json(document: dict[str, Any], path: Path) -> None:
    from foreshock.report.json import dumps

    path.write_bytes(dumps(document))


def _markdown(document: dict[str, Any], path: Path, *, with_charts: bool) -> None:
    from foreshock.report.markdown import render

    path.write_text(render(document, charts="charts.png" if with_charts else None), encoding="utf-8")


def _html(document: dict[str, Any], run: Run, analysis: Analysis, path: Path) -> None:
    from foreshock.report.html import render

    path.write_text(render(document, run, analysis), encoding="utf-8")

"""The report's files: each written under a temporary name first, so that no half of one is ever seen."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from foreshock.analysis import Analysis, analyze
from foreshock.diagnosis import OpenCause, open_causes, what_to_log
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
_DRAWN = {"png", "svg", "pdf"}
_Maker = Callable[[Path], None]


def write(
    run: Run,
    folder: str | Path,
    *,
    analysis: Analysis | None = None,
    causes: Sequence[OpenCause] | None = None,
    formats: Sequence[str] = FORMATS,
    signals: list[str] | None = None,
    smooth: int | None = None,
) -> list[Path]:
    """Write the report of `run` into `folder` (created where missing); returns the files in the order asked.

    Args:
        run: as `open_run` returns it.
        folder: where to; files of an earlier report are replaced one by one, each at once.
        analysis: what `analyze(run)` said, where that was done already.
        causes: what `open_causes(run, analysis)` said, where that was done already.
        formats: any of "html", "md", "json", "png", "svg", "pdf".
        signals: signals to analyse and draw; default: all that the dictionary knows, the two main ones drawn.
        smooth: overlay a centred median of this many steps in the charts; the raw line stays.

    Raises:
        UsageError: an unknown format, or the folder cannot be written.
        MetricError: `signals` names something that the run does not have.
    """
    _check(formats)
    analysis = analyze(run, signals=signals) if analysis is None else analysis
    causes = open_causes(run, analysis) if causes is None else causes
    document = build(run, analysis, causes, what_to_log(run, [cause.id for cause in causes]))
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
    _check(formats)
    folder = Path(folder)
    make_folder(folder)  # before the slow part
    try:
        makers = _makers(document, run, analysis, formats, signals, smooth)
        return [_atomically(folder / _NAMES[name], makers[name]) for name in formats]
    except OSError as error:
        raise _refused(folder, error) from error


def make_folder(folder: Path) -> None:
    """Create `folder` where it is missing.

    Raises:
        UsageError: it cannot be created, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(folder, error) from error


def _refused(folder: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write into {folder}: {error.strerror or error}; choose another folder")


def _check(formats: Sequence[str]) -> None:
    unknown = [name for name in formats if name not in _NAMES]
    if unknown:
        raise UsageError(f"unknown format {unknown[0]!r}; there are: {', '.join(_NAMES)}")


def _makers(
    document: dict[str, Any],
    run: Run,
    analysis: Analysis,
    formats: Sequence[str],
    signals: list[str] | None,
    smooth: int | None,
) -> dict[str, _Maker]:
    """How each format is written; matplotlib and jinja2 are imported only where they are needed.

    A page that is asked for without any drawn file has no charts where scripts are off.
    """
    makers: dict[str, _Maker] = {
        "json": lambda path: _json(document, path),
        "md": lambda path: _markdown(document, path, with_charts="png" in formats),
    }
    if _DRAWN & set(formats):
        from foreshock.report.figure import as_svg, draw, save

        figure = draw(run, analysis, signals=signals, smooth=smooth)
        svg = functools.cache(lambda: as_svg(figure))  # for charts.svg and for the page without scripts
        makers.update(dict.fromkeys(_DRAWN, lambda path: save(figure, path)))
        makers["svg"] = lambda path: _bytes(svg(), path)
        makers["html"] = lambda path: _html(document, run, analysis, path, svg=svg(), smooth=smooth)
    else:
        makers["html"] = lambda path: _html(document, run, analysis, path, smooth=smooth)
    return makers


def _atomically(path: Path, make: _Maker) -> Path:
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        make(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp made it private
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


def _html(
    document: dict[str, Any],
    run: Run,
    analysis: Analysis,
    path: Path,
    *,
    svg: bytes | None = None,
    smooth: int | None,
) -> None:
    from foreshock.report.html import render

    path.write_text(render(document, run, analysis, svg=svg, smooth=smooth), encoding="utf-8")


def _bytes(content: bytes, path: Path) -> None:
    path.write_bytes(content)

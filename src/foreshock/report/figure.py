"""Draw the charts of a run with matplotlib; write them as PNG, SVG or PDF.

Only this module, `_panel`, `_marks` and `comparison` know matplotlib, and import it when a figure is
drawn. Figures are made with its object interface: no window, no global state, whatever the user's
matplotlibrc says.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from foreshock.analysis._records import Analysis
from foreshock.errors import MetricError, UsageError
from foreshock.report._curve import Curve, Look
from foreshock.report._event_marks import event_marks
from foreshock.report._panel import draw_panel
from foreshock.report._style import THEMES, colour_of
from foreshock.report._text import clean, shown_signals
from foreshock.run import IntArray, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Size:
    """Measures of a figure in inches, fonts and strips in points."""

    width: float
    height: float  # of one row of charts
    columns: int
    dpi: int
    font: float
    line: float
    labels: int
    names: int  # characters of the run's name


SIZES = {
    "screen": Size(width=13.0, height=4.5, columns=2, dpi=120, font=10.0, line=1.5, labels=4, names=90),
    "page": Size(width=7.0, height=2.75, columns=2, dpi=300, font=7.5, line=1.0, labels=3, names=60),
    "column": Size(width=3.4, height=2.15, columns=1, dpi=300, font=7.5, line=0.9, labels=2, names=34),
}


def draw(
    run: Run,
    analysis: Analysis,
    *,
    signals: list[str] | None = None,
    smooth: int | None = None,
    size: str = "screen",
    theme: str = "light",
) -> Figure:
    """Draw a run: response length in blue on the left and train reward in red on the right.

    A run without length gets one wide chart; `signals` asks for others, two to a row (one in the
    "column" size). The raw line is always drawn. Where there are more points than pixels, the lowest
    and the highest of each pixel column are drawn. A few values so far out that the rest would be a
    flat line are marked at the edge and counted instead of drawn to scale. Recorded events are dotted lines;
    those that come often are ticks at the lower edge.

    Args:
        run: the run.
        analysis: what `analyze` said about it; phases and significant anomalies are taken from it.
        signals: canonical or original names; default length and reward, as far as the run has them.
        smooth: overlay a centred median of so many steps.
        size: "screen" (13 inches), "page" (7) or "column" (3.4).
        theme: "light" or "dark".

    Raises:
        MetricError: a name in `signals` is not a series of the run, or the run has no series.
        UsageError: no such size or theme.
    """
    measures = size_of(size)
    names = _names(run, analysis, signals)
    look = look_of(size, theme)
    marks = event_marks(run, analysis.changes)
    with settings():
        words = [f"thin: as logged; thick: centred median of {smooth} steps"] if smooth else []
        words += marks.notes[-1:] if size == "column" else marks.notes[:1]
        figure, axes = layout(names, measures, look, _heading(run, measures), noted=bool(words))
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        for position, (name, ax) in enumerate(zip(names, axes, strict=True)):
            curve = Curve(
                name,
                run.steps,
                run.series[name],
                colour_of(name, position, look.palette),
                analysis.signals.get(name),
                run.columns.get(name),
                _nan_steps(run, name),
                marks,
            )
            draw_panel(ax, curve, look, smooth=smooth, renderer=renderer)
        if words:
            note(figure, "; ".join(words), look)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure; the ending of `path` says how. The same figure gives the same bytes.

    Raises:
        UsageError: the ending is none of .png, .svg and .pdf.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise UsageError(f"cannot write {path.name!r}: charts end in .png, .svg or .pdf")
    path.parent.mkdir(parents=True, exist_ok=True)
    _savefig(figure, path, kind[1:])


def as_svg(figure: Figure) -> bytes:
    """The figure as an SVG image, the same bytes as `save` writes."""
    buffer = io.BytesIO()
    _savefig(figure, buffer, "svg")
    return buffer.getvalue()


def _savefig(figure: Figure, target: Path | io.BytesIO, kind: str) -> None:
    metadata = {
        "png": {"Software": "Foreshock"},
        "svg": {"Date": None, "Creator": "Foreshock"},
        "pdf": {"CreationDate": None, "Creator": "Foreshock", "Producer": "matplotlib"},
    }[kind]
    with settings(), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; that is no reason to warn.
        warnings.filterwarnings("ignore", message=r".*Glyph .* missing.*")
        figure.savefig(
            target, format=kind, dpi=figure.dpi, metadata=metadata, facecolor=figure.get_facecolor()
        )


@contextmanager
def settings() -> Iterator[None]:
    """Matplotlib as we need it, whatever the user's matplotlibrc says; undone afterwards."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.fonttype": "none",  # text stays text: searchable, and small
                "svg.hashsalt": "foreshock",  # the same figure gives the same file
                "pdf.fonttype": 42,
                "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same everywhere
                "axes.unicode_minus": True,
                "path.simplify": False,
                "hatch.linewidth": 0.6,
            }
        )
        yield


def size_of(size: str) -> Size:
    """The measures of a named size.

    Raises:
        UsageError: there is no such size.
    """
    if size not in SIZES:
        raise UsageError(f"no figure size {size!r}; choose one of {', '.join(SIZES)}")
    return SIZES[size]


def look_of(size: str, theme: str) -> Look:
    """Fonts, lines and colours of a named size and theme.

    Raises:
        UsageError: there is no such size or theme.
    """
    measures = size_of(size)
    if theme not in THEMES:
        raise UsageError(f"no theme {theme!r}; choose one of {', '.join(THEMES)}")
    return Look(THEMES[theme], measures.font, measures.line, measures.labels, strip=measures.font * 1.5)


def _names(run: Run, analysis: Analysis, signals: list[str] | None) -> list[str]:
    missing = [name for name in signals or () if name not in run.series]
    if missing:
        known = ", ".join(clean(name, 40) for name in list(run.series)[:12])
        raise MetricError(f"no signal {clean(missing[0], 60)!r} in this run; it has, among others: {known}")
    names = list(dict.fromkeys(shown_signals(run, analysis, signals)))
    if not names:
        raise MetricError("this run has no numeric series to draw")
    return names


def _nan_steps(run: Run, name: str) -> IntArray | None:
    column = run.columns.get(name)
    return run.nan_steps.get(column.key if column else name)


def _heading(run: Run, measures: Size) -> str:
    source = clean(Path(run.source).name if run.source != "-" else "standard input", measures.names // 2)
    name = clean(run.id, measures.names)
    return name if source == name or measures.columns == 1 else f"{name}   ·   {source}"


def layout(
    names: list[str], measures: Size, look: Look, heading: str, *, noted: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with one empty chart per name; margins in inches follow from the font.

    `noted` keeps room for a `note` below the charts.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(measures.columns, len(names))
    rows = -(-len(names) // columns)
    em = look.font / 72
    head, foot = 2.0 * em, (2.0 if noted else 0.6) * em
    width, height = measures.width, head + rows * measures.height + foot
    figure = Figure(figsize=(width, height), dpi=measures.dpi, facecolor=look.palette.background)
    FigureCanvasAgg(figure)
    figure.text(
        em / width,
        1 - 0.7 * em / height,
        heading,
        fontsize=look.font,
        color=look.palette.muted,
        ha="left",
        va="top",
        parse_math=False,
    )
    top = (look.font + 1.5) / 72 * 1.6 + look.strip / 72
    left, bottom, right = 6.0 * em, 3.5 * em, 1.4 * em
    cell = width / columns
    axes = []
    for position in range(len(names)):
        row, column = divmod(position, columns)
        y = foot + (rows - 1 - row) * measures.height + bottom
        box = (column * cell + left, y, cell - left - right, measures.height - bottom - top)
        axes.append(figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height)))
    return figure, axes


def note(figure: Figure, text: str, look: Look) -> None:
    """A small line at the lower right of the figure."""
    width, height = figure.get_size_inches()
    em = look.font / 72
    figure.text(
        1 - em / width,
        0.5 * em / height,
        text,
        fontsize=look.small,
        color=look.palette.muted,
        ha="right",
        va="bottom",
        parse_math=False,
    )

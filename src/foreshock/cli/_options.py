"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

from typing import Annotated

import typer

from foreshock.errors import UsageError

PathArgument = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        help="A log: file, folder, .gz, or - for standard input. The format is recognised by looking at it.",
    ),
]
RunOption = Annotated[
    str | None,
    typer.Option("--run", help="Which run, where PATH holds several: its id, a prefix, or its number."),
]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="Read PATH with this reader instead of recognising it.")
]
MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="SIGNAL=KEY", help="Take SIGNAL from KEY, e.g. reward=my/key. Repeatable."),
]
StepKeyOption = Annotated[str | None, typer.Option("--step-key", help="The column that counts the steps.")]
SignalsOption = Annotated[
    str | None,
    typer.Option(
        "--signals", metavar="A,B,...", help="Signals to show, canonical or original names, by comma."
    ),
]
SmoothOption = Annotated[
    int | None,
    typer.Option(
        "--smooth", metavar="N", min=2, help="Overlay a centred median of N steps; raw stays visible."
    ),
]


def parse_mapping(pairs: list[str] | None) -> dict[str, str] | None:
    """`["reward=my/key"]` -> `{"reward": "my/key"}`.

    Raises:
        UsageError: a pair has no "=" or an empty side.
    """
    if not pairs:
        return None
    mapping = {}
    for pair in pairs:
        signal, equals, key = pair.partition("=")
        if not (signal.strip() and equals and key.strip()):
            raise UsageError(f"--map {pair!r} is not SIGNAL=KEY; write for example --map reward=my/key")
        mapping[signal.strip()] = key.strip()
    return mapping


def parse_names(text: str | None) -> list[str] | None:
    """`"a, b"` -> `["a", "b"]`; None where nothing was given."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--signals names nothing; write for example --signals reward_mean,entropy")
    return names


def parse_range(text: str | None) -> tuple[float, float] | None:
    """`"0:2"` -> `(0.0, 2.0)`; None where nothing was given."""
    if text is None:
        return None
    low, _, high = text.partition(":")
    try:
        found = float(low), float(high)
    except ValueError:
        found = (0.0, 0.0)
    if not found[0] < found[1] < float("inf") or found[0] == float("-inf"):
        raise UsageError(f"--reward-range {text!r} is not LOW:HIGH; write for example --reward-range 0:2")
    return found

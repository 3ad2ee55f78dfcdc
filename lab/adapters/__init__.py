"""Tools that can be scored: one file each, found here by name.

`NAME@K` is the tool looking every K rows, in place of its own default.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from lab.adapters.base import Tool

NAMES = ("foreshock", "rldoctor", "rlprobe", "rlwatch")


def find(name: str, pythons: Mapping[str, str]) -> Tool:
    """The tool of a name.

    Args:
        name: as in NAMES, with or without `@K`.
        pythons: peer -> an interpreter that has it; under "" the one for those without their own.
    """
    base, _, every = name.partition("@")
    if base not in NAMES or not (every.isdigit() or not every):
        raise SystemExit(f"no tool {name!r}; there is {', '.join(NAMES)}, each also as NAME@ROWS")
    # Imported when asked for: the far side of a peer imports this package where there is no Foreshock.
    module = importlib.import_module(f"lab.adapters.{base}")
    if base == "foreshock":
        return module.Foreshock(int(every or 0))  # type: ignore[no-any-return]
    python = pythons.get(base) or pythons.get("")
    if not python:
        raise SystemExit(
            f"{base} runs in an environment of its own: `python -m venv DIR && DIR/bin/pip install {base}`, "
            f"then --peer-python {base}=DIR/bin/python"
        )
    return module.tool(python, int(every or 0))  # type: ignore[no-any-return]


__all__ = ["NAMES", "Tool", "find"]

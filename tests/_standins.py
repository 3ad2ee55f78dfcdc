"""Stand-ins for frameworks that cannot be installed everywhere: packages with their documented interface."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def put_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, modules: Mapping[str, str]) -> None:
    """Make packages of these sources (dotted name -> source) importable until the test ends.

    A real framework of that name is out of the way meanwhile.
    """
    for name, source in modules.items():
        path = folder.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        for parent in path.relative_to(folder).parents:
            if parent.name:
                (folder / parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(folder)
    for top in {name.partition(".")[0] for name in modules}:
        for name in list(sys.modules):
            if name == top or name.startswith(f"{top}."):
                monkeypatch.delitem(sys.modules, name)
        _forget_afterwards(monkeypatch, top, modules)


def _forget_afterwards(monkeypatch: pytest.MonkeyPatch, top: str, modules: Mapping[str, str]) -> None:
    # To set and delete an entry makes monkeypatch delete it again at the end, whatever was imported.
    names = {top} | {name for name in modules if name.startswith(f"{top}.")}
    names |= {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
    for name in names:
        if name not in sys.modules:
            monkeypatch.setitem(sys.modules, name, None)
            del sys.modules[name]

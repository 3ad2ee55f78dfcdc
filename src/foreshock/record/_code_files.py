"""The files that reward code comes from: the modules of the project, found by what they import."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

_FILES = 64
_MAX_FILE = 1 << 20


def is_own(name: Any) -> bool:
    """Whether a module is part of the user's project: not of Python, not installed, not of Foreshock.

    A script or notebook is, even where it has no file.
    """
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None:
        return False
    file = getattr(module, "__file__", None)
    return _is_own_file(file) if isinstance(file, str) else name == "__main__"


@functools.lru_cache(maxsize=4096)
def _is_own_file(file: str) -> bool:
    if {"site-packages", "dist-packages"} & set(Path(file).parts) or not file.endswith(".py"):
        return False
    path = os.path.realpath(file)
    return not path.startswith(_foreign())


@functools.lru_cache(maxsize=1)
def _foreign() -> tuple[str, ...]:
    """Folders whose modules are not of the project."""
    places = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(__file__).parents[1])]
    return tuple(os.path.realpath(place) + os.sep for place in places if place)


class Files:
    """Hashes of the files of some modules and of those of the project that they import, at most 64."""

    def __init__(self, modules: Iterable[str]) -> None:
        self.hashes: dict[str, str] = {}
        """Module name -> hash of its file."""
        self._paths: dict[str, str] = {}
        self._states: dict[str, tuple[int, int]] = {}
        self._waiting = dict.fromkeys(modules)
        self._roots = set(self._waiting)
        self.look()

    def file(self, module: str) -> str:
        """Name of its file, for people."""
        return os.path.basename(self._paths.get(module, "")) or module

    def look(self) -> list[str]:
        """Modules whose files have changed since the last look; new ones are taken in."""
        changed = [module for module in self._paths if self._take(module)]
        found = True
        while found:  # imports of imports; a module that is imported later is found at a later step
            found = False
            for module in [name for name in self._waiting if name in sys.modules]:
                del self._waiting[module]
                path = getattr(sys.modules[module], "__file__", None)
                known = module in self._paths or len(self._paths) >= _FILES
                if isinstance(path, str) and not known and (module in self._roots or is_own(module)):
                    self._paths[module] = path
                    self._take(module)
                    found = True
        return changed

    def _take(self, module: str) -> bool:
        """Read the file again if it is another than before; whether its hash changed."""
        try:
            status = os.stat(self._paths[module])
            state = (status.st_mtime_ns, status.st_size)
            if self._states.get(module) == state or status.st_size > _MAX_FILE:
                return False
            text = Path(self._paths[module]).read_bytes()
        except OSError:  # removed or being replaced: what runs is what was loaded
            return False
        self._states[module] = state
        before = self.hashes.get(module)
        self.hashes[module] = hashlib.blake2b(text, digest_size=8).hexdigest()
        if before != self.hashes[module] and is_own(module):
            for name in _imports(text, sys.modules.get(module)):
                if name not in self._paths and name.partition(".")[0] not in sys.stdlib_module_names:
                    self._waiting[name] = None
        return before is not None and before != self.hashes[module]


def _imports(text: bytes, module: ModuleType | None) -> list[str]:
    """Names that may be modules, of all import statements in a file."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return []
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            try:
                package = getattr(module, "__package__", None) or ""
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:
                continue
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return names

"""Listen to the methods of a library, imported already or not, without changing what they do.

The one mechanism behind the taps and the frameworks that have no extension point of their own.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import logging
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Undo = Callable[[], None]
Then = Callable[[bool], None]
Listener = Callable[..., Then | None]
"""Called with the arguments of a method before it; what it returns is called after it, with whether the
method succeeded."""

_MARK = "_foreshock_heard"
_log = logging.getLogger("foreshock")
_told: set[str] = set()


def when_imported(module: str, action: Callable[[ModuleType], None]) -> Undo:
    """Call `action` with a module: now if it is imported, else as soon as somebody imports it."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        quietly(action, loaded)
        return _nothing
    return _FINDER.add(module, action)


def listen(owner: type, name: str, listener: Listener) -> Undo:
    """Have `listener` called at each call of a method, until the returned function is called.

    The method gets the same arguments, gives the same result and raises the same exceptions as before; what
    the listener raises is warned of once and goes no further.

    Raises:
        AttributeError: the class has no such method (in this version of the library).
    """
    method = getattr(owner, name)
    heard: _Heard | None = getattr(method, _MARK, None)
    if heard is None:
        heard = _Heard(method)
        setattr(owner, name, heard.wrapper)
    listeners = heard.listeners
    listeners.append(listener)

    def undo() -> None:
        if listener in listeners:
            listeners.remove(listener)
        # Where somebody wrapped the method after us, our wrapper stays below theirs and hears nothing.
        if not listeners and owner.__dict__.get(name) is heard.wrapper:
            setattr(owner, name, heard.method)

    return undo


def quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of a call; None, and one warning per function, where it raises."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        name = f"{function.__module__}.{function.__qualname__}"
        if name not in _told:
            _told.add(name)
            _log.warning("foreshock: %s failed (%s: %s); training goes on", name, type(error).__name__, error)
        return None


class _Heard:
    """A method, who listens to it, and the wrapper that stands in its place."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        self.listeners: list[Listener] = []
        ending = sys.is_finalizing  # bound here: while Python ends, the names of a module are None

        @functools.wraps(method)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if ending():
                return method(*args, **kwargs)
            after = [then for each in self.listeners if (then := quietly(each, *args, **kwargs)) is not None]
            try:
                result = method(*args, **kwargs)
            except BaseException:
                for then in after:
                    quietly(then, False)
                raise
            for then in after:
                quietly(then, True)
            return result

        setattr(wrapper, _MARK, self)
        self.wrapper = wrapper


def _nothing() -> None:
    pass


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what the others find, and has actions called once the module is executed."""

    def __init__(self) -> None:
        self._actions: dict[str, list[Callable[[ModuleType], None]]] = {}

    def add(self, module: str, action: Callable[[ModuleType], None]) -> Undo:
        self._actions.setdefault(module, []).append(action)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

        def undo() -> None:
            waiting = self._actions.get(module, [])
            if action in waiting:
                waiting.remove(action)
            self._rest(module)

        return undo

    def _rest(self, module: str) -> None:
        """Leave the import system alone when nothing is waited for any more."""
        if not self._actions.get(module):
            self._actions.pop(module, None)
        if not self._actions and self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._actions:
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = find(fullname, path, target) if find and finder is not self else None
            if spec is not None:
                quietly(self._follow, spec)
                return spec  # type: ignore[no-any-return]
        return None

    def _follow(self, spec: importlib.machinery.ModuleSpec) -> None:
        # A look with find_spec alone must not count as the import, so the loader tells when it runs.
        loader = spec.loader
        assert loader is not None, f"{spec.name} has no loader"
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for action in self._actions.pop(spec.name, []):
                quietly(action, module)
            self._rest(spec.name)

        loader.exec_module = exec_module  # type: ignore[method-assign]


_FINDER = _Finder()

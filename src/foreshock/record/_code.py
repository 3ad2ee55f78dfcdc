"""Which code a reward function runs: a hash of each function of the project that it can come to.

Compiled code is hashed, not text: it is what runs in this process even if the file has changed since, and a
comment, a docstring or another line break is no change. It differs between versions of Python.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import hashlib
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

from foreshock.record._code_files import is_own
from foreshock.record._watched import plain

PYTHON = sys.implementation.cache_tag or sys.version.split()[0]
"""Code of other versions of Python cannot be compared with ours."""

_LIMIT = 64  # functions followed from one reward function
_SETTINGS = 32
_HAS_DOCSTRING = 0x4000000  # flag of code objects since Python 3.13


def reached(function: Any) -> dict[str, types.CodeType]:
    """Compiled functions that a call of `function` can come to, by where they were found.

    Followed are names in the code, closures, partials, methods of classes, and attributes of modules, as far
    as they are of the project; what only a value decides at run time is not seen.
    """
    codes: dict[str, types.CodeType] = {}
    seen: set[int] = set()
    waiting = [("", function)]
    while waiting and len(codes) < _LIMIT:
        path, found = waiting.pop(0)
        found = plain(found)
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, types.FunctionType):
            path = path or f"{found.__module__}.{found.__qualname__}"
            codes[path] = found.__code__
            if is_own(found.__module__):
                waiting += _from_code(path, found)
        else:
            waiting += _parts(path, found, root=found is plain(function))
    return codes


def _parts(path: str, found: Any, root: bool) -> Iterator[tuple[str, Any]]:
    """What stands behind something that is no plain function."""
    if isinstance(found, functools.partial):
        yield path, found.func
        yield from ((f"{path}({key})", value) for key, value in found.keywords.items() if callable(value))
        yield from ((f"{path}({i})", value) for i, value in enumerate(found.args) if callable(value))
    elif isinstance(found, types.MethodType):
        yield path, found.__func__
        yield "", type(found.__self__)
    elif isinstance(found, (staticmethod, classmethod)):
        yield path, found.__func__
    elif isinstance(found, property):
        yield path, found.fget
    elif isinstance(found, type):
        if root or is_own(found.__module__):
            name = f"{found.__module__}.{found.__qualname__}"
            yield from ((f"{name}.{key}", value) for key, value in vars(found).items() if _holds_code(value))
            yield from (("", base) for base in found.__bases__ if is_own(base.__module__))
    elif hasattr(found, "__wrapped__"):
        yield path, found.__wrapped__
    elif root or is_own(type(found).__module__):
        call = vars(type(found)).get("__call__")
        if root and call is not None and not is_own(type(found).__module__):
            yield "", call
        yield "", type(found)


def _holds_code(value: Any) -> bool:
    return isinstance(value, (types.FunctionType, staticmethod, classmethod, property)) or hasattr(
        value, "__wrapped__"
    )


def _from_code(path: str, function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What the names in a function stand for, as far as it is of the project."""
    names = _names(function.__code__)
    scope = function.__globals__
    for name in names:
        value = scope.get(name, sys.modules.get(name))  # the second: imported within the function
        if isinstance(value, types.ModuleType):
            if is_own(value.__name__):
                inner = vars(value)
                yield from (
                    (f"{value.__name__}.{key}", inner[key]) for key in names if _follows(inner.get(key))
                )
        elif _follows(value):
            yield f"{scope.get('__name__')}.{name}", value
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            value = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
        if _follows(value):
            yield f"{path}<{name}>", value


def _follows(value: Any) -> bool:
    """Whether code of the project stands behind a value."""
    value = plain(value)
    if value is None or isinstance(value, types.ModuleType):
        return False
    if isinstance(value, functools.partial):
        return True
    module = getattr(value, "__module__", None) if callable(value) else type(value).__module__
    return isinstance(module, str) and is_own(module)


def _names(code: types.CodeType) -> list[str]:
    """Global names, attributes and imports in the code and in the functions within it, in order."""
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(dict.fromkeys(_names(constant)))
    return list(names)


def hash_of(code: types.CodeType) -> str:
    """16 digits that change when the code does other things, not when it stands on other lines."""
    return hashlib.blake2b(repr(_plain(code)).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    """Code and constants as something whose `repr` is the same in every process.

    Instructions with what they refer to, not the tables that they point into: a docstring is in those.
    """
    if isinstance(value, types.CodeType):
        return (
            [(one.opname, _plain(one.argval)) for one in dis.get_instructions(value)],
            value.co_varnames,
            value.co_freevars,
            (value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount),
            value.co_flags & ~_HAS_DOCSTRING,
            getattr(value, "co_exceptiontable", b""),  # since Python 3.11
        )
    if isinstance(value, frozenset):
        return ("frozenset", sorted(repr(_plain(one)) for one in value))
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return (type(value).__name__, repr(value))


def settings_of(function: Any) -> dict[str, Any]:
    """Simple values that a function was made with: of a partial, defaults, a closure, an object.

    Numbers as they are; texts as a hash, for they may be keys.
    """
    found: dict[str, Any] = {}
    function = plain(function)
    while isinstance(function, functools.partial):
        found = {
            **{f"argument {i}": value for i, value in enumerate(function.args)},
            **function.keywords,
            **found,
        }
        function = plain(function.func)
    if isinstance(function, types.MethodType):
        found = {**_attributes(function.__self__), **found}
        function = function.__func__
    if isinstance(function, types.FunctionType):
        code, defaults = function.__code__, function.__defaults__ or ()
        parameters = code.co_varnames[: code.co_argcount]
        found = {**dict(zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True)), **found}
        found = {**(function.__kwdefaults__ or {}), **found}
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
            with contextlib.suppress(ValueError):  # not assigned yet
                found.setdefault(name, cell.cell_contents)
    elif not isinstance(function, str):
        found = {**_attributes(function), **found}
    simple = {name: _setting(value) for name, value in found.items() if _is_simple(value)}
    return dict(list(simple.items())[:_SETTINGS])


def _attributes(instance: Any) -> Mapping[str, Any]:
    return getattr(instance, "__dict__", None) or {}


def _is_simple(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str))


def _setting(value: Any) -> Any:
    if isinstance(value, str):
        return "#" + hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return value if isinstance(value, (bool, int)) else repr(float(value))

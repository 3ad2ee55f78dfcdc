"""A reward function that is timed and listened to, and that nobody can tell from the original."""

from __future__ import annotations

import functools
import inspect
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_CALLS = 10_000  # calls remembered between two steps
_VALUES = 1 << 20  # scores read from one result
_KEYS = ("score", "scores", "reward", "rewards")  # where results that are mappings hold them


class Call(NamedTuple):
    """One call: seconds it took, the scores it gave (None: it gave none we can read), or its error."""

    seconds: float | None
    values: tuple[Any, ...] | None
    error: tuple[str, str] | None = None


class Meter:
    """The calls of one function since they were last taken. Appending needs no lock."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=_CALLS)

    def returned(self, result: Any, seconds: float) -> None:
        """Note a result; never raises, whatever it is."""
        try:
            values = _values(result)
        except Exception:  # a result may do anything when it is looked at; the training must not notice
            values = None
        self.calls.append(Call(seconds, values))

    def failed(self, error: Exception, seconds: float) -> None:
        """Note an exception, without keeping it and the frames it holds alive."""
        try:
            message = str(error)
        except Exception:
            message = ""
        self.calls.append(Call(seconds, None, (type(error).__name__, message[:2000])))


def _values(result: Any) -> tuple[Any, ...] | None:
    """A copy of the scores in a result, not yet looked at one by one; iterators are not touched."""
    if isinstance(result, (list, tuple)):
        return tuple(result) if len(result) <= _VALUES else None
    if isinstance(result, (int, float)):
        return (result,)
    if isinstance(result, Mapping):
        key = next((key for key in _KEYS if key in result), None)
        return None if key is None else _values(result[key])
    tolist = getattr(result, "tolist", None)
    if not callable(tolist) or getattr(result, "nbytes", 0) > 8 * _VALUES:
        return None
    values = tolist()
    return tuple(values) if isinstance(values, list) else (values,)


class Watched:
    """Stands for a callable in every way that Python lets one object stand for another.

    Name, signature, attributes (read and set), `isinstance`, equality and `repr` are those of the original;
    it is pickled and copied as the original, so another process gets the plain function. Only `type(...)`
    tells the two apart, and one line more in a traceback.
    """

    __slots__ = ("__weakref__", "_foreshock_meter", "_foreshock_original")

    def __init__(self, original: Any, meter: Meter) -> None:
        object.__setattr__(self, "_foreshock_original", original)
        object.__setattr__(self, "_foreshock_meter", meter)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            result = self._foreshock_original(*args, **kwargs)
        except Exception as error:
            self._foreshock_meter.failed(error, time.perf_counter() - start)
            raise
        self._foreshock_meter.returned(result, time.perf_counter() - start)
        return result

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # what isinstance() asks
        return self._foreshock_original.__class__

    @property
    def __wrapped__(self) -> Any:
        return self._foreshock_original

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        return self._foreshock_original.__doc__

    @property
    def __module__(self) -> Any:  # type: ignore[override]
        return self._foreshock_original.__module__

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_foreshock_original"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._foreshock_original, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._foreshock_original, name)

    def __dir__(self) -> Any:
        return dir(self._foreshock_original)

    def __repr__(self) -> str:
        return repr(self._foreshock_original)

    def __str__(self) -> str:
        return str(self._foreshock_original)

    def __eq__(self, other: object) -> bool:
        return bool(self._foreshock_original == plain(other))

    def __hash__(self) -> int:
        return hash(self._foreshock_original)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return plain, (self._foreshock_original,)


class WatchedAsync(Watched):
    """The same for what must be awaited."""

    __slots__ = ()

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            result = await self._foreshock_original(*args, **kwargs)
        except Exception as error:
            self._foreshock_meter.failed(error, time.perf_counter() - start)
            raise
        self._foreshock_meter.returned(result, time.perf_counter() - start)
        return result


def plain(function: Any) -> Any:
    """The original behind a watched function; anything else as it is."""
    while issubclass(type(function), Watched):
        function = object.__getattribute__(function, "_foreshock_original")
    return function


def is_model(function: Any) -> bool:
    """Whether it is a torch module, which trainers call in ways of their own."""
    return callable(getattr(function, "named_parameters", None)) and hasattr(function, "state_dict")


def watched(function: Any, meter: Meter) -> Any:
    """The function, listened to; models, names of models and classes stay as they are."""
    if not callable(function) or isinstance(function, type) or is_model(function):
        return function
    base = WatchedAsync if _is_async(function) else Watched
    # Trainers name an object that has no name after its type; these two a new type would hide.
    space = {"__slots__": (), **{name: vars(Watched)[name] for name in ("__doc__", "__module__")}}
    return type(type(function).__name__, (base,), space)(function, meter)


def name_of(function: Callable[..., Any] | str) -> str:
    """What trainers call a reward function: its name, that of the function in a partial, or its class."""
    if isinstance(function, str):
        return function.rsplit("/", 1)[-1]
    if is_model(function):
        path = getattr(getattr(function, "config", None), "_name_or_path", "")
        return str(path).rsplit("/", 1)[-1] or type(function).__name__
    function = plain(function)
    while isinstance(function, functools.partial):
        function = plain(function.func)
    return str(getattr(function, "__name__", type(function).__name__))


def _is_async(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - whether calling it gives a coroutine
    )

"""`tap`: record what a script logs with another tracker, and leave what it logs as it is."""

from __future__ import annotations

import importlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from foreshock.errors import UsageError
from foreshock.integrations._hooks import Listener, Undo, listen, quietly, when_imported
from foreshock.integrations._recorders import Target, folder_for, plain
from foreshock.record import Recorder

LIBRARIES = ("wandb", "tensorboard", "trackio", "mlflow")

_DEPTH = 8
_log = logging.getLogger("foreshock")


def tap(library: str, to: Target | None = None, **facts: Any) -> Tap:
    """Copy what a script logs with another tracker into a recording.

    ```python
    foreshock.tap("wandb", "runs/countdown", total_steps=500)
    ```

    It may stand before or after the import of the library, and imports nothing itself. The script's calls,
    their results and what the library stores stay as they are.

    Args:
        library: "wandb", "tensorboard" (torch.utils.tensorboard and tensorboardX), "trackio" or "mlflow".
        to: the folder to record into, or a `Recorder`. Default: `$FORESHOCK_RUN`, else `foreshock-runs/run`.
            Further runs that the process logs go to the folders `TO-2`, `TO-3`, ...; with a `Recorder` only
            the first run is recorded.
        facts: as in `Recorder`.

    Raises:
        UsageError: the library is not one of these.
    """
    if library not in LIBRARIES:
        raise UsageError(f"no tap for {library!r}; there are taps for {', '.join(LIBRARIES)}")
    made = Tap(library, to, facts)
    importlib.import_module(f"foreshock.integrations.taps.{library}").attach(made)
    return made


class Tap:
    """An open tap; `close()`, or leaving its `with` block, undoes it."""

    def __init__(self, library: str, to: Target | None, facts: Mapping[str, Any]) -> None:
        self.library = library
        self.recorders: dict[str, Recorder] = {}
        """Recorder of each run that the script logged, by the library's own id of the run."""
        self._to = to
        self._facts = dict(facts)
        self._undo: list[Undo] = []
        self._calls: Counter[tuple[str, str]] = Counter()
        self._numbered: set[str] = set()
        self._refused: set[str] = set()

    def close(self) -> None:
        """Undo the tap and end the recordings that it began; a second call does nothing."""
        while self._undo:
            self._undo.pop()()
        for recorder in self.recorders.values():
            if recorder is not self._to:
                recorder.close()

    def __enter__(self) -> Tap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def on_import(self, module: str, action: Callable[[ModuleType], None]) -> None:
        """Call `action` with the module now, or when the script imports it; not after the tap is closed."""
        self._undo.append(when_imported(module, action))

    def on_call(self, owner: type, method: str, listener: Listener) -> None:
        """Listen to a method until the tap is closed."""
        self._undo.append(listen(owner, method, listener))

    def finally_(self, action: Undo) -> None:
        """Call `action` when the tap is closed, after everything that is added later."""
        self._undo.append(action)

    def recorder(
        self, run: str, name: Any = None, config: Callable[[], Any] | None = None, **facts: Any
    ) -> Recorder | None:
        """The recorder of a run of the library, begun when it is first asked for.

        None where the tap was given a recorder and this is another run than its first.
        """
        known = self.recorders.get(run)
        if known is not None:
            return known
        if isinstance(self._to, Recorder):
            if self.recorders:
                self._refuse(run)
                return None
            self._to.describe(tracker=self.library, **facts, **self._facts)
            self.recorders[run] = self._to
            return self._to
        settings = quietly(lambda: plain(config())) if config is not None else None
        made = Recorder(
            self._folder(),
            id=str(name) if name else None,
            config=settings if isinstance(settings, Mapping) and settings else None,
            **{"tracker": self.library, **facts, **self._facts},
        )
        self.recorders[run] = made
        return made

    def step_of(self, run: str, metric: str, step: int | None) -> int:
        """The step of one value; counted where the script gives none (which trackers store as step 0)."""
        if step:
            self._numbered.add(run)
            return int(step)
        count = self._calls[run, metric]
        self._calls[run, metric] += 1
        return 0 if run in self._numbered else count

    def _folder(self) -> Path:
        assert not isinstance(self._to, Recorder)
        first = folder_for(self._to)
        count = len(self.recorders) + 1
        return first if count == 1 else first.with_name(f"{first.name}-{count}")

    def _refuse(self, run: str) -> None:
        if run not in self._refused:
            self._refused.add(run)
            _log.warning(
                "foreshock: %s run %s is not recorded: the tap was given a recorder, which holds one run; "
                "give it a folder to record every run",
                self.library,
                run,
            )


def numbers(values: Mapping[str, Any], prefix: str = "", depth: int = _DEPTH) -> dict[str, Any]:
    """The numbers among what was logged; nested names are joined with ".", as trackers do.

    Tables, images, texts and arrays are left out.
    """
    return dict(_numbers(values, prefix, depth))


def _numbers(values: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            if depth and "_type" not in value:
                yield from _numbers(value, f"{prefix}{key}.", depth - 1)
        elif isinstance(value, (int, float)):
            yield f"{prefix}{key}", value
        elif not isinstance(value, (str, bytes, os.PathLike)) and callable(getattr(value, "item", None)):
            try:
                number = value.item()
            except Exception:  # an array of several numbers, for which each library has an error of its own
                continue
            if isinstance(number, (int, float)):
                yield f"{prefix}{key}", number

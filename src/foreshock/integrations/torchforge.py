"""torchforge: a metric logger under the name `foreshock`.

```yaml
metric_logging:
  foreshock:
    logging_mode: global_reduce
    to: /data/runs/countdown
```

with `import foreshock.integrations.torchforge` where the training is started. torchforge knows its loggers
by a function, `get_logger_backend_class`; that function is replaced by one that knows this name too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from foreshock.integrations._hooks import Undo, when_imported
from foreshock.integrations._recorders import Target, recorder_for
from foreshock.record import Recorder

NAME = "foreshock"

# The second imports the function by name, and so keeps one of its own.
_MODULES = ("forge.observability.metrics", "forge.observability.metric_actors")
_FACTORY = "get_logger_backend_class"
_KNOWN = "_foreshock_known"
_TO = "to"


class ForeshockBackend:
    """A `LoggerBackend`: `init`, `log_batch`, `log_stream`, `finish`."""

    def __init__(self, logger_backend_config: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """Keep the settings.

        Args:
            logger_backend_config: this logger's part of `metric_logging`; `to` in it is the folder.
                Default: `$FORESHOCK_RUN`, else `foreshock-runs/torchforge`.
            settings: the same, where they are handed over one by one.
        """
        self.logger_backend_config = {**(logger_backend_config or {}), **settings}
        self.recorder: Recorder | None = None

    async def init(
        self,
        role: Any = None,
        primary_logger_metadata: Mapping[str, Any] | None = None,
        process_name: str | None = None,
        **_: Any,
    ) -> None:
        """Begin the recording; every process that logs for itself has a file of its own in the folder."""
        to: Target | None = self.logger_backend_config.get(_TO)
        self.recorder = recorder_for(to, "torchforge", framework="torchforge", process=process_name)

    async def log_batch(self, metrics: Sequence[Any], global_step: int, *_: Any, **__: Any) -> None:
        """Record the reduced metrics of a step."""
        if self.recorder is not None:
            self.recorder.log({metric.key: metric.value for metric in metrics}, global_step)

    def log_stream(self, metric: Any, global_step: int, *_: Any, **__: Any) -> None:
        """Record one value as it comes."""
        if self.recorder is not None:
            self.recorder.log({metric.key: metric.value}, global_step)

    async def finish(self) -> None:
        """End the recording."""
        if self.recorder is not None:
            self.recorder.close()

    def get_metadata_for_secondary_ranks(self) -> None:
        """Nothing that other processes would need."""
        return None


def install() -> Undo:
    """Make the name known, now or as soon as torchforge is imported; gives a function that undoes it."""
    undo: list[Undo] = []

    def imported(module: ModuleType) -> None:
        present: Callable[[str], Any] = getattr(module, _FACTORY)
        # A module that imported the function by name may have got ours already.
        known = getattr(present, _KNOWN, present)

        def backend_class(cls_name: str) -> Any:
            return ForeshockBackend if cls_name == NAME else known(cls_name)

        setattr(backend_class, _KNOWN, known)
        setattr(module, _FACTORY, backend_class)
        undo.append(lambda: setattr(module, _FACTORY, known))

    undo += [when_imported(name, imported) for name in _MODULES]

    def all_undone() -> None:
        while undo:
            undo.pop()()

    return all_undone


install()

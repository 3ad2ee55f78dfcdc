"""The errors that Foreshock raises on purpose.

    ForeshockError
    ├── InputError              what was given cannot be used; the message ends with the remedy
    │   ├── NotARunError        no reader recognises it, or it holds no run
    │   ├── UnreadableError     recognised, but broken beyond a partial read
    │   ├── SeveralRunsError    it holds more than one run; `.runs` lists them
    │   ├── MetricError         a metric is missing or could be one of several keys
    │   └── UsageError          options that contradict each other or name nothing
    └── MissingExtraError       an optional dependency is needed; names the extra to install

Each message is one sentence or two that a person can act on: what, where, what to do. At the command
line these end with exit code 2 and no traceback; anything else is a bug and shows its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence


class ForeshockError(Exception):
    """Base of every error that Foreshock raises on purpose."""


class InputError(ForeshockError):
    """What was given cannot be used."""


class NotARunError(InputError):
    """No reader recognises the input, or it holds no training run."""


class UnreadableError(InputError):
    """The format is known but the content is broken beyond a partial read."""


class SeveralRunsError(InputError):
    """The input holds more than one run; `runs` lists their ids in the order found."""

    def __init__(self, message: str, runs: Sequence[str]) -> None:
        super().__init__(message)
        self.runs = tuple(runs)


class MetricError(InputError):
    """A metric is missing, or several keys could be it."""


class UsageError(InputError):
    """Options that contradict each other or name nothing."""


class MissingExtraError(ForeshockError):
    """An optional dependency is needed for this input or output."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra that is not installed: pip install 'foreshock[{extra}]'")
        self.extra = extra

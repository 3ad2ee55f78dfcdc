"""What the integrations share: which folder a run goes to, and its configuration as a plain mapping."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from foreshock.integrations._hooks import quietly
from foreshock.record import Recorder

FOLDER = "FORESHOCK_RUN"
"""Environment variable with the folder to record into, for where a script cannot pass one."""

_DEFAULT = "foreshock-runs"
_DEPTH = 20

Target = Recorder | str | os.PathLike[str]


def recorder_for(
    to: Target | None, *names: Any, config: Any = None, process: str | None = None, **facts: Any
) -> Recorder:
    """The recorder to use: `to` itself, or a new one in the folder `to`.

    Without `to` the folder is `$FORESHOCK_RUN`, else `foreshock-runs/` and the names.
    """
    known = {name: fact for name, fact in facts.items() if fact is not None}
    settings = quietly(plain, config)
    settings = settings if isinstance(settings, Mapping) else None
    if isinstance(to, Recorder):
        if known:
            to.describe(**known)
        if settings is not None:
            keep_config(to, settings)
        return to
    return Recorder(folder_for(to, *names), config=settings, process=process, **known)


def folder_for(to: str | os.PathLike[str] | None, *names: Any) -> Path:
    """`to`, else `$FORESHOCK_RUN`, else `foreshock-runs/` and the names."""
    if to is not None:
        return Path(to)
    if os.environ.get(FOLDER):
        return Path(os.environ[FOLDER])
    return Path(_DEFAULT, *([_safe(str(name)) for name in names if name] or ["run"]))


def keep_config(recorder: Recorder, config: Mapping[str, Any]) -> None:
    """Record settings that became known after the start."""
    with recorder.quietly("config"):
        from foreshock.record.environment import config as evidence_of

        recorder.evidence(evidence_of(recorder.last("config"), config))


def plain(value: Any, depth: int = 0) -> Any:
    """Dictionaries from what frameworks keep settings in: data classes, namespaces, OmegaConf."""
    if depth > _DEPTH:
        return str(value)
    if isinstance(value, Mapping) or (hasattr(value, "keys") and hasattr(value, "__getitem__")):
        return {str(key): _inner(value, key, depth + 1) for key in value.keys()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name, None), depth + 1)
            for field in dataclasses.fields(value)
        }
    if isinstance(value, (argparse.Namespace, SimpleNamespace)):
        return {name: plain(inner, depth + 1) for name, inner in vars(value).items()}
    return value


def _inner(mapping: Any, key: Any, depth: int) -> Any:
    try:
        return plain(mapping[key], depth)
    except Exception:  # OmegaConf refuses to give a value that is still missing
        return None


def at(settings: Any, *path: str) -> Any:
    """What lies under nested keys or attributes; None where there is nothing."""
    for name in path:
        try:
            settings = settings[name] if hasattr(settings, "__getitem__") else getattr(settings, name)
        except Exception:  # settings of all kinds, each with errors of its own
            return None
    return settings


def not_the_first_rank() -> bool:
    """Whether torch.distributed says that another process logs for this one."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return False
    return bool(distributed.get_rank())


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:100]

"""Where a run runs and how it is set: git, versions, host, config, tokenizer, generation settings.

All of it is looked at once, when a training starts, and compared with the attempt before: what differs is an
event at the step where the new attempt begins. Environment variables are not stored; secrets in command
lines and settings are masked.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from foreshock.record.evidence import Change, Evidence
from foreshock.record.secrets import mask_arguments, mask_mapping

_PACKAGES = (
    "accelerate", "areal", "bitsandbytes", "datasets", "deepspeed", "flash-attn", "foreshock", "jax",
    "liger-kernel", "lightning", "math-verify", "megatron-core", "ms-swift", "nemo-rl", "numpy", "openrlhf",
    "peft", "prime-rl", "ray", "safetensors", "sglang", "skyrl", "skyrl-train", "slime", "tokenizers",
    "torch", "torchforge", "transformer-engine", "transformers", "triton", "trl", "unsloth", "verl", "vllm",
    "xformers",
)  # fmt: skip
_GIT_SECONDS = 0.7  # a repository that answers slower on a network file system is not waited for
# Settings that differ at every start and mean nothing for the training.
_VOLATILE = (
    "logging_dir",
    "resume_from_checkpoint",
    "run_name",
    "experiment_name",
    "timestamp",
    "_name_or_path",
)
_TOLD = 5
_MISSING = "(not set)"


def environment(before: Mapping[str, Any] | None = None) -> Evidence:
    """Git state, versions, host, world size and command line of this process."""
    data: dict[str, Any] = {
        "packages": _versions(),
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "command": mask_arguments(sys.argv),
    }
    if world := os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS"):
        data["world_size"] = int(world) if world.isdigit() else world
    if git := _git(_script_folder()):
        data["git"] = git
    return Evidence("environment", data, changes=tuple(_environment_changes(before or {}, data)))


def _environment_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    old, new = before.get("git"), now.get("git")
    if old and new and (old.get("commit"), old.get("dirty")) != (new["commit"], new["dirty"]):
        if old.get("commit") != new["commit"]:
            text = f"The code is at commit {new['commit'][:10]}, was at {str(old.get('commit'))[:10]}."
        else:
            text = f"Uncommitted changes of the code differ at commit {new['commit'][:10]}."
        yield Change("git_changed", text, {"before": old, "after": new})
    different = _differences(before.get("packages") or {}, now["packages"]) if before.get("packages") else {}
    if before.get("python") and before["python"] != now["python"]:
        different["python"] = (before["python"], now["python"])
    if different:
        yield Change("packages_changed", f"Versions changed: {_told(different)}.", {"changed": different})
    size = now.get("world_size")
    if before.get("world_size") and size and size != before["world_size"]:
        text = f"The number of processes changed from {before['world_size']} to {size}."
        yield Change("world_size_changed", text, {"before": before["world_size"], "after": size})


def config(before: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> Evidence:
    """The settings of the training, masked, and what of them differs from the attempt before."""
    masked = mask_mapping(settings)
    different = _differences((before or {}).get("config") or {}, masked) if before else {}
    told = {path: pair for path, pair in different.items() if path.rpartition(".")[2] not in _VOLATILE}
    changes: tuple[Change, ...] = ()
    if told:
        changes = (Change("config_changed", f"Settings changed: {_told(told)}.", {"changed": told}),)
    return Evidence("config", {"config": masked}, changes=changes)


def generation(before: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> Evidence:
    """How completions are sampled (temperature, top-p, lengths, ...) and what of it changed."""
    masked = mask_mapping(settings)
    different = _differences((before or {}).get("generation") or {}, masked) if before else {}
    changes: tuple[Change, ...] = ()
    if different:
        text = f"Generation settings changed: {_told(different)}."
        changes = (Change("generation_settings_changed", text, {"changed": different}),)
    return Evidence("generation", {"generation": masked}, changes=changes)


def tokenizer(before: Mapping[str, Any] | None, tokenizer: Any) -> Evidence:
    """Hashes of the vocabulary, the special tokens and the chat template of a Hugging Face tokenizer.

    Processors of several kinds of input are looked at through their `tokenizer`.
    """
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    data: dict[str, Any] = {"class": type(inner).__name__}
    with contextlib.suppress(Exception):
        data["vocabulary"] = _hash(inner.get_vocab())
        data["size"] = len(inner)
    with contextlib.suppress(Exception):
        data["special"] = {name: str(token) for name, token in inner.special_tokens_map.items()}
    template = getattr(tokenizer, "chat_template", None) or getattr(inner, "chat_template", None)
    data["chat_template"] = _hash(template) if template else None
    return Evidence("tokenizer", data, changes=tuple(_tokenizer_changes(before or {}, data)))


def _tokenizer_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    if not before:
        return
    parts = [name for name in ("class", "vocabulary", "special") if before.get(name) != now.get(name)]
    if parts:
        different = {name: (before.get(name), now.get(name)) for name in parts}
        words = {"class": "its class", "vocabulary": "its vocabulary", "special": "its special tokens"}
        text = f"The tokenizer changed: {', '.join(words[name] for name in parts)}."
        yield Change("tokenizer_changed", text, {"changed": different})
    old, new = before.get("chat_template"), now.get("chat_template")
    if old != new:
        text = f"The chat template changed from {_short(old)} to {_short(new)}."
        yield Change("chat_template_changed", text, {"before": old, "after": new})


def _short(digest: Any) -> str:
    return "none" if digest is None else f"hash {str(digest)[:8]}"


def _hash(value: Any) -> str:
    """A stable digest; the order of a mapping does not matter."""
    encoded = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)
    return hashlib.sha256(encoded).hexdigest()[:16]


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _script_folder() -> Path:
    """Where the code of the training lies: the folder of the script, else the current one."""
    script = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path()
    return script.resolve().parent if script.is_file() else Path.cwd()


def _git(folder: Path) -> dict[str, Any] | None:
    """Commit, branch and a hash of the uncommitted changes; None outside a repository or without git."""
    try:
        commit, branch = _ask_git(folder, "rev-parse", "HEAD", "--abbrev-ref", "HEAD").split()
        difference = _ask_git(folder, "diff", "HEAD", "--no-ext-diff", "--no-color")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    dirty = hashlib.sha256(difference.encode(errors="replace")).hexdigest()[:16] if difference else None
    return {"commit": commit, "branch": branch, "dirty": dirty}


def _ask_git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        timeout=_GIT_SECONDS,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
    ).stdout


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted path -> (before, now) of everything that differs; what JSON reads alike is alike."""
    old, new = _flat(before), _flat(now)
    paths = [*old, *(path for path in new if path not in old)]
    return {
        path: (old.get(path, _MISSING), new.get(path, _MISSING))
        for path in paths
        if old.get(path, _MISSING) != new.get(path, _MISSING)
    }


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat


def _told(different: Mapping[str, tuple[Any, Any]]) -> str:
    told = [f"{path} {_value(old)} to {_value(new)}" for path, (old, new) in list(different.items())[:_TOLD]]
    more = len(different) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def _value(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."

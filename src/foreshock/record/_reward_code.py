"""Whether the code behind reward functions changed: while training, or since the attempt before."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from foreshock.record._code import PYTHON, hash_of, reached, settings_of
from foreshock.record._code_files import Files
from foreshock.record._watched import is_model, plain
from foreshock.record.evidence import Change

_NAMED = 4  # functions named in a text


class RewardCode:
    """Follows reward functions to the code they run and to the files that it comes from."""

    def __init__(self, functions: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
        self._functions = {
            name: function
            for name, function in functions.items()
            if callable(function) and not is_model(function)
        }
        self._codes = {name: _reached(function) for name, function in self._functions.items()}
        self._hashes = {name: _hashes(codes) for name, codes in self._codes.items()}
        self._settings = {name: _settings(function) for name, function in self._functions.items()}
        self._files = Files(_modules(self._functions.values()))
        self._before = dict(before or {})

    def data(self) -> dict[str, Any]:
        """What a later attempt compares itself with."""
        settings = {name: values for name, values in self._settings.items() if values}
        return {"code": dict(self._hashes), "modules": dict(self._files.hashes), "settings": settings}

    def changes(self) -> list[Change]:
        """What changed since the last call; at the first one, since the attempt before as well."""
        files = self._files.look()
        before, self._before = self._before, {}
        changes = self._since_before(before) if before else []
        changed: dict[str, list[str]] = {}
        places: dict[str, str] = {}
        for name, function in self._functions.items():
            codes = _reached(function)
            old = self._codes[name]
            if len(codes) == len(old) and all(codes[path] is old.get(path) for path in codes):
                continue
            hashes = _hashes(codes)
            different = _different(self._hashes[name], hashes)
            places.update({path: _file(codes[path]) for path in different})
            if different:
                changed[name] = different
            self._codes[name], self._hashes[name] = codes, hashes
        if changed:
            changes.append(_code_change(changed, places, ""))
        told = set(places.values())
        for module in files:
            file = self._files.file(module)
            if file not in told:
                text = (
                    f"{file}, which reward code comes from, changed on disk, but not the reward code that "
                    "this process has loaded."
                )
                changes.append(Change("reward_module_changed", text, {"module": module, "file": file}))
        return changes

    def _since_before(self, before: Mapping[str, Any]) -> list[Change]:
        changes = []
        changed: dict[str, list[str]] = {}
        places: dict[str, str] = {}
        comparable = before.get("python") == PYTHON
        for name, hashes in self._hashes.items():
            old = _mapping(_mapping(before.get("code")).get(name)) if comparable else {}
            different = _different(old, hashes)
            if old and not (old.keys() & hashes.keys()) and not (set(old.values()) & set(hashes.values())):
                different = list(hashes)  # another function altogether, under the same name
            places.update({path: _file(self._codes[name][path]) for path in different})
            if different:
                changed[name] = different
        since = " since the attempt before"
        if changed:
            changes.append(_code_change(changed, places, since))
        told = set(places.values())
        for module in _different(_mapping(before.get("modules")), self._files.hashes):
            file = self._files.file(module)
            if file not in told:
                rest = (
                    ", but not the functions that it is known to run"
                    if comparable
                    else "; what it runs cannot be compared, as Python is another version"
                )
                text = f"{file}, which reward code comes from, changed{since}{rest}."
                changes.append(Change("reward_module_changed", text, {"module": module, "file": file}))
        return changes + self._settings_since(_mapping(before.get("settings")))

    def _settings_since(self, before: Mapping[str, Any]) -> list[Change]:
        changes = []
        for name, settings in self._settings.items():
            old = _mapping(before.get(name))
            for key in _different(old, settings):
                hidden = str(old[key]).startswith("#") or str(settings[key]).startswith("#")
                values = "" if hidden else f" from {old[key]} to {settings[key]}"
                text = f"The setting {key} of reward {name} changed{values} since the attempt before."
                data = {"reward": name, "setting": key, "before": old[key], "now": settings[key]}
                changes.append(Change("reward_settings_changed", text, data))
        return changes


def _code_change(changed: Mapping[str, list[str]], places: Mapping[str, str], since: str) -> Change:
    paths = list(dict.fromkeys(path for different in changed.values() for path in different))
    named = ", ".join(f"{path} ({places[path]})" for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    text = f"Reward code of {', '.join(changed)} changed{since}: {named}{more}."
    files = sorted({places[path] for path in paths})
    return Change("reward_code_changed", text, {"rewards": list(changed), "functions": paths, "files": files})


def _reached(function: Any) -> dict[str, types.CodeType]:
    try:
        return reached(function)
    except Exception:  # objects of a user may raise at any look at them; their scores still count
        return {}


def _settings(function: Any) -> dict[str, Any]:
    try:
        return settings_of(function)
    except Exception:  # as above
        return {}


def _hashes(codes: Mapping[str, types.CodeType]) -> dict[str, str]:
    return {path: hash_of(code) for path, code in codes.items()}


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Keys of both whose values differ; what only one has was loaded later, or what names it differs."""
    return [key for key in now if key in before and before[key] != now[key]]


def _file(code: types.CodeType) -> str:
    return code.co_filename.replace("\\", "/").rpartition("/")[2]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _modules(functions: Any) -> list[str]:
    """Modules that the functions are defined in."""
    names = []
    for function in map(plain, functions):
        while hasattr(function, "func"):  # a partial
            function = plain(function.func)
        names.append(getattr(function, "__module__", None) or type(function).__module__)
    return [name for name in dict.fromkeys(names) if isinstance(name, str)]

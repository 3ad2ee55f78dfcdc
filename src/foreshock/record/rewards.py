"""What the reward functions did: their scores, time and errors, and whether they are still the same code."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from foreshock.record._code import PYTHON
from foreshock.record._reward_code import RewardCode
from foreshock.record._watched import Call, Meter, is_model, name_of, watched
from foreshock.record.evidence import Change, Evidence

KIND = "reward"

_MESSAGE = 200  # characters kept of the message of an exception
_ERROR_KINDS = 32  # kinds of exceptions that are told of
# What could be a key: long, with digits and letters mixed; or what follows the word for one.
_SECRET = re.compile(
    r"(?i)(\b(?:bearer|token|password|passwd|secret|api[-_ ]?key|authorization)\b\W{1,4})\S+"
    r"|(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{20,}"
)


class RewardWatch:
    """Listens to reward functions: `functions` are drop-in replacements of those it was given.

    A replacement has the name, signature, attributes, result and exceptions of the original, synchronous or
    not, and costs a few microseconds a call. Reward models (torch modules) and names of models are passed on
    untouched: nothing is measured of them, but their structure is kept, so that another model is noticed.

    None or NaN in a result is "unscored", which is not a score of 0. Results that are no list, array or
    number (generators, say) are passed on unread, and counted as such.
    """

    def __init__(
        self,
        functions: Sequence[Callable[..., Any] | Any],
        names: Sequence[str] | None = None,
        weights: Sequence[float] | None = None,
        before: Mapping[str, Any] | None = None,
        *,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        """Begin, or go on after an earlier attempt.

        Args:
            functions: reward functions, objects that can be called, reward models or names of models.
            names: what they are called; default: as TRL calls them. A name that is there already gets a
                number.
            weights: what each is multiplied with in the reward.
            before: data of the newest evidence of the attempt before, from `Recorder.last("reward")`.
            redact: is given the message of an exception before it is told, as it may quote a completion.
        """
        self.names = _different([*(names or []), *map(name_of, functions[len(names or []) :])])
        self._meters = {name: Meter() for name in self.names}
        self.functions: list[Any] = [
            watched(function, self._meters[name])
            for name, function in zip(self.names, functions, strict=False)
        ]
        self._code = RewardCode(dict(zip(self.names, functions, strict=False)), before)
        self._weights: dict[str, float] | None = None
        self._given = _weights(self.names, weights)
        self._before = dict(before or {})
        self._redact = redact
        self._error_kinds: set[tuple[str, str]] = set()
        self._told: dict[str, Any] = {}
        self._models = {
            name: model_identity(function)
            for name, function in zip(self.names, functions, strict=False)
            if is_model(function) or isinstance(function, str)
        }

    def add(self, name: str, scores: Sequence[float | None], seconds: float | None = None) -> None:
        """Take scores that were given elsewhere: by a reward model, or in another process."""
        if name not in self._meters:
            self._meters[name] = Meter()
            self.names.append(name)
        self._meters[name].calls.append(Call(seconds, tuple(scores)))

    def scores(self) -> dict[str, list[float | None]]:
        """Per function the scores since the last `step`, in the order of calls; None where there is none."""
        return {
            name: [_score(value)[0] for call in list(meter.calls) for value in call.values or ()]
            for name, meter in self._meters.items()
        }

    def clear(self) -> None:
        """Forget the calls since the last `step`, those of an evaluation for instance."""
        for meter in self._meters.values():
            meter.calls.clear()

    def step(self, weights: Sequence[float] | None = None) -> Evidence:
        """What happened since the last step.

        Args:
            weights: where they may have changed.
        """
        metrics: dict[str, float] = {}
        changes = [*self._first_changes(), *self._code.changes()]
        data: dict[str, Any] = {}
        for name, meter in self._meters.items():
            calls = _taken(meter)
            if calls:
                numbers, unread = _numbers(calls)
                metrics.update({f"foreshock/reward/{name}/{key}": value for key, value in numbers.items()})
                errors = Counter(call.error[0] for call in calls if call.error)
                if errors:
                    data.setdefault("errors", {})[name] = dict(errors.most_common(8))
                if unread:
                    data.setdefault("unread", {})[name] = unread
                changes += self._errors(name, calls)
        changes += self._weight_changes(_weights(self.names, weights) or self._given)
        facts = {
            "names": self.names[:],
            "weights": self._weights,
            "models": self._models,
            "python": PYTHON,
            **self._code.data(),
        }
        data.update({key: value for key, value in facts.items() if value and self._told.get(key) != value})
        self._told = facts
        return Evidence(KIND, data, metrics, tuple(changes))

    def _first_changes(self) -> list[Change]:
        """What differs from the attempt before in the list of functions and models; told once."""
        before, self._before = self._before, {}
        changes = []
        if before.get("weights") is not None and self._weights is None:
            self._weights = before["weights"]
        names = before.get("names")
        if isinstance(names, list) and set(names) != set(self.names):
            gone = [name for name in names if name not in self.names]
            new = [name for name in self.names if name not in names]
            parts = [f"{', '.join(map(str, gone))} gone"] * bool(gone) + [f"{', '.join(new)} new"] * bool(new)
            text = f"The reward functions are not those of the attempt before: {'; '.join(parts)}."
            changes.append(Change("reward_functions_changed", text, {"gone": gone, "new": new}))
        models = before.get("models")
        for name, identity in self._models.items():
            old = models.get(name) if isinstance(models, Mapping) else None
            if old is not None and old != identity:
                text = f"The reward model {name} is not that of the attempt before."
                changes.append(Change("reward_model_changed", text, {"before": old, "now": identity}))
        return changes

    def _weight_changes(self, now: dict[str, float] | None) -> list[Change]:
        before, self._weights = self._weights, now or self._weights
        if not before or not now or before == now:
            return []
        different = {
            name: (before[name], now[name]) for name in now if before.get(name, now[name]) != now[name]
        }
        if not different:
            return []
        parts = (f"{name} from {old:g} to {new:g}" for name, (old, new) in different.items())
        text = f"Reward weights changed: {', '.join(parts)}."
        return [Change("reward_weights_changed", text, {"before": before, "now": now})]

    def _errors(self, name: str, calls: list[Call]) -> list[Change]:
        """The first exception of each kind."""
        changes = []
        for call in calls:
            kind = (name, call.error[0]) if call.error else None
            if call.error and kind not in self._error_kinds and len(self._error_kinds) < _ERROR_KINDS:
                self._error_kinds.add((name, call.error[0]))
                message = self._message(call.error[1])
                said = f": {message}" if message else ""
                text = f"The reward function {name} raised {call.error[0]}{said}"
                data = {"reward": name, "type": call.error[0], "message": message}
                changes.append(Change("reward_error", text, data))
        return changes

    def _message(self, text: str) -> str:
        """A message without what may be a key, or what the user's hook takes out."""
        if self._redact is not None:
            try:
                text = self._redact(text)
            except Exception:  # better no message than one that was to be redacted
                return ""
            if not isinstance(text, str):
                return ""
        text = _SECRET.sub(lambda match: f"{match[1] or ''}***", text.strip().partition("\n")[0])
        return text if len(text) <= _MESSAGE else text[: _MESSAGE - 3] + "..."


def model_identity(model: Any) -> dict[str, Any]:
    """What a reward model is: its class, name, size and the hash of the shapes of its parameters."""
    if isinstance(model, str):
        return {"name": model}
    digest = hashlib.blake2b(digest_size=8)
    parameters = 0
    for name, values in model.named_parameters():
        digest.update(f"{name} {tuple(values.shape)} {values.dtype};".encode())
        parameters += math.prod(values.shape)
    config = getattr(model, "config", None)
    identity = {
        "class": type(model).__name__,
        "name": str(getattr(config, "_name_or_path", "") or ""),
        "parameters": parameters,
        "structure": digest.hexdigest(),
    }
    return {key: value for key, value in identity.items() if value}


def _different(names: Sequence[str]) -> list[str]:
    """The names, those that are there already with a number."""
    taken: list[str] = []
    for name in map(str, names):
        number, unique = 1, name
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.append(unique)
    return taken


def _weights(names: Sequence[str], weights: Sequence[float] | None) -> dict[str, float] | None:
    if weights is None:
        return None
    return {name: float(weight) for name, weight in zip(names, weights, strict=False)}


def _taken(meter: Meter) -> list[Call]:
    """All calls, taken out one by one: other threads may be adding some."""
    calls = []
    while meter.calls:
        calls.append(meter.calls.popleft())
    return calls


def _score(value: Any) -> tuple[float | None, bool]:
    """(the number in a value, None if there is none; whether it could be read)."""
    if value is None or type(value) is float:
        return value, True
    try:
        if isinstance(value, Mapping):
            value = next((value[key] for key in ("score", "reward") if key in value), "")
        return (None, False) if isinstance(value, (str, bytes)) else (float(value), True)
    except Exception:  # of any type that a user may return
        return None, False


def _numbers(calls: list[Call]) -> tuple[dict[str, float], int]:
    """(mean, std, unscored, seconds, errors as far as there are any; values that could not be read)."""
    pairs = [_score(value) for call in calls for value in call.values or ()]
    unread = sum(not readable for _, readable in pairs)
    unread += sum(call.values is None and call.error is None for call in calls)
    values = [value for value, readable in pairs if readable]
    scored = [value for value in values if value is not None and not math.isnan(value)]
    numbers: dict[str, float] = {"errors": sum(call.error is not None for call in calls)}
    if values:
        numbers["unscored"] = 1 - len(scored) / len(values)
    if scored:
        mean = numbers["mean"] = sum(scored) / len(scored)
        if len(scored) > 1:
            squares = sum((value - mean) * (value - mean) for value in scored)
            numbers["std"] = math.sqrt(squares / (len(scored) - 1))
    seconds = [call.seconds for call in calls if call.seconds is not None]
    if seconds:
        numbers["seconds"] = sum(seconds)
    return numbers, unread

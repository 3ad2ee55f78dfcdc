"""What the trained model is and how it moves: structure, types, norms of its layers, optimiser state."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from foreshock.record import _model_changes as changes
from foreshock.record import _optimizer
from foreshock.record._movement import Allowance, Movement, Trail
from foreshock.record._weights import Look, Part, look, module_kinds, parts_of, structure_hash
from foreshock.record.evidence import Change, Evidence

KIND = "model"

_LAYERS = 200  # norms written down; more layers than that are lumped
_OTHER = "(other)"
_ALWAYS = ("at", "layers", "optimizer", "points")


class ModelFingerprint:
    """Looks at a PyTorch model every few steps, from outside.

    Each look reads all parameters once for their norms, 64 values of each for how far they moved, and the
    first moments of the optimiser, and waits for each device once. In between, a call only reads the learning
    rate. Nothing is computed with the model, so a training goes on bit for bit as without it.

    A change is found at the next look, so up to `every` steps late. It cannot see what leaves parameters and
    modules as they are (a patched `forward`), damage to values that are not among the 64 of a large
    parameter, and a move that training itself could make.
    """

    def __init__(self, before: Mapping[str, Any] | None = None, *, every: int = 10) -> None:
        """Begin, or go on after an earlier attempt.

        Args:
            before: data of the newest evidence of the attempt before, from `Recorder.last("model")`.
            every: steps between two looks; the first call always looks.
        """
        self._every = max(1, int(every))
        self._before: Mapping[str, Any] = before or {}
        self._looked: int | None = None
        self._budget = _Budget()
        self._norms: list[float] = []
        self._broken: set[str] = set()
        self._movement = Movement()
        self._trail = Trail(before)

    def step(self, model: Any, step: int, optimizer: Any = None) -> Evidence | None:
        """Look at a model after a training step.

        Args:
            model: a `torch.nn.Module`, also wrapped, or sharded: then the part that this process holds.
            step: the step that has just been done.
            optimizer: its `torch.optim.Optimizer`, or a wrapper with `.optimizer`: for its state, and for how
                far a step moves the weights.

        Returns:
            Evidence with `foreshock/model/...` and `foreshock/optimizer/...`, or None between two looks.
        """
        optimizer = _optimizer.unwrapped(optimizer)
        rates = _optimizer.learning_rates(optimizer)
        self._budget.add(step, max(rates, default=None))
        if self._looked is not None and step // self._every == self._looked // self._every:
            return None
        memory = _optimizer.memory(optimizer)
        parts = parts_of(model)
        seen = look(parts, memory.moments, memory.counter)
        held = [part for part in parts if part.values is not None]
        keys = _keys(held)
        data = _facts(model, parts, held) | {"layers": _layer_norms(keys, seen.norms)}
        data["optimizer"] = self._optimizer(optimizer, rates, seen, step)
        updates = data["optimizer"].get("per_step") or 1.0
        allowed = self._budget.take(max(1.0, updates), memory.reach)
        found = tuple(self._changes(held, keys, seen, data, step, allowed))
        data |= self._trail.data(step)
        before, self._before, self._looked, self._norms = self._before, data, step, seen.norms
        news = {key: value for key, value in data.items() if key in _ALWAYS or before.get(key) != value}
        return Evidence(KIND, news, _metrics(data, seen), found)

    def _optimizer(self, optimizer: Any, rates: Sequence[float], seen: Look, step: int) -> dict[str, Any]:
        """What is known of the optimiser; `per_step` is how often it steps in a training step."""
        if optimizer is None:
            return {}
        told: dict[str, Any] = {
            "class": type(optimizer).__name__,
            "state_norm": _short(_root(seen.state)),
            "steps": int(seen.counter or 0),
        }
        if rates:
            told["learning_rate"] = rates[0]
        if len(set(rates)) > 1:
            told["learning_rates"] = list(rates[:20])
        old = self._before.get("optimizer") or {}
        steps = 0 if self._looked is None else step - self._looked
        if steps > 0 and told["steps"] > old.get("steps", 0) > 0:
            told["per_step"] = round((told["steps"] - old["steps"]) / steps, 4)
        elif step > 0:
            told["per_step"] = round(told["steps"] / step, 4)
        return told

    def _changes(
        self,
        held: Sequence[Part],
        keys: Sequence[str],
        seen: Look,
        data: Mapping[str, Any],
        step: int,
        allowed: Allowance,
    ) -> list[Change]:
        """What differs from the last look, or at the first one from the attempt before."""
        before = self._before
        last = int(before.get("at") or 0)
        comparable = before.get("held") == data["held"]
        if self._looked is None or before.get("layout") != data["layout"]:
            self._movement.begin(keys, [part.count for part in held], seen.lengths, same=comparable)
        if before.get("layout") != data["layout"]:
            self._trail.forget()
        gone = self._fallen(held, keys, seen, data) if comparable else {}
        frozen = {key for part, key in zip(held, keys, strict=True) if not part.trainable}
        jumps = self._movement.step(seen.samples, allowed, frozen)
        way = self._trail.step(seen.samples, _trained(held, seen.lengths), step)
        if way == "back":  # it says what the jump is
            jumps = []
        told = [
            *(changes.fact_changes(before, data) if before else ()),
            changes.zero_change(gone, before.get("layers") or {}, step),
            changes.jump_change(
                [jump for jump in jumps if jump.layer not in gone], len(set(keys)), step - last, step
            ),
            changes.way_change(way, last, step),
            changes.finite_change(self._newly_broken(keys, seen), step),
            changes.optimizer_change(before.get("optimizer") or {}, data["optimizer"], last, step),
        ]
        found = [change for change in told if change is not None]
        if self._looked is None or step <= self._looked:
            return found
        window = {"steps": step - self._looked}  # it happened in one of the steps since the look before
        return [replace(change, data={**change.data, **window}) for change in found]

    def _fallen(
        self, held: Sequence[Part], keys: Sequence[str], seen: Look, data: Mapping[str, Any]
    ) -> dict[str, list[str]]:
        """Layer -> parameters that were not 0 and are, none standing for all of them.

        After a resume only the norms of whole layers are known.
        """
        if self._looked is None:
            old: Mapping[str, Any] = self._before.get("layers") or {}
            return {key: [] for key, norm in data["layers"].items() if norm == 0 and _positive(old.get(key))}
        gone: dict[str, list[str]] = {}
        for part, key, old_norm, norm in zip(held, keys, self._norms, seen.norms, strict=True):
            if old_norm > 0 and norm == 0:
                gone.setdefault(key, []).append(part.name)
        return {key: [] if data["layers"].get(key) == 0 else names for key, names in gone.items()}

    def _newly_broken(self, keys: Sequence[str], seen: Look) -> list[str]:
        broken = {key for key, norm in zip(keys, seen.norms, strict=True) if not math.isfinite(norm)}
        fresh = [key for key in dict.fromkeys(keys) if key in broken - self._broken]
        self._broken = broken
        return fresh


class _Budget:
    """Adds up the learning rate of the steps between two looks."""

    def __init__(self) -> None:
        self._step: int | None = None
        self._rate: float | None = None
        self._sum = 0.0
        self._steps = 0
        self._known = True

    def add(self, step: int, rate: float | None) -> None:
        """Count a step; schedulers move on before some callbacks and after others: the larger rate counts."""
        if self._step is not None and step > self._step:
            steps = step - self._step
            self._steps += steps
            if rate is None or self._rate is None:
                self._known = False
            else:
                self._sum += max(rate, self._rate) * steps
        self._step, self._rate = step, rate

    def take(self, updates: float, reach: float) -> Allowance:
        """What the optimiser may have done since the last call, with so many updates a step."""
        allowed = Allowance(self._steps * updates, self._sum * updates if self._known else None, reach)
        self._sum, self._steps, self._known = 0.0, 0, True
        return allowed


def _facts(model: Any, parts: Sequence[Part], held: Sequence[Part]) -> dict[str, Any]:
    types: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for part in parts:
        types[part.dtype] += part.count
        sizes[part.layer if part.layer in sizes or len(sizes) < _LAYERS else _OTHER] += part.count
    structure = structure_hash(parts)
    # Values can be compared while the same of them are in this process; their layers and the way that
    # they have come, while the same of them are trained.
    here = [structure, *(f"{part.name}:{part.values.numel()}" for part in held)]
    trained = [part.name for part in held if part.trainable]
    return {
        "structure": structure,
        "held": _hash(here),
        "layout": _hash([*here, "", *trained]),
        "parameters": sum(sizes.values()),
        "trainable": sum(part.count for part in parts if part.trainable),
        "dtypes": dict(types),
        "modules": module_kinds(model),
        "sizes": dict(sizes),
    }


def _keys(held: Sequence[Part]) -> list[str]:
    """The layer of each part; the frozen parts of one that is trained in part stand apart.

    Beside large frozen weights, what happens to an adapter would not be seen.
    """
    kinds: dict[str, set[bool]] = {}
    for part in held:
        kinds.setdefault(part.layer, set()).add(part.trainable)
    return [
        part.layer + changes.FROZEN if len(kinds[part.layer]) == 2 and not part.trainable else part.layer
        for part in held
    ]


def _trained(held: Sequence[Part], lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Where in the samples those of trained parts are; of all parts, if none is trained."""
    ends = list(accumulate(lengths))
    spans = list(zip([0, *ends], ends, strict=False))
    return [span for part, span in zip(held, spans, strict=True) if part.trainable] or spans


def _layer_norms(keys: Sequence[str], norms: Sequence[float]) -> dict[str, float]:
    squares: dict[str, float] = {}
    for key, norm in zip(keys, norms, strict=True):
        name = key if key in squares or len(squares) < _LAYERS else _OTHER
        squares[name] = squares.get(name, 0.0) + norm * norm
    return {name: _short(math.sqrt(square)) for name, square in squares.items()}


def _metrics(data: Mapping[str, Any], seen: Look) -> dict[str, float]:
    metrics = {
        "foreshock/model/parameters": float(data["parameters"]),
        "foreshock/model/trainable_share": data["trainable"] / max(data["parameters"], 1),
    }
    if seen.norms:
        metrics["foreshock/model/norm"] = _root(seen.norms)
    for name in ("state_norm", "learning_rate"):
        if name in data["optimizer"]:
            metrics[f"foreshock/optimizer/{name}"] = data["optimizer"][name]
    return metrics


def _root(norms: Sequence[float]) -> float:
    return math.sqrt(sum(norm * norm for norm in norms))


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _hash(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and value > 0

"""What the model is and how it moves: structure, parameters, the norm of each layer, optimiser state.

Works on any `torch.nn.Module` by its parameters, without importing torch: a training that calls it has it.
Nothing is changed, no random number is drawn, and one transfer from the device brings all norms. Parameters
that this process holds only a part of (FSDP, DeepSpeed ZeRO-3, meta tensors) are left out: to gather them
would need every process.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from foreshock.record.evidence import Change, Evidence

KIND = "model"
_BLOCK = re.compile(r"^(.*?\.\d+)(?:\.|$)")
_STACK = re.compile(r"(?:^|.*\.)(?:layers|h|blocks|layer|block)\.(\d+)$")
# A layer's norm moves by little between two looks. A jump is a move of more than this share of it, and of
# more than this many times the largest move of any layer before.
_MOVE = 0.02
_TIMES = 4.0
_FIRST_MOVE = math.log(8)  # while fewer than `_PAST` moves are known: a model from scratch triples its norms
_PAST = 5
_TOLD = 4


class ModelFingerprint:
    """Looks at a model every few steps and says what changed.

    Args:
        before: `recorder.last("model")`, so that a change between two attempts is found too.
        every: steps between two looks; the first call always looks.
    """

    def __init__(self, before: Mapping[str, Any] | None = None, *, every: int = 10) -> None:
        self._before: dict[str, Any] = dict(before or {})
        self._every = every
        self._looked = False
        self._step = 0
        self._moves: list[float] = []
        self._gone: set[str] = set()

    def step(self, model: Any, step: int, optimizer: Any = None) -> Evidence | None:
        """Look at the model, if it is time to.

        Args:
            model: a `torch.nn.Module`; wrappers such as DDP are looked through.
            step: the step that has just been done.
            optimizer: its `torch.optim.Optimizer`, or a wrapper with `.optimizer`.

        Returns:
            Evidence with `foreshock/model/...` and `foreshock/optimizer/...`, or None between two looks.
        """
        if self._looked and step % self._every:
            return None
        model = getattr(model, "module", model) if type(model).__name__.endswith("Parallel") else model
        named = [(name, parameter) for name, parameter in model.named_parameters()]
        now = _structure(named)
        whole = [(name, parameter) for name, parameter in named if _is_whole(parameter)]
        now["layers"] = _layer_norms(whole)
        now["optimizer"] = _optimizer(optimizer)
        first = not self._looked
        changes = tuple(self._changes(now, step, between_attempts=first))
        if not first and step > self._step:  # it happened in one of the steps since the look before
            window = {"steps": step - self._step}
            changes = tuple(replace(change, data={**change.data, **window}) for change in changes)
        self._step = step
        before, self._before, self._looked = self._before, now, True
        # What did not change is not repeated.
        told = {
            key: value
            for key, value in now.items()
            if key in ("layers", "optimizer") or before.get(key) != value
        }
        return Evidence(KIND, told, _metrics(now), changes)

    def _changes(self, now: Mapping[str, Any], step: int, *, between_attempts: bool) -> Iterator[Change]:
        before = self._before
        if not before:
            return
        if before.get("structure") != now["structure"]:
            yield _structure_change(before, now)
        elif before.get("dtypes") != now["dtypes"]:
            text = f"The parameters are {_kinds(now['dtypes'])}, were {_kinds(before['dtypes'])}."
            yield Change("dtype_changed", text, {"before": before["dtypes"], "after": now["dtypes"]})
        was, share = _share(before), _share(now)
        if was != share:
            text = f"The trainable share of the parameters changed from {was:.1%} to {share:.1%}."
            yield Change("trainable_share_changed", text, {"before": was, "after": share})
        yield from self._norm_changes(before.get("layers") or {}, now["layers"], step, between_attempts)
        yield from _optimizer_changes(before.get("optimizer") or {}, now["optimizer"], step, between_attempts)

    def _norm_changes(
        self, before: Mapping[str, float], now: Mapping[str, float], step: int, between_attempts: bool
    ) -> Iterator[Change]:
        common = [name for name in now if name in before]
        zero = [name for name in common if now[name] == 0 and before[name] > 0]
        for name in zero:
            text = f"The norm of {_title(name)} fell to 0 at step {step}; it was {before[name]:.4g}."
            yield Change("layer_norm_zero", text, {"layer": name, "before": before[name]})
        moves = {
            name: abs(math.log(now[name] / before[name]))
            for name in common
            if now[name] > 0 and before[name] > 0 and math.isfinite(now[name]) and math.isfinite(before[name])
        }
        limit = _FIRST_MOVE
        if len(self._moves) >= _PAST:
            limit = max(_MOVE, _TIMES * max(self._moves))
        jumped = [name for name, move in moves.items() if move > limit]
        if jumped:
            yield _jump(jumped, before, now, step)
        elif moves and not between_attempts:
            self._moves.append(max(moves.values()))
        broken = [name for name in common if not math.isfinite(now[name]) and name not in self._gone]
        if broken:
            self._gone.update(broken)
            text = (
                f"The norm of {_list(broken)} is no number from step {step} on: weights are NaN or infinite."
            )
            yield Change("layer_norm_not_finite", text, {"layers": broken})


def _structure(named: list[tuple[str, Any]]) -> dict[str, Any]:
    """Names, shapes and types of the parameters, told as a hash, counts and sizes of layers."""
    digest = hashlib.sha256()
    dtypes: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    trainable = 0
    for name, parameter in named:
        count = _count(parameter)
        digest.update(f"{name}:{tuple(parameter.shape)};".encode())
        dtypes[str(parameter.dtype).removeprefix("torch.")] += count
        sizes[_layer_of(name)] += count
        trainable += count if parameter.requires_grad else 0
    return {
        "structure": digest.hexdigest()[:16],
        "parameters": sum(sizes.values()),
        "trainable": trainable,
        "dtypes": dict(dtypes),
        "sizes": dict(sizes),
    }


def _count(parameter: Any) -> int:
    """Numbers in a parameter; DeepSpeed keeps the count of what it has parted elsewhere."""
    return int(getattr(parameter, "ds_numel", None) or parameter.numel())


def _is_whole(parameter: Any) -> bool:
    parted = hasattr(parameter, "_local_tensor") or hasattr(parameter, "ds_id")
    return not parted and parameter.device.type != "meta" and parameter.numel() > 0


def _layer_of(name: str) -> str:
    """`model.layers.3.mlp.up_proj.weight` belongs to `model.layers.3`, `lm_head.weight` to `lm_head`."""
    found = _BLOCK.match(name)
    return found[1] if found else name.rpartition(".")[0] or name


def _layer_norms(named: list[tuple[str, Any]]) -> dict[str, float]:
    """L2 norm of each layer, to six digits."""
    squares: dict[str, float] = {}
    for (name, _), norm in zip(named, _norms([parameter for _, parameter in named]), strict=True):
        layer = _layer_of(name)
        squares[layer] = squares.get(layer, 0.0) + norm * norm
    return {layer: float(f"{math.sqrt(square):.6g}") for layer, square in squares.items()}


def _norms(tensors: Iterable[Any]) -> list[float]:
    """L2 norm of each tensor, summed in single precision, with one transfer from each device."""
    listed = [tensor.detach() for tensor in tensors]
    if not listed:
        return []
    import torch

    groups: dict[tuple[Any, Any], list[int]] = {}
    for place, tensor in enumerate(listed):
        groups.setdefault((tensor.device, tensor.dtype), []).append(place)
    found = [0.0] * len(listed)
    for (_, dtype), places in groups.items():
        members = [listed[place] for place in places]
        if dtype in (torch.float32, torch.float64):
            norms = list(torch._foreach_norm(members))
        else:  # half precision would lose the small moves that a jump is measured against
            norms = [torch.linalg.vector_norm(member, dtype=torch.float32) for member in members]
        for place, norm in zip(places, torch.stack(norms).tolist(), strict=True):
            found[place] = norm
    return found


def _optimizer(optimizer: Any) -> dict[str, Any]:
    """Norm of the state, steps taken and learning rate of the first group."""
    for _ in range(4):
        inner = getattr(optimizer, "optimizer", None)
        if inner is None:
            break
        optimizer = inner
    if optimizer is None or not hasattr(optimizer, "param_groups"):
        return {}
    states = list(optimizer.state.values())
    tensors = [
        value
        for state in states
        for key, value in state.items()
        if key != "step" and hasattr(value, "detach") and value.is_floating_point() and _is_whole(value)
    ]
    norm = math.sqrt(sum(norm * norm for norm in _norms(tensors)))
    steps = [float(state["step"]) for state in states[:1] if "step" in state]
    return {
        "class": type(optimizer).__name__,
        "state_norm": float(f"{norm:.6g}"),
        "steps": int(steps[0]) if steps else 0,
        "learning_rate": float(optimizer.param_groups[0].get("lr", math.nan)),
    }


def _optimizer_changes(
    before: Mapping[str, Any], now: Mapping[str, Any], step: int, between_attempts: bool
) -> Iterator[Change]:
    if not before or not now:
        return
    if before.get("class") != now["class"]:
        text = f"The optimiser is {now['class']}, was {before.get('class')}."
        yield Change("optimizer_changed", text, {"before": before.get("class"), "after": now["class"]})
    elif now["steps"] < before.get("steps", 0):
        # A resumed attempt goes back to its checkpoint; one in which the optimiser is new has taken no step.
        lost = now["steps"] <= 1 < step - 1 if between_attempts else True
        if lost:
            text = (
                f"The optimiser lost its state by step {step}: it has taken {now['steps']} steps, had taken "
                f"{before['steps']}."
            )
            data = {"before": before["steps"], "after": now["steps"], "state_norm": now["state_norm"]}
            yield Change("optimizer_state_lost", text, data)


def _structure_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> Change:
    old, new = before.get("sizes") or {}, now["sizes"]
    gone = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    resized = [name for name in new if name in old and new[name] != old[name]]
    parts = [
        f"{word} {_list(names)}"
        for word, names in (("without", gone), ("with", added), ("another size of", resized))
        if names
    ]
    told = "; ".join(parts) or "the same layers with parameters of other names or shapes"
    counts = f"{before.get('parameters', 0):,} to {now['parameters']:,}"
    text = f"The structure of the model changed from {counts} parameters: {told}."
    return Change("model_structure_changed", text, {"gone": gone, "added": added, "resized": resized})


def _jump(names: list[str], before: Mapping[str, float], now: Mapping[str, float], step: int) -> Change:
    worst = max(names, key=lambda name: abs(math.log(now[name] / before[name])))
    others = f" (and of {len(names) - 1} more)" if len(names) > 1 else ""
    text = (
        f"The norm of {_title(worst)}{others} jumped from {before[worst]:.4g} to {now[worst]:.4g} by step "
        f"{step}, far more than it moves in training."
    )
    data = {"layers": {name: [before[name], now[name]] for name in names[:50]}}
    return Change("layer_norm_jumped", text, data)


def _share(seen: Mapping[str, Any]) -> float:
    """Trainable share of the parameters."""
    return float(seen.get("trainable", 0) / max(seen.get("parameters", 0), 1))


def _metrics(now: Mapping[str, Any]) -> dict[str, float]:
    metrics = {
        "foreshock/model/parameters": float(now["parameters"]),
        "foreshock/model/trainable_share": _share(now),
    }
    if now["layers"]:
        metrics["foreshock/model/norm"] = math.sqrt(sum(norm * norm for norm in now["layers"].values()))
    if now["optimizer"]:
        metrics["foreshock/optimizer/state_norm"] = now["optimizer"]["state_norm"]
        metrics["foreshock/optimizer/learning_rate"] = now["optimizer"]["learning_rate"]
    return metrics


def _title(name: str) -> str:
    found = _STACK.match(name)
    return f"layer {found[1]}" if found else name


def _list(names: list[str]) -> str:
    told = ", ".join(_title(name) for name in names[:_TOLD])
    return told + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")


def _kinds(dtypes: Mapping[str, int]) -> str:
    total = sum(dtypes.values()) or 1
    return ", ".join(f"{share / total:.0%} {name}" for name, share in dtypes.items())

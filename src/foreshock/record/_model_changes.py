"""What about a model is not as it was: structure, types, what is trained, its weights, the optimiser."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from foreshock.record._movement import Jump
from foreshock.record.evidence import Change

FROZEN = " (frozen)"
_STACK = re.compile(r"(?:^|.*\.)(?:layers|h|blocks|layer|block)\.(\d+)$")
_TOLD = 4
_LISTED = 50


def title(name: str) -> str:
    """A layer in words.

    >>> title("model.layers.3"), title("lm_head"), title("model.layers.3 (frozen)")
    ('layer 3', 'lm_head', 'the frozen part of layer 3')
    """
    if name.endswith(FROZEN):
        return f"the frozen part of {title(name.removesuffix(FROZEN))}"
    found = _STACK.match(name)
    return f"layer {found[1]}" if found else name


def titles(names: Collection[str]) -> str:
    """Several layers in words, the first few by name."""
    told = ", ".join(title(name) for name in list(names)[:_TOLD])
    return told + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")


def fact_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """What differs between two looks, or two attempts."""
    same = before.get("structure") == now["structure"]
    if before.get("structure") and not same:
        yield _structure(before, now)
    elif before.get("modules") and before["modules"] != now["modules"]:
        kinds = _kinds(before["modules"], now["modules"])
        told = ", ".join(f"{name} {old} to {new}" for name, (old, new) in list(kinds.items())[:_TOLD])
        yield Change(
            "model_structure_changed", f"The modules of the model changed: {told}.", {"modules": kinds}
        )
    types = before.get("dtypes")
    if types and types != now["dtypes"] and (same or set(types) != set(now["dtypes"])):
        text = f"The parameters are {_types(now['dtypes'])}, were {_types(types)}."
        yield Change("dtype_changed", text, {"before": types, "after": now["dtypes"]})
    if before.get("parameters") and "trainable" in before:
        was, share = before["trainable"] / before["parameters"], now["trainable"] / max(now["parameters"], 1)
        if not math.isclose(was, share, rel_tol=1e-9):
            text = f"The trainable share of the parameters changed from {was:.1%} to {share:.1%}."
            yield Change("trainable_share_changed", text, {"before": was, "after": share})


def _structure(before: Mapping[str, Any], now: Mapping[str, Any]) -> Change:
    old, new = before.get("sizes") or {}, now["sizes"]
    gone = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    resized = [name for name in new if name in old and new[name] != old[name]]
    parts = [
        f"{word} {titles(names)}"
        for word, names in (("without", gone), ("with", added), ("another size of", resized))
        if names
    ]
    told = "; ".join(parts) or "the same layers with parameters of other names or shapes"
    counts = f"{before.get('parameters', 0):,} to {now['parameters']:,}"
    text = f"The structure of the model changed from {counts} parameters: {told}."
    lists = {"gone": gone[:_LISTED], "added": added[:_LISTED], "resized": resized[:_LISTED]}
    return Change(
        "model_structure_changed",
        text,
        {**lists, "modules": _kinds(before.get("modules") or {}, now["modules"])},
    )


def _kinds(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    pairs = {name: (before.get(name, 0), now.get(name, 0)) for name in {**before, **now}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _types(dtypes: Mapping[str, int]) -> str:
    total = sum(dtypes.values()) or 1
    return ", ".join(f"{share / total:.0%} {name}" for name, share in dtypes.items())


def zero_change(gone: Mapping[str, Sequence[str]], norms: Mapping[str, float], step: int) -> Change | None:
    """Of parameters whose values are all 0 now and were not.

    Args:
        gone: layer -> the names of these parameters; none of them stands for the whole layer.
        norms: of each layer before.
        step: now.
    """
    if not gone:
        return None
    whole = [layer for layer, names in gone.items() if not names]
    parts = [name for names in gone.values() for name in names]
    if len(whole) == 1 and not parts and norms.get(whole[0]):
        text = f"The norm of {title(whole[0])} fell to 0 at step {step}; it was {norms[whole[0]]:.4g}."
    else:
        text = f"The norm of {titles([*whole, *parts])} fell to 0 at step {step}."
    data = {"layers": whole[:_LISTED], "before": {layer: norms.get(layer) for layer in whole[:_LISTED]}}
    return Change("layer_norm_zero", text, {**data, "parameters": parts[:_LISTED]})


def finite_change(layers: Sequence[str], step: int) -> Change | None:
    """Of layers whose values are no longer numbers."""
    if not layers:
        return None
    text = f"The norm of {titles(layers)} is no number from step {step} on: weights are NaN or infinite."
    return Change("layer_norm_not_finite", text, {"layers": list(layers)[:_LISTED]})


def jump_change(jumps: Sequence[Jump], layers: int, steps: int, step: int) -> Change | None:
    """Of layers that moved farther than training moves them; `layers` is how many there are."""
    if not jumps:
        return None
    worst = jumps[0]
    who = title(worst.layer) if len(jumps) == 1 else f"{len(jumps)} of {layers} layers"
    most = "" if len(jumps) == 1 else f", most of all {title(worst.layer)}"
    if math.isnan(worst.times):
        past = "farther than the optimiser can move them"
    elif math.isinf(worst.times):
        past = "and had not moved before"
    else:
        past = f"{_times(worst.times)} times as far as ever before"
    zeros = f"; {worst.zeros:.0%} of them became 0" if worst.zeros > 0.05 else ""
    span = "1 step" if steps == 1 else f"{steps} steps"
    text = (
        f"The weights of {who} jumped by step {step}{most}: within {span} they moved by {worst.moved:.1%} of "
        f"their size, {past}{zeros}."
    )
    told = {
        jump.layer: {"moved": jump.moved, "times": jump.times, "zeros": round(jump.zeros, 4)}
        for jump in jumps[:_LISTED]
    }
    return Change("weights_jumped", text, {"layers": told, "jumped": len(jumps), "of": layers})


def _times(times: float) -> str:
    return f"{times:,.0f}" if times >= 10 else f"{times:.1f}"


def way_change(way: str | None, last: int, step: int) -> Change | None:
    """Of weights that are those of the start again, or not those of this run."""
    if way == "back":
        text = (
            f"The weights are those of the start of the run again at step {step}: what was learnt by step "
            f"{last} is undone."
        )
        return Change("weights_restored", text, {"last": last})
    if way == "away":
        text = f"The training resumed with other weights: they are far from those of this run at step {last}."
        return Change("weights_replaced", text, {"last": last})
    return None


def optimizer_change(
    before: Mapping[str, Any], now: Mapping[str, Any], last: int, step: int
) -> Change | None:
    """Whether the optimiser is another, or forgot what it had learnt of the gradients.

    Args:
        before: its "class", "state_norm", "steps" and "per_step" at the last look, or in the last attempt.
        now: the same, now.
        last: step of the last look.
        step: step now.
    """
    if not before or not now:
        return None
    if before.get("class") != now["class"]:
        text = f"The optimiser is {now['class']}, was {before.get('class')}."
        return Change("optimizer_changed", text, {"before": before.get("class"), "after": now["class"]})
    had, has = before.get("steps") or 0, now.get("steps") or 0
    if step < last:  # a resume from an earlier checkpoint: the state of that time is not lost
        expected = had + (before.get("per_step") or 0.0) * (step - last) if had else 0.0
        lost = has + 1 < expected / 2 or (not had and _emptied(before, now) and step > last / 2)
    else:
        lost = has < had or (not had and _emptied(before, now))
    if not lost:
        return None
    told = f"it has taken {has:,} steps, had taken {had:,}" if had else "it was reset to 0"
    text = f"The optimiser lost its state by step {step}: {told}."
    data = {"before": had, "after": has, "state_norm": now.get("state_norm")}
    return Change("optimizer_state_lost", text, data)


def _emptied(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return bool(before.get("state_norm")) and not now.get("state_norm")

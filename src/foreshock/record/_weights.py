"""A model from outside: what it is made of, and one look at its values that waits for the device only once.

Nothing here computes with the model, changes it, draws random numbers, or asks other processes: of a
parameter that is spread over processes, the part that this process holds is looked at.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

SAMPLE = 64  # values looked at per parameter, besides its norm
_WRAPPERS = re.compile(
    r"(?<![^.])(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\."
)
_NUMBERED = re.compile(r"^(?:.*?\.)??\d+(?=\.)")


@dataclass(frozen=True)
class Part:
    """One parameter.

    Attributes:
        name: its name, without what DDP, FSDP, `torch.compile` and checkpointing put before it.
        layer: the block that it belongs to ("model.layers.3"), else its module.
        count: number of values in the whole model.
        dtype: without "torch.".
        trainable: whether gradients are wanted for it.
        values: what this process holds of it and can be looked at; None where that is nothing.
    """

    name: str
    layer: str
    shape: tuple[int, ...]
    count: int
    dtype: str
    trainable: bool
    values: Any


@dataclass(frozen=True)
class Look:
    """Values at one moment, on the host.

    Attributes:
        norms: L2 norm of each part that has values.
        samples: `SAMPLE` values of each of them (or all, if fewer), one after the other in one tensor, from
            places that stay the same.
        lengths: how many of them belong to each part.
        state: norms of the tensors of the optimiser's state.
        counter: optimiser steps so far, if asked for.
    """

    norms: list[float]
    samples: Any
    lengths: list[int]
    state: list[float]
    counter: float | None


def parts_of(model: Any) -> list[Part]:
    """The parameters of a model, tied ones once."""
    found = []
    for full_name, parameter in model.named_parameters():
        name = _WRAPPERS.sub("", full_name)
        # DeepSpeed ZeRO-3 keeps the true shape aside and leaves an empty tensor.
        shape = tuple(int(n) for n in getattr(parameter, "ds_shape", parameter.shape))
        count = 1
        for length in shape:
            count *= length
        dtype = str(parameter.dtype).removeprefix("torch.")
        found.append(
            Part(name, layer_of(name), shape, count, dtype, bool(parameter.requires_grad), _held(parameter))
        )
    return found


def layer_of(name: str) -> str:
    """The block that a parameter belongs to: up to the first number in its name, else its module.

    >>> layer_of("model.layers.3.mlp.experts.7.w1.weight"), layer_of("model.embed_tokens.weight")
    ('model.layers.3', 'model.embed_tokens')
    """
    numbered = _NUMBERED.match(name)
    return numbered[0] if numbered else name.rpartition(".")[0] or name


def structure_hash(parts: Iterable[Part]) -> str:
    """A hash of names and shapes; neither the values nor their type matter."""
    described = sorted(f"{part.name}:{part.shape}" for part in parts)
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]


def module_kinds(model: Any) -> dict[str, int]:
    """How many modules of each class do the work, containers left out."""
    kinds = Counter(
        # FSDP changes the class of what it shards.
        type(module).__name__.removeprefix("FSDP")
        for module in model.modules()
        if next(module.children(), None) is None
    )
    return dict(sorted(kinds.items()))


def _held(parameter: Any) -> Any:
    """What of a parameter is in this process and can be looked at; None if nothing is."""
    values = getattr(parameter, "_local_tensor", parameter).detach()
    kind = values.dtype
    if values.device.type == "meta" or not values.numel():
        return None
    # Quantised weights: their bytes are no numbers, and PyTorch has no norm of 8-bit floats.
    return values if kind.is_floating_point and kind.itemsize >= 2 else None


def look(parts: Sequence[Part], state: Sequence[Any] = (), counter: Any = None) -> Look:
    """Norms and samples of the parts that have values, and norms of an optimiser's state.

    All of it comes from a device in one transfer: the only moment at which the host waits for it.
    """
    torch = sys.modules["torch"]  # whoever has a model has it; it is never imported from here
    tensors = [part.values for part in parts if part.values is not None]
    everything = [*tensors, *(values.detach() for values in state)]
    norms = [0.0] * len(everything)
    with torch.no_grad():
        picked = [_sample(values) for values in tensors]
        lengths = [len(values) for values in picked]
        moving = hasattr(counter, "device") and counter.device.type != "cpu"
        steps = None if counter is None or moving else float(counter)
        fetched: dict[int, Any] = {}
        for device in dict.fromkeys(tensor.device for tensor in everything):
            places = [i for i, tensor in enumerate(everything) if tensor.device == device]
            own = [i for i in places if i < len(tensors)]
            extra = [counter.detach().reshape(1)] if moving and counter.device == device else []
            pieces = [torch.stack(_norms(torch, [everything[i] for i in places])), *extra]
            pieces += [picked[i] for i in own]
            flat = torch.cat([piece.to(torch.float32) for piece in pieces]).cpu()
            for place, norm in zip(places, flat[: len(places)].tolist(), strict=True):
                norms[place] = norm
            steps = float(flat[len(places)]) if extra else steps
            values = flat[len(places) + len(extra) :]
            fetched |= dict(zip(own, values.split([lengths[i] for i in own]), strict=True))
        samples = torch.cat([fetched[i] for i in range(len(tensors))]) if tensors else torch.zeros(0)
    return Look(norms[: len(tensors)], samples, lengths, norms[len(tensors) :], steps)


def _norms(torch: Any, tensors: list[Any]) -> list[Any]:
    """L2 norms; those of half precision are added up in 32 bits, or small moves would be lost."""
    wide = torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
    try:
        return list(torch._foreach_norm(tensors, 2, dtype=wide))
    except (AttributeError, TypeError):  # PyTorch before 2.4
        return [torch.linalg.vector_norm(tensor, dtype=wide) for tensor in tensors]


def _sample(values: Any) -> Any:
    """Some values, spread evenly; of a tensor whose memory has gaps, those of its first row."""
    flat = values
    while not flat.is_contiguous() and flat.dim() > 1:
        flat = flat[0]
    flat = flat.view(-1) if flat.is_contiguous() else flat
    # An odd distance does not always meet the same column of a matrix.
    distance = max(1, flat.numel() // SAMPLE) | 1
    return flat[::distance][:SAMPLE]

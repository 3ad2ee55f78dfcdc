"""Draw completions fast: fused weights, a preallocated KV cache, finished rows dropped, Gumbel argmax.

The noise of a row depends on the seed, the row and the position alone, not on what the other rows do. So two
runs that sample with the same seed differ only where their probabilities differ: twins stay close.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lab.policy import HEADS, SIZE, WIDTH, Layer, Policy, rotate, rotation

_DROP = 0.8  # compact the cache when no more than this share of its rows is still alive


@dataclass
class Rollout:
    """Completions of one batch.

    Attributes:
        tokens: prompt and completion of each row, padded on the right, (rows, positions).
        starts: where the completion of each row begins, (rows,).
        ends: one past its last token, (rows,).
        logps: log-prob of each token under the sampling distribution, 0 outside completions,
            (rows, positions - 1); entry p is of the token at p + 1.
        finished: whether the row ended by itself, (rows,).
    """

    tokens: Tensor
    starts: Tensor
    ends: Tensor
    logps: Tensor
    finished: Tensor

    @property
    def mask(self) -> Tensor:
        """Which of the drawn tokens belong to completions, (rows, positions - 1)."""
        place = torch.arange(1, self.tokens.shape[1])
        return (place >= self.starts[:, None]) & (place < self.ends[:, None])

    @property
    def lengths(self) -> Tensor:
        """Tokens of each completion."""
        return self.ends - self.starts


class _Fused:
    """The weights of a policy as the sampler multiplies with them."""

    def __init__(self, policy: Policy) -> None:
        model = policy.model
        self.embedding, self.norm = model.embed_tokens.weight.detach(), model.norm.weight.detach()
        self.layers = [
            (
                layer.input_layernorm.weight.detach(),
                torch.cat([p.weight.detach() for p in _three(layer)]).T.contiguous(),
                layer.self_attn.o_proj.weight.detach().T.contiguous(),
                layer.post_attention_layernorm.weight.detach(),
                torch.cat(
                    [layer.mlp.gate_proj.weight.detach(), layer.mlp.up_proj.weight.detach()]
                ).T.contiguous(),
                layer.mlp.down_proj.weight.detach().T.contiguous(),
            )
            for layer in model.blocks
        ]


def _three(layer: Layer) -> tuple[torch.nn.Linear, ...]:
    return layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj


@torch.no_grad()
def sample(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    *,
    longest: int,
    eos: int,
    seed: int,
    temperature: float = 1.0,
) -> Rollout:
    """Draw one completion per prompt.

    Args:
        policy: whose weights to sample from.
        prompts: token ids; repeat a prompt for a group.
        longest: most tokens of a completion.
        eos: the token that ends one.
        seed: of the noise.
        temperature: divides the logits; 0 takes the most probable token.
    """
    fused = _Fused(policy)
    starts = torch.tensor([len(prompt) for prompt in prompts])
    rows, shortest, total = len(prompts), int(starts.min()), int(starts.max()) + longest
    vocabulary = fused.embedding.shape[0]
    tokens = torch.zeros(rows, total, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = torch.tensor(prompt)
    logps = torch.zeros(rows, total - 1)
    ends = starts + longest
    finished = torch.zeros(rows, dtype=torch.bool)
    alive = torch.arange(rows)
    caches = [torch.empty(2, rows, HEADS, total, SIZE) for _ in fused.layers]
    turns = rotation(total)
    noise = torch.Generator().manual_seed(seed)
    last = total
    for place in range(total - 1):
        logits = _one(fused, tokens[alive, place], caches, place, turns)
        uniform = torch.rand(rows, vocabulary, generator=noise)
        if place + 1 < shortest:  # all rows are still within their prompts
            continue
        log_probs = (logits / (temperature or 1.0)).log_softmax(-1)
        gumbel = uniform[alive].log_().neg_().log_() if temperature else 0.0
        drawn = (log_probs - gumbel).argmax(-1)
        open_ = place + 1 >= starts[alive]  # the others are still within their prompts
        drawn = torch.where(open_, drawn, tokens[alive, place + 1])
        tokens[alive, place + 1] = drawn
        logps[alive, place] = torch.where(open_, log_probs.gather(-1, drawn[:, None]).squeeze(-1), 0.0)
        running = ~finished[alive] & (place + 1 < ends[alive])
        ended = open_ & running & (drawn == eos)
        if ended.any():
            finished[alive[ended]] = True
            ends[alive[ended]] = place + 2
        stay = running & ~ended & (place + 2 < ends[alive])
        kept = int(stay.sum())
        if kept == 0:
            last = place + 2
            break
        if kept < _DROP * len(alive):
            for cache in caches:
                cache[:, :kept, :, : place + 1] = cache[:, : len(alive)][:, stay, :, : place + 1]
            alive = alive[stay]
    # Rows that ended but were not dropped yet went on drawing: what they drew is no part of the completion.
    rollout = Rollout(tokens[:, :last], starts, ends, logps[:, : last - 1], finished)
    rollout.tokens[torch.arange(last) >= ends[:, None]] = 0
    rollout.logps[~rollout.mask] = 0.0
    return rollout


def _one(
    fused: _Fused, tokens: Tensor, caches: list[Tensor], place: int, turns: tuple[Tensor, Tensor]
) -> Tensor:
    """Logits (rows, vocabulary) after one more token in each row."""
    x = fused.embedding[tokens]
    cosines, sines = turns[0][place], turns[1][place]
    for (norm, qkv, out, norm_after, gate_up, down), cache in zip(fused.layers, caches, strict=True):
        q, k, v = (functional.rms_norm(x, (WIDTH,), norm, 1e-6) @ qkv).view(-1, 3, HEADS, SIZE).unbind(1)
        rows = cache[:, : len(tokens)]
        rows[0, :, :, place] = rotate(k, cosines, sines)
        rows[1, :, :, place] = v
        keys, values = rows[:, :, :, : place + 1]
        mixed = functional.scaled_dot_product_attention(rotate(q, cosines, sines)[:, :, None], keys, values)
        x = x + mixed.reshape(-1, WIDTH) @ out
        gate, up = (functional.rms_norm(x, (WIDTH,), norm_after, 1e-6) @ gate_up).chunk(2, -1)
        x = x + (functional.silu(gate) * up) @ down
    return functional.linear(functional.rms_norm(x, (WIDTH,), fused.norm, 1e-6), fused.embedding)

"""Draw completions fast: fused weights, a preallocated KV cache, finished rows dropped, few operations.

The noise of a row depends on the seed, the row and the position alone, not on what the other rows do. So two
runs that sample with the same seed differ only where their probabilities differ: twins stay close.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lab.policy import HEADS, SIZE, WIDTH, Layer, Policy, rotation

_DROP = 0.85  # compact the cache when no more than this share of its rows is still alive
_TINY = torch.tensor((1e-6 * WIDTH) ** 0.5)  # guards the RMS norm against a division by 0
_LOOK = 4  # positions between two looks for rows that ended


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


class _Decoder:
    """The weights of a policy as the sampler multiplies with them, and its cache of keys and values.

    The weight of a norm is multiplied into the matrix behind it, the scale of attention into the queries, and
    the halves of queries and keys are interleaved, so that their rotation is one complex product.
    """

    def __init__(self, policy: Policy, rows: int, positions: int) -> None:
        model = policy.model
        self.embedding = model.embed_tokens.weight.detach()
        self.out = (self.embedding * (model.norm.weight.detach() * WIDTH**0.5)).T.contiguous()
        self.layers = [_fused(layer) for layer in model.blocks]
        self.cache = torch.empty(len(self.layers), 2, rows, HEADS, positions, SIZE)
        cosines, sines = rotation(positions)
        self.turns = torch.complex(cosines[:, : SIZE // 2], sines[:, : SIZE // 2])

    def step(self, tokens: Tensor, place: int) -> Tensor:
        """Logits (rows, vocabulary) after one more token in each row."""
        x, rows = self.embedding[tokens], len(tokens)
        for (qkv_weight, out, gate, up, down), cache in zip(self.layers, self.cache, strict=True):
            qkv = _scaled(x) @ qkv_weight
            qk = torch.view_as_complex(qkv[:, : 2 * WIDTH].view(rows, 2 * HEADS, SIZE // 2, 2))
            qk.mul_(self.turns[place])
            cache[:, :rows, :, place] = qkv[:, WIDTH:].view(rows, 2, HEADS, SIZE).transpose(0, 1)
            keys, values = cache[:, :rows, :, : place + 1].flatten(1, 2)
            scores = torch.bmm(qkv[:, :WIDTH].reshape(-1, 1, SIZE), keys.transpose(1, 2)).softmax(-1)
            x = torch.addmm(x, torch.bmm(scores, values).view(rows, WIDTH), out)
            scaled = _scaled(x)
            x = torch.addmm(x, functional.silu(scaled @ gate).mul_(scaled @ up), down)
        return torch.mm(_scaled(x), self.out)

    def move(self, rows: Tensor, to: Tensor, positions: int) -> None:
        """Copy the cache of some rows over that of others."""
        self.cache[:, :, to, :, :positions] = self.cache[:, :, rows, :, :positions]


def _scaled(x: Tensor) -> Tensor:
    """The RMS norm without its weight and the root of the width; both are in the matrices."""
    return torch.div(x, torch.linalg.vector_norm(x, dim=-1, keepdim=True).hypot_(_TINY))


def _fused(layer: Layer) -> tuple[Tensor, ...]:
    """The matrices of a layer, each to be multiplied from the right."""
    before = layer.input_layernorm.weight.detach() * WIDTH**0.5
    after = layer.post_attention_layernorm.weight.detach() * WIDTH**0.5
    attention, mlp = layer.self_attn, layer.mlp
    order = torch.arange(WIDTH).view(HEADS, 2, SIZE // 2).transpose(1, 2).flatten()
    q = attention.q_proj.weight.detach()[order] / SIZE**0.5
    k = attention.k_proj.weight.detach()[order]
    return (
        (torch.cat([q, k, attention.v_proj.weight.detach()]) * before).T.contiguous(),
        attention.o_proj.weight.detach().T.contiguous(),
        (mlp.gate_proj.weight.detach() * after).T.contiguous(),
        (mlp.up_proj.weight.detach() * after).T.contiguous(),
        mlp.down_proj.weight.detach().T.contiguous(),
    )


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
    starts = torch.tensor([len(prompt) for prompt in prompts])
    rows, shortest, latest = len(prompts), int(starts.min()), int(starts.max())
    total, limits = latest + longest, starts + longest
    decoder = _Decoder(policy, rows, total)
    tokens, logps = torch.zeros(rows, total, dtype=torch.long), torch.zeros(rows, total - 1)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = torch.tensor(prompt)
    noise = torch.rand(total, rows, generator=torch.Generator().manual_seed(seed))
    alive, gone = torch.arange(rows), torch.zeros(rows, dtype=torch.bool)
    for place in range(total - 1):
        logits = decoder.step(tokens[alive, place], place)
        if place + 1 < shortest:  # all rows are still within their prompts
            continue
        drawn, chosen = _draw(logits, noise[place, alive], temperature)
        if place + 1 < latest:  # some are
            drawn = torch.where(place + 1 < starts[alive], tokens[alive, place + 1], drawn)
        tokens[alive, place + 1], logps[alive, place] = drawn, chosen
        gone |= (drawn == eos) & (place + 1 >= starts[alive])
        if place % _LOOK:
            continue
        gone |= place + 2 >= limits[alive]
        kept = len(gone) - int(gone.sum())
        if kept == 0:
            break
        if kept < _DROP * len(gone):
            holes, late = gone[:kept].nonzero().squeeze(1), (~gone[kept:]).nonzero().squeeze(1) + kept
            decoder.move(late, holes, place + 1)
            alive[holes] = alive[late]
            alive, gone = alive[:kept], torch.zeros(kept, dtype=torch.bool)
    # Rows that ended but were not dropped yet went on drawing: what they drew is no part of the completion.
    places = torch.arange(total)
    hits = (tokens == eos) & (places >= starts[:, None]) & (places < limits[:, None])
    finished = hits.any(1)
    ends = torch.where(finished, hits.int().argmax(1) + 1, limits)
    last = int(ends.max())
    rollout = Rollout(tokens[:, :last], starts, ends, logps[:, : last - 1], finished)
    rollout.tokens[places[:last] >= ends[:, None]] = 0
    rollout.logps[~rollout.mask] = 0.0
    return rollout


def _draw(logits: Tensor, uniform: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """A token for each row and its log-prob, from one number between 0 and 1 for each row."""
    log_probs = (logits / (temperature or 1.0)).log_softmax(-1)
    if temperature:
        up_to = log_probs.exp().cumsum(-1)
        drawn = torch.searchsorted(up_to, uniform[:, None] * up_to[:, -1:], right=True)
        drawn.clamp_(max=logits.shape[1] - 1)  # by rounding, or where all is NaN
    else:
        drawn = log_probs.argmax(-1, keepdim=True)
    return drawn.squeeze(1), log_probs.gather(1, drawn).squeeze(1)

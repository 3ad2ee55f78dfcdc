"""A decoder of Llama's architecture in 0.15 M parameters, and words to ids and back.

Parameters are named and shaped as in the LlamaForCausalLM of Hugging Face, so one checkpoint serves both (a
test compares the logits). Width 64, 3 layers, 2 heads, feed-forward 160, tied embeddings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

WIDTH, LAYERS, HEADS, HIDDEN = 64, 3, 2, 160
SIZE = WIDTH // HEADS
CHECKPOINTS = Path(__file__).parent / "checkpoints"


def rotation(positions: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, (positions, SIZE) each."""
    frequencies = 1.0 / 10000.0 ** (torch.arange(0, SIZE, 2, dtype=torch.float32) / SIZE)
    angles = torch.outer(torch.arange(positions, dtype=torch.float32), frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(values: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary embedding of (..., positions, SIZE)."""
    left, right = values.chunk(2, dim=-1)
    return values * cosines + torch.cat((-right, left), -1) * sines


class Norm(nn.Module):
    """RMS norm."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """(..., WIDTH) to the same."""
        return functional.rms_norm(x, (WIDTH,), self.weight, 1e-6)


class Attention(nn.Module):
    """Causal attention with rotary embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4)
        )

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """(rows, positions, WIDTH) to the same."""
        q, k, v = (
            each(x).unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
            for each in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, cosines, sines), rotate(k, cosines, sines)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return functional.linear(mixed.transpose(1, 2).flatten(2), self.o_proj.weight)


class FeedForward(nn.Module):
    """Gated feed-forward block."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.up_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down_proj = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., WIDTH) to the same."""
        hidden = functional.silu(self.gate_proj(x)) * self.up_proj(x)
        return functional.linear(hidden, self.down_proj.weight)


class Layer(nn.Module):
    """One block."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(), FeedForward()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """(rows, positions, WIDTH) to the same."""
        x = x + self.self_attn(self.input_layernorm(x), cosines, sines)
        x = x + self.mlp(self.post_attention_layernorm(x))
        return x


class Decoder(nn.Module):
    """Embedding, layers, norm."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = Norm()

    @property
    def blocks(self) -> list[Layer]:
        """The layers, as what they are."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]


class Policy(nn.Module):
    """The policy: token ids in, logits out."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.model = Decoder(vocabulary)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02 if "embed" in name else 0.5 / parameter.shape[1] ** 0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (rows, positions) to logits (rows, positions, vocabulary); pad on the right."""
        cosines, sines = rotation(tokens.shape[1])
        x = self.model.embed_tokens(tokens)
        for layer in self.model.blocks:
            x = layer(x, cosines, sines)
        return functional.linear(self.model.norm(x), self.model.embed_tokens.weight)


def logps(policy: Policy, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Log-prob of each next token and entropy where it was drawn, (rows, positions - 1) each."""
    log_probs = policy(tokens[:, :-1]).log_softmax(-1)
    chosen = log_probs.gather(-1, tokens[:, 1:, None]).squeeze(-1)
    return chosen, -(log_probs.exp() * log_probs).sum(-1)


def load(path: Path, vocabulary: int) -> Policy:
    """A policy from a safetensors file."""
    policy = Policy(vocabulary)
    policy.load_state_dict(load_file(path))
    return policy


def save(policy: Policy, path: Path) -> None:
    """Write the weights as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in policy.state_dict().items()}, path)


class Words:
    """The vocabulary: one id per word."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self.ids = {word: number for number, word in enumerate(words)}
        self.pad, self.eos = self.ids["<pad>"], self.ids["<eos>"]

    def encode(self, words: Iterable[str]) -> list[int]:
        """Words to ids."""
        return [self.ids[word] for word in words]

    def decode(self, ids: Iterable[int]) -> str:
        """Ids to words with a blank between."""
        return " ".join(self.words[number] for number in ids)

    # What foreshock.record.environment.tokenizer looks at.
    chat_template = "<bos> {problem} <think>"

    def get_vocab(self) -> dict[str, int]:
        """The vocabulary, as Hugging Face tokenizers tell it."""
        return self.ids

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The special tokens, likewise."""
        return {"bos_token": "<bos>", "eos_token": self.words[self.eos], "pad_token": "<pad>"}

    def __len__(self) -> int:
        return len(self.words)

"""What a look of the model fingerprint costs, for a small and a large model, on one core.

Run `OMP_NUM_THREADS=1 python benchmarks/model_evidence.py`. Models are Llamas with random weights and the
state of AdamW in single precision; the share of a step is that of a real training step on 4 x 64 tokens.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from foreshock.record.model import ModelFingerprint

EVERY = 10
SIZES: dict[str, dict[str, Any]] = {
    "0.15 million": {"vocab_size": 256, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3},
    "134 million": {
        "vocab_size": 32000,
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
    },
}


def train_step(model: Any, optimizer: Any) -> float:
    """Seconds of one training step."""
    tokens = torch.randint(0, 256, (4, 64))
    start = time.perf_counter()
    model(input_ids=tokens, labels=tokens).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - start


def main() -> None:
    """Print the median look, the call between two looks, their share of a step, and the size of a line."""
    for name, size in SIZES.items():
        model = LlamaForCausalLM(LlamaConfig(num_attention_heads=4, num_key_value_heads=4, **size))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
        fingerprint = ModelFingerprint(every=EVERY)
        steps: list[float] = []
        looks: list[float] = []
        between: list[float] = []
        sizes: list[int] = []
        for step in range(1, 8 * EVERY):
            if len(steps) < 6 or sum(steps) < 5:
                steps.append(train_step(model, optimizer))
            start = time.perf_counter()
            found = fingerprint.step(model, step, optimizer)
            (between if found is None else looks).append(time.perf_counter() - start)
            if found is not None:
                sizes.append(len(json.dumps(dict(found.data))))
        look, call, one = statistics.median(looks), statistics.median(between), statistics.median(steps)
        share = (look / EVERY + call) / one
        count = sum(parameter.numel() for parameter in model.parameters())
        print(
            f"{name} ({count:,} parameters): look {1e3 * look:.1f} ms, call between {1e6 * call:.1f} us, "
            f"step {1e3 * one:.0f} ms, share of a step {share:.2%}, line {sizes[-1]:,} bytes "
            f"(first {sizes[0]:,})"
        )


if __name__ == "__main__":
    main()

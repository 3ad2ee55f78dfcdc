"""A GRPO training with TRL that Foreshock records: one line, and a fault to find.

    pip install 'foreshock[trl]'
    python examples/trl_grpo.py                 # about 30 seconds on one CPU core, nothing is downloaded
    foreshock report runs/trl_grpo/foreshock
    foreshock events runs/trl_grpo/foreshock
    foreshock samples runs/trl_grpo/foreshock --step 91

A model of 5,000 parameters learns to name the colour that the prompt asks for. It is rewarded for the share
of its words that are that colour, and for ending by itself. From step 91 on every second prompt comes from
another source, in words that the model has not seen: reward falls, and the recording says why.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from foreshock.integrations.trl import ForeshockCallback

COLOURS = {"red": "scarlet", "blue": "azure", "green": "emerald", "grey": "ashen"}
WORDS = ["<pad>", "<end>", "<unk>", "say", "name", "please", "now", *COLOURS, *COLOURS.values()]
PROMPTS = 16  # per step
GROUP = 8  # completions per prompt


def tokenizer() -> PreTrainedTokenizerFast:
    """One token for each word."""
    raw = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    raw.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", padding_side="left"
    )


def model() -> LlamaForCausalLM:
    """Two layers, untrained."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(WORDS), hidden_size=24, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32,
            pad_token_id=0, eos_token_id=1, bos_token_id=1, tie_word_embeddings=True,
        )
    )  # fmt: skip


def prompts(steps: int, change: int) -> Dataset:
    """`PROMPTS` a step of the source "plain"; from step `change` on, every second is "fancy"."""
    rows = []
    for place in range(steps * PROMPTS):
        colour = list(COLOURS)[place // 2 % len(COLOURS)]
        if place // PROMPTS + 1 < change or place % 2:
            rows.append({"prompt": f"say {colour} please", "answer": colour, "source": "plain"})
        else:
            rows.append({"prompt": f"name {COLOURS[colour]} now", "answer": colour, "source": "fancy"})
    return Dataset.from_list(rows)


def accuracy(completions: list[str], answer: list[str], **columns: Any) -> list[float]:
    """Share of the words that are the colour asked for."""
    pairs = zip(completions, answer, strict=True)
    return [text.split().count(colour) / max(len(text.split()), 1) for text, colour in pairs]


def ending(completion_ids: list[list[int]], **columns: Any) -> list[float]:
    """1 where the completion ended by itself."""
    return [float(ids[-1] == 1) for ids in completion_ids]


def main() -> None:
    """Train, and say where the recording is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", default="runs/trl_grpo", help="output folder of the trainer")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--change", type=int, default=91, help="first step with the other source")
    options = parser.parse_args()
    args = GRPOConfig(
        output_dir=options.out,
        max_steps=options.steps,
        per_device_train_batch_size=PROMPTS * GROUP,
        num_generations=GROUP,
        max_completion_length=6,
        learning_rate=2e-2,
        lr_scheduler_type="linear",
        shuffle_dataset=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        beta=0.0,
        bf16=False,
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        model=model(),
        processing_class=tokenizer(),
        reward_funcs=[accuracy, ending],
        train_dataset=prompts(options.steps, options.change),
        args=args,
        callbacks=[ForeshockCallback()],  # this is all
    )
    trainer.train()
    print(f"\nforeshock report {os.path.join(options.out, 'foreshock')}")


if __name__ == "__main__":
    main()

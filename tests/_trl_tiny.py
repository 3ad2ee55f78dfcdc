"""A GRPO or RLOO training of a second on one CPU core: a model of 5,000 parameters, nothing downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything of Hugging Face is imported

import torch
from datasets import Dataset  # type: ignore[import-untyped]
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer

WORDS = "<pad> <end> <unk> say red blue green please now loudly twice".split()
COLOURS = ("red", "blue", "green")
MANNERS = {"please": "polite", "now": "rude", "loudly": "rude", "twice": "polite"}


def tokenizer() -> PreTrainedTokenizerFast:
    """One token for each word."""
    raw = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    raw.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=raw, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", padding_side="left"
    )


def model() -> LlamaForCausalLM:
    """Two layers of width 16, the same weights each time."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=1,
            tie_word_embeddings=True,
        )
    )


def dataset(prompts: int = 12) -> Dataset:
    """Up to 24 different prompts of two sources."""
    return Dataset.from_list(
        [
            {"prompt": f"{start} {colour} {manner}", "answer": colour, "source": source}
            for start in ("say", "please say")
            for colour in COLOURS
            for manner, source in MANNERS.items()
        ][:prompts]
    )


def accuracy(completions: list[str], answer: list[str], **columns: Any) -> list[float]:
    """Share of the words that are the colour asked for."""
    pairs = zip(completions, answer, strict=True)
    return [text.split().count(colour) / max(len(text.split()), 1) for text, colour in pairs]


def ending(completion_ids: list[list[int]], **columns: Any) -> list[float]:
    """1 where the completion ended by itself."""
    return [float(ids[-1] == 1) for ids in completion_ids]


def trainer(
    folder: Path,
    callbacks: Sequence[Any] = (),
    rewards: Sequence[Callable[..., Any] | torch.nn.Module] = (accuracy, ending),
    *,
    rloo: bool = False,
    kind: type | None = None,
    more: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    """A trainer that takes about 0.1 s a step; `options` go to its arguments, `more` to itself."""
    defaults: dict[str, Any] = {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "per_device_train_batch_size": 16,
        "num_generations": 4,
        "max_completion_length": 6,
        "max_steps": 4,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "beta": 0.0,
        "disable_tqdm": True,
        "seed": 7,
    }
    config = (RLOOConfig if rloo else GRPOConfig)(**{**defaults, **options})
    build = kind or (RLOOTrainer if rloo else GRPOTrainer)
    return build(
        **{
            "model": model(),
            "processing_class": tokenizer(),
            "reward_funcs": list(rewards),
            "train_dataset": dataset(),
            "args": config,
            "callbacks": list(callbacks),
            **(more or {}),
        }
    )

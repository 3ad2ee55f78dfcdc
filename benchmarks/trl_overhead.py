"""What recording costs a TRL training: time spent in our hooks, as a share of the step.

    pip install -e '.[trl]'
    python benchmarks/trl_overhead.py              # 16 prompts x 8 completions, then 64 x 8
    python benchmarks/trl_overhead.py --steps 60

Real GRPO trainings on one CPU thread, of a model with about 0.3 million parameters and reward functions that
take no time: the least favourable case, as a model of useful size takes longer for a step while most of what
recording costs depends on the number and length of prompts only. The callback measures its own hooks
(`foreshock/seconds`, which is in every recording); what listening adds within the calls of reward functions
is measured apart, on the same batch. Everything is on: completions, and the model's norms every 10 steps.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset  # type: ignore[import-untyped]
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from foreshock.integrations.trl import ForeshockCallback
from foreshock.record.rewards import RewardWatch

VOCABULARY = 2000
GROUP = 8


class Clock(TrainerCallback):
    """Wall time of each step, ours and all else included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Begin."""
        self._start = time.perf_counter()

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        """The last that happens in a step; the summary after the training is none."""
        if self._start:
            self.seconds.append(time.perf_counter() - self._start)
        self._start = 0.0


def trainer(folder: Path, prompts: int, words: int, tokens: int, steps: int, callbacks: list[Any]) -> Any:
    """A training with `prompts` prompts of `words` words a step, completions of up to `tokens` tokens."""
    vocabulary = ["<pad>", "<end>", *(f"w{place}" for place in range(VOCABULARY - 2))]
    raw = Tokenizer(WordLevel({word: place for place, word in enumerate(vocabulary)}, unk_token="<pad>"))
    raw.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=raw, pad_token="<pad>", eos_token="<end>", padding_side="left"
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=64, intermediate_size=160, num_hidden_layers=3,
            num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=1024,
            pad_token_id=0, eos_token_id=1, bos_token_id=1, tie_word_embeddings=True,
        )
    )  # fmt: skip
    draw = random.Random(0)
    rows = [
        {
            "prompt": " ".join(draw.choices(vocabulary[2:], k=words)),
            "answer": place % 7,
            "source": f"s{place % 3}",
        }
        for place in range(prompts * steps)
    ]
    args = GRPOConfig(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=prompts * GROUP,
        num_generations=GROUP, max_completion_length=tokens, learning_rate=1e-4, logging_steps=1,
        save_strategy="no", report_to="none", beta=0.0, bf16=False, use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    functions: list[Callable[..., Any]] = [length, words_of]
    return GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=functions,  # type: ignore[arg-type]
        train_dataset=Dataset.from_list(rows),
        args=args,
        callbacks=callbacks,
    )


def length(completion_ids: list[list[int]], **columns: Any) -> list[float]:
    """Costs nothing."""
    return [float(len(ids)) for ids in completion_ids]


def words_of(completions: list[str], **columns: Any) -> list[float]:
    """Costs nothing."""
    return [float(text.startswith("w1")) for text in completions]


def listening(completions: int) -> float:
    """Seconds that listening adds to the calls of both reward functions in a step."""
    texts, ids = ["w1 w2"] * completions, [[1, 2]] * completions
    watch = RewardWatch([length, words_of])
    spent = []
    plain: list[Callable[..., Any]] = [length, words_of]
    for functions in (plain, watch.functions):
        start = time.perf_counter()
        for _ in range(200):
            for function in functions:
                function(completions=texts, completion_ids=ids)
            watch.clear()
        spent.append((time.perf_counter() - start) / 200)
    return max(spent[1] - spent[0], 0.0)


def measure(prompts: int, words: int, tokens: int, steps: int) -> None:
    """Run one training and print what recording took of it."""
    with tempfile.TemporaryDirectory() as folder:
        clock, callback = Clock(), ForeshockCallback(strict=True)
        training = trainer(Path(folder), prompts, words, tokens, steps, [callback, clock])
        at_start: dict[str, float] = {}

        class Started(TrainerCallback):
            def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
                """What was spent before the first step is no cost of a step."""
                at_start.update({} if at_start else callback.spent)

        training.add_callback(Started())
        training.train()
        spent = {
            name: (seconds - at_start.get(name, 0.0)) / steps for name, seconds in callback.spent.items()
        }
        callback.close()
        size = sum(path.stat().st_size for path in (Path(folder) / "foreshock").iterdir())
    spent["listening to rewards"] = listening(prompts * GROUP)
    step = statistics.median(clock.seconds)
    total = sum(spent.values())
    print(
        f"\n{prompts} prompts of {words} words x {GROUP} completions of up to {tokens} tokens, {steps} steps"
        "\n"
        f"  a step takes {step:.3f} s (median), recording {1000 * total:.2f} ms of it: {total / step:.2%}\n"
        f"  once at the start: {1000 * sum(at_start.values()):.0f} ms; "
        f"on disk: {size / steps / 1024:.1f} kB a step"
    )
    for name, seconds in sorted(spent.items(), key=lambda one: -one[1]):
        if seconds > 1e-6:
            print(f"  {name:24} {1000 * seconds:7.3f} ms  {seconds / step:7.3%}")


def main() -> None:
    """Two sizes of batch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    measure(prompts=16, words=60, tokens=24, steps=options.steps)
    measure(prompts=64, words=100, tokens=24, steps=max(options.steps // 5, 4))


if __name__ == "__main__":
    main()

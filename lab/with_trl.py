"""Train with TRL's own GRPOTrainer and Foreshock's callback: what users run, on the tasks of the lab.

    python -m lab trl --task countdown --steps 80 --prompts 12 --seed 7 --out DIR
    foreshock report DIR/run

Problems, the noise of the sampler, rewards and metric names are those of the plain loop (train.py), so with
the same seed both trainers begin with the same completions. What the plain loop logs and TRL does not, the
sampler's gap and the held-out problems, is added to TRL's log by a callback; what only TRL logs is in `ONLY`.

TRL has one copy of the weights and no way to put a fault in between; faults are the plain loop's business.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything of Hugging Face is imported
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # of rollout_func

import torch
from datasets import Dataset  # type: ignore[import-untyped]
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerCallback,
)
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from foreshock.integrations.trl import ForeshockCallback
from lab.policy import HEADS, HIDDEN, LAYERS, WIDTH, Policy, Words
from lab.sampler import Rollout, sample
from lab.train import Options, Row, Training

ONLY = {"clip_ratio/low_min", "clip_ratio/high_max", "epoch"}
"""What TRL logs at each step and the plain loop does not."""
COMPARED = 8  # completions whose log-probs are computed once more, for the sampler's gap


class WordTokenizer(PreTrainedTokenizerFast):
    """One token for each word; reward functions see the word that ends a completion, too."""

    def batch_decode(self, sequences: Any, *args: Any, **kwargs: Any) -> list[str]:
        """Ids to words with a blank between, special ones as well."""
        return [" ".join(self.convert_ids_to_tokens(list(row))) for row in sequences]


def tokenizer(words: Words) -> WordTokenizer:
    """The vocabulary as Hugging Face has it."""
    raw = Tokenizer(WordLevel(words.ids, unk_token="<pad>"))
    raw.pre_tokenizer = WhitespaceSplit()
    made = WordTokenizer(  # type: ignore[no-untyped-call]
        tokenizer_object=raw,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<pad>",
        padding_side="left",
    )
    made.chat_template = words.chat_template
    return made


def llama(policy: Policy, words: Words) -> LlamaForCausalLM:
    """A policy in the class of transformers."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=WIDTH,
            intermediate_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=1024,
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
            pad_token_id=words.pad,
            bos_token_id=words.ids["<bos>"],
            eos_token_id=words.eos,
        )
    )
    state = policy.state_dict()
    model.load_state_dict({**state, "lm_head.weight": state["model.embed_tokens.weight"]})
    return model


class Lab(TrainerCallback):
    """The sampler of a training, and what is measured beside TRL."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.gap: Row = {}

    def rollout(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        """TRL's `rollout_func`: draw with the plain loop's sampler and its noise of this step."""
        training, step = self.training, trainer.state.global_step + 1
        self.copy(trainer.model)
        ids = [training.words.encode(prompt.split()) for prompt in prompts]
        drawn = sample(
            training.policy,
            ids,
            longest=training.max_tokens,
            eos=training.eos,
            seed=training.seed("noise", step),
            temperature=training.temperature,
        )
        self.gap = _gap(trainer.model, drawn)
        spans = list(zip(drawn.starts.tolist(), drawn.ends.tolist(), strict=True))
        return {
            "prompt_ids": ids,
            "completion_ids": [drawn.tokens[n, a:b].tolist() for n, (a, b) in enumerate(spans)],
            "logprobs": [drawn.logps[n, a - 1 : b - 1].tolist() for n, (a, b) in enumerate(spans)],
        }

    def copy(self, model: Any) -> None:
        """Bring the weights that TRL trains to our own class."""
        state = model.state_dict()
        self.training.policy.load_state_dict({n: state[n] for n in self.training.policy.state_dict()})

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Add what TRL does not log; it stands before Foreshock's callback, which gets the same object."""
        if logs is None or "loss" not in logs:
            return
        logs |= self.gap
        every = self.training.options.probe_every
        if every and state.global_step % every == 0:
            self.copy(kwargs["model"])
            logs |= self.training.probe()


@torch.no_grad()
def _gap(model: Any, drawn: Rollout) -> Row:
    """How far the log-probs of sampler and trainer lie apart, on a part of the batch."""
    tokens, mask = drawn.tokens[:COMPARED], drawn.mask[:COMPARED]
    log_probs = model(tokens[:, :-1]).logits.log_softmax(-1)
    gap = (log_probs.gather(-1, tokens[:, 1:, None]).squeeze(-1) - drawn.logps[:COMPARED])[mask]
    ratios = gap.exp()
    return {
        "sampling/sampling_logp_difference/mean": float(gap.abs().mean()),
        "sampling/sampling_logp_difference/max": float(gap.abs().max()),
        "sampling/importance_sampling_ratio/min": float(ratios.min()),
        "sampling/importance_sampling_ratio/mean": float(ratios.mean()),
        "sampling/importance_sampling_ratio/max": float(ratios.max()),
    }


def dataset(training: Training) -> Dataset:
    """The problems of all steps in their order."""
    steps = range(1, training.options.steps + 1)
    return Dataset.from_list(
        [
            {
                "prompt": " ".join(training.render(problem)),
                "label": problem.label,
                "source": problem.source,
                **problem.columns,
            }
            for step in steps
            for problem in training.draw(step)
        ]
    )


def go(options: Options, out: Path, **recording: Any) -> GRPOTrainer:
    """Train, recorded in OUT/run; returns the trainer.

    Args:
        options: of the plain loop; what TRL has no counterpart for must be left as it is.
        out: folder for the run and for the weights that it begins with.
        recording: options of ForeshockCallback.
    """
    _refuse(options)
    facts: dict[str, Any] = {"units": {"reward": "points", "completions/mean_length": "tokens"}}
    callback = ForeshockCallback(out / "run", source_column="source", **{**facts, **recording})
    trainer = build(options, out, callback)
    trainer.train()
    callback.close()
    return trainer


def build(options: Options, out: Path, callback: TrainerCallback) -> GRPOTrainer:
    """A trainer of the task, with a callback."""
    training = Training(options)
    lab, words = Lab(training), training.words
    start = out / "start"  # as a folder, so that TRL finds the reference model there, too
    llama(training.policy, words).save_pretrained(start)
    config = GRPOConfig(
        output_dir=str(out),
        max_steps=options.steps,
        per_device_train_batch_size=options.prompts * options.group,
        num_generations=options.group,
        max_completion_length=options.max_tokens,
        temperature=options.temperature,
        learning_rate=options.lr,
        lr_scheduler_type="constant_with_warmup" if options.warm_up else "constant",
        warmup_steps=options.warm_up,
        weight_decay=0.0,
        beta=options.beta,
        epsilon=options.clip,
        epsilon_high=options.clip_high,
        seed=options.seed,
        shuffle_dataset=False,
        model_init_kwargs={"dtype": "float32"},
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        model=str(start),
        processing_class=tokenizer(words),
        reward_funcs=list(training.rewards.values()),
        train_dataset=dataset(training),
        args=config,
        rollout_func=lab.rollout,
        callbacks=[lab, callback],
    )
    trainer.remove_callback(PrinterCallback)  # of 30 numbers at each step
    return trainer


def _refuse(options: Options) -> None:
    """Say what this trainer cannot do, instead of leaving it out silently."""
    plain = Options(task=options.task)
    for name in ("epochs", "entropy_bonus", "staleness"):
        if getattr(options, name) != getattr(plain, name):
            raise SystemExit(f"--{name.replace('_', '-')} is for `python -m lab run` only")


def main(arguments: list[str]) -> None:
    """Read the flags and train."""
    parser = argparse.ArgumentParser("lab trl", description=__doc__)
    plain = Options()
    for name in ("task", "steps", "prompts", "group", "seed", "lr", "warm_up", "beta", "temperature"):
        default = getattr(plain, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--probe-every", type=int, default=plain.probe_every)
    parser.add_argument("--max-tokens", type=int, default=plain.max_tokens)
    parser.add_argument("--out", type=Path, required=True)
    flags = vars(parser.parse_args(arguments))
    out = flags.pop("out")
    if (out / "run").exists():
        raise SystemExit(f"{out} holds a run already; give another --out")
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="(transformers|trl|torch)")
    go(Options(**flags), out)
    print(f"recorded in {out / 'run'}")

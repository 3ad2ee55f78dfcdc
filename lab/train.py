"""A plain GRPO loop, with all that a fault needs to be put in.

It has a rollout copy of the weights, staleness, inner epochs, an entropy bonus, a reference model, an
independent scorer, a held-out probe set and checkpoints.

Metric names, advantage and loss are those of TRL's GRPOTrainer (loss "dapo": the mean over all tokens of the
batch). All randomness is a function of (seed, step), so a checkpoint needs no state of generators: a run
resumed from one repeats the uninterrupted run bit for bit, and a fault forked from it has a clean twin.

The parts of `Training` that a fault may replace are its attributes and its short methods: `draw` (problems),
`render` (the prompt), `rewards` and `weights`, `sync` (weights to the sampler), `rate` (learning rate),
`advantages`, `token_weights`, `gradients` (just before the optimiser's step), `report` (what is logged).
"""

from __future__ import annotations

import copy
import dataclasses
import random
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab.policy import CHECKPOINTS, Layer, Words, load, logps
from lab.sampler import Rollout, sample
from lab.task import Problem, find

Row = dict[str, float]


@dataclasses.dataclass
class Options:
    """Settings of a training; each is a flag of `python -m lab run`."""

    task: str = "countdown"
    steps: int = 80
    prompts: int = 12  # per step
    group: int = 8  # completions per prompt
    seed: int = 0
    lr: float = 3e-4
    warm_up: int = 0  # steps over which the learning rate rises to lr
    beta: float = 1e-3  # weight of the divergence from the reference model; 0 leaves it out
    clip: float = 0.2  # of the ratio, below and above 1
    clip_high: float = 0.2
    epochs: int = 1  # updates per batch of completions
    entropy_bonus: float = 0.0
    temperature: float = 1.0
    max_tokens: int = 0  # of a completion; 0 is the task's own cap
    staleness: int = 0  # versions that the sampler's weights are behind
    pool: str = "train"
    dataset: int = 0  # problems in the data set, gone through in epochs; 0 draws new ones for ever
    probe_every: int = 10  # steps between two looks at the held-out problems; 0 never
    probe: int = 48  # held-out problems
    micro_tokens: int = 2000  # tokens of one forward pass; more do not fit the cache of a core

    def __post_init__(self) -> None:
        """Ask the task for the cap."""
        self.max_tokens = self.max_tokens or find(self.task).longest


@dataclasses.dataclass
class Batch:
    """All that happened in the generation of one step; rows are completions, groups stand together."""

    step: int
    problems: list[Problem]  # one per row
    prompts: list[str]
    completions: list[str]
    rollout: Rollout
    scores: dict[str, list[float | None]]
    total: Tensor  # weighted reward of each row
    advantages: Tensor
    columns: dict[str, list[Any]]


class Training:
    """One run, a step at a time."""

    def __init__(self, options: Options, start: Path | None = None) -> None:
        self.options = options
        self.task = find(options.task)
        self.words = Words(self.task.words)
        self.policy = load(start or CHECKPOINTS / f"{options.task}.safetensors", len(self.words))
        self.reference = copy.deepcopy(self.policy).requires_grad_(False)
        self.rollout = copy.deepcopy(self.policy).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.policy.parameters(), lr=options.lr, weight_decay=0.0)
        self.versions: list[dict[str, Tensor]] = []  # of the policy, newest last; as many as staleness needs
        self.version = 0  # updates of the policy
        self.rollout_version = 0
        self.done = 0
        self.tokens = 0
        # What a fault may change without a word: the options say what was asked for, these what is done.
        self.temperature, self.max_tokens, self.eos = options.temperature, options.max_tokens, self.words.eos
        self.rewards: dict[str, Callable[..., list[Any]]] = {
            "format_reward": self.task.format_reward,
            "accuracy_reward": self.task.accuracy_reward,
        }
        self.weights = {"format_reward": 1.0, "accuracy_reward": 1.0}

    # -- one step ----------------------------------------------------------------------------------------

    def step(self) -> tuple[Row, Row, Batch]:
        """Train one step: (what is logged, what only the lab knows, the batch)."""
        began, number = time.perf_counter(), self.done + 1
        self.sync()
        batch = self.generate(number)
        lag = self.version - self.rollout_version
        metrics = self.update(batch)
        self.done = number
        metrics = {**self.statistics(batch), **metrics}
        if self.options.probe_every and number % self.options.probe_every == 0:
            metrics |= self.probe()
        metrics["step_time"] = time.perf_counter() - began
        secret = {**self.known(batch), "lag": float(lag), "reported_reward": metrics["reward"]}
        metrics = self.report(metrics)
        return metrics, secret | {"told_reward": metrics["reward"]}, batch

    def generate(self, step: int) -> Batch:
        """Draw problems, complete, score."""
        options = self.options
        problems = [problem for problem in self.draw(step) for _ in range(options.group)]
        prompts = [self.render(problem) for problem in problems]
        rollout = sample(
            self.rollout,
            [self.words.encode(prompt) for prompt in prompts],
            longest=self.max_tokens,
            eos=self.eos,
            seed=self.seed("noise", step),
            temperature=self.temperature,
        )
        completions = self.texts(rollout)
        columns: dict[str, list[Any]] = {
            "label": [problem.label for problem in problems],
            "source": [problem.source for problem in problems],
            **{name: [problem.columns[name] for problem in problems] for name in problems[0].columns},
        }
        scores = {name: function(completions, **columns) for name, function in self.rewards.items()}
        total = torch.zeros(len(problems))
        for name, values in scores.items():
            total += self.weights[name] * torch.tensor([float(value or 0.0) for value in values])
        advantages = self.advantages(total.view(-1, options.group)).reshape(-1)
        texts = [" ".join(prompt) for prompt in prompts]
        return Batch(step, problems, texts, completions, rollout, scores, total, advantages, columns)

    def update(self, batch: Batch) -> Row:
        """The policy-gradient updates of one batch."""
        options, rollout, mask = self.options, batch.rollout, batch.rollout.mask
        count = mask.sum()
        idle = not options.beta and not options.entropy_bonus  # then rows without advantage teach nothing
        silent = (batch.advantages == 0) & idle
        chunks, weights = self.chunks(rollout, silent.tolist()), self.token_weights(rollout)
        old: list[Tensor] = []
        reference: list[Tensor] = []
        sums: dict[str, float] = dict.fromkeys(("loss", "entropy", "kl", "low", "high"), 0.0)
        gaps: list[Tensor] = []
        norms: list[float] = []
        before = [parameter.detach().clone() for parameter in self.policy.parameters()]
        for epoch in range(options.epochs):
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(batch.step)
            self.optimizer.zero_grad(set_to_none=False)
            for place, (rows, width) in enumerate(chunks):
                tokens, inside = rollout.tokens[rows, :width], mask[rows, : width - 1]
                with torch.set_grad_enabled(not silent[rows[0]]):
                    new, entropy = logps(self.policy, tokens)
                if epoch == 0:  # nothing was updated yet, so these are the trainer's own at sampling time
                    old.append(new.detach())
                    drawn = rollout.logps[rows, : width - 1]
                    gaps.append((new.detach() - drawn)[inside])
                    if options.beta:
                        with torch.no_grad():
                            reference.append(logps(self.reference, tokens)[0])
                ratio = (new - old[place]).exp()
                advantage = batch.advantages[rows][:, None]
                clipped = ratio.clamp(1 - options.clip, 1 + options.clip_high)
                losses = -torch.minimum(ratio * advantage, clipped * advantage)
                if options.beta:
                    apart = reference[place] - new
                    divergence = (apart.exp() - apart - 1) * ratio  # the ratio makes its gradient unbiased
                    losses = losses + options.beta * divergence
                    sums["kl"] += float((divergence.detach() * inside).sum())
                if options.entropy_bonus:
                    losses = losses - options.entropy_bonus * entropy
                loss = (losses * inside * weights[rows][:, None]).sum()
                if loss.requires_grad:
                    torch.autograd.backward(loss)
                low = (ratio < 1 - options.clip) & (advantage < 0) & inside
                high = (ratio > 1 + options.clip_high) & (advantage > 0) & inside
                sums["loss"] += loss.item()
                sums["entropy"] += float((entropy.detach() * inside).sum())
                sums["low"] += float(low.sum())
                sums["high"] += float(high.sum())
            self.gradients(batch)
            norms.append(float(torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)))
            self.optimizer.step()
            self.version += 1
        with torch.no_grad():
            moved = sum(
                float((new - was).square().sum())
                for new, was in zip(self.policy.parameters(), before, strict=True)
            )
        self.moved = moved**0.5
        return {**self.losses(sums, float(count), torch.cat(gaps)), "grad_norm": sum(norms) / len(norms)}

    def losses(self, sums: dict[str, float], count: float, gap: Tensor) -> Row:
        """What TRL logs of an update: from sums over its tokens, and the gaps of log-probs to the sampler."""
        epochs, ratios = self.options.epochs, gap.exp()
        per_token = {name: value / count / epochs for name, value in sums.items()}
        return {
            "loss": sums["loss"] / epochs,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "entropy": per_token["entropy"],
            **({"kl": per_token["kl"]} if self.options.beta else {}),
            "clip_ratio/low_mean": per_token["low"],
            "clip_ratio/high_mean": per_token["high"],
            "clip_ratio/region_mean": per_token["low"] + per_token["high"],
            "sampling/sampling_logp_difference/mean": float(gap.abs().mean()),
            "sampling/sampling_logp_difference/max": float(gap.abs().max()),
            "sampling/importance_sampling_ratio/min": float(ratios.min()),
            "sampling/importance_sampling_ratio/mean": float(ratios.mean()),
            "sampling/importance_sampling_ratio/max": float(ratios.max()),
        }

    # -- parts that a fault may replace ------------------------------------------------------------------

    def draw(self, step: int) -> list[Problem]:
        """The problems of a step."""
        options = self.options
        if not options.dataset:
            rng = self.random("problems", step)
            return [self.task.problem(rng, options.pool) for _ in range(options.prompts)]
        return [self.item(place) for place in self.places(step)]

    def render(self, problem: Problem) -> Sequence[str]:
        """The words of a prompt."""
        return problem.words

    def sync(self) -> None:
        """Bring the sampler's weights to the version that is `staleness` behind."""
        self.versions.append({name: value.clone() for name, value in self.policy.state_dict().items()})
        del self.versions[: -self.options.staleness - 1]
        self.rollout.load_state_dict(self.versions[0])
        self.rollout_version = self.version - (len(self.versions) - 1) * self.options.epochs

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.options.lr * min(1.0, step / max(self.options.warm_up, 1))

    def advantages(self, rewards: Tensor) -> Tensor:
        """Advantages (prompts, group) of rewards, as TRL scales them."""
        deviation = rewards.std(1, keepdim=True)
        return (rewards - rewards.mean(1, keepdim=True)) / (deviation + 1e-4)

    def token_weights(self, rollout: Rollout) -> Tensor:
        """What a token of each row weighs in the loss, (rows,): all the same."""
        return torch.full((len(rollout.ends),), 1.0 / float(rollout.lengths.sum()))

    def gradients(self, batch: Batch) -> None:
        """Called when the gradients are there, before they are clipped and used."""

    def report(self, metrics: Row) -> Row:
        """What is logged of the metrics."""
        return metrics

    # -- what is measured --------------------------------------------------------------------------------

    def statistics(self, batch: Batch) -> Row:
        """What TRL logs of rewards and lengths."""
        group = self.options.group
        lengths, finished = batch.rollout.lengths.float(), batch.rollout.finished
        ended = lengths[finished] if finished.any() else torch.zeros(1)
        deviations = batch.total.view(-1, group).std(1)
        self.tokens += int(batch.rollout.ends.sum())
        row: Row = {"num_tokens": float(self.tokens)}
        for name, values in (("", lengths), ("terminated_", ended)):
            row[f"completions/mean_{name}length"] = float(values.mean())
            row[f"completions/min_{name}length"] = float(values.min())
            row[f"completions/max_{name}length"] = float(values.max())
        row["completions/clipped_ratio"] = 1 - float(finished.float().mean())
        for name, scores in batch.scores.items():
            given = torch.tensor([float(score) for score in scores if score is not None])
            row[f"rewards/{name}/mean"] = float(given.mean()) if len(given) else float("nan")
            row[f"rewards/{name}/std"] = float(given.std()) if len(given) > 1 else float("nan")
        row["reward"] = float(batch.total.mean())
        row["reward_std"] = float(batch.total.std())  # of the whole batch, as TRL has it
        row["frac_reward_zero_std"] = float((deviations < 1e-6).float().mean())
        return row

    def probe(self) -> Row:
        """Scores on the held-out problems, always the same and most probable word by word."""
        rng = random.Random("probe")
        problems = [self.task.problem(rng, "probe") for _ in range(self.options.probe)]
        prompts = [self.words.encode(problem.words) for problem in problems]
        longest = self.options.max_tokens
        drawn = sample(self.policy, prompts, longest=longest, eos=self.words.eos, seed=0, temperature=0.0)
        texts = self.texts(drawn)
        solved = [self.task.solved(problem, text) for problem, text in zip(problems, texts, strict=True)]
        form = self.task.format_reward(texts)
        row = {
            "eval_rewards/format_reward/mean": sum(form) / len(form),
            "eval_rewards/accuracy_reward/mean": sum(solved) / len(solved),
        }
        return {"eval_reward": sum(row.values()), **row}

    def known(self, batch: Batch) -> Row:
        """What no trainer logs: the truth about the batch and the weights."""
        pairs = list(zip(batch.problems, batch.completions, strict=True))
        solved = [self.task.solved(problem, text) for problem, text in pairs]
        asked = batch.problems, batch.prompts
        given = batch.scores.get("accuracy_reward", [None] * len(solved))
        wrong = [problem.label != problem.truth for problem, _ in pairs]
        state = [s["exp_avg_sq"].sum() for s in self.optimizer.state.values() if "exp_avg_sq" in s]
        apart = [
            float((mine - its).abs().max())
            for mine, its in zip(self.versions[-1].values(), self.rollout.state_dict().values(), strict=True)
        ]
        return {
            "true_accuracy": sum(solved) / len(solved),
            "disagreement": _mean(
                [float(s is not None and bool(s) != t) for s, t in zip(given, solved, strict=True)]
            ),
            "unscored": _mean([float(score is None) for score in given]),
            "wrong_labels": _mean(map(float, wrong)),
            "hard": _mean([float(problem.pool == "hard") for problem, _ in pairs]),
            "distinct_prompts": float(len(set(batch.prompts))),
            "broken_prompts": _mean(
                [float(text != " ".join(problem.words)) for problem, text in zip(*asked, strict=True)]
            ),
            "weights_apart": max(apart),
            "moved": self.moved,
            "optimizer_state": float(sum(state) ** 0.5) if state else 0.0,
            "advantage": float(batch.advantages.abs().mean()),
            "alignment": _mean((batch.advantages * _centred(batch.total, self.options.group)).tolist()),
            "ease": _mean(problem.ease for problem in batch.problems),
            "finite": float(all(parameter.isfinite().all() for parameter in self.policy.parameters())),
            **{f"norm_{n}": _norm(layer) for n, layer in enumerate(self.policy.model.blocks)},
        }

    # -- small helpers -----------------------------------------------------------------------------------

    def texts(self, rollout: Rollout) -> list[str]:
        """The completions as texts."""
        rows = zip(rollout.tokens.tolist(), rollout.starts.tolist(), rollout.ends.tolist(), strict=True)
        return [self.words.decode(row[start:end]) for row, start, end in rows]

    def chunks(self, rollout: Rollout, silent: list[bool]) -> list[tuple[Tensor, int]]:
        """(rows, width) of each forward pass: of similar length, limited in tokens, silent ones apart."""
        ends = rollout.ends.tolist()
        chunks: list[tuple[Tensor, int]] = []
        rows: list[int] = []
        for row in sorted(range(len(ends)), key=lambda row: (silent[row], ends[row])):
            full = (len(rows) + 1) * ends[row] > self.options.micro_tokens
            if rows and (full or silent[row] != silent[rows[0]]):
                chunks.append((torch.tensor(rows), ends[rows[-1]]))
                rows = []
            rows.append(row)
        return [*chunks, (torch.tensor(rows), ends[rows[-1]])]

    def seed(self, what: str, step: int) -> int:
        """A seed that depends on the run's seed, the purpose and the step only."""
        return zlib.crc32(f"{self.options.seed}/{what}/{step}".encode())

    def random(self, what: str, step: int) -> random.Random:
        """A generator for one purpose in one step."""
        return random.Random(f"{self.options.seed}/{what}/{step}")

    def item(self, place: int) -> Problem:
        """A problem of the data set."""
        return self.task.problem(self.random("dataset", place), self.options.pool)

    def places(self, step: int) -> list[int]:
        """Which problems of the data set a step gets; each epoch is shuffled anew."""
        options, places = self.options, []
        for nth in range((step - 1) * options.prompts, step * options.prompts):
            epoch, place = divmod(nth, options.dataset)
            places.append(self.random("epoch", epoch).sample(range(options.dataset), options.dataset)[place])
        return places

    # -- checkpoints -------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write all that the next steps depend on."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            name: getattr(self, name) for name in ("done", "tokens", "version", "rollout_version", "versions")
        }
        state |= {
            name: getattr(self, name).state_dict() for name in ("policy", "rollout", "reference", "optimizer")
        }
        torch.save(state, path)

    def restore(self, path: Path) -> None:
        """Go on where `save` was called."""
        state = torch.load(path, weights_only=True)
        for name in ("done", "tokens", "version", "rollout_version", "versions"):
            setattr(self, name, state[name])
        for name in ("policy", "rollout", "reference", "optimizer"):
            getattr(self, name).load_state_dict(state[name])


def _centred(rewards: Tensor, group: int) -> Tensor:
    """Rewards less the mean of their group."""
    return (rewards.view(-1, group) - rewards.view(-1, group).mean(1, keepdim=True)).reshape(-1)


def _norm(layer: Layer) -> float:
    """The norm of what a layer adds to the stream."""
    return float(layer.self_attn.o_proj.weight.detach().norm() + layer.mlp.down_proj.weight.detach().norm())


def _mean(values: Any) -> float:
    listed = list(values)
    return float(sum(listed) / len(listed))

"""Record a Lightning training: `python examples/lightning_logger.py [FOLDER] [--devices N]`.

A bandit learns which of four arms pays best, with REINFORCE, in a few seconds on a CPU. Afterwards:
`foreshock report FOLDER`.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything

from foreshock.integrations.lightning import ForeshockLogger

PAYOUT = torch.tensor([0.1, 0.3, 0.5, 0.9])


class Bandit(LightningModule):
    """A policy over four arms; each batch is a number of pulls."""

    def __init__(self, learning_rate: float = 0.05) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.logits = torch.nn.Parameter(torch.zeros(4))

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        """Pull, see the reward, move the policy towards what paid more than the mean."""
        policy = torch.distributions.Categorical(logits=self.logits)
        arms = policy.sample((len(batch[0]),))
        rewards = torch.bernoulli(PAYOUT[arms])
        self.log("reward", rewards.mean())
        self.log("entropy", policy.entropy())
        return -(policy.log_prob(arms) * (rewards - rewards.mean())).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.hparams["learning_rate"])


def main() -> None:
    """Train and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="runs/lightning")
    parser.add_argument("--devices", type=int, default=1)
    arguments = parser.parse_args()
    seed_everything(0)
    trainer = Trainer(
        logger=ForeshockLogger(arguments.folder, prompts_per_step=32, total_steps=120),  # the one line
        max_steps=120,
        max_epochs=-1,
        accelerator="cpu",
        devices=arguments.devices,
        strategy="ddp" if arguments.devices > 1 else "auto",
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    pulls = torch.utils.data.TensorDataset(torch.zeros(32 * 60, 1))
    trainer.fit(Bandit(), torch.utils.data.DataLoader(pulls, batch_size=32))


if __name__ == "__main__":
    main()

"""Record what a script logs with W&B: `python examples/tap_wandb.py`, then `foreshock report runs/tap`.

W&B runs offline here, so no account is needed; `pip install wandb`. "tensorboard", "trackio" and "mlflow"
are tapped in the same way.
"""

from __future__ import annotations

import math
import os
import random
from typing import Any

import foreshock

os.environ.setdefault("WANDB_MODE", "offline")


def train(wandb: Any) -> None:
    """A script as it is: it knows nothing of Foreshock. The numbers are synthetic."""
    draw = random.Random(0)
    run = wandb.init(project="foreshock-example", config={"learning_rate": 1e-6})
    for step in range(200):
        reward = 1.8 * (1 - math.exp(-step / 40)) - (0.4 if step >= 150 else 0.0)
        run.log({"reward": reward + draw.gauss(0, 0.05), "completion_length": 200 + step / 4})
    run.finish()


def main() -> None:
    """Tap, then train."""
    foreshock.tap("wandb", "runs/tap", prompts_per_step=64, group_size=8)  # the one line
    import wandb

    train(wandb)


if __name__ == "__main__":
    main()

"""Record a verl training: nothing but configuration.

    pip install foreshock verl
    python -m verl.trainer.main_ppo ... trainer.logger='["console","foreshock"]' +trainer.foreshock_dir=runs/a

verl 0.9 finds Foreshock by itself (entry point `verl.plugins`). For earlier versions:

    export VERL_USE_EXTERNAL_MODULES=foreshock.integrations.verl

This file shows the same at the class that verl's trainers log to; with verl installed it runs:
`python examples/verl_logger.py`, then `foreshock report runs/verl`.
"""

from __future__ import annotations

import random

import foreshock.integrations.verl  # noqa: F401  (only needed before verl 0.9)


def main() -> None:
    """Log two hundred steps of synthetic numbers as verl's trainer would."""
    from verl.utils.tracking import Tracking

    draw = random.Random(0)
    config = {
        "trainer": {"foreshock_dir": "runs/verl", "total_training_steps": 200},
        "data": {"train_batch_size": 64},
        "actor_rollout_ref": {"rollout": {"n": 8}},
    }
    logger = Tracking("countdown", "first", ["foreshock"], config)
    for step in range(1, 201):
        reward = min(step / 100, 1.5) + draw.gauss(0, 0.05)
        logger.log({"critic/score/mean": reward, "response_length/mean": 200 + step}, step)
    logger.finish()


if __name__ == "__main__":
    main()

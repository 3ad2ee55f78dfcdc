"""Record a SkyRL training: a callback in the trainer.

    python examples/skyrl_callback.py ...the arguments of skyrl.train.entrypoints.main_base...

An entry point of SkyRL as its own examples have them; `Recorded` is what differs. It needs SkyRL
(Python 3.12) and GPUs.
"""

from __future__ import annotations

import sys
from typing import Any

import ray
from skyrl.train.config import SkyRLTrainConfig
from skyrl.train.entrypoints.main_base import BasePPOExp, validate_cfg
from skyrl.train.utils.utils import initialize_ray

from foreshock.integrations.skyrl import ForeshockCallback


class Recorded(BasePPOExp):
    """The usual experiment, recorded."""

    def get_trainer(self, *args: Any, **kwargs: Any) -> Any:
        """The usual trainer with a callback."""
        trainer = super().get_trainer(*args, **kwargs)
        trainer.add_callback(ForeshockCallback("/data/runs/countdown"))
        return trainer


@ray.remote(num_cpus=1)
def train(cfg: SkyRLTrainConfig) -> None:
    """The training loop, in a process of its own."""
    Recorded(cfg).run()


def main() -> None:
    """Start Ray and train."""
    cfg = SkyRLTrainConfig.from_cli_overrides(sys.argv[1:])
    validate_cfg(cfg)
    initialize_ray(cfg)
    ray.get(train.remote(cfg))


if __name__ == "__main__":
    main()

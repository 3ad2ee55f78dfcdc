"""Record a slime training: two flags.

    export FORESHOCK_RUN=/data/runs/countdown
    python train.py ...

with the flags

    --custom-rollout-log-function-path foreshock.integrations.slime.log_rollout
    --custom-eval-rollout-log-function-path foreshock.integrations.slime.log_eval_rollout

Where you have a log function already, let it call ours, as below, and give slime its path
(`--custom-rollout-log-function-path slime_functions.log_rollout`).
"""

from __future__ import annotations

from typing import Any

from foreshock.integrations import slime


def log_rollout(rollout_id: int, args: Any, samples: Any, extra_metrics: Any, seconds: float) -> bool:
    """Record with Foreshock, then do what you did before."""
    slime.log_rollout(rollout_id, args, samples, extra_metrics, seconds)
    print(f"rollout {rollout_id}: {len(samples)} samples in {seconds:.1f} s")
    return False  # slime logs as usual, too


if __name__ == "__main__":
    print(__doc__)

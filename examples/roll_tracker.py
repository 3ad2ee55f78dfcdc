"""Record a ROLL pipeline: one import in the script that starts it, and the name in its configuration.

In the configuration of the pipeline:

    track_with: foreshock
    tracker_kwargs:
      to: /data/runs/countdown
      beside: wandb                 # keeps W&B: any tracker of ROLL, with its own settings
      beside_kwargs: {project: countdown}

Then, as ROLL's own `start_rlvr_pipeline.py`: `python examples/roll_tracker.py start_rlvr_pipeline.py
--config_path ... --config_name ...`. It needs ROLL and GPUs.
"""

from __future__ import annotations

import runpy
import sys

import foreshock.integrations.roll  # noqa: F401  (the one line)

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")

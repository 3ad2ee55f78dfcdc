"""Record a torchforge training: one import in the script that starts it, and an entry in its configuration.

In the configuration:

    metric_logging:
      foreshock:
        logging_mode: global_reduce
        to: /data/runs/countdown

Then `python examples/torchforge_logger.py apps/grpo/main.py --config ...`. It needs torchforge and GPUs.
"""

from __future__ import annotations

import runpy
import sys

import foreshock.integrations.torchforge  # noqa: F401  (the one line)

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")

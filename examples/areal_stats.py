"""Record an AReaL training: one line at the top of the training script.

    from foreshock.integrations import areal

    areal.install("/data/runs/countdown")

To record a script without touching it: `python examples/areal_stats.py gsm8k_rl.py --config ...`. It needs
AReaL and GPUs. Without the folder, `$FORESHOCK_RUN` or `foreshock-runs/EXPERIMENT/TRIAL` is taken.
"""

from __future__ import annotations

import runpy
import sys

from foreshock.integrations import areal

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.argv = sys.argv[1:]
    areal.install()
    runpy.run_path(sys.argv[0], run_name="__main__")

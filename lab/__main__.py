"""`python -m lab COMMAND ...`: one command per stage."""

from __future__ import annotations

import importlib
import os
import sys

COMMANDS = {
    "warmstart": "teach the policy to guess and check; writes lab/checkpoints/TASK.safetensors",
    "run": "train with GRPO, with or without a fault; writes a run folder",
    "trl": "train with TRL's own GRPOTrainer, recorded by Foreshock's callback",
    "figure": "train without faults and draw length and reward",
    "score": "score detection and diagnosis over a corpus; prints one table",
    "corpus": "make the labelled runs: healthy ones and forks with faults",
    "faults": "list the faults with their causes and doses",
}


def main() -> None:
    """Hand the arguments to the module of the command."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print("usage: python -m lab COMMAND [--help]\n")
        print("\n".join(f"  {name:<10} {what}" for name, what in COMMANDS.items()))
        raise SystemExit(0 if sys.argv[1:] in ([], ["--help"], ["-h"]) else 2)
    module = "with_trl" if sys.argv[1] == "trl" else sys.argv[1]  # a module named trl would hide the package
    importlib.import_module(f"lab.{module}").main(sys.argv[2:])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; runs repeat bit for bit
    main()

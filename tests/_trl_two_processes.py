"""What each of several processes runs in a test: a training in a folder, with or without the callback."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

import _trl_tiny as tiny
from foreshock.integrations.trl import ForeshockCallback


def some(completions: list[str], **columns: Any) -> list[float | None]:
    """Gives no score to every second completion."""
    return [None if place % 2 else 1.0 for place in range(len(completions))]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    for name in ("without", "with"):
        callback = ForeshockCallback(strict=True, samples=32)
        trainer = tiny.trainer(
            folder / name,
            [callback] if name == "with" else [],
            [tiny.accuracy, some],
            per_device_train_batch_size=8,
            max_steps=3,
        )
        trainer.train()
        callback.close()
        history = [row for row in trainer.state.log_history if "reward" in row]
        path = folder / f"{name}-{trainer.args.process_index}.json"
        path.write_text(json.dumps([[row["reward"], row["loss"], row["grad_norm"]] for row in history]))

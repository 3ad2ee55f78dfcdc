"""Training scripts that log with a tracker: `python tap_scripts.py LIBRARY FOLDER none|before|after`.

`before` taps before the library is imported, `after` when a run is already going; the recordings go to
`FOLDER/rec`. A run named "untapped" is logged after the tap is closed.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foreshock.integrations.taps import tap

Start = Callable[[], None]
Stop = Callable[[], None]


def wandb(folder: Path, start: Start, stop: Stop) -> None:
    """Implicit steps, rows in parts, nested names, a step that goes back; a run with steps of its own."""
    sdk: Any = importlib.import_module("wandb")
    numpy: Any = importlib.import_module("numpy")
    common = {"project": "p", "mode": "offline", "dir": folder}
    settings = sdk.Settings(silent=True, console="off")
    run = sdk.init(
        name="first", id="aaaa", config={"lr": 0.1, "api_key": "s3cret"}, settings=settings, **common
    )
    start()
    for step in range(4):
        sdk.log({"reward": 0.5 * step, "nested": {"a": step, "b": {"c": -step}}}, commit=False)
        sdk.log({"loss": [1.0, float("nan"), float("inf"), numpy.float32(0.25)][step], "text": "hello"})
    sdk.log({"reward": 3.0, "table": sdk.Histogram([1, 2, 3])}, step=10)
    sdk.log({"reward": 99.0}, step=7)  # refused by W&B: steps must go up
    run.log({"reward": 4.0, "array": numpy.zeros(3), "flag": True})
    run.log({"reward": 5.0})
    try:
        run.log(["no", "mapping"])
    except TypeError:
        pass
    run.finish()
    run = sdk.init(name="second", id="bbbb", settings=settings, **common)
    for step in range(10, 60, 10):
        run.log({"train/reward": step / 10.0, "train/global_step": step})
        run.log({"train/kl": step / 100.0, "train/global_step": step})
    run.finish()
    stop()
    run = sdk.init(name="untapped", id="cccc", settings=settings, **common)
    sdk.log({"reward": 1.0})
    run.finish()


def tensorboard(folder: Path, start: Start, stop: Stop) -> None:
    """Scalars one by one, several at once, without steps, hyperparameters."""
    writer_class: Any = importlib.import_module("torch.utils.tensorboard").SummaryWriter
    torch: Any = importlib.import_module("torch")
    writer = writer_class(str(folder / "tb" / "first"))
    start()
    for step in range(5):
        writer.add_scalar("reward", 0.5 * step, step)
        writer.add_scalar("loss", [1.0, float("nan"), float("inf"), torch.tensor(0.25), 2][step], step)
    writer.add_text("prompt", "hello", 3)
    writer.add_hparams({"lr": 0.1}, {"hparam/reward": 2.0}, run_name="hparams")
    second = writer_class(str(folder / "tb" / "second"))
    for value in (1.0, 2.0, 4.0):
        second.add_scalar("reward", value)
    writer.add_scalar("reward", 3.0, 9)
    stop()
    writer.add_scalar("untapped", 1.0, 9)
    for each in (writer, second):
        each.close()


def trackio(folder: Path, start: Start, stop: Stop) -> None:
    """Implicit and explicit steps, nested names, NaN; a run with steps of its own."""
    sdk: Any = importlib.import_module("trackio")
    sdk.init(project="p", name="first", config={"lr": 0.1}, embed=False)
    start()
    for step in range(4):
        sdk.log({"reward": 0.5 * step, "nested": {"a": step}, "text": "hello"})
    sdk.log({"reward": 3.0, "loss": float("nan")}, step=10)
    sdk.log({"reward": 4.0, "loss": float("-inf")})
    sdk.finish()
    sdk.init(project="p", name="second", embed=False)
    for step in range(10, 60, 10):
        sdk.log({"train/reward": step / 10.0, "train/global_step": step})
    sdk.finish()
    stop()
    sdk.init(project="p", name="untapped", embed=False)
    sdk.log({"reward": 1.0})
    sdk.finish()


def mlflow(folder: Path, start: Start, stop: Stop) -> None:
    """Single metrics, batches, parameters, NaN, a run without steps, a refused value."""
    sdk: Any = importlib.import_module("mlflow")
    sdk.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    with sdk.start_run(run_name="first"):
        start()
        sdk.log_params({"lr": 0.1, "api_token": "s3cret"})
        for step in range(4):
            sdk.log_metrics({"reward": 0.5 * step, "kl": 0.1 * step}, step=step)
            sdk.log_metric("loss", [1.0, float("nan"), float("inf"), 2][step], step=step)
        sdk.log_param("late", 1)
        try:
            sdk.log_metric("reward", "no number", step=9)
        except Exception:
            pass
    with sdk.start_run(run_name="second"):
        for value in (1.0, 2.0, 4.0):
            sdk.log_metric("reward", value)
    stop()
    with sdk.start_run(run_name="untapped"):
        sdk.log_metric("reward", 1.0)


def main() -> None:
    """Run one script."""
    library, folder, how = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")
    taps = []

    def start() -> None:
        taps.append(tap(library, folder / "rec", note="from the script"))

    def stop() -> None:
        for each in taps:
            each.close()

    if how == "before":
        start()
        top = {"tensorboard": "torch"}.get(library, library)
        assert top not in sys.modules, f"the tap imported {top}"
    script = globals()[library]
    script(folder, start if how == "after" else lambda: None, stop)


if __name__ == "__main__":
    main()

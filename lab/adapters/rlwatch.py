"""rlwatch (PyPI): its callback for TRL at default settings, as its README recommends.

It checks every row. What passes its own cooldown (100 steps per detector and severity) and goes out to the
user is an alarm, warning or critical. It makes no diagnosis of its own: its causes are what was sent,
critical before warning, the latest first.
"""

from __future__ import annotations

import shutil
import tempfile
from types import SimpleNamespace
from typing import Any

from lab.adapters.base import Row
from lab.adapters.peer import Peer, ranked, serve, stand_in_for_transformers

CAUSES = {
    "entropy_collapse": ["entropy_collapse"],
    # "the policy is running away from the reference model"; its advice: learning rate, then coefficient.
    "kl_explosion": ["kl_blowup", "lr_too_high"],
    # Variance or two clusters of rewards: "policy may be exploiting reward model artifacts".
    "reward_hacking": ["reward_hacking"],
    # "value function estimates are unstable"
    "advantage_variance": ["value_divergence"],
    "loss_nan": ["grad_nan"],
    # "clip gradients, reduce learning rate"
    "gradient_norm_spike": ["lr_too_high"],
    # "may indicate reward hacking via distribution shift"
    "reward_mean_drift": ["reward_hacking"],
}


def tool(python: str, every: int = 0) -> Peer:
    """The peer, with an interpreter that has it; it always looks at every row."""
    return Peer(
        "rlwatch", python, 0, "its TRL callback, alarms that pass its cooldown; causes of what was sent"
    )


class _Host:
    """Its monitor on one run, with a database in a folder that is removed."""

    def __init__(self, every: int) -> None:
        from rlwatch.config import RLWatchConfig, StorageConfig  # type: ignore[import-not-found]
        from rlwatch.core import RLWatch, _build_trl_callback  # type: ignore[import-not-found]

        self._folder = tempfile.mkdtemp()
        self._monitor = RLWatch(RLWatchConfig(storage=StorageConfig(log_dir=self._folder)))
        self._monitor.start()
        self._sent: list[Any] = []
        log_step = self._monitor.log_step

        def keep(step: int, **metrics: float) -> None:
            self._sent.extend(log_step(step, **metrics))  # the callback throws away what this returns

        self._monitor.log_step = keep
        self._callback = _build_trl_callback(self._monitor)()

    def row(self, step: int, row: Row) -> list[str]:
        before = len(self._sent)
        self._callback.on_log(None, SimpleNamespace(global_step=step), None, logs=row)
        return [f"{alert.detector} {alert.severity}" for alert in self._sent[before:]]

    def causes(self) -> list[str]:
        order = sorted(self._sent, key=lambda alert: (alert.severity != "critical", -alert.step))
        return ranked([alert.detector for alert in order], CAUSES)

    def close(self) -> None:
        self._monitor.stop()
        shutil.rmtree(self._folder)


if __name__ == "__main__":
    stand_in_for_transformers()
    from importlib.metadata import version

    serve(version("rlwatch"), _Host)

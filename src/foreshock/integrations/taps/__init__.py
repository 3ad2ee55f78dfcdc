"""Taps: a copy of what a script already logs with W&B, TensorBoard, Trackio or MLflow."""

from foreshock.integrations.taps._tap import Tap, tap

__all__ = ["Tap", "tap"]

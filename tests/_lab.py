"""A way into the lab, which lies outside of the package, and a training small enough for a test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.train import Options


def small(**changes: int | float | str) -> Options:
    """Six prompts of six completions; enough for a warm-started policy to have something to learn from."""
    settings: dict[str, int | float | str] = {"prompts": 6, "group": 6, "max_tokens": 120, "probe_every": 0}
    return Options(**{**settings, **changes})  # type: ignore[arg-type]

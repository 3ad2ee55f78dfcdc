"""Fixtures shared by the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _shared_folder() -> Path:
    """The folder of logs beside the checkout, or where FORESHOCK_SHARED says."""
    return Path(os.environ.get("FORESHOCK_SHARED") or Path(__file__).resolve().parents[2] / "shared")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Root of the shared logs; skips where a clone has none."""
    folder = _shared_folder()
    if not (folder / "data").is_dir():
        pytest.skip(f"the logs of other people's runs are not at {folder} (they may not be redistributed)")
    return folder

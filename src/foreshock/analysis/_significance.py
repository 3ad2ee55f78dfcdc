"""From the highest score of a scan to a p-value that has paid for the search and for the estimates."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from foreshock.run import FloatArray


@lru_cache(maxsize=1)
def null_tables() -> dict[str, Any]:
    """Thresholds simulated on runs in which nothing happens, per scan (null_table.json)."""
    return dict(json.loads(resources.files("foreshock.analysis").joinpath("null_table.json").read_text()))


def p_values(top: FloatArray, phi: FloatArray, n: int, table: dict[str, Any]) -> FloatArray:
    """Share of runs of n rows in which nothing happens whose highest score is at least `top`.

    Conditional on the estimated autocorrelation; between the simulated levels log p is interpolated in
    the score, beyond the last one it goes on as a power law (slower than normal tails: on the safe side).

    Args:
        top: shape (draws,), scores.
        phi: shape (draws,), estimated lag-1 autocorrelation of each series.
        n: rows scanned; outside the simulated lengths the nearest one counts.
        table: of the scan, `null_tables()["fall"]` or `["jump"]`.
    """
    curves = _curves(np.asarray(phi, dtype=np.float64), n, table)
    levels = np.log(np.array(table["levels"]))
    top = np.asarray(top, dtype=np.float64)
    left = np.clip((curves <= top[:, None]).sum(-1) - 1, 0, len(levels) - 2)
    row = np.arange(len(top))
    low, high = curves[row, left], curves[row, left + 1]
    share = np.clip((top - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
    log_p = levels[left] + share * (levels[left + 1] - levels[left])
    # Beyond the table: the slope since the 5 % level, in log score.
    anchor, last = int(np.argmin(np.abs(levels - np.log(0.05)))), np.maximum(curves[:, -1], 1e-9)
    slope = (levels[anchor] - levels[-1]) / np.maximum(
        np.log(last / np.maximum(curves[:, anchor], 1e-9)), 1e-3
    )
    log_p = np.where(top > last, levels[-1] - slope * np.log(np.maximum(top / last, 1.0)), log_p)
    return np.asarray(np.exp(np.maximum(log_p, np.log(1e-12))))


def _curves(phi: FloatArray, n: int, table: dict[str, Any]) -> FloatArray:
    """Quantiles of the score at each level for these estimates of phi, shape (draws, levels)."""
    quantiles = np.array(table["quantiles"])
    lengths = np.log(np.array(table["n"], dtype=np.float64))
    at = float(np.interp(np.log(n), lengths, np.arange(len(lengths))))
    low = int(at)
    high = min(low + 1, len(lengths) - 1)
    grid = quantiles[low] + (at - low) * (quantiles[high] - quantiles[low])
    columns = [np.interp(phi, table["phi"], grid[:, k]) for k in range(grid.shape[1])]
    return np.maximum.accumulate(np.stack(columns, axis=-1), axis=-1)

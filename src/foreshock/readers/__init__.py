"""From the logs people have to a `Run`: `open_run` recognises, reads, cleans and names the metrics."""

from __future__ import annotations

from foreshock.readers._open import RunInfo, list_runs, open_run
from foreshock.readers.follow import Follower, Update, follow

__all__ = ["Follower", "RunInfo", "Update", "follow", "list_runs", "open_run"]

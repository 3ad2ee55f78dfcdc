"""Which causes the curves leave open, and what would decide between them."""

from __future__ import annotations

from foreshock.diagnosis._catalogue import Cause, causes, markdown
from foreshock.diagnosis._open import OpenCause, open_causes, what_to_log

__all__ = ["Cause", "OpenCause", "causes", "markdown", "open_causes", "what_to_log"]

"""Record a run and its evidence from inside the training loop: `Recorder` and the pieces it keeps.

Imports neither NumPy nor torch: a training script pays a few milliseconds for it.
"""

from foreshock.record.evidence import Change, Evidence
from foreshock.record.recorder import Recorder

__all__ = ["Change", "Evidence", "Recorder"]

"""The metric dictionary: 69 canonical signals, the keys of 22 trainers, and how a log is resolved to them."""

from __future__ import annotations

from foreshock.signals._catalogue import Framework, Key, Signal, catalogue, frameworks, signal, step_keys
from foreshock.signals._evidence import Evidence, evidence_curves, evidence_signal, stands_in
from foreshock.signals._recognise import recognise_framework
from foreshock.signals._render import explain, markdown
from foreshock.signals._resolve import Resolution, resolve

__all__ = [
    "Evidence",
    "Framework",
    "Key",
    "Resolution",
    "Signal",
    "catalogue",
    "evidence_curves",
    "evidence_signal",
    "explain",
    "frameworks",
    "markdown",
    "recognise_framework",
    "resolve",
    "signal",
    "stands_in",
    "step_keys",
]

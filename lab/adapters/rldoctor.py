"""rldoctor (PyPI, `rl_doctor`): its callback for TRL, as its README recommends for catching a failure live.

`RLDoctorCallback()` looks every 25 logged steps, from the 60th on, and announces findings from WARNING on,
again only when they get worse: those are the alarms. `rldoctor@1` is the same with `check_every=1`, for runs
that end before its next look. Its causes are those of `diagnose`, which prints all problems, worst first.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from lab.adapters.base import Row
from lab.adapters.peer import Peer, ranked, serve, stand_in_for_transformers

CAUSES = {
    # Groups of equal rewards, whether all right or all wrong.
    "advantage_collapse": ["saturation_zero_adv"],
    "entropy_collapse": ["entropy_collapse"],
    # Reward up, held-out score not.
    "reward_hacking": ["reward_hacking"],
    # Truncated answers: its advice is to mask them or to raise the cap: the cap before the policy.
    "length_pathology/truncated": ["max_len_change", "length_explosion"],
    # Length grows together with reward: "the policy is being paid by the token".
    "length_pathology": ["length_explosion", "reward_hacking", "grpo_length_bias"],
    # Its advice: lower the learning rate or the inner epochs; then look for stale rollouts.
    "clip_saturation": ["lr_too_high", "staleness"],
    "kl_drift": ["kl_blowup"],
    # "KL never exceeded 1e-4: pinned to the reference" has no cause in the catalogue; it is not `kl_blowup`.
    "kl_drift/pinned": [],
    "gradient_pathology/nonfinite": ["grad_nan"],
    # "almost always every rollout in every group scored the same"
    "gradient_pathology/zero": ["saturation_zero_adv"],
    # Spikes or a vanishing norm: it names prompts, an extreme reward, a schedule; the rate is nearest.
    "gradient_pathology": ["lr_too_high"],
    # One component carries the variance, or is dead: training on an auxiliary term is a way of hacking.
    "reward_composition": ["reward_hacking"],
    # "not learning any more" or "declining, roll back": it names no cause.
    "plateau": [],
}


def tool(python: str, every: int = 0) -> Peer:
    """The peer, with an interpreter that has it."""
    return Peer("rldoctor", python, every, "its TRL callback, alarms from WARNING on; causes of `diagnose`")


class _Host:
    """Its callback on one run."""

    def __init__(self, every: int) -> None:
        from rl_doctor.integrations import trl  # type: ignore[import-not-found]

        trl.HAVE_TRANSFORMERS = True
        self._callback = trl.RLDoctorCallback(**({"check_every": every} if every else {}))
        self._callback.on_train_begin(SimpleNamespace(), SimpleNamespace(), SimpleNamespace())
        self._fresh: list[Any] = []
        self._callback.monitor.on_finding = self._fresh.append

    def row(self, step: int, row: Row) -> list[str]:
        self._fresh.clear()
        self._callback.on_log(None, SimpleNamespace(global_step=step), SimpleNamespace(), logs=row)
        return [f"{finding.detector} {finding.severity.label}" for finding in self._fresh]

    def causes(self) -> list[str]:
        self._callback.monitor.check()
        latest = self._callback.monitor.latest
        return ranked([_kind(finding) for finding in latest.problems], CAUSES) if latest else []

    def close(self) -> None:
        pass


def _kind(finding: Any) -> str:
    """The detector, and which of its findings where they mean different causes."""
    kind, metrics = finding.detector, finding.metrics
    if kind == "length_pathology" and (metrics.get("truncation_rate") or 0) >= 0.05:
        return "length_pathology/truncated"
    if kind == "kl_drift" and "pinned" in finding.summary:
        return "kl_drift/pinned"
    if kind == "gradient_pathology":
        if metrics.get("n_nonfinite"):
            return "gradient_pathology/nonfinite"
        if (metrics.get("zero_grad_step_frac") or 0) >= 0.2:
            return "gradient_pathology/zero"
    return str(kind)


if __name__ == "__main__":
    stand_in_for_transformers()
    from rl_doctor import __version__  # type: ignore[import-not-found]

    serve(__version__, _Host)

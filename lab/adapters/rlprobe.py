"""rlprobe (PyPI): its callback for TRL, recording and diagnosing live, as its README recommends.

`RlprobeCallback` with `on_finding` diagnoses at every 25th step, from 30 steps on. Findings of `warn` and
`critical` are the alarms; `info` (step time crept up) is not meant as one. `rlprobe@1` is the same with
`diagnose_every=1`. Its causes are those of `rlprobe doctor` on the recording, in its order. No samples are
handed over: only its length-hacking signature would use them, to link to.
"""

from __future__ import annotations

import shutil
import tempfile
from types import SimpleNamespace
from typing import Any

from lab.adapters.base import Row
from lab.adapters.peer import Peer, ranked, serve, stand_in_for_transformers

CAUSES = {
    # "KL coefficient too low, LR too high, or a reference bug"
    "KL_BLOWUP": ["kl_blowup", "lr_too_high"],
    "ENTROPY_COLLAPSE": ["entropy_collapse"],
    # "pad the answer": a hack of the reward, seen as growing length.
    "REWARD_HACK_LENGTH": ["reward_hacking", "length_explosion", "grpo_length_bias"],
    # Farming the easy component.
    "FORMAT_GAMING": ["reward_hacking"],
    # "LR too high, too many epochs per batch, stale rollouts"
    "CLIP_SATURATION": ["lr_too_high", "staleness"],
    "DEGENERATE_GROUPS": ["saturation_zero_adv"],
    "ADV_COLLAPSE": ["saturation_zero_adv"],
    "VALUE_DIVERGENCE": ["value_divergence"],
    "GRAD_PATHOLOGY/nonfinite": ["grad_nan"],
    # Spikes: "tighten clipping, lower LR"
    "GRAD_PATHOLOGY": ["lr_too_high"],
    # "raise max_new_tokens; if length is growing treat that first; verify EOS handling"
    "TRUNCATION_STARVE": ["max_len_change", "length_explosion", "chat_template_eos"],
    # "low entropy and positive feedback locks it in"
    "REPETITION_SPIRAL": ["entropy_collapse"],
    "REWARD_STD_DEATH": ["saturation_zero_adv"],
    # "chat template or prompt formatting differences"
    "REF_POLICY_DRIFT_ASYMMETRY": ["chat_template_eos"],
    # Step time: "a symptom, not a disease".
    "THROUGHPUT_ROT": [],
}


def tool(python: str, every: int = 0) -> Peer:
    """The peer, with an interpreter that has it."""
    return Peer("rlprobe", python, every, "its TRL callback, alarms from warn on; causes of `rlprobe doctor`")


class _Host:
    """Its callback on one run, with a recording in a folder that is removed."""

    def __init__(self, every: int) -> None:
        from rlprobe.integrations.trl import RlprobeCallback  # type: ignore[import-not-found]

        self._fresh: list[Any] = []
        self._folder = tempfile.mkdtemp()
        self._callback = RlprobeCallback(
            f"{self._folder}/run",
            on_finding=self._fresh.append,
            capture_env=False,  # packages and git state, which no signature reads
            install_handlers=False,
            **({"diagnose_every": every} if every else {}),
        )
        arguments = SimpleNamespace(to_dict=dict, world_size=1, process_index=0)
        self._callback.on_train_begin(arguments, SimpleNamespace(global_step=0), SimpleNamespace())

    def row(self, step: int, row: Row) -> list[str]:
        self._fresh.clear()
        self._callback.on_log(None, SimpleNamespace(global_step=step), SimpleNamespace(), logs=row)
        return [f"{each.signature_id} {each.severity}" for each in self._fresh if each.severity != "info"]

    def causes(self) -> list[str]:
        from rlprobe.doctor import diagnose  # type: ignore[import-not-found]

        self._callback.recorder.flush(timeout=5)
        return ranked([_kind(finding) for finding in diagnose(f"{self._folder}/run")], CAUSES)

    def close(self) -> None:
        self._callback.recorder.close()
        shutil.rmtree(self._folder)


def _kind(finding: Any) -> str:
    """The signature, and which of its findings where they mean different causes."""
    metrics = [each.get("metric") for each in finding.evidence]
    return str(finding.signature_id) + ("/nonfinite" if "nan_count+inf_count" in metrics else "")


if __name__ == "__main__":
    stand_in_for_transformers()
    from importlib.metadata import version

    serve(version("rlprobe"), _Host)

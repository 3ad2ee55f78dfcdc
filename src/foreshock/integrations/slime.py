"""slime: functions for its `--custom-rollout-log-function-path`, for training and for evaluation.

```sh
--custom-rollout-log-function-path foreshock.integrations.slime.log_rollout
--custom-eval-rollout-log-function-path foreshock.integrations.slime.log_eval_rollout
```

slime calls them with all samples of a rollout, in the process that manages rollouts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foreshock.integrations._hooks import quietly
from foreshock.integrations._recorders import FOLDER, recorder_for
from foreshock.integrations._rollouts import RolloutEvidence, Rollouts
from foreshock.record import Recorder

SAMPLES = "FORESHOCK_SAMPLES"
"""Environment variable: completions kept of each rollout (default 4; 0 keeps none)."""

_SOURCES = ("source", "data_source", "dataset", "task")

_recordings: dict[str, _Recording] = {}


def log_rollout(
    rollout_id: int, args: Any, samples: Sequence[Any], rollout_extra_metrics: Any, rollout_time: float
) -> bool:
    """Record one rollout; False, so that slime logs it as without us.

    The step is `rollout_id`. Names are slime's own: `rollout/raw_reward`, `rollout/response_len/mean`, ...
    """
    quietly(_log_rollout, rollout_id, args, samples, rollout_extra_metrics, rollout_time)
    return False


def log_eval_rollout(rollout_id: int, args: Any, data: Mapping[str, Any], extra_metrics: Any = None) -> bool:
    """Record one evaluation: the mean reward and the share of cut completions of each data set."""
    quietly(_log_eval, rollout_id, args, data, extra_metrics)
    return False


def close() -> None:
    """End the recordings of this process; they end with it in any case."""
    while _recordings:
        _recordings.popitem()[1].recorder.close()


class _Recording:
    def __init__(self, args: Any) -> None:
        save = getattr(args, "save", None)
        self.recorder: Recorder = recorder_for(
            None if os.environ.get(FOLDER) or not save else Path(save, "foreshock"),
            getattr(args, "wandb_group", None) or "slime",
            config=vars(args),
            framework="slime",
            model=getattr(args, "hf_checkpoint", None),
            prompts_per_step=getattr(args, "rollout_batch_size", None),
            group_size=getattr(args, "n_samples_per_prompt", None),
            total_steps=getattr(args, "num_rollout", None),
        )
        self.evidence = RolloutEvidence(self.recorder, samples=int(os.environ.get(SAMPLES, "4")))
        self._engine: Any = None

    def engine(self, samples: Sequence[Any], step: int) -> None:
        """Record which version of the weights generated the samples, where slime keeps it."""
        versions = [int(v) for sample in samples for v in getattr(sample, "weight_versions", None) or ()]
        if not versions:
            return
        if self._engine is None:
            from foreshock.record.engine import EngineWatch

            self._engine = EngineWatch(self.recorder.last("engine"))
        self.recorder.evidence(self._engine.step(weight_version=min(versions)), step)


def _recording(args: Any) -> _Recording:
    key = f"{os.environ.get(FOLDER)} {getattr(args, 'save', None)}"
    if key not in _recordings:
        _recordings[key] = _Recording(args)
    return _recordings[key]


def _log_rollout(step: int, args: Any, samples: Sequence[Any], extra: Any, seconds: float) -> None:
    recording = _recording(args)
    flat = [one for each in samples for one in (each if isinstance(each, (list, tuple)) else [each])]
    rewards = _rewards(flat)
    key = getattr(args, "reward_key", None)
    main = rewards.get(key if key in rewards else next(iter(rewards), ""), [])
    lengths = [int(sample.response_length) for sample in flat]
    row = {
        **(extra or {}),
        "rollout/raw_reward": _mean([value for value in main if value is not None]),
        "rollout/response_len/mean": _mean(lengths),
        "rollout/response_len/max": max(lengths, default=math.nan),
        "rollout/response_len/min": min(lengths, default=math.nan),
        "rollout/truncated_ratio": _mean([_is_truncated(sample) for sample in flat]),
        "perf/rollout_time": seconds,
    }
    recording.recorder.log(row, step)
    recording.evidence.step(_rollouts(flat, rewards, args), step)
    with recording.recorder.quietly("engine evidence"):
        recording.engine(flat, step)


def _log_eval(step: int, args: Any, data: Mapping[str, Any], extra: Any) -> None:
    row: dict[str, Any] = {**(extra or {})}
    for name, found in data.items():
        row[f"eval/{name}"] = _mean([float(value) for value in found["rewards"] if value is not None])
        if "truncated" in found:
            row[f"eval/{name}-truncated_ratio"] = _mean([bool(value) for value in found["truncated"]])
    _recording(args).recorder.log(row, step)


def _rollouts(samples: Sequence[Any], rewards: dict[str, list[float | None]], args: Any) -> Rollouts:
    lengths = None
    if all(len(getattr(sample, "tokens", ()) or ()) > sample.response_length for sample in samples):
        lengths = [len(sample.tokens) - int(sample.response_length) for sample in samples]
    return Rollouts(
        [sample.prompt for sample in samples],
        [sample.response for sample in samples],
        rewards,
        sources=_sources(samples),
        lengths=lengths,
        group_size=getattr(args, "n_samples_per_prompt", None),
        columns={
            "label": [getattr(sample, "label", None) for sample in samples],
            "status": [_status(sample) for sample in samples],
        },
    )


def _rewards(samples: Sequence[Any]) -> dict[str, list[float | None]]:
    """Scores by reward function; a sample's reward is a number, a mapping of them, or None."""
    names: dict[str, None] = {}
    for sample in samples:
        if isinstance(sample.reward, Mapping):
            names.update(dict.fromkeys(str(name) for name in sample.reward))
        else:
            names["reward"] = None
    found: dict[str, list[float | None]] = {name: [] for name in names}
    for sample in samples:
        scores = sample.reward if isinstance(sample.reward, Mapping) else {"reward": sample.reward}
        for name, values in found.items():
            value = scores.get(name)
            values.append(float(value) if isinstance(value, (int, float)) else None)
    return {name: values for name, values in found.items() if any(value is not None for value in values)}


def _sources(samples: Sequence[Any]) -> list[str] | None:
    """Where each prompt comes from, if the samples say so in their metadata."""
    known = [
        metadata if isinstance(metadata := getattr(s, "metadata", None), Mapping) else {} for s in samples
    ]
    name = next((name for name in _SOURCES if any(name in each for each in known)), None)
    return None if name is None else [str(each.get(name)) for each in known]


def _status(sample: Any) -> str:
    status = getattr(sample, "status", None)
    return str(getattr(status, "value", status))


def _is_truncated(sample: Any) -> bool:
    return _status(sample).rpartition(".")[2].lower() == "truncated"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan

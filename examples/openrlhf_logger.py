"""Record an OpenRLHF training: one entry in Ray's runtime environment.

    ray job submit --runtime-env-json='{
        "worker_process_setup_hook": "foreshock.integrations.openrlhf.install",
        "env_vars": {"FORESHOCK_RUN": "/data/runs/countdown"}
      }' -- python3 -m openrlhf.cli.train_ppo_ray ...

OpenRLHF's trainer lives in a Ray process of its own; Ray calls `install` when such a process starts.
Without `ray job submit`, start Ray yourself as below and hand over the same arguments:
`python examples/openrlhf_logger.py --actor.model_name_or_path ...`. It needs OpenRLHF and its GPUs.
"""

from __future__ import annotations

import os
import runpy


def main() -> None:
    """Start Ray with the hook, then OpenRLHF's own program, which uses the Ray that runs."""
    import ray

    folder = os.path.abspath(os.environ.get("FORESHOCK_RUN", "runs/openrlhf"))
    ray.init(
        runtime_env={
            "worker_process_setup_hook": "foreshock.integrations.openrlhf.install",
            "env_vars": {"FORESHOCK_RUN": folder, "TOKENIZERS_PARALLELISM": "true", "NCCL_DEBUG": "WARN"},
        }
    )
    runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__")


if __name__ == "__main__":
    main()

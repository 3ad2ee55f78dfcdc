"""Log rows with a tracker's real SDK: `python write_trackers.py TRACKER FOLDER < rows.json`.

A program of its own, because the SDKs start threads and servers and warn about many things. The rows are
a JSON list of [step, {metric: value}], NaN and infinities bare.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

Rows = list[tuple[int, dict[str, float]]]


def wandb(folder: Path, rows: Rows) -> None:
    """Two offline runs; the second logs nested values, media and text too."""
    sdk: Any = importlib.import_module("wandb")
    settings = sdk.Settings(silent=True, console="off")
    config = {"learning_rate": 1e-6, "model": {"name": "tiny", "layers": 2}, "hub_token": "hf_secret"}
    run = sdk.init(
        project="p", name="first", id="aaaa", mode="offline", dir=folder, config=config, settings=settings
    )
    for step, row in rows:
        run.log(row, step=step)
    run.finish()
    run = sdk.init(project="p", name="second", id="bbbb", mode="offline", dir=folder, settings=settings)
    run.log(
        {
            "train/reward": 0.5,
            "nested": {"a": 1, "b": {"c": 2.5}},
            "dotted.key": 3,
            "flag": True,
            "text": "step:1 - reward:9",
            "histogram": sdk.Histogram([1, 2, 3]),
            "list": [1, 2],
            "none": None,
        }
    )
    run.finish()


def tensorboard(folder: Path, rows: Rows) -> None:
    """One scalar per event in `old/`, a tensor per event in `new/`, several values per event in `joint/`."""
    event: Any = importlib.import_module("tensorboard.compat.proto.event_pb2").Event
    proto: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2")
    tensor: Any = importlib.import_module("tensorboard.compat.proto.tensor_pb2").TensorProto
    writer: Any = importlib.import_module("tensorboard.summary.writer.event_file_writer").EventFileWriter
    plugin = proto.SummaryMetadata(plugin_data=proto.SummaryMetadata.PluginData(plugin_name="scalars"))
    text = tensor(dtype=7, string_val=[b"a prompt", b"reward: 9"])
    old, new, joint = (writer(str(folder / name)) for name in ("old", "new", "joint"))
    for step, row in rows:
        for key, value in row.items():
            scalar = proto.Summary.Value(tag=key, simple_value=value)
            old.add_event(event(wall_time=1e9 + step, step=step, summary=proto.Summary(value=[scalar])))
            double = proto.Summary.Value(tag=key, metadata=plugin, tensor=tensor(dtype=2, double_val=[value]))
            new.add_event(event(wall_time=1e9 + step, step=step, summary=proto.Summary(value=[double])))
        values = [proto.Summary.Value(tag=key, simple_value=value) for key, value in row.items()]
        values.append(proto.Summary.Value(tag="prompts", tensor=text))
        joint.add_event(event(wall_time=1e9 + step, step=step, summary=proto.Summary(value=values)))
    for each in (old, new, joint):
        each.close()


def tensorboard_tensors(folder: Path, rows: Rows) -> None:
    """Each row's values as `dtype/form` tensors, by TensorBoard's own conversion from numpy."""
    event: Any = importlib.import_module("tensorboard.compat.proto.event_pb2").Event
    proto: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2")
    make: Any = importlib.import_module("tensorboard.util.tensor_util").make_tensor_proto
    writer: Any = importlib.import_module("tensorboard.summary.writer.event_file_writer").EventFileWriter(
        str(folder)
    )
    numpy: Any = importlib.import_module("numpy")
    for step, row in rows:
        for key, value in row.items():
            array = numpy.array(value, dtype=key.split("/")[0])
            one = make(array)
            if key.endswith("content"):
                values = {"int": "int64", "float": "float32"}.get(key.split("/")[0], key.split("/")[0])
                one = type(one)(dtype=one.dtype, tensor_content=array.astype(values).tobytes())
            scalar = proto.Summary.Value(tag=key, tensor=one)
            writer.add_event(event(wall_time=1e9, step=step, summary=proto.Summary(value=[scalar])))
    writer.close()


def mlflow(folder: Path, rows: Rows) -> None:
    """A SQLite store with two kept runs and a deleted one."""
    _mlflow(f"sqlite:///{folder}/mlflow.db", rows)


def mlflow_files(folder: Path, rows: Rows) -> None:
    """The same in the older store of text files."""
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    _mlflow((folder / "mlruns").as_uri(), rows)


def _mlflow(uri: str, rows: Rows) -> None:
    sdk: Any = importlib.import_module("mlflow")
    sdk.set_tracking_uri(uri)
    sdk.set_experiment("grpo")
    with sdk.start_run(run_name="kept"):
        sdk.log_params({"learning_rate": 1e-6, "hub_token": "hf_secret"})
        for step, row in rows:
            sdk.log_metrics(row, step=step)
        sdk.log_metric("system/cpu_utilization_percentage", 50.0, step=10_000)
    with sdk.start_run(run_name="gone") as gone:
        sdk.log_metric("train/reward", 9.0, step=0)
    with sdk.start_run(run_name="stepless"):
        for value in (0.1, 0.2, 0.3):
            sdk.log_metric("train/reward", value)
    sdk.delete_run(gone.info.run_id)


def trackio(folder: Path, rows: Rows) -> None:
    """One project with two runs; no server and no dashboard."""
    os.environ.update(TRACKIO_DIR=str(folder), HF_HOME=str(folder / "hf"), HF_HUB_OFFLINE="1")
    sdk: Any = importlib.import_module("trackio")
    quiet = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
    config = {"learning_rate": 1e-6, "model": {"name": "tiny"}}
    sdk.init(project="words", name="first", config=config, **quiet)
    for step, row in rows:
        sdk.log(row, step=step)
    sdk.finish()
    sdk.init(project="words", name="second", **quiet)
    sdk.log({"train/reward": 0.5, "nested": {"a": 1}, "flag": True, "text": "reward: 9"})
    sdk.finish()


if __name__ == "__main__":
    logged = [(step, row) for step, row in json.load(sys.stdin)]
    globals()[sys.argv[1]](Path(sys.argv[2]), logged)

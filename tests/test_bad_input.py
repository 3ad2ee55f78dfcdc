"""What cannot be read gets one sentence that says what to do, never a traceback, and bounded work."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from foreshock.errors import (
    ForeshockError,
    InputError,
    MetricError,
    NotARunError,
    SeveralRunsError,
    UnreadableError,
    UsageError,
)
from foreshock.readers import list_runs, open_run

ROWS = [{"step": s, "reward": s / 10, "response_length": 100.0 + s} for s in range(30)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def message(path: str | Path, kind: type[ForeshockError], **options: str) -> str:
    """The error's text, checked to be one short line that names the input."""
    with pytest.raises(kind) as caught:
        open_run(path, **options)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    assert "foreshock-" not in text  # where it was unpacked to is nobody's business
    assert 20 < len(text) < 700
    return text


def test_no_such_file(tmp_path: Path) -> None:
    assert "no such file or folder" in message(tmp_path / "missing.json", InputError)
    with pytest.raises(InputError, match="cannot be read"):
        open_run(tmp_path / ("x" * 5000))


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(content)
    assert "is empty" in message(path, NotARunError)


def test_a_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(random.Random(0).randbytes(300_000))
    assert "binary" in message(path, NotARunError)


def test_a_text_that_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, nothing was logged today.\n" * 4000)
    assert "--format" in message(path, NotARunError)


@pytest.mark.parametrize(
    "content",
    [
        {"model_type": "qwen2", "vocab_size": 151936, "architectures": ["Qwen2ForCausalLM"]},
        {"a": {"b": [1, 2, "x"]}},
        ["only", "texts"],
        [],
        {},
        42,
    ],
)
def test_json_that_is_no_history(tmp_path: Path, content: object) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    message(path, InputError)


def test_a_folder_with_no_run(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 100)
    (tmp_path / "config.json").write_text('{"hidden_size": 64, "layers": [1, 2]}')
    assert "holds no log" in message(tmp_path, NotARunError)


def test_a_log_without_a_reward_lists_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "sft.jsonl"
    path.write_text("".join(f'{{"step": {s}, "loss": 0.5, "lr": 0.1}}\n' for s in range(9)))
    text = message(path, MetricError)
    assert "--map reward=KEY" in text
    assert "loss, lr" in text
    assert open_run(path, require_reward=False).series["loss"].tolist() == [0.5] * 9
    assert open_run(path, mapping={"reward": "loss"}).series["reward_mean"].tolist() == [0.5] * 9


def test_two_columns_that_could_be_the_reward_are_named(tmp_path: Path) -> None:
    path = tmp_path / "two.jsonl"
    path.write_text(
        "".join(f'{{"step": {s}, "my_reward_a": {s}.0, "my_reward_b": {s * s}.5}}\n' for s in range(9))
    )
    text = message(path, MetricError)
    assert "my_reward_a" in text and "my_reward_b" in text and "--map reward=my_reward_a" in text
    run = open_run(path, mapping={"reward": "my_reward_b"})
    assert run.series["reward_mean"][2] == 4.5


def test_options_that_name_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(LINES)
    assert "jsonl" in message(path, UsageError, format="nonsense")
    assert "run (30 rows)" in message(path, UsageError, run="other")
    assert "response_length" in message(path, MetricError, step_key="nothing")
    assert "fractions such as 0.1" in message(path, MetricError, step_key="reward")
    with pytest.raises(MetricError, match="no key 'nothing'"):
        open_run(path, mapping={"reward": "nothing"})


@pytest.mark.parametrize("name", ["trainer_state", "jsonl", "json_list", "csv_table", "parquet", "notebook",
                                  "tensorboard", "wandb_offline", "mlflow_sqlite", "trackio",
                                  "verl_console", "trl_console", "kv_console", "mlflow_files"])  # fmt: skip
def test_a_forced_reader_on_something_else_is_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "noise.dat"
    path.write_bytes(random.Random(1).randbytes(50_000))
    message(path, ForeshockError, format=name)
    text = tmp_path / "text.txt"
    text.write_text("nothing to see here, {'really': 'nothing'}\n" * 50)
    message(text, ForeshockError, format=name)
    message(tmp_path, ForeshockError, format=name)


def test_a_csv_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("0,0.5,100\n1,0.6,101\n2,0.7,103\n")
    assert "no header" in message(path, UnreadableError)
    assert "step,reward,response_length" in message(path, UnreadableError)


def test_a_csv_with_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("name,age\nana,31\nben,32\n")
    assert "no metric that is known as a reward" in message(path, MetricError)
    path.write_text("just one column\n1\n2\n")
    assert "one column" in message(path, UnreadableError)
    path.write_text("step,reward\n")
    assert "without a number" in message(path, NotARunError)


def test_archives_that_can_be_read(tmp_path: Path) -> None:
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(LINES.encode()))
    assert open_run(packed).id == "packed"
    assert open_run(packed).source == str(packed)
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
        archive.writestr("out/README.md", "words")
        archive.writestr("out/my-run.jsonl", LINES)
    assert open_run(tmp_path / "run.zip").steps.tolist() == list(range(30))
    with tarfile.open(tmp_path / "run.tar.gz", "w:gz") as tar:
        for name, content in (("a/config.yaml", b"x: 1"), ("../../a/run.jsonl", LINES.encode())):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    assert open_run(tmp_path / "run.tar.gz").steps.tolist() == list(range(30))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["packed.jsonl.gz", "run.tar.gz", "run.zip"]


def test_an_archive_with_several_logs_is_a_question(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as archive:
        archive.writestr("a.jsonl", LINES)
        archive.writestr("b.jsonl", LINES)
    assert "a.jsonl, b.jsonl" in message(tmp_path / "runs.zip", NotARunError)


def test_truncated_archives(tmp_path: Path) -> None:
    noise = "".join(f"# {random.Random(s).random()}\n" for s in range(2000))
    whole = gzip.compress((LINES + noise).encode())
    path = tmp_path / "run.jsonl.gz"
    for size in (3, 12, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:size])
        assert "cut or damaged" in message(path, UnreadableError)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run.jsonl", LINES)
    path = tmp_path / "run.zip"
    for size in (30, 100, len(buffer.getvalue()) - 30):
        path.write_bytes(buffer.getvalue()[:size])
        assert "cut or damaged" in message(path, UnreadableError)


def test_an_archive_with_a_password(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("run.jsonl", LINES)
    data = bytearray(buffer.getvalue())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # what an encrypting zip sets
        data[data.index(mark) + place] |= 1
    path = tmp_path / "secret.zip"
    path.write_bytes(data)
    assert "password" in message(path, UnreadableError)


@pytest.mark.parametrize(
    ("magic", "kind"), [(b"7z\xbc\xaf'\x1c", "7z"), (b"Rar!\x1a\x07", "RAR"), (b"\x28\xb5\x2f\xfd", "zstd")]
)
def test_archives_of_other_kinds_are_named(tmp_path: Path, magic: bytes, kind: str) -> None:
    path = tmp_path / "logs.bin"
    path.write_bytes(magic + b"\0" * 1000)
    assert kind in message(path, UnreadableError)


def _limited(code: str, tmp_path: Path, stdin: int | None = None) -> str:
    """Run code in a process that may take 600 MiB of addresses; what it prints."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_DATA, (600 << 20, 600 << 20))\n"
    done = subprocess.run(
        [sys.executable, "-c", limit + code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        stdin=stdin,
    )
    return done.stdout


REFUSED = """
import io, sys
from foreshock.errors import NotARunError
from foreshock.readers import open_run
try:
    open_run(sys.argv[1] if len(sys.argv) > 1 else PATH)
except NotARunError as error:
    with open("/proc/self/io") as file:
        print(next(int(line.split()[1]) for line in file if line.startswith("rchar")))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="counts bytes read as Linux tells them")
@pytest.mark.parametrize("kind", ["zeros", "text"])
def test_a_huge_file_of_noise_is_refused_after_a_look_at_its_first_part(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "noise"
    with path.open("wb") as file:
        if kind == "text":
            block = bytes(random.Random(0).choices(b"abcdefghij klmnop\n", k=1 << 20))
            for _ in range(40):
                file.write(block)
        file.truncate(2 << 30)
    read = int(_limited(REFUSED.replace("PATH", "'noise'"), tmp_path))
    assert read < 64 << 20  # of 2,048 MiB; imports included


def test_one_endless_line_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "noise.jsonl"
    with path.open("wb") as file:
        for _ in range(40):
            file.write(b'{"text": "' + b"x" * (1 << 20))
    with path.open("ab") as file:
        file.truncate(1 << 30)
    assert _limited(REFUSED.replace("PATH", "'noise.jsonl'"), tmp_path).strip().isdigit()


@pytest.mark.parametrize("content", [b"no log\n", b'{"step": 1, "loss": 0.5}\n'])
def test_messages_name_what_was_given(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(gzip.compress(content))
    assert str(path) in message(path, InputError)
    code = "from foreshock.errors import InputError\nfrom foreshock.readers import open_run\n"
    code += "try:\n    open_run('-')\nexcept InputError as error:\n    print(error)"
    with path.open("rb") as file:
        assert _limited(code, tmp_path, stdin=file.fileno()).startswith("standard input ")


def test_standard_input(tmp_path: Path) -> None:
    code = "from foreshock.readers import open_run\nr = open_run('-')\nprint(r.source, r.id, len(r.steps))"
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(gzip.compress(LINES.encode()))
    with path.open("rb") as file:
        assert _limited(code, tmp_path, stdin=file.fileno()).split() == ["-", "stdin", "30"]


def test_a_named_pipe_is_read_like_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen([sys.executable, "-c", f"open({str(path)!r}, 'w').write({LINES!r})"]):
        assert len(open_run(path).steps) == 30


def test_packed_noise_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "noise.gz"
    path.write_bytes(gzip.compress(b"\0" * (200 << 20)))
    assert "binary data" in message(path, NotARunError)


def test_standard_input_that_is_noise_is_refused_at_once(tmp_path: Path) -> None:
    with open("/dev/zero", "rb") as file:
        assert int(_limited(REFUSED.replace("PATH", "'-'"), tmp_path, stdin=file.fileno())) < 64 << 20


def test_several_runs_are_listed_and_chosen_by_id_prefix_or_number(tmp_path: Path) -> None:
    for name, offset in (("alpha", 0.0), ("beta-1", 1.0), ("beta-2", 2.0)):
        rows = [{**row, "reward": row["reward"] * row["step"] + offset} for row in ROWS]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SeveralRunsError, match="holds 3 runs.*--run") as caught:
        open_run(tmp_path)
    assert caught.value.runs == ("alpha.jsonl", "beta-1.jsonl", "beta-2.jsonl")
    assert [info.rows for info in list_runs(tmp_path)] == [30, 30, 30]
    assert open_run(tmp_path, run="beta-2.jsonl").series["reward_mean"][0] == 2.0
    assert open_run(tmp_path, run="al").series["reward_mean"][0] == 0.0
    assert open_run(tmp_path, run="2").series["reward_mean"][0] == 1.0
    with pytest.raises(SeveralRunsError, match="could mean"):
        open_run(tmp_path, run="beta")
    with pytest.raises(UsageError, match="is no run"):
        open_run(tmp_path, run="4")

"""`foreshock run`: what a command prints is passed on unchanged and recorded; the command notices nothing."""

from __future__ import annotations

import fcntl
import functools
import json
import math
import os
import pty
import random
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock.readers import kv_console, open_run, trl_console, verl_console
from foreshock.record._console_rows import ConsoleRows

RUN = [sys.executable, "-m", "foreshock", "run"]
VERL = "".join(
    f"step:{i} - actor/entropy:0.{i} - critic/score/mean:{i / 20} - response_length/mean:{100 + i}\n"
    for i in range(1, 21)
)
# What transformers' ProgressCallback does: tqdm erases its bar, the dict is printed, the bar is redrawn.
TRL = """
import sys
def bar(n):
    sys.stderr.write(f"\\r {n * 5}%|##   | {n}/20 [00:10<00:10, 1.0it/s]"); sys.stderr.flush()
for n in range(1, 21):
    bar(n)
    if n % 5 == 0:
        sys.stderr.write("\\r" + " " * 40 + "\\r"); sys.stderr.flush()
        print({"loss": 0.1, "reward": n / 20, "epoch": n / 20})
        bar(n)
"""


def run(*args: str, out: Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*RUN, "--out", str(out), "--", *args], capture_output=True, timeout=60, check=False, **options
    )


def start(code: str, out: Path, **options: Any) -> subprocess.Popen[bytes]:
    """The same without waiting for its end, once it has printed "ready"."""
    command = [*RUN, "--out", str(out), "--", *python(code)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
    assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    return child


def python(code: str, *args: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *args)


def journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "journal-0.jsonl").read_text().splitlines()]


def steps(folder: Path) -> list[int]:
    return [record["step"] for record in journal(folder) if "metrics" in record]


def ending(folder: Path) -> dict[str, Any]:
    (event,) = (record for record in journal(folder) if record.get("event") == "process_ended")
    return event


# --- what the command notices -------------------------------------------------------------------------


def test_bytes_of_both_streams_pass_unchanged(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(300_000)
    (tmp_path / "noise").write_bytes(noise + b"\r 10%|#  | 1/10\r\x1b[31mred\xff\xfe\x00 no line end")
    code = (
        "import sys, shutil\nwith open(sys.argv[1], 'rb') as f:\n d = f.read()\n"
        "for i in range(0, len(d), 5000):\n"
        " sys.stdout.buffer.write(d[i:i+5000]); sys.stdout.flush()\n sys.stderr.buffer.write(d[i:i+99])\n"
    )
    done = run(*python(code, str(tmp_path / "noise")), out=tmp_path / "run")
    direct = subprocess.run(python(code, str(tmp_path / "noise")), capture_output=True, check=True)
    assert done.stdout == direct.stdout and len(done.stdout) > 300_000
    assert done.stderr == direct.stderr
    assert done.returncode == 0


def test_one_file_for_both_streams_keeps_their_order(tmp_path: Path) -> None:
    code = "import os\nfor i in range(500):\n os.write(1 + i % 2, b'%d\\n' % i)"
    with (tmp_path / "log").open("wb") as log:
        subprocess.run([*RUN, "-o", str(tmp_path / "run"), *python(code)], stdout=log, stderr=log, check=True)
    assert (tmp_path / "log").read_text().split() == [str(i) for i in range(500)]


def test_standard_input_reaches_the_command(tmp_path: Path) -> None:
    done = run(*python("import sys; print(sys.stdin.read()[::-1])"), out=tmp_path / "run", input=b"abc")
    assert done.stdout == b"cba\n"


def test_arguments_reach_the_command_as_they_are(tmp_path: Path) -> None:
    args = ("--out", "x", "--", "-o", "a b", "--help", "")
    done = run(*python("import sys; print(sys.argv[1:])", *args), out=tmp_path / "run")
    assert done.stdout.decode().strip() == str(list(args))
    done = subprocess.run(
        [*RUN, "-o", str(tmp_path / "run"), *python("import sys; print(sys.argv[1:])", "--out", "x")],
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == "['--out', 'x']", "-- is not required"


def test_the_exit_code_is_the_commands(tmp_path: Path) -> None:
    assert run(*python("raise SystemExit(41)"), out=tmp_path / "a").returncode == 41
    assert ending(tmp_path / "a")["text"] == "The process ended with code 41."
    killed = run(*python("import os; os.kill(os.getpid(), 9)"), out=tmp_path / "b")
    assert killed.returncode == 137
    assert ending(tmp_path / "b")["text"] == "The process was ended by signal 9 (SIGKILL)."


def test_a_command_that_does_not_exist_is_told_like_in_a_shell(tmp_path: Path) -> None:
    missing = run("no-such-command-at-all", out=tmp_path / "run")
    assert missing.returncode == 127 and b"cannot run 'no-such-command-at-all'" in missing.stderr
    assert run(str(tmp_path), out=tmp_path / "run").returncode == 126
    assert not (tmp_path / "run").exists()
    nothing = subprocess.run(RUN, capture_output=True, check=False)
    assert nothing.returncode == 2 and b"Missing argument" in nothing.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGQUIT"])
def test_signals_are_forwarded_once(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    code = (
        "import signal, sys, time\nseen = []\n"
        f"signal.signal({int(number)}, lambda n, f: seen.append(n))\n"
        "print('ready', flush=True)\n"
        "while not seen: time.sleep(0.01)\n"
        "time.sleep(0.3)\nprint(seen)\nsys.exit(7)"
    )
    child = subprocess.Popen(
        [*RUN, "-o", str(tmp_path / "run"), "--", *python(code)],
        stdout=subprocess.PIPE,
        start_new_session=True,
        # A suite in the background of a shell inherits that Ctrl-C is ignored, and so would the command.
        preexec_fn=functools.partial(signal.signal, number, signal.SIG_DFL),
    )
    assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    child.send_signal(number)
    rest, _ = child.communicate(timeout=30)
    assert rest.decode().strip() == f"[{int(number)}]"
    assert child.returncode == 7


def test_a_signal_that_ends_the_command_gives_its_exit_code(tmp_path: Path) -> None:
    code = "import time; print('ready', flush=True); time.sleep(60)"
    child = subprocess.Popen(
        [*RUN, "-o", str(tmp_path / "run"), "--", *python(code)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    child.terminate()
    child.communicate(timeout=30)
    assert child.returncode == 128 + 15
    assert ending(tmp_path / "run")["data"] == {"code": 143}


def test_stop_and_continue(tmp_path: Path) -> None:
    code = "import time\nprint('ready')\nfor i in range(10_000):\n print(i, flush=True); time.sleep(0.01)"
    child = start(code, tmp_path / "run", preexec_fn=os.setpgrp)
    assert child.stdout is not None
    child.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), "foreshock itself stops"
    os.set_blocking(child.stdout.fileno(), False)
    time.sleep(0.2)
    child.stdout.read()
    time.sleep(0.3)
    assert not child.stdout.read(), "and so does the command"
    child.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    assert child.stdout.read(), "both go on"
    child.terminate()
    os.set_blocking(child.stdout.fileno(), True)
    child.communicate(timeout=30)
    assert child.returncode == 143


def test_a_reader_that_goes_away_ends_the_command_as_it_would_without_us(tmp_path: Path) -> None:
    code = "import signal\nsignal.signal(13, 0)\nprint('ready')\nfor i in range(10**9): print(i, flush=True)"
    child = start(code, tmp_path / "run")
    assert child.stdout is not None
    child.stdout.close()
    assert child.wait(timeout=30) == 128 + 13


def test_what_the_command_leaves_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    begun = time.monotonic()
    done = run("sh", "-c", "sleep 30 & echo done", out=tmp_path / "run")
    assert done.stdout == b"done\n" and done.returncode == 0
    assert time.monotonic() - begun < 15


def in_terminal(*args: str, columns: int = 93, keys: bytes = b"", when: bytes = b"") -> tuple[int, bytes]:
    """(exit code, all output) of a command in a terminal; `keys` are typed once `when` was printed."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(args[0], args)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 31, columns, 0, 0))
    seen, typed = b"", not keys
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        if not typed and when in seen:
            typed = True
            os.write(terminal, keys)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), seen


def test_in_a_terminal_the_command_has_one_of_the_same_size(tmp_path: Path) -> None:
    code = "import os; print([os.isatty(i) for i in range(3)], os.get_terminal_size())"
    status, seen = in_terminal(*RUN, "-o", str(tmp_path / "run"), "--", *python(code))
    assert status == 0
    assert b"[True, True, True] os.terminal_size(columns=93, lines=31)\r\n" in seen
    assert b"foreshock: no metrics were recognised in the output\r\n" in seen


def test_where_only_one_stream_is_a_terminal_only_that_one_is(tmp_path: Path) -> None:
    code = "import os; print([os.isatty(i) for i in range(3)], flush=True)"
    command = " ".join(map(repr, [*RUN, "-o", str(tmp_path / "run"), "--", *python(code)]))
    _, seen = in_terminal("sh", "-c", f"{command} 2> {tmp_path / 'err'}")
    assert seen == b"[True, True, False]\r\n"
    assert (tmp_path / "err").read_bytes() == b""


def test_control_c_reaches_the_command_once(tmp_path: Path) -> None:
    code = (
        "import signal, time\nseen = []\nsignal.signal(2, lambda n, f: seen.append(n))\n"
        "print('ready', flush=True)\nwhile not seen: time.sleep(0.01)\n"
        "time.sleep(0.3); print(seen); raise SystemExit(9)"
    )
    status, seen = in_terminal(
        *RUN, "-o", str(tmp_path / "run"), "--", *python(code), keys=b"\x03", when=b"ready"
    )
    assert status == 9 and b"[2]\r\n" in seen


def test_a_recording_that_fails_does_not_touch_the_command(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = run("sh", "-c", f"printf '{VERL}'; exit 5", out=tmp_path / "file" / "run")
    assert done.returncode == 5 and done.stdout.decode() == VERL
    assert b"Traceback" not in done.stderr


def test_the_command_is_not_held_up_by_what_it_prints(tmp_path: Path) -> None:
    code = (
        "import sys, time\nbegun = time.monotonic()\n"
        "line = 'step 1 | loss: 0.5 | reward: 1.0 ' * 20 + '\\n'\n"
        "for i in range(100_000): sys.stdout.write(line)\n"
        "sys.stdout.flush(); print(time.monotonic() - begun, file=sys.stderr)"
    )
    begun = time.monotonic()
    done = run(*python(code), out=tmp_path / "run")
    assert len(done.stdout) > 60_000_000
    assert float(done.stderr.split()[-1]) < 5, "66 MB take 0.3 s without anybody in between, 0.6 s with us"
    assert time.monotonic() - begun < 25, "what cannot be looked at in time is not waited for"
    (lost,) = (record for record in journal(tmp_path / "run") if record.get("event") == "output_lost")
    assert lost["data"]["bytes"] > 10_000_000
    assert ending(tmp_path / "run")["data"] == {"code": 0}


# --- what is recorded ---------------------------------------------------------------------------------


def test_verl_lines_become_rows_that_a_report_reads(tmp_path: Path) -> None:
    done = run("printf", "%s", VERL, out=tmp_path / "run")
    assert done.stdout.decode() == VERL
    opened = open_run(tmp_path / "run")
    assert opened.framework == "verl" and opened.steps.tolist() == list(range(1, 21))
    assert opened.series["reward_mean"].tolist() == [i / 20 for i in range(1, 21)]
    assert [event.kind for event in opened.events] == ["process_ended"]


def test_rows_are_there_while_the_command_runs(tmp_path: Path) -> None:
    code = f"import sys\nprint('''{VERL}''', flush=True)\nsys.stdin.read()"
    child = subprocess.Popen(
        [*RUN, "-o", str(tmp_path / "run"), "--", *python(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        path = tmp_path / "run" / "journal-0.jsonl"
        if path.exists() and path.read_text().count('"metrics"') == 20:
            break
        time.sleep(0.05)
    assert steps(tmp_path / "run") == list(range(1, 21))
    assert child.poll() is None
    child.communicate()


@pytest.mark.parametrize("buffering", ["", "1"])
@pytest.mark.parametrize("together", [True, False])
def test_rows_without_a_step_take_it_from_the_progress_bar(
    tmp_path: Path, together: bool, buffering: str
) -> None:
    """Whether the rows come in time or all at the end, in one stream with the bar or in another."""
    environment = {**os.environ, "PYTHONUNBUFFERED": buffering}
    errors = subprocess.STDOUT if together else subprocess.PIPE
    subprocess.run(
        [*RUN, "-o", str(tmp_path / "run"), "--", *python(TRL)],
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment,
        check=True,
    )
    assert steps(tmp_path / "run") == [5, 10, 15, 20]
    assert {"total_steps": 20} in [record.get("facts") for record in journal(tmp_path / "run")]


def test_rows_without_a_step_take_it_from_the_progress_bar_in_a_terminal(tmp_path: Path) -> None:
    in_terminal(*RUN, "-o", str(tmp_path / "run"), "--", *python(TRL))
    assert steps(tmp_path / "run") == [5, 10, 15, 20]


def test_pairs_become_rows_once_their_keys_recur(tmp_path: Path) -> None:
    lines = "".join(
        f"INFO Step {10 * i}/80 | loss: {1 / i:.3f} | mean reward: {i / 8}\n" for i in range(1, 9)
    )
    run("printf", "%s", "Loading model: 7.5 B\n" + lines, out=tmp_path / "run")
    assert steps(tmp_path / "run") == list(range(10, 90, 10))
    opened = open_run(tmp_path / "run")
    assert opened.series["reward_mean"][-1] == 1.0
    assert opened.facts["total_steps"] == 80


def test_prose_is_not_recorded(tmp_path: Path) -> None:
    text = "It took 3 days: we saw 4 things, namely 5.\n" * 30 + "{'a': 1}\n" * 5
    run("printf", "%s", text, out=tmp_path / "run")
    assert steps(tmp_path / "run") == []


def test_a_second_attempt_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    run("printf", "%s", VERL, out=tmp_path / "run")
    run("printf", "%s", "".join(VERL.splitlines(True)[14:]), out=tmp_path / "run")
    assert any(event.kind == "resumed" for event in open_run(tmp_path / "run").events)


def test_no_secret_of_the_command_line_or_the_environment_is_stored(tmp_path: Path) -> None:
    secrets = ["sk-abcdef0123456789abcdef01", "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"]
    environment = {**os.environ, "WANDB_API_KEY": secrets[1]}
    run(
        *python("pass", "--api-key", secrets[0], f"--token={secrets[1]}"),
        out=tmp_path / "run",
        env=environment,
    )
    stored = (tmp_path / "run" / "journal-0.jsonl").read_text()
    assert "--api-key" in stored and "process_ended" in stored
    assert not any(secret in stored for secret in secrets)


def test_without_out_a_new_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "train it.py").write_text(f"print('''{VERL}''')")
    command = [*RUN, "--", sys.executable, "train it.py"]
    subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL, check=True)
    (folder,) = (tmp_path / "foreshock-runs").iterdir()
    assert folder.name.endswith("-train_it")
    assert steps(folder) == list(range(1, 21))


def live(path: Path, sizes: tuple[int, ...]) -> list[tuple[int, Mapping[str, float]]]:
    """What the live reader makes of a log that comes in chunks of random size."""
    rows: list[tuple[int, Mapping[str, float]]] = []
    reader = ConsoleRows(lambda step, values: rows.append((step, values)), ordered=False)
    data, at, draw = path.read_bytes(), 0, random.Random(0)
    while at < len(data):
        size = draw.choice(sizes)
        reader.feed(1, data[at : at + size], 0.0)
        at += size
    reader.close()
    return rows


@pytest.mark.parametrize("sizes", [(1, 10, 100, 1000), (65536,)], ids=["small chunks", "large chunks"])
@pytest.mark.parametrize(
    "log",
    [
        "001-verl-gsm8k/Qwen2.5-0.5B-bsz256_2-prompt1024-resp512-0.567.log",
        "015-grpodyn/gate1_adq_seed42.log",
        "062-grpodyn/adabalance_seed42.log",
        "014-finqa/train_stage7_grpo_long2400_r32.log",
        "167-hotpot/grpo.log",
        "171-minimind/r1_main.log",
        "174-ftmath/train.log",
    ],
)
def test_published_logs_are_read_live_as_they_are_read_afterwards(
    shared: Path, log: str, sizes: tuple[int, ...]
) -> None:
    path = shared / "data" / "real" / "raw" / log
    head = path.read_bytes()[: 1 << 16]
    reader: Any = next(r for r in (verl_console, trl_console, kv_console) if r.recognises(path, head))
    (afterwards,) = reader.read(path)
    rows = live(path, sizes)
    assert [step for step, _ in rows] == [int(step) for step in afterwards.steps]
    for key in afterwards.keys:
        column = [values.get(key, math.nan) for _, values in rows]
        np.testing.assert_array_equal(column, afterwards.column(key))


def test_a_gap_in_the_output_tears_no_row() -> None:
    rows: list[int] = []
    reader = ConsoleRows(lambda step, _: rows.append(step), ordered=True)
    first, second = VERL.splitlines(True)[:2]
    reader.feed(1, first.encode() + second[:30].encode(), 0.0)
    reader.lost(1)
    reader.feed(1, (second[40:] + VERL.splitlines(True)[2]).encode(), 0.0)
    reader.close()
    assert rows == [1, 3]

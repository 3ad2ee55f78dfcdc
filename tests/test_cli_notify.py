"""`foreshock notify --test`: each channel says whether the test arrived, and nobody takes it for an alarm."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner, Result

import _servers as servers
from _servers import refused, serving
from foreshock.cli import command_line, main


def notify(*args: str) -> Result:
    return CliRunner().invoke(command_line("notify"), ["notify", *args])


def test_every_channel_says_whether_the_test_arrived() -> None:
    works, fails = f"{sys.executable} -c pass", f"{sys.executable} -c 'raise SystemExit(4)'"
    with serving(servers.answers("200 OK")) as good, serving(servers.answers("403 No")) as bad:
        gone = refused()
        result = notify("--test", good.url, bad.url, gone.url, "--exec", works, "--exec", fails)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == f"http://{good.address}/***: delivered"
    assert lines[1] == f"http://{bad.address}/***: not delivered: it answers 403 Forbidden"
    assert lines[2] == f"http://{gone.address}/***: not delivered: it refuses the connection"
    assert lines[3].endswith(": delivered")
    assert lines[4].endswith(" (2): not delivered: exit code 4")
    assert len(bad.requests) == 1


def test_what_arrives_says_that_it_is_a_test() -> None:
    with serving(servers.answers("200 OK")) as hook:
        result = notify("--test", "--webhook-chart", hook.url)
    assert result.exit_code == 0
    document = json.loads(hook.bodies[0])
    assert document["test"] is True
    assert document["title"].startswith("TEST, no alarm")
    assert "Nothing happened to any run of yours." in document["text"]
    assert document["chart_png"]


def test_a_server_that_hangs_is_waited_for_as_long_as_asked() -> None:
    with serving(servers.hangs) as hook:
        result = notify("--test", "--timeout", "0.1", hook.url)
    assert result.exit_code == 1
    assert "no answer in time" in result.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["https://example.com/hook"], "add --test"),
        (["--test"], "there is nobody to notify"),
        (["--test", "example.com"], "has no scheme"),
        (["--test", "--exec", "no-such-program-here"], "no program 'no-such-program-here'"),
    ],
)
def test_what_cannot_be_used_is_a_users_error(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["notify", *args])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err

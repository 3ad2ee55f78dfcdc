"""Notifications: what a message says, that it arrives, and that no channel gets in the watcher's way."""

from __future__ import annotations

import base64
import dataclasses
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import _servers as servers
from _servers import Reply, refused, serving
from foreshock.detect._records import Alarm
from foreshock.errors import MissingExtraError, UsageError
from foreshock.watch._channel import Pace
from foreshock.watch._chart import draw_chart
from foreshock.watch._context import RunContext
from foreshock.watch._holding import Holding
from foreshock.watch._message import compose
from foreshock.watch.notify import Notifier, channels

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # by an import of apprise

QUICK = Pace(timeout=20.0, tries=2, first_pause=0.02, longest_pause=0.05, gather=0.02)
PNG = b"\x89PNG\r\n\x1a\n"
DROP = Alarm(
    id="reward_mean-drop-61",
    state="open",
    step=64,
    signal="reward_mean",
    kind="drop",
    severity="trouble",
    opened=64,
    onset=61,
    onset_interval=(59, 62),
    from_value=1.88,
    to_value=1.4,
    sigma=4.2,
    percent_of_peak=25.5,
    percent_of_gain=60.0,
    false_alarm_rate=0.02,
    evidence=("scan: the last 4 steps lie 4.2 sd below the 20 before",),
    text="Train Reward fell from 1.88 to 1.40 since step 61.",
)
OTHER = dataclasses.replace(
    DROP, id="entropy-rise-62", signal="entropy", kind="rise", severity="watch", onset=62
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def run_of(run_id: str = "math-7b", rows: int = 65) -> RunContext:
    steps = np.arange(rows, dtype=np.int64)
    reward = 1.5 + np.sin(steps / 3.0) / 10 - (steps >= 61) * 0.5
    return RunContext(run_id, "/runs/math-7b/log.jsonl", "verl", steps, reward, 300.0 + reward, 200)


def bare() -> RunContext:
    """A run of which nothing can be drawn, which is quick."""
    return RunContext("math-7b", "log.jsonl")


def closed(alarm: Alarm, step: int = 80) -> Alarm:
    return dataclasses.replace(alarm, state="closed", step=step)


def until(true: Callable[[], object], most: float = 5.0) -> None:
    end = time.monotonic() + most
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def make(told: list[str]) -> Iterator[Callable[..., Notifier]]:
    """Makes notifiers without a cooldown that deliver quickly, and closes them."""
    made: list[Notifier] = []

    def factory(
        urls: Sequence[str] = (), commands: Sequence[str] = (), cooldown: float = 0.0, **more: object
    ) -> Notifier:
        settings = {"pace": QUICK, "warn": told.append, **more}
        made.append(Notifier(urls, commands, cooldown, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield factory
    for notifier in made:
        notifier.close(0.3)


# What a message says


def test_a_message_says_what_since_when_how_large_and_how_sure() -> None:
    message = compose([DROP], run_of())
    assert message.title == "math-7b: drop of reward_mean since step 61 (trouble)"
    for said in (
        "Train Reward fell from 1.88 to 1.40 since step 61.",
        "step 61 (between 59 and 62); first told after step 64",
        "1.88 before, 1.40 since: down by 25.5 % of the peak, or 60.0 % of the gain",
        "4.2 times the noise of a single step",
        "about once in 50,000 steps (0.02 false alarms per 1000 steps)",
        "Run: math-7b (verl), step 64 of 200",
        "/runs/math-7b/log.jsonl",
    ):
        assert said in message.text
    document = json.loads(message.json())
    assert document["alarms"] == [{**DROP.as_dict()}]
    assert document["run"]["step"] == 64 and document["run"]["total_steps"] == 200
    assert document["test"] is False


def test_an_ending_and_a_fact_are_told_as_such() -> None:
    over = compose([closed(DROP)], run_of())
    assert over.title == "math-7b: over: drop of reward_mean since step 61"
    assert "over at step 80" in over.text
    stall = dataclasses.replace(
        DROP, signal="", kind="stall", onset=64, onset_interval=(64, 64), from_value=None, to_value=None,
        sigma=None, percent_of_peak=None, percent_of_gain=None, false_alarm_rate=None, evidence=(),
        text="No new step for three times the usual step time.",
    )  # fmt: skip
    message = compose([stall], run_of())
    assert message.title == "math-7b: no new step since step 64 (trouble)"
    assert "seen, not estimated" in message.text
    assert "Levels" not in message.text


@pytest.mark.parametrize(
    ("rate", "words"),
    [(1.0, "about once in 1,000 steps"), (0.0, "less than once in 1,000,000"), (1e-9, "less than once in")],
)
def test_how_sure_is_told_in_plain_words(rate: float, words: str) -> None:
    assert words in compose([dataclasses.replace(DROP, false_alarm_rate=rate)], run_of()).text


def test_the_gravest_alarm_comes_first_and_a_crowd_is_counted() -> None:
    many = [dataclasses.replace(OTHER, id=f"e{i}") for i in range(20)]
    message = compose([*many, DROP], run_of())
    assert message.title == "math-7b: drop of reward_mean since step 61 (trouble), and 20 more"
    assert "And 9 more." in message.text
    assert len(json.loads(message.json())["alarms"]) == 21


def test_the_same_alarms_get_the_same_id_and_others_another() -> None:
    assert compose([DROP], run_of()).id == compose([DROP], run_of()).id
    assert compose([DROP], run_of()).id != compose([closed(DROP)], run_of()).id
    assert compose([DROP], run_of("other")).id != compose([DROP], run_of()).id


HOSTILE = "naïve 训练\x1b]0;owned\x07\x1b[31m\x00\n\u202e@everyone \ud800 hf_abcdefghij1234567890klmnopqrstuv"


def test_names_from_a_log_bring_no_control_characters_and_no_secrets() -> None:
    alarm = dataclasses.replace(DROP, signal=HOSTILE, text=HOSTILE, evidence=(HOSTILE,))
    run = dataclasses.replace(run_of(HOSTILE), source=HOSTILE, framework=HOSTILE)
    message = compose([alarm], run)
    whole = message.title + message.text.replace("\n", "") + message.json().decode()
    assert all(character.isprintable() for character in whole)
    assert "naïve 训练" in message.title
    assert "abcdefghij1234567890" not in whole


def test_infinite_values_do_not_break_the_document() -> None:
    alarm = dataclasses.replace(DROP, from_value=float("nan"), to_value=float("inf"), sigma=float("inf"))
    assert json.loads(compose([alarm], run_of()).json())["alarms"][0]["from_value"] is None


def test_of_a_long_run_the_chart_shows_the_part_around_the_onset(tmp_path: Path) -> None:
    late = dataclasses.replace(DROP, onset=4990, onset_interval=(4989, 4991), step=4999)
    for name, alarm in (("late", late), ("early", DROP)):
        assert draw_chart([alarm], run_of(rows=5000), "a run", tmp_path / f"{name}.svg")
    assert "steps 4,800 to 4,999 of a run that began at 0" in (tmp_path / "late.svg").read_text()
    assert "of a run that began" not in (tmp_path / "early.svg").read_text()


@pytest.mark.parametrize("rows", [0, 1, 65, 5000])
def test_the_chart_is_drawn_for_short_and_long_runs(rows: int, tmp_path: Path) -> None:
    run = dataclasses.replace(run_of(rows=rows), others={"entropy": np.full(rows, 0.2)})
    path = tmp_path / "chart.png"
    assert draw_chart([DROP, OTHER, closed(OTHER)], run, "title $x^2$", path) is (rows > 0)
    assert path.exists() is (rows > 0)


# When a message is sent


def test_within_the_cooldown_of_a_kind_openings_and_closings_wait_and_come_together() -> None:
    holding = Holding(60)
    second = dataclasses.replace(DROP, id="second")
    holding.add(DROP)
    assert holding.release(0) == [DROP]
    for alarm in (second, closed(second), closed(DROP)):
        holding.add(alarm)
    assert holding.release(59) == []
    assert holding.due() == 60
    assert holding.release(60) == [second, closed(second), closed(DROP)]
    assert holding.due() is None


def test_another_kind_and_a_graver_alarm_do_not_wait() -> None:
    holding = Holding(60)
    mild = dataclasses.replace(DROP, id="mild", severity="watch")
    holding.add(mild)
    assert holding.release(0) == [mild]
    holding.add(OTHER)
    assert holding.release(1) == [OTHER]
    holding.add(dataclasses.replace(mild, id="as mild"))
    assert holding.release(2) == []
    holding.add(DROP)
    assert [alarm.id for alarm in holding.release(3)] == ["as mild", DROP.id]


def test_what_is_held_back_stays_bounded_and_what_is_lost_is_counted() -> None:
    holding = Holding(60)
    holding.add(DROP)
    holding.release(0)
    for step in range(3000):
        holding.add(dataclasses.replace(DROP, state="update", step=step))
    assert holding.dropped == 0
    for step in range(3000):
        holding.add(dataclasses.replace(DROP, id=str(step)))
    assert len(holding.release(0, everything=True)) == 500
    assert holding.dropped == 2501


def test_updates_that_a_later_message_replaces_are_not_told(make: Callable[..., Notifier]) -> None:
    with serving(servers.answers("200 OK")) as hook:
        notifier = make([hook.url], pace=dataclasses.replace(QUICK, gather=0.2))
        for state, step in (("open", 64), ("update", 66), ("update", 68), ("closed", 70)):
            notifier.tell(dataclasses.replace(DROP, state=state, step=step), bare())
        until(lambda: hook.requests)
        states = [alarm["state"] for alarm in json.loads(hook.bodies[0])["alarms"]]
    assert states == ["open", "closed"]


# Webhooks


def test_a_webhook_gets_the_alarm_as_json(make: Callable[..., Notifier]) -> None:
    settled: list[Alarm] = []
    with serving(servers.answers("204 No Content")) as hook:
        notifier = make([hook.url], settled=settled.extend)
        notifier.tell(DROP, bare())
        notifier.close(5)
        assert notifier.delivered == 1 and notifier.undelivered == 0
    head = hook.requests[0].partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"post /hook/secret-path http/1.1")
    assert b"content-type: application/json" in head
    document = json.loads(hook.bodies[0])
    assert document["alarms"][0]["onset_interval"] == [59, 62]
    assert document["run"]["id"] == "math-7b"
    assert "chart_png" not in document
    assert settled == [DROP]


def test_a_webhook_gets_the_chart_where_asked(make: Callable[..., Notifier]) -> None:
    with serving(servers.answers("200 OK")) as hook:
        notifier = make([hook.url], webhook_chart=True)
        notifier.tell(DROP, run_of())
        notifier.close(20)
    assert base64.b64decode(json.loads(hook.bodies[0])["chart_png"]).startswith(PNG)


def test_a_password_in_an_address_becomes_basic_authentication(make: Callable[..., Notifier]) -> None:
    with serving(servers.answers("200 OK")) as hook:
        notifier = make([hook.url.replace("//", "//me:p%40ss@")])
        notifier.tell(DROP, bare())
        notifier.close(5)
    assert b"Basic " + base64.b64encode(b"me:p@ss") in hook.requests[0]


def test_a_proxy_of_the_environment_is_used(
    make: Callable[..., Notifier], monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    with serving(servers.answers("200 OK", "403 No")) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:word@{proxy.address}")
        monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
        plain = make(["http://hook.example/a?b=c"])
        plain.tell(DROP, bare())
        plain.close(5)
        secure = make(["https://hook.example/a"], pace=dataclasses.replace(QUICK, tries=1))
        secure.tell(DROP, bare())
        until(lambda: told)
    assert proxy.requests[0].startswith(b"POST http://hook.example/a?b=c HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"me:word") in proxy.requests[0]
    assert proxy.requests[1].startswith(b"CONNECT hook.example:443 ")
    assert "403" in told[0]


def test_an_overloaded_server_is_asked_again_and_a_refusal_is_final(make: Callable[..., Notifier]) -> None:
    with serving(servers.answers("503 Busy", "200 OK")) as busy, serving(servers.answers("404 No")) as gone:
        notifier = make([busy.url, gone.url])
        notifier.tell(DROP, bare())
        until(lambda: notifier.delivered == 1 and notifier.undelivered == 1)
    assert len(busy.requests) == 2
    assert len(gone.requests) == 1


TROUBLE: list[tuple[Reply, str]] = [
    (servers.hangs, "no answer in time"),
    (servers.drips, "no answer in time"),
    (servers.garbage, "no HTTP"),
    (servers.resets, "breaks off"),
    (servers.answers("500 No"), "500 Internal Server Error"),
    (servers.answers("302 Found\r\nLocation: file:///etc/passwd"), "it redirects, give the final address"),
    (servers.answers("307 Found\r\nLocation: http://other.example/x?token=1"), "to http://other.example,"),
]


@pytest.mark.parametrize(("reply", "why"), TROUBLE, ids=[words for _, words in TROUBLE])
def test_a_server_in_trouble_delays_nothing_and_is_told_once(
    reply: Reply, why: str, make: Callable[..., Notifier], told: list[str]
) -> None:
    pace = dataclasses.replace(QUICK, timeout=0.15) if why == "no answer in time" else QUICK
    with serving(reply) as bad, serving(servers.answers("200 OK")) as good:
        notifier = make([bad.url, good.url], pace=pace)
        notifier.tell(DROP, bare())
        until(lambda: good.requests)
        until(lambda: notifier.undelivered == 1)
        notifier.tell(closed(DROP), bare())
        until(lambda: notifier.undelivered == 2)
    assert len(told) == 1 and why in told[0]
    assert "secret-path" not in told[0] and "token" not in told[0]


def test_a_port_at_which_nobody_listens_is_told(make: Callable[..., Notifier], told: list[str]) -> None:
    notifier = make([refused().url])
    notifier.tell(DROP, bare())
    until(lambda: told)
    assert "refuses the connection (2 tries)" in told[0]


def test_a_body_that_never_ends_is_not_waited_for(make: Callable[..., Notifier]) -> None:
    with serving(servers.slow_body) as hook:
        notifier = make([hook.url])
        notifier.tell(DROP, bare())
        until(lambda: notifier.delivered == 1)
        assert len(hook.requests) == 1


def test_telling_never_waits_while_every_channel_hangs(make: Callable[..., Notifier]) -> None:
    with serving(servers.hangs) as hook:
        notifier = make([hook.url], [f"{sys.executable} -c 'import time; time.sleep(60)'"])
        run = bare()
        for step in range(2000):
            notifier.tell(dataclasses.replace(DROP, id=str(step)), run)
        assert notifier.delivered == 0


def test_what_waits_stays_bounded_while_a_channel_hangs(
    make: Callable[..., Notifier], told: list[str]
) -> None:
    with serving(servers.hangs) as hook:
        notifier = make([hook.url])
        message = compose([DROP], bare())
        (sender,) = notifier._senders
        notifier._open[id(message)] = (message, (DROP,), 10**6)
        for _ in range(200):
            sender.post(message)
        assert 130 <= notifier.undelivered <= 136
    assert "too many messages wait" in told[0]


def test_closing_ends_in_time_and_says_what_did_not_arrive(
    make: Callable[..., Notifier], told: list[str]
) -> None:
    settled: list[Alarm] = []
    with serving(servers.hangs) as hook:
        notifier = make([hook.url], settled=settled.extend)
        notifier.tell(DROP, bare())
        until(lambda: hook.requests)
        notifier.tell(closed(DROP), bare())
        notifier.close(0.2)
    assert notifier.undelivered == 2
    assert told[-1].startswith("2 notifications not delivered (http://127.0.0.1")
    assert settled == []  # so that the next watcher tells them


def test_closing_does_not_wait_for_the_cooldown(make: Callable[..., Notifier]) -> None:
    with serving(servers.answers("200 OK")) as hook:
        notifier = make([hook.url], cooldown=3600.0)
        notifier.tell(DROP, bare())
        until(lambda: hook.requests)
        notifier.tell(closed(DROP), bare())
        notifier.close(5)
        notifier.tell(DROP, bare())  # too late, and no error
    assert [json.loads(body)["alarms"][0]["state"] for body in hook.bodies] == ["open", "closed"]


def test_after_the_cooldown_what_waited_comes(make: Callable[..., Notifier]) -> None:
    with serving(servers.answers("200 OK")) as hook:
        notifier = make([hook.url], cooldown=0.3)
        notifier.tell(DROP, bare())
        until(lambda: hook.requests)
        notifier.tell(closed(DROP), bare())
        until(lambda: len(hook.requests) == 2)


def test_a_fault_of_a_callback_ends_nothing() -> None:
    def fails(_: object) -> None:
        raise RuntimeError("no")

    with serving(servers.answers("500 No", "200 OK")) as hook:
        pace = dataclasses.replace(QUICK, tries=1)
        notifier = Notifier([hook.url], (), 0.0, pace=pace, warn=fails, settled=fails)
        notifier.tell(DROP, bare())
        until(lambda: notifier.undelivered == 1)
        notifier.tell(closed(DROP), bare())
        notifier.close(5)
        assert notifier.delivered == 1


def test_a_notifier_without_channels_starts_nothing() -> None:
    before = threading.active_count()
    notifier = Notifier()
    notifier.tell(DROP, bare())
    assert threading.active_count() == before
    notifier.close()


# Commands


def script(folder: Path, text: str) -> str:
    path = folder / "script.py"
    path.write_text(text)
    return f"'{sys.executable}' '{path}'"


def test_a_command_gets_the_values_the_json_and_the_chart(
    tmp_path: Path, make: Callable[..., Notifier]
) -> None:
    line = script(
        tmp_path,
        "import json, os, pathlib, sys\n"
        "got = {k: v for k, v in os.environ.items() if k.startswith('FORESHOCK_')}\n"
        "got['stdin'] = json.load(sys.stdin)\n"
        "got['png'] = pathlib.Path(os.environ['FORESHOCK_CHART']).read_bytes()[:4].hex()\n"
        f"pathlib.Path(r'{tmp_path}', 'got').write_text(json.dumps(got))\n",
    )
    notifier = make((), [line])
    notifier.tell(DROP, run_of("a; touch /tmp/x $(id)"))
    notifier.close(30)
    got = json.loads((tmp_path / "got").read_text())
    assert got["FORESHOCK_RUN"] == "a; touch /tmp/x $(id)"
    assert (got["FORESHOCK_SIGNAL"], got["FORESHOCK_KIND"]) == ("reward_mean", "drop")
    assert (got["FORESHOCK_STATE"], got["FORESHOCK_SEVERITY"]) == ("open", "trouble")
    assert (got["FORESHOCK_STEP"], got["FORESHOCK_ONSET"], got["FORESHOCK_SIGMA"]) == ("64", "61", "4.2")
    assert got["FORESHOCK_TEXT"] == DROP.text
    assert got["FORESHOCK_TEST"] == ""
    assert json.loads(got["FORESHOCK_JSON"]) == got["stdin"]
    assert got["stdin"]["alarms"][0]["id"] == DROP.id
    assert bytes.fromhex(got["png"]) == PNG[:4]
    assert not Path(got["FORESHOCK_CHART"]).exists()


def test_a_command_that_fails_is_tried_again_and_its_last_words_are_told(
    tmp_path: Path, make: Callable[..., Notifier], told: list[str]
) -> None:
    line = script(
        tmp_path, "import sys\nprint('\\x1b[31mno token=abcdef1234', file=sys.stderr)\nsys.exit(3)\n"
    )
    notifier = make((), [line])
    notifier.tell(DROP, run_of(HOSTILE))
    until(lambda: told, 20)
    assert "exit code 3: no token=*** (2 tries)" in told[0]


def test_a_command_that_hangs_is_killed_with_its_children(
    tmp_path: Path, make: Callable[..., Notifier], told: list[str]
) -> None:
    pid = tmp_path / "pid"
    child = f"sleep 60 & echo $! > {pid}; wait"
    notifier = make((), [f'sh -c "{child}"'], pace=dataclasses.replace(QUICK, timeout=0.5, tries=1))
    notifier.tell(DROP, bare())
    until(lambda: told)
    assert "killed" in told[0]
    process = Path(f"/proc/{pid.read_text().strip()}")
    if Path("/proc/self").exists():
        until(lambda: not process.exists() or ") Z" in (process / "stat").read_text())


# Addresses


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("example.com/hook", "has no scheme"),
        ("nonsense://x", "nonsense://"),
        ("file:///etc/passwd", "file://"),
        ("https://", "cannot be read"),
        ("https://exa mple/hook", "cannot be read"),
        ("https://example.com:port/", "cannot be read"),
        ("slack://token-that-is-wrong", "slack://"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_once(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        channels([url], [])
    assert "token-that" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [("", "names no program"), ("'open", "check its quotes"), ("no-such-program-here a", "no program")],
)
def test_a_command_that_cannot_be_run_is_refused_at_once(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        channels([], [line])


def test_names_of_channels_hold_no_secrets_and_differ() -> None:
    pytest.importorskip("apprise")
    urls = [
        "https://u:pw@example.com:8443/a/b?c=d",
        "https://[::1]/",
        "json://u:pw@localhost/x",
        "json://h/y",
    ]
    names = [channel.name for channel in channels(urls, [f"{sys.executable} --token x"])]
    assert names[:4] == [
        "https://example.com:8443/***", "https://[::1]", "json://***", "json://*** (2)"
    ]  # fmt: skip
    assert names[4] == f"command {Path(sys.executable).name}"


# Apprise


def test_an_address_of_a_service_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    for url in (
        "discord://a/b",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    ):
        with pytest.raises(MissingExtraError, match=r"foreshock\[notify\]"):
            channels([url], [])


def test_a_service_of_apprise_gets_text_and_chart(make: Callable[..., Notifier]) -> None:
    pytest.importorskip("apprise")
    with serving(servers.answers("200 OK")) as hook:
        notifier = make([f"json://{hook.address}/x"])
        notifier.tell(DROP, run_of("{{ 7 * 7 }} @everyone <!channel> \\n"))
        notifier.close(30)
    got = json.loads(hook.bodies[0])
    assert got["title"] == "{{ 7 * 7 }} @\u200beveryone <\u200b!channel> \\n: " + (
        "drop of reward_mean since step 61 (trouble)"
    )
    assert "fell from 1.88 to 1.40" in got["message"]
    assert got["type"] == "failure"
    (attached,) = got["attachments"]
    assert base64.b64decode(attached["base64"]).startswith(PNG)


def test_a_service_of_apprise_that_fails_says_why_without_writing_to_the_terminal(
    make: Callable[..., Notifier], told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("apprise")
    with serving(servers.answers("500 No")) as hook:
        notifier = make([f"json://user:hunter2hunter2@{hook.address}/x"])
        notifier.tell(DROP, bare())
        until(lambda: told, 20)
    assert "500" in told[0] or "Server" in told[0], told
    assert "hunter2" not in told[0]
    assert capsys.readouterr().err == ""

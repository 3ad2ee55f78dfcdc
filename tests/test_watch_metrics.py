"""What `foreshock watch --prometheus` serves: right numbers in the right format, whatever its clients do."""

from __future__ import annotations

import dataclasses
import http.client
import json
import math
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from foreshock.detect._records import Alarm
from foreshock.errors import UsageError
from foreshock.run import Run, Series
from foreshock.watch import metrics as module
from foreshock.watch._context import RunContext
from foreshock.watch._exposition import CONTENT_TYPE, Standing, exposition
from foreshock.watch._state import WatchState
from foreshock.watch.metrics import Metrics

RULES = Path(__file__).resolve().parents[1] / "docs" / "watch" / "prometheus-rules.yml"
DROP = Alarm(
    id="a1", state="open", step=64, signal="reward_mean", kind="drop", severity="trouble", opened=64,
    onset=61, onset_interval=(59, 62), from_value=1.9, to_value=1.4, sigma=4.2, percent_of_peak=25.0,
    percent_of_gain=60.0, false_alarm_rate=0.02, evidence=(), text="Train Reward fell.",
)  # fmt: skip
HOSTILE = 'a"b\\c\n训练\x1b[31m\ud800{}\u2028'


@dataclasses.dataclass
class Clock:
    """Time that passes only when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def served(clock: Clock) -> Iterator[Metrics]:
    metrics = Metrics("127.0.0.1:0", wall=clock, clock=clock)
    yield metrics
    metrics.close()


def get(metrics: Metrics, path: str = "/metrics", method: str = "GET") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(metrics.address, timeout=10)
    connection.request(method, path)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, reply.headers["Content-Type"], text


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample, as Prometheus' own parser reads it."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def one(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(get(metrics)[2]).get((name, frozenset({"run": "r", **labels}.items())))


def test_the_last_values_and_the_open_alarms_are_served(served: Metrics, clock: Clock) -> None:
    served.update("r", {"reward_mean": 1.5, "my/own": 3.0}, 64, [DROP], clock.now - 5, steps_per_second=0.25)
    status, kind, text = get(served)
    assert (status, kind) == (200, CONTENT_TYPE)
    found = samples(text)
    assert one(served, "foreshock_signal", signal="reward_mean") == 1.5
    assert not any("my/own" in dict(labels).values() for _, labels in found)
    assert one(served, "foreshock_open_alarms", kind="drop", severity="trouble") == 1
    assert one(served, "foreshock_open_alarms", kind="drop", severity="watch") == 0
    assert one(served, "foreshock_open_alarms", kind="stall", severity="trouble") == 0
    assert one(served, "foreshock_alarms_total", kind="drop", severity="trouble") == 1
    assert one(served, "foreshock_step") == 64
    assert one(served, "foreshock_steps_per_second") == 0.25
    assert one(served, "foreshock_data_age_seconds") == 5
    assert one(served, "foreshock_run_ended") == 0


def test_a_signal_that_is_logged_now_and_then_keeps_its_last_value(served: Metrics) -> None:
    served.update("r", {"reward_mean": 1.5, "entropy": 0.2}, 64, [], None)
    served.update("r", {"reward_mean": 1.6}, 65, [], None)
    assert one(served, "foreshock_signal", signal="entropy") == 0.2
    served.update("r", {"reward_mean": 1.0}, 10, [], None)  # resumed: what came later is void
    assert one(served, "foreshock_signal", signal="entropy") is None
    served.update("other", {"entropy": 0.3}, 11, [], None)
    assert one(served, "foreshock_signal", signal="reward_mean") is None
    assert 'run="r"' not in get(served)[2]


def test_the_age_of_the_data_grows_while_the_watcher_is_silent(served: Metrics, clock: Clock) -> None:
    served.update("r", {}, 64, [], clock.now - 5)
    clock.now += 30
    assert one(served, "foreshock_data_age_seconds") == 35
    served.update("r", {}, 64, [], clock.now + 3600)  # a file from the future
    assert one(served, "foreshock_data_age_seconds") == 0


def test_what_is_not_known_is_left_out(served: Metrics) -> None:
    assert samples(get(served)[2]) == {}
    served.update("r", {}, 0, [], None)
    assert one(served, "foreshock_steps_per_second") is None
    assert one(served, "foreshock_data_age_seconds") is None


def test_each_event_is_counted_once_however_it_becomes_known(served: Metrics) -> None:
    run = RunContext("r", "log")
    served.tell(DROP, run)
    served.update("r", {}, 64, [DROP], None)
    served.update("r", {}, 65, [dataclasses.replace(DROP, state="update")], None)
    served.update("r", {}, 66, [], None)
    short = dataclasses.replace(DROP, id="a2")
    served.tell(short, run)
    served.tell(dataclasses.replace(short, state="closed"), run)
    served.update("r", {}, 67, [], None)
    assert one(served, "foreshock_alarms_total", kind="drop", severity="trouble") == 2
    assert one(served, "foreshock_open_alarms", kind="drop", severity="trouble") == 0


def test_it_takes_the_state_of_the_loop(served: Metrics) -> None:
    served.show(WatchState("log"))
    assert samples(get(served)[2]) == {}
    run = Run("r", "log", "jsonl", None, np.arange(2, dtype=np.int64), Series({}, {}), {})
    state = WatchState("log", run, 1, {"kl": 0.1}, (DROP,), age=7.0, steps_per_hour=36.0, done=True)
    served.show(state)
    assert one(served, "foreshock_step") == 1
    assert one(served, "foreshock_data_age_seconds") == 7
    assert one(served, "foreshock_steps_per_second") == pytest.approx(0.01)
    assert one(served, "foreshock_run_ended") == 1


def test_names_and_numbers_of_every_kind_survive_the_format() -> None:
    values = {"reward_mean": math.nan, "entropy": math.inf, "grad_norm": -math.inf, "x": 1e-300}
    text = exposition(Standing(HOSTILE, 2**53, values))
    assert " NaN\n" in text and " +Inf\n" in text and " -Inf\n" in text
    found = samples(text)
    ((run,),) = {tuple(v for k, v in labels if k == "run") for _, labels in found}
    assert 'a"b\\c' in run and "训练" in run and run.isprintable()
    by_signal = {dict(labels)["signal"]: value for (name, labels), value in found.items() if "signal" in name}
    assert math.isnan(by_signal.pop("reward_mean"))
    assert by_signal == {"entropy": math.inf, "grad_norm": -math.inf, "x": 1e-300}
    for line in text.splitlines():
        assert re.match(r'# (HELP|TYPE) foreshock_\w+ .|foreshock_\w+\{(\w+="([^"\\]|\\.)*",?)*\} \S+$', line)


def test_health_is_about_the_watcher_and_not_about_the_run(served: Metrics, clock: Clock) -> None:
    assert get(served, "/health")[0] == 200
    served.update("r", {}, 64, [DROP], clock.now - 86400)
    status, kind, text = get(served, "/health?verbose=1")
    assert (status, kind) == (200, "application/json")
    health = json.loads(text)
    assert health["status"] == "ok" and health["open_alarms"] == 1 and health["data_age_seconds"] == 86400
    clock.now += 121
    assert get(served, "/health")[0] == 503
    assert json.loads(get(served, "/health")[2])["status"] == "stuck"
    served.show(WatchState("log"))
    assert get(served, "/health")[0] == 200


def test_other_paths_and_methods_are_answered_politely(served: Metrics) -> None:
    assert get(served, "/")[0] == 200
    assert get(served, "/etc/passwd")[0] == 404
    assert get(served, "/metrics", "HEAD")[::2] == (200, "")
    assert get(served, "/metrics", "POST")[0] == 501


def raw(metrics: Metrics, data: bytes) -> socket.socket:
    host, _, port = metrics.address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(data)
    return connection


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff\x1b]0;x\x07\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    ],
)
def test_malformed_requests_disturb_nobody(
    data: bytes, served: Metrics, capfd: pytest.CaptureFixture[str]
) -> None:
    connection = raw(served, data)
    connection.shutdown(socket.SHUT_WR)
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    connection.close()
    assert get(served)[0] == 200
    assert capfd.readouterr().err == ""


def test_clients_that_never_finish_do_not_keep_others_out(served: Metrics) -> None:
    slow = [raw(served, b"GET /metrics HTT") for _ in range(100)]
    assert get(served)[0] == 200
    for connection in slow:
        connection.close()


def test_a_request_that_takes_too_long_is_ended(served: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    connection = raw(served, b"GET /metrics HTT")
    try:
        assert connection.recv(1) == b""
    except ConnectionError:
        pass
    connection.close()


def test_a_port_without_a_host_is_for_this_machine_only() -> None:
    metrics = Metrics(":0")
    try:
        assert metrics.address.startswith("127.0.0.1:")
    finally:
        metrics.close()


def test_version_six_of_the_protocol() -> None:
    try:
        metrics = Metrics("[::1]:0")
    except UsageError:
        pytest.skip("this machine has no IPv6")
    try:
        assert metrics.address.startswith("[::1]:")
        assert get(metrics)[0] == 200
    finally:
        metrics.close()


@pytest.mark.parametrize(
    "address", ["", "9464", ":", ":port", ":99999", "host", "http://x:1", "::1:9464", ": 9"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="--prometheus.*write for example :9464"):
        Metrics(address)


def test_a_port_in_use_is_a_users_error(served: Metrics) -> None:
    with pytest.raises(UsageError, match="in use.*choose another port"):
        Metrics(served.address)


def test_closing_frees_the_port_at_once() -> None:
    metrics = Metrics("127.0.0.1:0")
    address = metrics.address
    hanging = raw(metrics, b"GET ")
    metrics.close()
    again = Metrics(address)
    again.close()
    hanging.close()


def test_the_alert_rules_speak_of_metrics_and_labels_that_exist() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    standing = Standing("r", 1, {"kl": 0.1}, (DROP,), {}, 1.0, 1.0)
    known: dict[str, dict[str, set[str]]] = {"up": {"job": {"foreshock"}}}
    for name, labels in samples(exposition(standing)):
        for label, value in labels:
            known.setdefault(name, {}).setdefault(label, set()).add(value)
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 5
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]
        named = re.findall(r"\b(foreshock_\w+|up)(?:\{([^}]*)\})?", rule["expr"])
        assert named
        for name, matchers in named:
            for label, value in re.findall(r'(\w+)!?="([^"]*)"', matchers):
                assert value in known[name][label], f"{rule['alert']}: {name} has no {label}={value}"
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert label in ("instance", "job") or any(label in known[name] for name, _ in named)


def test_the_watcher_goes_on_while_clients_hang(served: Metrics) -> None:
    slow = [raw(served, b"GET /metrics HTTP/1.1\r\n") for _ in range(40)]
    for step in range(200):
        served.update("r", {"kl": 0.1}, step, [DROP], None)
    assert one(served, "foreshock_step") == 199
    for connection in slow:
        connection.close()

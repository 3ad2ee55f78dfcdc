"""`/metrics` for Prometheus and `/health`, served while a watch runs.

The watcher only leaves a new `Standing`; requests are answered on other threads, from what was left last.
Clients that are slow, many or malformed cost at most a few threads for a few seconds.
"""

from __future__ import annotations

import errno
import json
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from foreshock.detect._records import Alarm
from foreshock.errors import UsageError
from foreshock.signals import catalogue
from foreshock.watch._context import RunContext
from foreshock.watch._exposition import CONTENT_TYPE, Standing, exposition
from foreshock.watch._message import safe
from foreshock.watch._state import WatchState

LOOPBACK = "127.0.0.1"
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:\[\]]*)):(?P<port>\d{1,5})")
_CONNECTIONS = 32  # at a time; a new one ends the oldest
_PATIENCE = 10.0  # seconds for a request in all
_IDLE = 5.0  # seconds in which some byte has to come or go
_STUCK = 120.0  # seconds without a look after which the watcher counts as stuck, at least
_LOOKS = 3  # and no less than so many times the usual time between two looks
_POLL = 0.2  # seconds after which a closed server ends


class Metrics:
    """Serves what a watch knows; a sink of the watch loop.

    Args:
        address: ":9464" (loopback only), "127.0.0.1:9464", "[::1]:9464" or "0.0.0.0:9464". Port 0 takes any
            that is free.
        wall: seconds since 1970.
        clock: seconds that never go back.

    Raises:
        UsageError: it is no such address, or it cannot be listened on.
    """

    def __init__(
        self,
        address: str,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._clock = wall, clock
        self._lock = threading.Lock()
        self._standing: Standing | None = None
        self._at = clock()  # when the standing was left
        self._gap = 0.0  # between the last two looks
        self._alarms: dict[tuple[str, str], int] = {}
        self._counted: set[str] = set()
        self._server = _listen(address, self._answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="foreshock metrics", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens: "127.0.0.1:9464"."""
        host, port = self._server.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    def tell(self, alarm: Alarm, run: RunContext) -> None:
        """Count an event that was opened."""
        with self._lock:
            if alarm.state == "open":
                self._count(alarm)

    def show(self, state: WatchState) -> None:
        """Take where the watch stands; also the sign that the watcher lives."""
        if state.run is None or state.step is None:
            with self._lock:
                self._beat()
            return
        rate = state.steps_per_hour
        self.update(
            state.run.id,
            state.values,
            state.step,
            state.open,
            self._wall() - state.age,
            steps_per_second=None if rate is None else rate / 3600,
            ended=state.done,
        )

    def update(
        self,
        run_id: str,
        values: Mapping[str, float],
        step: int,
        open_alarms: Iterable[Alarm],
        last_row_at: float | None,
        *,
        steps_per_second: float | None = None,
        ended: bool = False,
    ) -> None:
        """Take where the run stands.

        Args:
            run_id: its name.
            values: what the last step logged; of other signals, the value known last stays.
            step: the last finished step.
            open_alarms: the events that are open.
            last_row_at: when the log last grew, in seconds since 1970.
            steps_per_second: of late.
            ended: whether the training is over.
        """
        known = {name: float(value) for name, value in values.items() if name in catalogue()}
        with self._lock:
            before = self._standing
            if before is not None and before.run == run_id and before.step <= step:
                known = {**before.signals, **known}
            open_now = tuple(open_alarms)
            for alarm in open_now:
                self._count(alarm)
            self._counted &= {alarm.id for alarm in open_now}
            age = None if last_row_at is None else max(0.0, self._wall() - last_row_at)
            self._standing = Standing(
                run_id, step, known, open_now, dict(self._alarms), age, steps_per_second, ended
            )
            self._beat()

    def close(self) -> None:
        """Stop listening and end what is under way."""
        self._server.shutdown()
        self._server.server_close()
        self._server.cut(0.0)
        self._thread.join()

    def _count(self, alarm: Alarm) -> None:
        if alarm.id not in self._counted:
            self._counted.add(alarm.id)
            key = (alarm.kind, alarm.severity)
            self._alarms[key] = self._alarms.get(key, 0) + 1

    def _beat(self) -> None:
        now = self._clock()
        self._gap, self._at = now - self._at, now

    def _answer(self, path: str) -> tuple[HTTPStatus, str, str]:
        """Status, type and text for a path."""
        with self._lock:
            standing, silent, gap = self._standing, self._clock() - self._at, self._gap
        if standing is not None and standing.age is not None:
            standing = _older(standing, silent)
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, exposition(standing)
        if path in ("/health", "/healthz"):
            alive = silent <= max(_STUCK, _LOOKS * gap)
            document = json.dumps(_health(standing, alive, silent)) + "\n"
            status = HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "application/json", document
        if path == "/":
            return HTTPStatus.OK, "text/plain; charset=utf-8", "foreshock watch: /metrics, /health\n"
        return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", "there are /metrics and /health\n"


def _older(standing: Standing, seconds: float) -> Standing:
    return replace(standing, age=(standing.age or 0.0) + seconds)


def _health(standing: Standing | None, alive: bool, silent: float) -> dict[str, Any]:
    return {
        "status": "ok" if alive else "stuck",
        "seconds_since_last_look": round(silent, 1),
        "run": safe(standing.run, 200) if standing else None,
        "step": standing.step if standing else None,
        "ended": standing.ended if standing else None,
        "data_age_seconds": round(standing.age, 1) if standing and standing.age is not None else None,
        "open_alarms": len(standing.open) if standing else 0,
    }


def _listen(address: str, answer: Callable[[str], tuple[HTTPStatus, str, str]]) -> _Server:
    found = _ADDRESS.fullmatch(address.strip())
    if found is None or int(found["port"]) > 65535:
        raise UsageError(
            f"--prometheus {safe(address, 60)!r} is no address; write for example :9464 (for this machine) "
            "or 0.0.0.0:9464 (for every network it is in)"
        )
    host = found["six"] or found["host"] or LOOPBACK
    try:
        return _Server(host, int(found["port"]), answer)
    except OSError as error:
        why = error.strerror or str(error)
        remedy = (
            "another port"
            if error.errno in (errno.EADDRINUSE, errno.EACCES)
            else "an address of this machine"
        )
        raise UsageError(
            f"--prometheus {safe(address, 60)!r} cannot be listened on: {why}; choose {remedy}"
        ) from None


class _Server(socketserver.ThreadingTCPServer):
    """A server of threads that do not pile up."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, host: str, port: int, answer: Callable[[str], tuple[HTTPStatus, str, str]]) -> None:
        self.answer = answer
        self._began: dict[socket.socket, float] = {}
        self._guard = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection; of too many, the oldest has to go."""
        with self._guard:
            self._began[request] = time.monotonic()
            surplus = len(self._began) - _CONNECTIONS
            oldest = list(self._began)[:surplus] if surplus > 0 else []
        for connection in oldest:
            _cut(connection)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection is done."""
        with self._guard:
            self._began.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Between two looks for new connections: end those that take too long."""
        self.cut(_PATIENCE)

    def cut(self, older: float) -> None:
        """End the connections older than so many seconds."""
        with self._guard:
            late = [c for c, began in self._began.items() if time.monotonic() - began >= older]
        for connection in late:
            _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: what a client does wrong is no news."""


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD, one request a connection."""

    timeout = _IDLE
    server: _Server

    def do_GET(self) -> None:
        """Answer with the body."""
        self._reply(body=True)

    def do_HEAD(self) -> None:
        """Answer without it."""
        self._reply(body=False)

    def version_string(self) -> str:
        """The name in the header `Server`."""
        return "foreshock"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal belongs to the watch."""

    def _reply(self, *, body: bool) -> None:
        status, kind, text = self.server.answer(self.path.partition("?")[0])
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # closed meanwhile
        connection.shutdown(socket.SHUT_RDWR)

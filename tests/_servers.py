"""Web servers that misbehave in the ways that real ones do, on this machine and for a moment."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Served:
    """Where a server listens, and the requests that it got."""

    address: str
    requests: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://{self.address}/hook/secret-path"

    @property
    def bodies(self) -> list[bytes]:
        return [request.partition(b"\r\n\r\n")[2] for request in self.requests]


Reply = Callable[[socket.socket, Served], None]


def answers(*replies: str) -> Reply:
    """One status line and headers per request, the last one again and again."""
    count = iter(range(10**6))

    def reply(connection: socket.socket, served: Served) -> None:
        text = replies[min(next(count), len(replies) - 1)]
        connection.sendall(f"HTTP/1.1 {text}\r\nContent-Length: 0\r\n\r\n".encode())

    return reply


def hangs(connection: socket.socket, served: Served) -> None:
    """Takes the request and says nothing."""
    served.over.wait(5)


def drips(connection: socket.socket, served: Served) -> None:
    """Answers, one byte at a time, so that no single read ever times out."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000:
        connection.sendall(bytes([byte]))
        if served.over.wait(0.05):
            return


def slow_body(connection: socket.socket, served: Served) -> None:
    """Says 200 at once and never finishes the body."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    served.over.wait(5)


def garbage(connection: socket.socket, served: Served) -> None:
    """Answers something that is no HTTP."""
    connection.sendall(b"\x00\x1b]0;owned\x07\xff\xfe nonsense \r\n\r\n")


def resets(connection: socket.socket, served: Served) -> None:
    """Breaks the connection off hard."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


@contextmanager
def serving(reply: Reply) -> Iterator[Served]:
    """A server that reads each request whole and then does `reply`."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = b""
            length = None
            while length is None or len(request.partition(b"\r\n\r\n")[2]) < length:
                piece = self.request.recv(65536)
                if not piece:
                    return
                request += piece
                head, end, _ = request.partition(b"\r\n\r\n")
                if end and length is None:
                    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                    length = int(fields.get(b"content-length", b"0"))
            served.requests.append(request)
            try:
                reply(self.request, served)
            except OSError:
                pass  # the client had enough

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        served = Served(f"127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            served.over.set()
            server.shutdown()
            thread.join()


def refused() -> Served:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return Served(f"127.0.0.1:{taken.getsockname()[1]}")

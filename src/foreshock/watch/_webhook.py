"""Messages to a web address: one POST of the message as JSON.

Redirects are not followed, and of the reply only the status is waited for. Proxies are taken from the
environment (`HTTPS_PROXY`, `NO_PROXY`), as most tools do.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from foreshock.errors import UsageError
from foreshock.watch._channel import DeliveryError
from foreshock.watch._message import Message, safe

_AGAIN = frozenset({408, 425, 429})  # together with 5xx: another try may help
_REPLY = 200  # bytes of a refusal that are looked at


class Webhook:
    """Posts messages to an http or https address.

    Args:
        url: the address; a user and password in it become basic authentication.
        chart: put the chart into the document, as base64 in the field `chart_png`.

    Raises:
        UsageError: the address cannot be used.
    """

    tries = 100

    def __init__(self, url: str, *, chart: bool = False) -> None:
        try:
            self._url = urlsplit(url)
            usable = bool(self._url.hostname) and self._url.port != 0
        except ValueError:
            usable = False
        if not usable or not url.isascii() or not url.isprintable() or " " in url:
            raise UsageError("a webhook address cannot be read; write for example https://example.com/hook")
        self._chart = chart
        # The path of a webhook is its secret.
        self.name = f"{self._url.scheme}://{_shown_host(self._url)}" + ("/***" if self._url.path[1:] else "")
        self._connection: http.client.HTTPConnection | None = None

    def deliver(self, message: Message, timeout: float) -> None:
        """POST the message; any status from 200 to 299 means that it arrived."""
        more = {}
        if self._chart and message.chart:
            more["chart_png"] = base64.b64encode(message.chart.read_bytes()).decode()
        body = message.json(**more)
        connection, target, headers = self._route(timeout)
        headers |= {"Content-Type": "application/json", "Idempotency-Key": message.id, "Connection": "close"}
        self._connection = connection
        # Timeouts of sockets start over with every byte; this one does not.
        cut = threading.Timer(timeout, _cut, (connection,))
        cut.daemon = True
        cut.start()
        begun = time.monotonic()
        try:
            connection.request("POST", target, body, {"User-Agent": "foreshock", **headers})
            reply = connection.getresponse()
            if not 200 <= reply.status < 300:
                raise _refusal(reply)
        except DeliveryError:
            raise
        except ssl.SSLCertVerificationError as error:
            raise DeliveryError(f"its certificate is not valid: {error.verify_message}", final=True) from None
        except (TimeoutError, http.client.HTTPException, OSError, ValueError) as error:
            raise DeliveryError(_why(error, cut_off=time.monotonic() - begun >= timeout)) from None
        finally:
            cut.cancel()
            self._connection = None
            connection.close()

    def abort(self) -> None:
        """Cut the connection that is open."""
        connection = self._connection
        if connection:
            _cut(connection)

    def _route(self, timeout: float) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        """A connection, directly or through a proxy, and what to ask for on it."""
        url = self._url
        host, secure = url.hostname or "", url.scheme == "https"
        headers = _authorization("Authorization", url)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        made = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        via = None if _is_loopback(host) or proxy_bypass(host) else getproxies().get(url.scheme)
        if not via:
            return made(host, url.port, timeout=timeout), target, headers
        proxy = urlsplit(via if "://" in via else f"http://{via}")
        if proxy.scheme != "http" or not proxy.hostname:
            raise DeliveryError(
                f"a proxy of the kind {safe(proxy.scheme, 20)}:// is not supported", final=True
            )
        login = _authorization("Proxy-Authorization", proxy)
        connection = made(proxy.hostname, proxy.port or 80, timeout=timeout)
        if secure:
            connection.set_tunnel(host, url.port or 443, login)
            return connection, target, headers
        where = f"http://{url.netloc.rpartition('@')[2]}{target}"
        return connection, where, headers | login


def _shown_host(url: SplitResult) -> str:
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host + (f":{url.port}" if url.port else "")


def _authorization(header: str, url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    login = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {header: "Basic " + base64.b64encode(login.encode()).decode()}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _cut(connection: http.client.HTTPConnection) -> None:
    """End a connection that another thread waits on."""
    wire = connection.sock
    if wire is not None:
        try:
            socket.socket.shutdown(wire, socket.SHUT_RDWR)
        except OSError:
            pass  # closed meanwhile


def _refusal(reply: http.client.HTTPResponse) -> DeliveryError:
    status = f"it answers {reply.status} {http.client.responses.get(reply.status, '')}".rstrip()
    if 300 <= reply.status < 400:
        to = urlsplit(reply.headers.get("Location", ""))
        place = f" to {safe(to.scheme, 20)}://{safe(to.hostname or '', 80)}" if to.hostname else ""
        return DeliveryError(f"{status}: it redirects{place}, give the final address", final=True)
    said = safe(reply.read(_REPLY).decode(errors="replace"), 100)
    words = f"{status}: {said}" if said and not said.startswith("<") else status
    return DeliveryError(words, final=reply.status < 500 and reply.status not in _AGAIN)


def _why(error: Exception, *, cut_off: bool) -> str:
    if cut_off or isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails: {safe(error.reason or 'no reason given', 60)}"
    if isinstance(error, ConnectionRefusedError):
        return "it refuses the connection"
    if isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
        return "it breaks off the connection"
    if isinstance(error, http.client.HTTPException):
        return "its answer is no HTTP"
    return safe(error.strerror or error, 80) if isinstance(error, OSError) else type(error).__name__

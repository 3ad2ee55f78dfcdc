"""Messages to Slack, Discord, e-mail and the other services that apprise knows (extra `notify`)."""

from __future__ import annotations

import contextvars
import logging
import re
from typing import Any

from foreshock.errors import MissingExtraError, UsageError
from foreshock.watch._channel import DeliveryError
from foreshock.watch._message import Message, safe

# Addresses that these services hand out themselves, and that take no JSON of ours.
NATIVE = re.compile(
    r"https://(hooks\.slack\.com|discord(?:app)?\.com/api/webhooks|chat\.googleapis\.com)/", re.IGNORECASE
)
_MENTION = re.compile(r"[@<](?=\S)")
_heard: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("foreshock_apprise", default=None)


class _Ear(logging.Handler):
    """Keeps what apprise logs during a delivery, which is all it says about why one failed."""

    def emit(self, record: logging.LogRecord) -> None:
        heard = _heard.get()
        if heard is not None and record.levelno >= logging.WARNING:
            heard.append(record.getMessage())


class Apprise:
    """Sends messages through apprise.

    Args:
        url: an address of apprise ("discord://...", "mailtos://...") or one of `NATIVE`.

    Raises:
        MissingExtraError: apprise is not installed.
        UsageError: apprise knows no such service, or cannot read the address.
    """

    tries = 100

    def __init__(self, url: str) -> None:
        scheme = safe(url.partition("://")[0].lower(), 30)
        try:
            import apprise
        except ImportError:
            raise MissingExtraError(f"a notification to {scheme}://", "notify") from None
        _listen()
        token = _heard.set([])
        try:
            asset = apprise.AppriseAsset(app_id="Foreshock", app_desc="Foreshock", async_mode=False)
            service = apprise.Apprise.instantiate(url, asset=asset)
        finally:
            _heard.reset(token)
        if service is None:
            raise UsageError(
                f"a notification address that begins with {scheme}:// cannot be used: apprise knows no such "
                "service or cannot read the rest; the addresses are listed at https://appriseit.com/services/"
            )
        self._sender: Any = apprise.Apprise(asset=asset)
        self._sender.add(service)
        self._takes_images = bool(getattr(service, "attachment_support", False))
        self._modes = {
            "trouble": apprise.NotifyType.FAILURE,
            "watch": apprise.NotifyType.WARNING,
            "closed": apprise.NotifyType.SUCCESS,
            "test": apprise.NotifyType.INFO,
        }
        self.name = f"{scheme}://***"

    def deliver(self, message: Message, timeout: float) -> None:
        """Send title and text, and the chart where the service takes images; apprise has its own timeout."""
        chart = str(message.chart) if message.chart and self._takes_images else None
        heard: list[str] = []
        token = _heard.set(heard)
        try:
            arrived = self._sender.notify(
                title=_without_mentions(message.title),
                body=_without_mentions(message.text),
                notify_type=self._modes[_mode(message)],
                body_format="text",
                attach=chart,
            )
        finally:
            _heard.reset(token)
        if not arrived:
            raise DeliveryError(safe(heard[-1], 200) if heard else "apprise could not send it")

    def abort(self) -> None:
        """Nothing: apprise has no way to break off."""


def _mode(message: Message) -> str:
    if message.test:
        return "test"
    first = message.alarms[0]
    return "closed" if first.state == "closed" else "trouble" if first.severity == "trouble" else "watch"


def _without_mentions(text: str) -> str:
    """Text in which a name from a log, such as "@everyone" or "<!channel>", calls nobody."""
    return _MENTION.sub(lambda found: found[0] + "\u200b", text)


def _listen() -> None:
    log = logging.getLogger("apprise")
    if not any(isinstance(handler, _Ear) for handler in log.handlers):
        log.addHandler(_Ear())  # with a handler of its own, it writes nothing into the terminal

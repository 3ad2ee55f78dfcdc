"""Tells people about alarms, through as many channels as they like, and never gets in the watcher's way.

`Notifier.tell` only puts an alarm into a list. A thread of its own decides when it is told (the cooldown),
words it and draws its chart; each channel then delivers on a thread of its own (`_channel`).
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from foreshock.detect._records import Alarm
from foreshock.errors import UsageError
from foreshock.watch._apprise import NATIVE, Apprise
from foreshock.watch._channel import Channel, DeliveryError, Pace, Sender
from foreshock.watch._command import Command
from foreshock.watch._context import RunContext
from foreshock.watch._holding import Holding, without_replaced
from foreshock.watch._message import Message, compose
from foreshock.watch._webhook import Webhook

COOLDOWN = 600.0
_INBOX = 10_000  # alarms that have not been looked at; of more, the oldest is counted as not delivered
_FOREVER = 3600.0
_PACE = Pace()


@dataclass(frozen=True)
class Outcome:
    """Whether a test message arrived through one channel; `why` it did not, else ""."""

    channel: str
    why: str


def channels(urls: Sequence[str], commands: Sequence[str], *, webhook_chart: bool = False) -> list[Channel]:
    """The channels that these addresses and commands name.

    Args:
        urls: `http` and `https` addresses are webhooks; all others, and the addresses that Slack, Discord and
            Google Chat hand out, go through apprise.
        commands: command lines, split as a shell does and run without one.
        webhook_chart: put the chart into what webhooks get.

    Raises:
        UsageError: an address or a command cannot be used.
        MissingExtraError: an address needs apprise, which is not installed.
    """
    made: list[Channel] = []
    for url in urls:
        scheme, colon, _ = url.strip().partition("://")
        if not colon or not scheme:
            raise UsageError(
                "a notification address has no scheme; write for example https://example.com/hook or "
                "discord://WEBHOOK_ID/WEBHOOK_TOKEN"
            )
        if scheme.lower() in ("http", "https") and not NATIVE.match(url.strip()):
            made.append(Webhook(url.strip(), chart=webhook_chart))
        else:
            made.append(Apprise(url.strip()))
    made += [Command(line) for line in commands]
    names = [channel.name for channel in made]
    for place, channel in enumerate(made):
        before = names[:place].count(channel.name)
        channel.name = names[place] + (f" ({before + 1})" if before else "")
    return made


class Notifier:
    """Sends alarms to people; the one promise is that the watcher never waits for it.

    Alarms of one run that come together become one message. After a message about a kind of event, alarms of
    that kind wait for the cooldown and then come together; openings and closings are never lost, and an alarm
    graver than the last one does not wait.

    Args:
        urls: as for `channels`.
        commands: likewise.
        cooldown: seconds between two messages about one kind of event.
        webhook_chart: put the chart into what webhooks get.
        pace: timeout, tries and pauses.
        warn: takes a sentence about what does not work, in any thread; default: standard error.
        settled: called in any thread with alarms for which nothing more will be tried, delivered or given up.
            What it was not called for when a process ends is worth telling again by the next.

    Raises:
        UsageError: an address or a command cannot be used.
        MissingExtraError: an address needs apprise, which is not installed.
    """

    def __init__(
        self,
        urls: Sequence[str] = (),
        commands: Sequence[str] = (),
        cooldown: float = COOLDOWN,
        *,
        webhook_chart: bool = False,
        pace: Pace = _PACE,
        warn: Callable[[str], None] | None = None,
        settled: Callable[[Sequence[Alarm]], None] | None = None,
    ) -> None:
        self._warn_with = warn or _to_standard_error
        self._settled = settled
        self._pace = pace
        self._cooldown = cooldown
        self._inbox: deque[tuple[Alarm, RunContext]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._closed = False
        self._unread = 0
        self._holding: dict[str, Holding] = {}
        self._runs: dict[str, RunContext] = {}
        self._open: dict[int, tuple[Message, tuple[Alarm, ...], int]] = {}
        self._count = 0
        self._senders = [
            Sender(channel, pace, self._done, self._warn)
            for channel in channels(urls, commands, webhook_chart=webhook_chart)
        ]
        self._folder = tempfile.TemporaryDirectory(prefix="foreshock-") if self._senders else None
        self._thread = threading.Thread(target=self._dispatch, name="foreshock notify", daemon=True)
        if self._senders:
            self._thread.start()

    @property
    def delivered(self) -> int:
        """Messages that arrived, counted for each channel."""
        return sum(sender.delivered for sender in self._senders)

    @property
    def undelivered(self) -> int:
        """Messages that were given up, counted for each channel, and alarms that came to no message."""
        dropped = sum(holding.dropped for holding in list(self._holding.values()))
        return sum(sender.undelivered for sender in self._senders) + self._unread + dropped

    def tell(self, alarm: Alarm, run: RunContext) -> None:
        """Have an alarm told. Never blocks, never raises; the arrays of `run` must not be changed later."""
        if not self._senders:
            return
        with self._changed:
            if self._closing or len(self._inbox) >= _INBOX:
                self._unread += 1
                return
            self._inbox.append((alarm, run))
            self._changed.notify()

    def close(self, timeout: float = 10.0) -> None:
        """Deliver what still waits, cooldown or not, for at most `timeout` seconds; then end."""
        if self._closed or not self._senders:
            return
        self._closed = True
        deadline = time.monotonic() + timeout
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)
        for sender in self._senders:
            sender.close(deadline)
        for sender in self._senders:
            sender.wait()
        if self.undelivered:
            where = ", ".join(s.channel.name for s in self._senders if s.undelivered)
            said = f"{self.undelivered} notification{'s' * (self.undelivered > 1)} not delivered"
            self._warn(said + (f" ({where})" if where else ""))
        if self._folder:
            self._folder.cleanup()

    def _dispatch(self) -> None:
        while True:
            with self._changed:
                if not self._inbox and not self._closing:
                    self._changed.wait(self._until_due())
                if self._inbox and not self._closing:
                    self._changed.wait_for(lambda: self._closing, self._pace.gather)
                came = list(self._inbox)
                self._inbox.clear()
                closing = self._closing
            for alarm, run in came:
                self._runs[run.run_id] = run
                self._holding.setdefault(run.run_id, Holding(self._cooldown)).add(alarm)
            for run_id, holding in list(self._holding.items()):
                told = holding.release(time.monotonic(), everything=closing)
                if told:
                    self._send(told, self._runs[run_id])
                if holding.due() is None:
                    self._runs.pop(run_id, None)
            if closing:
                return

    def _until_due(self) -> float:
        """Seconds until the first cooldown with something waiting ends."""
        due = [at for holding in self._holding.values() if (at := holding.due()) is not None]
        return max(0.0, min(due) - time.monotonic()) if due else _FOREVER

    def _send(self, alarms: Sequence[Alarm], run: RunContext) -> None:
        try:
            message = compose(without_replaced(alarms), run)
        except Exception as error:  # a fault of ours must not end all notifications
            self._unread += 1
            self._warn(f"a notification could not be worded: {type(error).__name__}: {error}")
            return
        message = replace(message, chart=self._chart(message, run))
        with self._changed:
            self._open[id(message)] = (message, tuple(alarms), len(self._senders))
        for sender in self._senders:
            sender.post(message)

    def _chart(self, message: Message, run: RunContext) -> Path | None:
        if self._folder is None:
            return None
        self._count += 1
        path = Path(self._folder.name) / f"foreshock-{self._count}.png"
        return chart_of(message, run, path, self._warn)

    def _done(self, message: Message) -> None:
        """A channel is finished with a message; after the last one, its chart goes."""
        with self._changed:
            _, alarms, left = self._open.pop(id(message))
            if left > 1:
                self._open[id(message)] = (message, alarms, left - 1)
                return
        if message.chart:
            with suppress(OSError):
                message.chart.unlink()
        if self._settled:
            try:
                self._settled(alarms)
            except Exception as error:
                self._warn(f"what was notified could not be noted: {type(error).__name__}: {error}")

    def _warn(self, sentence: str) -> None:
        with suppress(Exception):  # there is nobody left to tell
            self._warn_with(sentence)


def _to_standard_error(sentence: str) -> None:
    print(f"foreshock: {sentence}", file=sys.stderr)


def chart_of(message: Message, run: RunContext, path: Path, warn: Callable[[str], None]) -> Path | None:
    """Draw the chart of a message; without one, the message goes out all the same."""
    from foreshock.watch._chart import draw_chart

    try:
        return path if draw_chart(message.alarms, run, message.title, path) else None
    except Exception as error:
        warn(f"the chart of a notification could not be drawn: {type(error).__name__}: {error}")
        return None


def probe(made: Sequence[Channel], message: Message, timeout: float) -> list[Outcome]:
    """Send a message through every channel at once, one try each, and say how each of them went."""

    def send(channel: Channel) -> Outcome:
        try:
            channel.deliver(message, timeout)
        except DeliveryError as error:
            return Outcome(channel.name, str(error))
        except Exception as error:
            return Outcome(channel.name, type(error).__name__)
        return Outcome(channel.name, "")

    with ThreadPoolExecutor(max_workers=max(1, len(made))) as pool:
        return list(pool.map(send, made))

"""One way out for messages: a thread of its own with a short queue, a few tries, and a growing pause between.

What one channel does, however long it hangs, delays neither the watcher nor the other channels.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from foreshock.watch._message import Message

_WAITING = 64  # messages in a queue; of more, the oldest is given up
_SHORTEST = 0.05  # seconds for a try
_LAST = 0.5  # seconds for what was broken off to end


class DeliveryError(Exception):
    """A message did not arrive; the text says why, without secrets. `final`: another try would not help."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Channel(Protocol):
    """Something that can deliver a message."""

    name: str  # what it is called in texts: no secrets
    tries: int  # at most, where each has effects of its own

    def deliver(self, message: Message, timeout: float) -> None:
        """Deliver, or raise `DeliveryError`, within about `timeout` seconds; nothing else is raised."""

    def abort(self) -> None:
        """Break off what is under way; called from another thread."""


@dataclass(frozen=True)
class Pace:
    """How patiently messages are delivered; times in seconds.

    Attributes:
        timeout: for one try.
        tries: how many.
        first_pause: before the second try, about; it doubles with each further one.
        longest_pause: between two tries.
        gather: alarms that come within this time of one another go into one message.
    """

    timeout: float = 15.0
    tries: int = 8
    first_pause: float = 2.0
    longest_pause: float = 120.0
    gather: float = 0.5

    def pause(self, tries: int) -> float:
        """How long to wait after so many failed tries: random, so that watchers do not come all at once."""
        longest = min(self.longest_pause, self.first_pause * 2.0 ** (tries - 1))
        return longest * random.uniform(0.5, 1.0)


class Sender:
    """Delivers messages through one channel on a thread of its own, in order.

    Args:
        channel: where to.
        pace: tries and pauses.
        done: called when nothing more is tried for a message.
        warn: called with one sentence when a message is given up, once until one arrives again.
    """

    def __init__(
        self, channel: Channel, pace: Pace, done: Callable[[Message], None], warn: Callable[[str], None]
    ) -> None:
        self.channel = channel
        self.delivered = 0
        self._given_up = 0
        self._pace = pace
        self._done = done
        self._warn = warn
        self._warned = False
        self._queue: deque[Message] = deque()
        self._busy = False
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._deadline = math.inf
        self._thread = threading.Thread(target=self._run, name=f"foreshock {channel.name}", daemon=True)
        self._thread.start()

    @property
    def undelivered(self) -> int:
        """Messages given up; once the deadline has passed, those that still wait as well."""
        with self._changed:
            ended = not self._thread.is_alive() or time.monotonic() >= self._deadline
            return self._given_up + (len(self._queue) + self._busy if ended else 0)

    def post(self, message: Message) -> None:
        """Queue a message; never blocks."""
        dropped = None
        with self._changed:
            if len(self._queue) >= _WAITING:
                dropped = self._queue.popleft()
            self._queue.append(message)
            self._changed.notify()
        if dropped:
            self._give_up(dropped, "too many messages wait")

    def close(self, deadline: float) -> None:
        """Say that nothing more will come; `wait` waits until `deadline` (of `time.monotonic`)."""
        with self._changed:
            self._deadline = deadline
            self._closing.set()
            self._changed.notify()

    def wait(self) -> None:
        """Until all is delivered or the deadline has passed; what is under way then is broken off."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        if self._thread.is_alive():
            self.channel.abort()
            self._thread.join(_LAST)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    if self._closing.is_set():
                        return
                    self._changed.wait()
                message = self._queue.popleft()
                self._busy = True
            why = self._try(message)
            if why is None:
                return
            with self._changed:
                self._busy = False
                self.delivered += not why
            if why:
                self._give_up(message, why)
            else:
                self._warned = False
                self._done(message)

    def _try(self, message: Message) -> str | None:
        """Deliver with several tries; "" or why it failed, None if the deadline came before that."""
        tries = 0
        while time.monotonic() < self._deadline:
            left = self._deadline - time.monotonic()
            try:
                self.channel.deliver(message, max(_SHORTEST, min(self._pace.timeout, left)))
                return ""
            except DeliveryError as error:
                why, final = str(error), error.final
            except Exception as error:  # a fault of ours or of a service's library ends this try only
                why, final = type(error).__name__, False
            tries += 1
            if final or tries >= min(self._pace.tries, self.channel.tries):
                return why + (f" ({tries} tries)" if tries > 1 else "")
            # A call of `close` ends a long pause; after it, pauses are short.
            if self._closing.wait(0 if self._closing.is_set() else self._pace.pause(tries)):
                time.sleep(max(0.0, min(self._pace.pause(1), self._deadline - time.monotonic())))
        return None

    def _give_up(self, message: Message, why: str) -> None:
        with self._changed:
            self._given_up += 1
            first = not self._warned
            self._warned = True
        if first:
            self._warn(f"notifications to {self.channel.name} do not arrive: {why}")
        self._done(message)

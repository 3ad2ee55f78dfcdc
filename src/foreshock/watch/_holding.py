"""When alarms are told: at once, or together when the cooldown of their kind ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

from foreshock.detect._records import Alarm

_MOST = 500  # alarms held of a kind; of more, updates go first, then the oldest
_GRADES = {"watch": 1, "trouble": 2}


class Holding:
    """Holds alarms back for the cooldown of their kind; pure, the clock is given.

    After a message about a kind of event, further alarms of this kind wait until the cooldown is over and are
    then told together: no opening and no closing is lost. One thing does not wait: an alarm graver than what
    the last message said.
    """

    def __init__(self, cooldown: float) -> None:
        self._cooldown = cooldown
        self._held: dict[str, list[Alarm]] = {}
        self._until: dict[str, float] = {}
        self._grade: dict[str, int] = {}
        self.dropped = 0

    def add(self, alarm: Alarm) -> None:
        """Take in an alarm."""
        held = self._held.setdefault(alarm.kind, [])
        held.append(alarm)
        if len(held) > _MOST:
            kept = without_replaced(held)
            self.dropped += max(0, len(kept) - _MOST)
            self._held[alarm.kind] = kept[-_MOST:]

    def release(self, now: float, *, everything: bool = False) -> list[Alarm]:
        """What is to be told now, in one message; empty if nothing is."""
        told: list[Alarm] = []
        for kind, held in list(self._held.items()):
            grade = max((_GRADES.get(a.severity, 1) for a in held if a.state != "closed"), default=0)
            waits = now < self._until.get(kind, -math.inf) and grade <= self._grade.get(kind, 0)
            if waits and not everything:
                continue
            told += held
            del self._held[kind]
            self._until[kind] = now + self._cooldown
            self._grade[kind] = max(grade, 1)
        return told

    def due(self) -> float | None:
        """When the first cooldown with something waiting ends; None if nothing waits."""
        return min((self._until.get(kind, -math.inf) for kind in self._held), default=None)


def without_replaced(alarms: Sequence[Alarm]) -> list[Alarm]:
    """Alarms without what a later one of the same event replaces.

    Openings and closings all stay; of the updates of an event the last one does, unless the event is over.
    """
    last = {alarm.id: alarm for alarm in alarms if alarm.state != "open"}
    return [alarm for alarm in alarms if alarm.state == "open" or last[alarm.id] is alarm]

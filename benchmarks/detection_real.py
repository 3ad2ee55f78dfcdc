"""Published logs as they are: false alarms where nothing is to be seen, and when each event is told.

The hand readings are those of the manifest beside the logs, in a few words. Steps are those of the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from detection_curves import RealCurve, real_curves, real_runs
from detection_measure import APART, Rate, false_alarms
from detection_methods import Method
from detection_runs import Message, Watch, apart, of_run


class Event(NamedTuple):
    """What a careful person sees.

    Attributes:
        log: its number.
        signals: in which it shows.
        first: step at which it begins.
        last: step by which it is plain.
        words: what it is.
    """

    log: str
    signals: tuple[str, ...]
    first: int
    last: int
    words: str


REWARD, LENGTH = ("reward_mean",), ("response_length_mean", "truncation_ratio")
EVENTS = (
    Event("005", LENGTH, 200, 240, "length pinned at 20 tokens"),
    Event("013", ("grad_norm",), 18, 25, "gradient norm jumps to 48"),
    Event("019", ("grad_norm", "kl_ref"), 54, 60, "spike of KL and gradient norm"),
    Event("036", REWARD, 15, 20, "reward dips and recovers"),
    Event("036", LENGTH, 45, 75, "length grows to the cap"),
    Event("036", REWARD, 75, 115, "reward slides to 0"),
    Event("042", LENGTH, 35, 45, "length falls to 4 tokens"),
    Event("042", REWARD, 40, 45, "reward falls to 0"),
    Event("043", REWARD, 25, 30, "reward dips in one row"),
    Event("048", REWARD, 25, 35, "reward falls to 0"),
    Event("048", LENGTH, 25, 35, "length grows to the cap"),
    Event("050", LENGTH, 150, 165, "length grows to the cap"),
    Event("050", REWARD, 165, 175, "reward falls from 0.87 to 0.73"),
    Event("052", LENGTH, 55, 65, "length grows to the cap, reward intact"),
    Event("059", REWARD, 115, 125, "reward falls to about 0.5"),
    Event("059", LENGTH, 115, 155, "length falls to 60 tokens"),
    Event("060", REWARD, 70, 85, "reward dips to 0.45, recovers late"),
    Event("060", LENGTH, 75, 135, "length grows to the cap"),
    Event("062", REWARD, 70, 85, "reward falls to 0"),
    Event("062", LENGTH, 80, 85, "length jumps to the cap"),
    Event("089", LENGTH, 65, 245, "length grows tenfold and more"),
    Event("094", ("entropy",), 9, 12, "entropy falls to 0"),
    Event("094", REWARD, 31, 33, "reward 0 for twelve steps"),
    Event("094", ("kl_ref", "grad_norm"), 31, 43, "KL and gradient norm blow up"),
    Event("147", ("grad_norm",), 1, 430, "a spike of the gradient norm"),
    Event("153", LENGTH, 1, 400, "truncation creeps to 97 %, reward intact"),
    Event("155", LENGTH, 800, 1150, "length drifts upwards late"),
    Event("159", ("kl_ref",), 1, 250, "a spike of the KL"),
    Event("162", REWARD, 125, 175, "reward falls with a harder environment"),
    Event("162", LENGTH, 5, 60, "length climbs to the cap"),
    Event("167", ("kl_ref", "grad_norm"), 20, 1875, "KL and gradient norm rise"),
)
SHALLOW = ("035",)  # a shallow dip of the reward, neither an event nor certainly none
DEAD = ("161", "165", "174")  # no learning signal: a message about that is no false alarm


def of_real(
    methods: Sequence[Method], watches: Sequence[Watch], settings: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """False alarms and the step at which each event is told.

    Args:
        methods: look at the reward only.
        watches: look at everything.
        settings: threshold of each method, fitted without either half of the repositories.
    """
    runs = {entry["id"].partition("-")[0]: of_run(run) for entry, run in real_runs()}
    side = _sides()
    reward_events = {event.log for event in EVENTS if event.signals == REWARD}
    quiet: dict[str, Any] = {}
    told: list[dict[str, Any]] = [{**e._asdict(), "signals": list(e.signals), "told": {}} for e in EVENTS]
    for m in methods:
        rate, alarmed = Rate(0, 0), 0
        for log, rows in runs.items():
            y, steps = rows.reward()
            said = m.answer(y[None, :]).at(settings[m.name][side.get(log, 0)])
            if log not in reward_events and log not in SHALLOW:
                rate, alarmed = rate + false_alarms(said), alarmed + bool(said.any())
            falls = [Message(steps[i], "reward_mean", "") for i in np.flatnonzero(said[0])]
            _note(told, log, rows.steps, m.name, falls, REWARD)
        quiet[m.name] = {"rate": [rate.per_1000, rate.error], "logs": alarmed, "reward only": True}
    eventful = {event.log for event in EVENTS} | set(SHALLOW) | set(DEAD)
    for w in watches:
        rate, alarmed, names = Rate(0, 0), 0, []
        for log, rows in runs.items():
            messages = w.alarms(rows)
            if log not in eventful:
                rate = rate + Rate(apart(rows.steps, messages, APART), len(rows.steps))
                opened = [m for m in messages if m.opens]
                alarmed += bool(opened)
                names += [f"{log}: step {m.step} {m.signal} {m.words}" for m in opened]
            _note(told, log, rows.steps, w.name, messages)
        quiet[w.name] = {
            "rate": [rate.per_1000, rate.error],
            "logs": alarmed,
            "reward only": False,
            "said": names[:60],
        }
    return {"quiet": quiet, "events": told}


def _sides() -> dict[str, int]:
    """Log -> which of the two fits did not see its repository."""
    repos = sorted({curve.repo for curve in real_curves()})

    def fit_without(curve: RealCurve) -> int:
        return 1 - repos.index(curve.repo) % 2

    return {curve.id.partition("-")[0]: fit_without(curve) for curve in real_curves()}


def _note(
    told: list[dict[str, Any]],
    log: str,
    steps: Sequence[int],
    name: str,
    messages: Sequence[Message],
    only: tuple[str, ...] | None = None,
) -> None:
    """Write down the first message on each event of a log, from its first step on.

    It is too late thrice the span of the event after its last step, and ten rows at least.
    """
    for event in told:
        if event["log"] != log or (only and event["signals"] != list(only)):
            continue
        wait = max(3 * (event["last"] - event["first"]), 10 * (steps[1] - steps[0]))
        found = [
            m.step
            for m in messages
            if event["first"] <= m.step <= event["last"] + wait
            and (not m.signal or m.signal.partition("/")[0] in event["signals"])
        ]
        event["told"][name] = min(found, default=None)

"""One call of `foreshock watch`, from its options to its findings."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from foreshock.errors import UsageError
from foreshock.readers.follow import SETTLE, Follower
from foreshock.watch._clock import Awake
from foreshock.watch._monitor import Monitor
from foreshock.watch._state import Sink
from foreshock.watch.ledger import Ledger, default_file
from foreshock.watch.lines import JsonLines, PlainLines
from foreshock.watch.loop import Watch

PATIENCE = 10.0
"""Seconds that notifications which wait are given at the end."""


@dataclass(frozen=True)
class Options:
    """What the user asked for; see `foreshock watch --help`."""

    path: str
    budget: float = 1.0
    guaranteed: bool = False
    reward_range: tuple[float, float] | None = None
    interval: float = 1.0
    once: bool = False
    replay: bool = False
    json: bool = False
    run: str | None = None
    mapping: Mapping[str, str] | None = None
    step_key: str | None = None
    format: str | None = None
    signals: Sequence[str] = ()
    state: Path | None = None
    notify: Sequence[str] = ()
    commands: Sequence[str] = ()
    cooldown: float = 600.0
    webhook_chart: bool = False
    prometheus: str | None = None
    until_done: bool = False


def watch_path(options: Options, out: IO[str] | None = None, aside: IO[str] | None = None) -> set[str]:
    """Watch until the end, or until Ctrl-C; the severities of alarms that were new or are open at the end.

    Raises:
        InputError: see `Follower`.
        UsageError: options that contradict each other.
        MissingExtraError: a format or a notification service needs an optional dependency.
    """
    _check(options)
    out, aside = out or sys.stdout, aside or sys.stderr
    warnings: deque[str] = deque()
    ledger = Ledger(None if options.replay else _ledger_file(options), warnings.append)
    awake = Awake(time.monotonic)
    with contextlib.ExitStack() as ending:
        ending.callback(lambda: [print(f"foreshock: {text}", file=aside) for text in warnings])
        # The end of the notifier comes after that of the screen, and before what both of them warned of.
        notifier = None
        if options.notify or options.commands:
            from foreshock.watch.notify import Notifier

            notifier = Notifier(
                options.notify,
                options.commands,
                options.cooldown,
                webhook_chart=options.webhook_chart,
                warn=warnings.append,
                settled=ledger.sent,
            )
            ending.callback(notifier.close, PATIENCE)
        watch = Watch(
            _follower(options, awake),
            lambda facts: _monitor(options, facts),
            ledger,
            _sinks(options, out, aside),
            awake=awake,
            wall=time.time,
            notifier=notifier,
            signals=options.signals,
            final=options.replay,
            warnings=warnings,
        )
        ending.callback(watch.close)
        with contextlib.suppress(KeyboardInterrupt):
            _turn(watch, options, awake)
        return watch.severities | {alarm.severity for alarm in watch.state.open}


def _turn(watch: Watch, options: Options, awake: Awake) -> None:
    def settle() -> None:
        time.sleep(SETTLE)
        awake.tick(SETTLE)

    if options.replay:
        watch.read()
    elif options.once:
        watch.read(settle)
    else:
        with _ended_by_signals() as end:
            watch.run(options.interval, end.wait, until_done=options.until_done)


def _check(options: Options) -> None:
    if options.once and options.replay:
        raise UsageError("--once and --replay exclude each other: the one reads what is new, the other all")
    if options.replay and (options.notify or options.commands or options.prometheus):
        raise UsageError("--replay tells nobody else: leave out --notify, --exec and --prometheus")
    if options.once and options.prometheus:
        raise UsageError("--once ends before anybody could ask it: leave out --prometheus")
    if not 0.001 <= options.budget <= 100:
        raise UsageError(f"--budget {options.budget:g}: it must be 0.001 to 100 false alarms per 1000 steps")
    if options.guaranteed and options.reward_range is None:
        raise UsageError("--guaranteed needs the range of the reward: --reward-range LOW:HIGH")
    if options.reward_range is not None and not options.guaranteed:
        raise UsageError("--reward-range is for --guaranteed; the calibrated mode needs none")
    if options.interval <= 0 or options.cooldown < 0:
        raise UsageError("--interval must be above 0 seconds, and --cooldown not below")


def _ledger_file(options: Options) -> Path:
    return options.state or default_file(Path(options.path), options.run)


def _follower(options: Options, awake: Awake) -> Follower:
    return Follower(
        options.path,
        run=options.run,
        format=options.format,
        mapping=options.mapping,
        step_key=options.step_key,
        clock=awake,
    )


def _monitor(options: Options, facts: Mapping[str, Any]) -> Monitor:
    from foreshock.detect import Monitor as Detector

    known = dict(facts) | ({"reward_range": options.reward_range} if options.reward_range else {})
    mode = "guaranteed" if options.guaranteed else "calibrated"
    return Detector(budget=options.budget, mode=mode, facts=known, signals=options.signals)


def _sinks(options: Options, out: IO[str], aside: IO[str]) -> list[Sink]:
    sinks: list[Sink] = []
    if options.json:
        sinks.append(JsonLines(out))
    elif options.once:
        sinks.append(PlainLines(out, None))  # a timer mails whatever is printed
    elif options.replay or not out.isatty() or os.environ.get("TERM") == "dumb":
        sinks.append(PlainLines(out, aside))
    else:
        from foreshock.watch.screen import Screen

        sinks.append(Screen(options.path))
    if options.prometheus:
        from foreshock.watch.metrics import Metrics

        sinks.append(Metrics(options.prometheus))
    return sinks


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[threading.Event]:
    """Is set by Ctrl-C, and by what service managers send; a second Ctrl-C does not wait for it."""
    end = threading.Event()

    def stop(number: int, frame: object) -> None:
        if end.is_set():
            raise KeyboardInterrupt
        end.set()

    before: dict[int, Any] = {}
    with contextlib.suppress(ValueError):  # outside of the main thread signals end nothing
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Run a command as if nobody listened: the same terminal, streams, signals and exit code.

The child shares our standard input, our session and our process group, so the terminal treats it as if it had
been started by itself: Ctrl-C and Ctrl-Z reach it from the terminal. Only its output goes through us, over a
pseudo-terminal where ours is a terminal and over a pipe where it is not; the bytes are written on before
anyone looks at them. Full-screen programs that switch the keyboard through their *output* (curses) are out of
reach of this.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Tap = Callable[[int, bytes], None]
_Mask = set[int | signal.Signals]

_CHUNK = 1 << 16
_GRACE = (
    1.0  # seconds without output after which what the child left behind in the background is not waited for
)
_FORWARDED = (
    "SIGINT",
    "SIGTERM",
    "SIGHUP",
    "SIGQUIT",
    "SIGUSR1",
    "SIGUSR2",
    "SIGCONT",
    "SIGTSTP",
    "SIGWINCH",
)
_FROM_KERNEL = 0x80  # si_code of a signal that the terminal sent to the whole process group


@dataclass
class _Channel:
    """One stream of output: where it comes from, and our own descriptor that it goes to."""

    source: int
    target: int
    terminal: bool


def run(command: Sequence[str], tap: Tap, started: Callable[[bool], None]) -> int:
    """Run `command` to its end and return what a shell would: its exit code, 128 + n after signal n.

    Args:
        command: program and arguments.
        tap: is given every chunk of output after it was passed on, with the descriptor it went to; it must
            return at once and never raise.
        started: called when the child runs, with whether its output comes in order: all of it over one
            terminal, where programs hold nothing back.

    Raises:
        OSError: the program cannot be started.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _signals())
    try:
        child, channels = _start(command, before)
        started(len(channels) == 1 and channels[0].terminal)
        ended, end = os.pipe()
        threading.Thread(target=_wait, args=(child, end), daemon=True).start()
        threading.Thread(target=_forward, args=(child, channels), daemon=True).start()
        _pump(channels, ended, tap)
        code = child.wait()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return code if code >= 0 else 128 - code


def _signals() -> set[signal.Signals]:
    """What is forwarded; what we were told to ignore (`nohup`) stays ignored, by the child too."""
    known = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
    return {number for number in known if signal.getsignal(number) != signal.SIG_IGN}


# --- streams --------------------------------------------------------------------------------------


def _start(
    command: Sequence[str], mask: set[int | signal.Signals]
) -> tuple[subprocess.Popen[bytes], list[_Channel]]:
    channels: list[_Channel] = []
    theirs: list[int] = []
    try:
        for target in (1, 2):
            if target == 2 and _same_place(1, 2):  # one stream, so that the order of the two is kept
                theirs.append(theirs[0])
                continue
            source, there, terminal = _open(target)
            channels.append(_Channel(source, target, terminal))
            theirs.append(there)
        child = subprocess.Popen(
            list(command),
            stdout=theirs[0],
            stderr=theirs[1],
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, mask),
        )
    except BaseException:
        for channel in channels:
            os.close(channel.source)
        raise
    finally:
        for descriptor in set(theirs):
            os.close(descriptor)
    return child, channels


def _same_place(a: int, b: int) -> bool:
    try:
        return os.path.samestat(os.fstat(a), os.fstat(b))
    except OSError:  # one of them is closed
        return False


def _open(target: int) -> tuple[int, int, bool]:
    """(our end, the child's end, whether it is a terminal) of a stream like our own."""
    if not os.isatty(target):
        return *os.pipe(), False
    import pty
    import tty

    ours, theirs = pty.openpty()
    tty.setraw(theirs)  # the real terminal translates line ends; twice would be once too often
    _fit(ours, target)
    return ours, theirs, True


def _fit(ours: int, target: int) -> None:
    """Give our pseudo-terminal the size of the real one."""
    import fcntl
    import termios

    with contextlib.suppress(OSError):
        size = fcntl.ioctl(target, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(ours, termios.TIOCSWINSZ, size)


def _pump(channels: list[_Channel], ended: int, tap: Tap) -> None:
    """Pass output on until all of it has come and the child has ended."""
    open_channels = {channel.source: channel for channel in channels}
    poll = select.poll()
    for descriptor in (*open_channels, ended):
        poll.register(descriptor, select.POLLIN)
    running, quiet_since = True, 0.0
    while open_channels or running:
        events = poll.poll(None if running else 100)
        for descriptor, _ in events:
            if descriptor == ended:
                poll.unregister(ended)
                os.close(ended)
                running, quiet_since = False, time.monotonic()
                continue
            quiet_since = time.monotonic()
            if not _pass_on(open_channels[descriptor], tap):
                poll.unregister(descriptor)
                os.close(descriptor)
                del open_channels[descriptor]
        if not running and time.monotonic() - quiet_since > _GRACE:
            break
    for descriptor in open_channels:
        os.close(descriptor)


def _pass_on(channel: _Channel, tap: Tap) -> bool:
    """One chunk; False at the end of the stream, or when nobody reads what we write.

    Closing our end then gives the child the broken pipe that it would have had.
    """
    try:
        data = os.read(channel.source, _CHUNK)
        if data:
            _write(channel.target, data)
    except OSError:  # a pseudo-terminal ends with EIO; EPIPE and ENOSPC are the child's affair
        return False
    if data:
        tap(channel.target, data)
    return bool(data)


def _write(target: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(target, left) :]
        except BlockingIOError:  # somebody set the terminal that we share to non-blocking
            select.select([], [target], [])


# --- signals --------------------------------------------------------------------------------------


def _wait(child: subprocess.Popen[bytes], end: int) -> None:
    child.wait()
    os.close(end)


def _forward(child: subprocess.Popen[bytes], channels: list[_Channel]) -> None:
    """Hand every signal that only we were sent to the child, until the process ends."""
    while True:
        number, shared = _next_signal()
        if number == signal.SIGWINCH:
            for channel in channels:
                if channel.terminal:
                    _fit(channel.source, channel.target)
        # What the terminal sent, it sent to the child as well; of its size the child must hear after us.
        if not shared or number == signal.SIGWINCH:
            with contextlib.suppress(OSError):
                child.send_signal(number)
        if number == signal.SIGTSTP:
            _stop()


def _next_signal() -> tuple[int, bool]:
    """The next signal, and whether the whole process group got it from the terminal."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(_signals())
        return info.si_signo, info.si_code == _FROM_KERNEL
    number = signal.sigwait(_signals())  # macOS does not say from whom
    keyboard = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)
    return number, number in keyboard and _in_foreground()


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _stop() -> None:
    """Stop like anybody else whom Ctrl-Z hits; goes on when we are continued."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})

"""Signals that end the command, wherever they arrive."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

__all__ = ["signal_handler"]

PAUSE = 0.1  # seconds


@contextlib.contextmanager
def signal_handler() -> Iterator[None]:
    """Lets SIGTERM end what is within as an error would, so that half an export is cleared away.

    Neither that nor Ctrl-C gets lost. What a signal's handler raises is dropped within callbacks of
    the garbage collector (jax has one), finalizers, and code in C that asks an object for an
    attribute and takes any error for a no; there it may come out as another error, too. So the
    signal is sent again until what is within has ended, and ignored while it is ending.

    Raises:
        KeyboardInterrupt: At Ctrl-C.
        SystemExit: At SIGTERM; and in place of another error, if a signal came before that.
    """
    came: list[int] = []
    timers: list[threading.Timer] = []
    is_over = False

    def end(number: int, _: FrameType | None) -> None:
        if is_over:
            return
        came.append(number)
        again = threading.Timer(PAUSE, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        timers[:] = [again]
        if _is_ending():
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        # Shells use this status, too.
        sys.exit(128 + number)

    report, report_uncaught = sys.unraisablehook, sys.excepthook

    # Code in C prints by these hooks what an interruption has become there: any kind of error.
    def uncaught(kind: Any, error: Any, traceback: Any) -> None:
        if not came:
            report_uncaught(kind, error, traceback)

    def unraisable(args: Any) -> None:
        if not came:
            report(args)

    sys.unraisablehook, sys.excepthook = unraisable, uncaught
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, end)}
    # Shells have Ctrl-C ignored in what they run in the background.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, end)
    try:
        yield
    except Exception as error:
        if came:
            raise SystemExit(128 + came[0]) from error
        raise
    finally:
        is_over = True
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook, sys.excepthook = report, report_uncaught


def _is_ending() -> bool:
    """Returns whether what runs just now clears up after an interruption."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            return True
        error = error.__context__
    return False

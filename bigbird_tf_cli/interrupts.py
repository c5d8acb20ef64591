"""Signals that end the command, wherever they arrive."""

import os
import signal
import sys
import threading

__all__ = ["heed_signals", "signal_that_came"]

PAUSE = 0.05  # seconds

_came: list[int] = []


def signal_that_came() -> int | None:
    """Gives the number of the signal that was to end the command, or `None`.

    What its handler raised may have come out as another error: code that asks whether an object has
    an attribute takes any error for a no.
    """
    return _came[0] if _came else None


def _interrupt(number: int, _) -> None:
    _came.append(number)
    raise KeyboardInterrupt


def _terminate(number: int, _) -> None:
    _came.append(number)
    # Shells use this status, too.
    sys.exit(128 + number)


def heed_signals() -> None:
    """Lets SIGTERM end the command as an error would, so that half an export is cleared away.

    Neither that nor Ctrl-C gets lost: what a handler raises is dropped if it runs within a callback
    of the garbage collector (jax has one) or a finalizer. The signal is sent again then.
    """
    signal.signal(signal.SIGTERM, _terminate)
    # Shells have Ctrl-C ignored in what they run in the background.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    report = sys.unraisablehook

    def send_again(unraisable) -> None:
        error = unraisable.exc_value
        if isinstance(error, KeyboardInterrupt):
            number = signal.SIGINT
        elif isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM:
            number = signal.SIGTERM
        else:
            report(unraisable)
            return
        threading.Timer(PAUSE, os.kill, (os.getpid(), number)).start()

    sys.unraisablehook = send_again

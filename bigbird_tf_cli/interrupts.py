"""Signals that end the command, wherever they arrive."""

import os
import signal
import sys
import threading

__all__ = ["heed_signals"]

PAUSE = 0.05  # seconds


def heed_signals() -> None:
    """Lets SIGTERM end the command as an error would, so that half an export is cleared away.

    Neither that nor Ctrl-C gets lost: what a handler raises is dropped if it runs within a callback
    of the garbage collector (jax has one) or a finalizer. The signal is sent again then.
    """
    # Shells use this status, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
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

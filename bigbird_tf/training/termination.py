"""`Termination`: whether the machine has asked training to end."""

import signal
import sys
import threading
from types import FrameType
from typing import Any

from bigbird_tf.training import backend
from bigbird_tf.training.running_fit import is_within

__all__ = ["Termination"]


class Termination:
    """Notes that SIGTERM came while a `fit` was running, instead of ending the process there.

    Outside of that `fit`, which may have ended with an error, the signal does what it did before.
    In threads other than the main one, nothing is noted: Python lets only that handle signals.

    Of several hosts one may be asked. All learn of it at the same step, by JAX, which has taken the
    signal for itself there.

    Args:
        epoch_iterator: That of the `fit`.
        hosts: How many processes there are.
    """

    def __init__(self, epoch_iterator: Any, hosts: int = 1):
        self.has_come = False
        self._epoch_iterator = epoch_iterator
        self._hosts = hosts
        self._calls = 0
        self._before: Any = None
        if hosts == 1 and threading.current_thread() is threading.main_thread():
            other = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
            if isinstance(other, Termination) and not other._is_within(sys._getframe()):
                # Its `fit` ended with an error, of which no callback is told.
                other.remove()
            self._before = signal.signal(signal.SIGTERM, self._note)

    def check(self) -> bool:
        """Returns whether training is to end here; all hosts call it at the same steps."""
        if self._hosts > 1 and not self.has_come:
            self._calls += 1
            self.has_come = backend.is_preempted(self._calls)
        return self.has_come

    def remove(self) -> None:
        """Lets the signal do what it did before."""
        if self._before is not None and signal.getsignal(signal.SIGTERM) == self._note:
            signal.signal(signal.SIGTERM, self._before)
        self._before = None

    def end(self) -> None:
        """Ends the process, as the signal does that came.

        Raises:
            SystemExit: With status 143, which shells use, too; unless what handled the signal
                before ends the process.
        """
        before = self._before
        self.remove()
        if callable(before):
            signal.raise_signal(signal.SIGTERM)
        raise SystemExit(128 + signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._is_within(frame):
            self.has_come = True
        else:
            self.remove()
            signal.raise_signal(number)

    def _is_within(self, frame: FrameType | None) -> bool:
        return is_within(frame, self._epoch_iterator)

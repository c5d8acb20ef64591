"""A total of time, shared out among the parts of a program."""

import dataclasses
import time
from collections.abc import Callable, Mapping

__all__ = ["Part", "TimePlan"]


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a program, and the time it has.

    Attributes:
        name: Its name in the plan.
        seconds: How long it may take.
        deadline: When that time is over, in seconds of `clock`.
        latest: When half of what all later parts have is gone, too. Work that cannot be divided,
            such as tracing a graph, may go so far.
        clock: Tells the time.
    """

    name: str
    seconds: float
    deadline: float
    latest: float
    clock: Callable[[], float]

    def is_over(self) -> bool:
        """Returns whether the time is over."""
        return self.clock() >= self.deadline


class TimePlan:
    """Shares out a total of time among parts that come one after the other.

    A part that begins has its share of what is left: what one takes too long, all later ones have
    less, and what it leaves over, they have more. So a busy machine does less in the same time.
    Each part must look at its deadline, and tell what it left out.

    Args:
        seconds: The total.
        shares: Of each part, in their order, a positive number; their sum does not matter.
        clock: Tells the time in seconds.

    Raises:
        ValueError: If the total or a share is not positive.
    """

    def __init__(
        self,
        seconds: float,
        shares: Mapping[str, float],
        *,
        clock: Callable[[], float] = time.monotonic,
    ):
        if not seconds > 0:
            raise ValueError(f"`seconds` must be positive. Received: seconds={seconds}")
        if not shares or min(shares.values()) <= 0:
            raise ValueError(f"`shares` must be positive numbers. Received: shares={shares}")
        self.seconds = seconds
        self.clock = clock
        self.left_out: list[str] = []
        self.took: dict[str, dict[str, float]] = {}
        self._ahead = dict(shares)
        self._began = clock()
        self._current: tuple[Part, float] | None = None

    def begin(self, name: str) -> Part:
        """Ends the part before, and begins another.

        Args:
            name: One of the parts; those before it that did not begin are skipped.

        Returns:
            The part with its time, 0 seconds at least.

        Raises:
            ValueError: If there is no such part ahead.
        """
        if name not in self._ahead:
            raise ValueError(
                f"`name` must be a part that has not begun, one of {list(self._ahead)}. "
                f"Received: name={name!r}"
            )
        now = self.end()
        while next(iter(self._ahead)) != name:
            del self._ahead[next(iter(self._ahead))]
        left = max(0.0, self._began + self.seconds - now)
        seconds = left * self._ahead[name] / sum(self._ahead.values())
        del self._ahead[name]
        deadline = now + seconds
        part = Part(name, seconds, deadline, deadline + (left - seconds) / 2, self.clock)
        self._current = part, now
        return part

    def end(self) -> float:
        """Ends the part that has begun, if any, and returns the time of the clock."""
        now = self.clock()
        if self._current is not None:
            part, began = self._current
            self.took[part.name] = {"planned": part.seconds, "took": now - began}
            self._current = None
        return now

    def leave_out(self, what: str) -> str:
        """Notes what there was no time for, and returns it.

        Args:
            what: A sentence for the reader.
        """
        self.left_out.append(what)
        return what

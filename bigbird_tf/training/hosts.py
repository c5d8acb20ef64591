"""`Hosts`: the processes that train one model together, and what they agree on."""

from collections.abc import Callable

from bigbird_tf.training import backend

__all__ = ["Hosts"]


class Hosts:
    """The hosts of a run: one process each, which do the same things in the same order.

    On TensorFlow there is one, since `fit` of Keras 3 knows no others there.
    """

    @property
    def number(self) -> int:
        """The number of this host, from 0."""
        # Asked for when it is needed: JAX must not be asked before `keras.distribution.initialize`.
        return backend.host()[0]

    @property
    def count(self) -> int:
        """How many hosts there are."""
        return backend.host()[1]

    def from_first(self, value: int) -> int:
        """Returns the value that the first host gave.

        Args:
            value: An integer of 32 bits.
        """
        return backend.gather(value)[0]

    def each(self, action: Callable[[], object]) -> None:
        """Does something on each host, and waits for all of them.

        Args:
            action: What to do.

        Raises:
            OSError: On all hosts, if one of them raised it.
        """
        error = None
        try:
            action()
        except OSError as caught:
            error = caught
        failed = [host for host, has in enumerate(backend.gather(error is not None)) if has]
        if error is not None:
            raise error
        if failed:
            raise OSError(f"host {failed[0]} failed; what it printed says why")

    def first(self, action: Callable[[], object]) -> None:
        """Does something on the first host; the others wait.

        Args:
            action: What to do.

        Raises:
            OSError: On all hosts, if the first one raised it.
        """
        self.each(action if self.number == 0 else lambda: None)

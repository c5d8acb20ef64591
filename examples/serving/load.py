"""Puts load on a served model: `python -m examples.serving.load --requests 200 --clients 4`.

Its loops are bounded: it ends after so many requests or so many seconds, whichever comes first.
"""

import argparse
import concurrent.futures
import itertools
import math
import threading
import time
from collections.abc import Sequence

from examples.serving.rest_client import ask, rest_request

__all__ = ["main", "percentile", "run_load"]

SENTENCE = "A river walks by the stone house, and eleven birds sing for it. "


def run_load(
    send, *, num_requests: int, num_clients: int, max_seconds: float
) -> tuple[list[float], list[str]]:
    """Sends requests from several clients at once.

    Args:
        send: Sends the request number i.
        num_requests: How many at most.
        num_clients: How many wait for an answer at a time, at most.
        max_seconds: After this no further request is sent.

    Returns:
        The seconds that each answered request took, and why the others failed.
    """
    numbers, lock = itertools.count(), threading.Lock()
    end = time.monotonic() + max_seconds

    def client() -> tuple[list[float], list[str]]:
        seconds, failed = [], []
        for _ in range(num_requests):
            with lock:
                number = next(numbers)
            began = time.monotonic()
            if number >= num_requests or began > end:
                break
            try:
                send(number)
                seconds.append(time.monotonic() - began)
            except (RuntimeError, OSError) as error:
                failed.append(str(error))
        return seconds, failed

    with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:
        results = [future.result() for future in [pool.submit(client) for _ in range(num_clients)]]
    seconds, failed = zip(*results, strict=True)
    return list(itertools.chain(*seconds)), list(itertools.chain(*failed))


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns the smallest value that is not below so many percent of all."""
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Sends questions on documents of several lengths, and prints how long they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="http://127.0.0.1:8501")
    parser.add_argument("--model", default="qa")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--sentences", type=int, nargs="+", default=[1, 30, 200])
    options = parser.parse_args(arguments)
    if options.clients < 1:
        parser.error("--clients must be 1 at least")
    bodies = [
        rest_request({"question": ["Who sings?"], "context": [SENTENCE * count]})
        for count in options.sentences
    ]

    def send(number: int) -> None:
        ask(options.server, options.model, bodies[number % len(bodies)])

    began = time.monotonic()
    seconds, failed = run_load(
        send,
        num_requests=options.requests,
        num_clients=options.clients,
        max_seconds=options.seconds,
    )
    took = time.monotonic() - began
    print(f"{len(seconds)} answered, {len(failed)} failed, {len(seconds) / took:.1f} a second")
    if failed:
        print(f"the first failure: {failed[0]}")
    if seconds:
        for percent in (50, 90, 99):
            print(f"{percent} % within {1000 * percentile(seconds, percent):.0f} ms")
    return 1 if failed or not seconds else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Keeps what libraries log out of the command's messages."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["quiet_libraries"]


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Filters what is written to standard error from outside of Python.

    Libraries log there while they are imported, before anything could tell them not to, and
    SentencePiece whenever it reads a vocabulary. Python's own `sys.stderr` goes to the terminal as
    before. The filter is another process, so that the last words of an aborted one get through.
    """
    try:
        is_filtered = sys.stderr.fileno() == 2 and "tensorflow" not in sys.modules
    except (AttributeError, OSError, ValueError):
        is_filtered = False
    if not is_filtered or not sys.executable:
        yield
        return
    ours = sys.stderr
    ours.flush()
    terminal = os.dup(2)
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("log_filter.py"))]
    # In a session of its own Ctrl-C does not end it before us.
    log_filter = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert log_filter.stdin is not None  # a pipe
    os.dup2(log_filter.stdin.fileno(), 2)
    log_filter.stdin.close()
    sys.stderr = open(  # noqa: SIM115
        terminal, "w", buffering=1, encoding=ours.encoding, errors=ours.errors, closefd=False
    )
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = ours
        os.dup2(terminal, 2)
        os.close(terminal)
        # Processes that were started meanwhile, and go on, keep it alive.
        with contextlib.suppress(subprocess.TimeoutExpired):
            log_filter.wait(timeout=2)

"""Copies standard input to standard error without what libraries log.

`quiet_libraries` runs this file in a process of its own, so it imports no more than it needs.
"""

import os
import re
from collections.abc import Iterator

__all__ = ["copy_without_logs", "is_log"]

# Errors are hidden with the rest, as TF_CPP_MIN_LOG_LEVEL=3 does; what ends the process is not.
_LOG = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\) is called"
    # absl: I0000 00:00:1795658114.784294   13997 cudart_stub.cc:31] Could not find cuda drivers
    rb"|[IWE]\d{4} \d\d:\d\d:[\d.]+ +\d+ [\w./-]+:\d+\] "
    # TensorFlow: 2026-03-04 05:06:07.891011: I tensorflow/core/util/port.cc:153] oneDNN
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:[\d.]+: [IWE] [\w./-]+:\d+\] "
    # SentencePiece: normalizer.cc(51) LOG(INFO) precompiled_charsmap is empty.
    rb"|[\w./-]+\.cc\(\d+\) LOG\((INFO|WARNING)\) "
)


def is_log(line: bytes) -> bool:
    """Returns whether a line is one that libraries log on their own."""
    return _LOG.match(line) is not None


def copy_without_logs(source: int) -> Iterator[bytes]:
    """Returns what comes from a file descriptor, in whole lines, without those that are logs."""
    rest = b""
    while chunk := os.read(source, 65536):
        *lines, rest = re.split(rb"(?<=[\r\n])", rest + chunk)
        yield b"".join(line for line in lines if not is_log(line))
    yield b"" if is_log(rest) else rest


if __name__ == "__main__":
    for kept in copy_without_logs(0):
        os.write(2, kept)

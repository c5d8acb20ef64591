"""Text files that may be compressed by gzip or bgzip."""

import gzip
from pathlib import Path
from typing import IO

__all__ = ["is_gzip", "open_text"]


def is_gzip(path: Path) -> bool:
    """Returns whether a file is compressed, whatever its name is."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def open_text(path: Path) -> IO[str]:
    """Opens a file to read it; bytes that are no UTF-8 become U+FFFD."""
    if is_gzip(path):
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")

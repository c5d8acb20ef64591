"""`CheckpointDirectory`: numbered checkpoints, each whole or passed over."""

import contextlib
import json
import os
import re
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

# Keras 3.15 has no public name for files that may be on Google Cloud.
from keras.src.utils import file_utils

from bigbird_tf.whole_files import write_whole

__all__ = ["CheckpointDirectory"]

RECORD = "checkpoint.json"
NAME = re.compile(r"step-(\d+)/?")
CHUNK = 1 << 22  # bytes


class CheckpointDirectory:
    """A directory with a folder for each checkpoint, `step-00000040` and so on.

    A folder is a checkpoint once `checkpoint.json` is in it, which is written last, whole, and has
    the sizes and checksums of the other files. So nothing that was cut short is taken for one.

    Args:
        directory: A path, also on Google Cloud (`gs://`).
        max_to_keep: How many checkpoints to keep.
    """

    def __init__(self, directory: str | os.PathLike, max_to_keep: int):
        self.path = os.fspath(directory)
        self.max_to_keep = max_to_keep

    def make(self) -> None:
        """Makes the directory.

        Raises:
            OSError: If it cannot be made.
        """
        if not file_utils.exists(self.path):
            file_utils.makedirs(self.path)

    def write(self, number: int, write: Callable[[str], dict[str, Any]]) -> str:
        """Writes a checkpoint, and removes those that are too many.

        Args:
            number: Of the step; one of that number is replaced.
            write: Writes files to the folder that it is given; returns a record for JSON.

        Returns:
            The folder.

        Raises:
            OSError: If something could not be written; the other checkpoints stay as they were.
        """
        folder = file_utils.join(self.path, f"step-{number:08d}")
        self._remove(folder)
        try:
            file_utils.makedirs(folder)
            record = write(folder)
            record["files"] = {
                name: _checksum(file_utils.join(folder, name)) for name in _files(folder)
            }
            write_whole(file_utils.join(folder, RECORD), json.dumps(record))
        except OSError:
            with contextlib.suppress(OSError):
                self._remove(folder)
            raise
        for other in self._numbers():
            # Later ones were damaged, else the run would have gone on from them.
            if other > number:
                self._remove(self._folder(other))
        for other in self._numbers()[: -self.max_to_keep]:
            self._remove(self._folder(other))
        return folder

    def newest(self) -> tuple[str, dict[str, Any]] | None:
        """Returns the last whole checkpoint: its folder and record; `None` if there is none.

        Warns of those after it.
        """
        numbers = self._numbers()
        for number in reversed(numbers):
            folder = self._folder(number)
            try:
                return folder, _read(folder)
            except (OSError, ValueError) as error:
                warnings.warn(
                    f"The checkpoint {folder} is passed over: {error}", RuntimeWarning, stacklevel=2
                )
        if numbers:
            warnings.warn(
                f"There is no whole checkpoint in {self.path}: training begins at the start.",
                RuntimeWarning,
                stacklevel=2,
            )
        return None

    def _numbers(self) -> list[int]:
        names = file_utils.listdir(self.path) if file_utils.exists(self.path) else []
        return sorted(int(match[1]) for match in map(NAME.fullmatch, names) if match)

    def _folder(self, number: int) -> str:
        return file_utils.join(self.path, f"step-{number:08d}")

    def _remove(self, folder: str) -> None:
        if file_utils.exists(folder):
            # Its record first: what is left of it, if this is cut short, is no checkpoint.
            record = file_utils.join(folder, RECORD)
            if file_utils.exists(record):
                file_utils.remove(record)
            file_utils.rmtree(folder)


def _read(folder: str) -> dict[str, Any]:
    """Returns the record of a checkpoint.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If it is not whole.
    """
    path = file_utils.join(folder, RECORD)
    if not file_utils.exists(path):
        raise ValueError(f"it was not finished ({RECORD} is missing).")
    with file_utils.File(path, "r") as file:
        try:
            record = json.loads(file.read())
            files = record["files"].items()
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValueError(f"{RECORD} is damaged.") from error
    for name, expected in files:
        path = file_utils.join(folder, name)
        if not file_utils.exists(path):
            raise ValueError(f"{name} is missing.")
        found = _checksum(path)
        if found != expected:
            raise ValueError(
                f"{name} is damaged: expected {expected[0]} bytes with checksum {expected[1]}, "
                f"found {found[0]} with {found[1]}."
            )
    return record


def _files(folder: str, prefix: str = "") -> Iterator[str]:
    """Yields the names of all files in a folder and its subfolders."""
    for name in sorted(file_utils.listdir(file_utils.join(folder, prefix))):
        name = prefix + name.removesuffix("/")
        if file_utils.isdir(file_utils.join(folder, name)):
            yield from _files(folder, f"{name}/")
        else:
            yield name


def _checksum(path: str) -> list[int]:
    """Returns the size of a file, and the CRC-32 of what is in it."""
    size, checksum = 0, 0
    with file_utils.File(path, "rb") as file:
        while chunk := file.read(CHUNK):
            size += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
    return [size, checksum]

"""`CheckpointDirectory`: numbered checkpoints, each whole or passed over."""

import contextlib
import json
import os
import random
import re
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

# Keras 3.15 has no public name for files that may be on Google Cloud.
from keras.src.utils import file_utils

from bigbird_tf.training.hosts import Hosts
from bigbird_tf.whole_files import write_whole

__all__ = ["CheckpointDirectory"]

RECORD = "checkpoint.json"
NAME = re.compile(r"step-(\d+)/?")
CHUNK = 1 << 22  # bytes


class CheckpointDirectory:
    """A directory with a folder for each checkpoint, `step-00000040` and so on.

    A folder is a checkpoint once `checkpoint.json` is in it, which is written last, whole, and has
    the sizes and checksums of the other files. So nothing that was cut short is taken for one.

    Several hosts use one directory, which all reach, and call each method together. Each writes its
    own files and record, `host-1.json` and so on; the first one does all else.

    Args:
        directory: A path, also on Google Cloud (`gs://`).
        max_to_keep: How many checkpoints to keep.
    """

    def __init__(self, directory: str | os.PathLike, max_to_keep: int):
        self.path = os.fspath(directory)
        self.max_to_keep = max_to_keep
        self.hosts = Hosts()

    def make(self) -> None:
        """Makes the directory.

        Raises:
            OSError: If it cannot be made, or other hosts do not find it.
        """

        def make() -> None:
            if not file_utils.exists(self.path):
                file_utils.makedirs(self.path)

        self.hosts.first(make)
        if self.hosts.count > 1:
            self._check_shared()

    def write(self, number: int, write: Callable[[str], dict[str, Any]]) -> str:
        """Writes a checkpoint, and removes those that are too many.

        Args:
            number: Of the step; one of that number is replaced.
            write: Writes files to the folder that it is given; returns a record for JSON, this
                host's.

        Returns:
            The folder.

        Raises:
            OSError: If something could not be written; the other checkpoints stay as they were.
        """
        folder = self._folder(number)
        record: dict[str, Any] = {}

        def save() -> None:
            record.update(write(folder))
            if self.hosts.number:
                write_whole(self._own_record(folder), json.dumps(record))

        def finish() -> None:
            record["files"] = {
                name: _checksum(file_utils.join(folder, name)) for name in _files(folder)
            }
            write_whole(file_utils.join(folder, RECORD), json.dumps(record))

        def clean() -> None:
            with contextlib.suppress(OSError):
                self._remove(folder)

        self.hosts.first(lambda: self._remove(folder))
        try:
            self.hosts.first(lambda: file_utils.makedirs(folder))
            self.hosts.each(save)
            self.hosts.first(finish)
        except OSError:
            self.hosts.first(clean)
            raise
        self.hosts.first(lambda: self._prune(number))
        return folder

    def newest(self) -> tuple[str, dict[str, Any]] | None:
        """Returns the last whole checkpoint: its folder and this host's record of it.

        A host that was not there when it was written gets the first one's. Warns of checkpoints
        after it.

        Returns:
            The two; `None` if there is no checkpoint.
        """
        found = self.hosts.from_first(self._newest_number() if self.hosts.number == 0 else -1)
        if found < 0:
            return None
        folder = self._folder(found)
        own = self._own_record(folder)
        is_there = self.hosts.number and file_utils.exists(own)
        return folder, _read_record(own if is_there else file_utils.join(folder, RECORD))

    def _newest_number(self) -> int:
        """Returns the number of the last whole checkpoint; -1 if there is none."""
        numbers = self._numbers()
        for number in reversed(numbers):
            folder = self._folder(number)
            try:
                _check(folder)
            except (OSError, ValueError) as error:
                warnings.warn(
                    f"The checkpoint {folder} is passed over: {error}", RuntimeWarning, stacklevel=3
                )
            else:
                return number
        if numbers:
            warnings.warn(
                f"There is no whole checkpoint in {self.path}: training begins at the start.",
                RuntimeWarning,
                stacklevel=3,
            )
        return -1

    def _check_shared(self) -> None:
        """Lets all hosts look for what the first one writes."""
        number = self.hosts.from_first(random.SystemRandom().getrandbits(31))
        path = file_utils.join(self.path, f".hosts-{number}")

        def look() -> None:
            if not file_utils.exists(path):
                raise OSError(
                    "`directory` must be one that all hosts reach, such as `gs://bucket/run`. "
                    f"Received: {self.path}, in which host {self.hosts.number} does not find what "
                    "the first host writes."
                )

        self.hosts.first(lambda: write_whole(path, ""))
        try:
            self.hosts.each(look)
        finally:
            self.hosts.first(lambda: file_utils.remove(path))

    def _prune(self, number: int) -> None:
        for other in self._numbers():
            # Later ones were damaged, else the run would have gone on from them.
            if other > number:
                self._remove(self._folder(other))
        for other in self._numbers()[: -self.max_to_keep]:
            self._remove(self._folder(other))

    def _numbers(self) -> list[int]:
        names = file_utils.listdir(self.path) if file_utils.exists(self.path) else []
        return sorted(int(match[1]) for match in map(NAME.fullmatch, names) if match)

    def _folder(self, number: int) -> str:
        return file_utils.join(self.path, f"step-{number:08d}")

    def _own_record(self, folder: str) -> str:
        return file_utils.join(folder, f"host-{self.hosts.number}.json")

    def _remove(self, folder: str) -> None:
        if file_utils.exists(folder):
            # Its record first: what is left of it, if this is cut short, is no checkpoint.
            record = file_utils.join(folder, RECORD)
            if file_utils.exists(record):
                file_utils.remove(record)
            file_utils.rmtree(folder)


def _read_record(path: str) -> dict[str, Any]:
    """Returns a record of a checkpoint.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is none.
    """
    with file_utils.File(path, "r") as file:
        record = json.loads(file.read())
    if not isinstance(record, dict):
        raise ValueError("it is no record")
    return record


def _check(folder: str) -> None:
    """Reads all files of a checkpoint.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If it is not whole.
    """
    path = file_utils.join(folder, RECORD)
    if not file_utils.exists(path):
        raise ValueError(f"it was not finished ({RECORD} is missing).")
    try:
        files = _read_record(path)["files"].items()
    except (ValueError, LookupError, AttributeError) as error:
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

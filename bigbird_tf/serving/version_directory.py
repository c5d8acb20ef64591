"""Version directories of TensorFlow Serving: `path/1/`, `path/2/`, …, each written whole."""

import errno
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

__all__ = ["is_version", "next_version", "write_version"]


def is_version(name: str) -> bool:
    """Returns whether a folder's name is a version's, as TensorFlow Serving reads it: a number."""
    # Python counts digits of other scripts, and superscripts, as digits too.
    return name.isascii() and name.isdigit()


def next_version(path: str | os.PathLike) -> int:
    """Returns the first number above all versions that a model's folder has; 1 if it has none."""
    path = Path(path)
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    return max((int(name) for name in names if is_version(name)), default=0) + 1


def write_version(path: str | os.PathLike, write: Callable[[Path], None]) -> Path:
    """Writes the next version of a model: whole or not at all, never over another one.

    It is written beside the versions, under a name that TensorFlow Serving does not take for one,
    and renamed at the end. After an error or a keyboard interrupt nothing is left; a process that
    is killed leaves a folder `.export-…`, which no server reads. Processes that write at the same
    time get a number each.

    Args:
        path: The model's folder; made if it is not there.
        write: Called with the empty folder to write into.

    Returns:
        The version's folder.

    Raises:
        NotADirectoryError: If `path` is a file.
        OSError: If nothing can be written there.
    """
    path = Path(path).expanduser()
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(
            f"`path` must be a folder to write versions into. Received the file: {path}"
        )
    # Named here, not by `mkdtemp`: an interrupt may come as soon as the folder is there.
    temporary = path / f".export-{uuid.uuid4().hex}"
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
        except OSError as error:
            reason = f"`path` must be a folder that can be written to: {error.strerror}"
            raise type(error)(error.errno, reason, str(path)) from error
        try:
            write(temporary)
        except OSError as error:
            # A full disk's own message may name no file.
            raise OSError(f"The version could not be written to {path}: {error}") from error
        # Whatever the user's mask says: servers run as someone else.
        temporary.chmod(0o755)
        return _rename_to_next(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename_to_next(temporary: Path, path: Path) -> Path:
    while True:
        version = path / str(next_version(path))
        try:
            return temporary.rename(version)
        except OSError as error:
            # Another process has taken the number just now.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

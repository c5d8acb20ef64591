"""Files that are written whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["whole_file", "write_whole"]


@contextlib.contextmanager
def whole_file(file: str | os.PathLike) -> Iterator[Path]:
    """Returns a path to write to; at the end, what is there takes the place of a file.

    After an error or an interrupt, what was at `file` before is as it was. Who may read and write
    what was there may so what is there then.

    Args:
        file: The file; it need not be there yet, but its folder.
    """
    # A link stays one.
    file = Path(os.path.realpath(file))
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        yield partial
        if file.exists():
            shutil.copymode(file, partial)
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(file: str | os.PathLike, content: str | bytes) -> None:
    """Writes a file: text as UTF-8, bytes as they are.

    Args:
        file: The file. Into what is no regular one, such as `/dev/stdout`, is written directly, and
            so is an object of a store, such as `gs://bucket/name`: it is whole or not there.
        content: All that it is to hold.

    Raises:
        OSError: If it cannot be written; what was there before stays.
    """

    def write(path: Path) -> None:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")

    if "://" in os.fspath(file):
        # Keras 3.15 has no public name for files that may be on Google Cloud.
        from keras.src.utils import file_utils

        with file_utils.File(os.fspath(file), "wb") as stream:
            stream.write(content if isinstance(content, bytes) else content.encode())
        return
    file = Path(file)
    if file.exists() and not file.is_file():
        write(file)
        return
    with whole_file(file) as partial:
        write(partial)

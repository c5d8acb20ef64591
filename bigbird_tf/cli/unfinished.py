"""What a long command has done, kept until all of it is written."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bigbird_tf.cli.terminal import messages

__all__ = ["kept_until_done"]


@contextlib.contextmanager
def kept_until_done(file: Path | None) -> Iterator[Callable[[Any], None]]:
    """Returns a function that writes records at once, a JSON line each, beside a file.

    They are in `<file>.partial`. After an error or an interrupt that stays, and a message says so;
    at the end it goes. What another run left there stays until the first record.

    Args:
        file: What is written at the end; `None` for nothing. Beside what is no regular file, such
            as `/dev/stdout`, nothing is kept.
    """
    if file is None or (file.exists() and not file.is_file()):
        yield lambda record: None
        return
    partial = file.with_name(f"{file.name}.partial")
    # Refused here, not when there is something to keep.
    partial.touch()
    has_records = False

    def keep(record: Any) -> None:
        nonlocal has_records
        with partial.open("a" if has_records else "w", encoding="utf-8") as stream:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        has_records = True

    try:
        yield keep
    except BaseException:
        if has_records:
            messages.print(f"What was done is in {partial}", soft_wrap=True, highlight=False)
        elif not partial.stat().st_size:
            partial.unlink()
        raise
    partial.unlink(missing_ok=True)

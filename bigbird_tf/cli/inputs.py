"""What the subcommands read: files, standard input, options of a head."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

__all__ = ["parse_blocks", "parse_options", "read_text", "standard_input"]

# Arguments of the functions that options are handed to, which the commands set themselves.
NOT_OPTIONS = frozenset(
    ["class_name", "model", "name_or_path", "path", "signature", "tokenizer", "warmup"]
)
PYTHON_CONSTANTS = {"None": None, "True": True, "False": False}


def read_text(path: Path) -> str:
    """Reads a file of UTF-8.

    Raises:
        ValueError: If it is none; the message names it.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8: {error}") from error


def standard_input() -> Iterable[bytes]:
    """Returns the lines of standard input.

    Raises:
        ValueError: If it is closed.
    """
    if sys.stdin is None:
        raise ValueError("There is no text: neither arguments, nor files, nor standard input")
    return getattr(sys.stdin, "buffer", None) or (line.encode() for line in sys.stdin)


def parse_blocks(text: str | int) -> int | tuple[int, ...]:
    """Reads numbers of blocks: one, or two with a comma between, for two sides.

    Raises:
        typer.BadParameter: If they are no integers.
    """
    try:
        numbers = tuple(int(part) for part in str(text).split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither an integer nor two, such as 2,0.") from None
    return numbers[0] if len(numbers) == 1 else numbers


def parse_options(options: list[str] | None) -> dict[str, Any]:
    """Reads NAME=VALUE, where VALUE is JSON (`3`, `null`, `{"top_k": 5}`) or else a string.

    Python's words for JSON's constants are taken as these.
    """
    parsed = {}
    for option in options or []:
        name, equals, value = option.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"--option must be NAME=VALUE, such as num_best=3. Received: {option}")
        if name in NOT_OPTIONS:
            raise ValueError(f"--option cannot set {name}, which is none of the head's options")
        try:
            parsed[name] = json.loads(value)
        except json.JSONDecodeError:
            parsed[name] = PYTHON_CONSTANTS.get(value, value)
    return parsed

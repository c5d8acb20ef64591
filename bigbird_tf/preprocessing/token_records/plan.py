"""Which part of the texts goes into which file: decided before anything is read."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bigbird_tf.preprocessing.token_records.documents import Piece, can_be_cut, kind_of
from bigbird_tf.preprocessing.tokenizers import Tokenizer

__all__ = [
    "PLAN",
    "check_part",
    "find_files",
    "plan_shards",
    "read_plan",
    "shard_name",
    "vocabulary_digest",
]

PLAN = "plan.json"


def check_part(name: str, part: Any) -> tuple[int, int]:
    """Returns an argument that is a number and how many there are, from `(0, 4)` to `(3, 4)`.

    Raises:
        ValueError: If it is none.
    """
    is_pair = isinstance(part, Sequence) and [type(number) for number in part] == [int, int]
    if not (is_pair and 0 <= part[0] < part[1]):
        raise ValueError(
            f"`{name}` must be a number and how many there are, such as (0, 4) to (3, 4). "
            f"Received: {name}={part!r}"
        )
    return part[0], part[1]


def find_files(patterns: Sequence[str]) -> list[tuple[str, int]]:
    """Returns the files that names and globs stand for, in order and each once, and their sizes.

    Raises:
        FileNotFoundError: If one stands for none.
    """
    found: set[str] = set()
    for pattern in patterns:
        paths = [path for path in tf.io.gfile.glob(pattern) if not tf.io.gfile.isdir(path)]
        if not paths:
            raise FileNotFoundError(
                f"No file is {pattern!r}. Of a folder, take the files, such as 'texts/*.txt'"
            )
        found.update(paths)
    return [(path, tf.io.gfile.stat(path).length) for path in sorted(found)]


def plan_shards(
    files: Sequence[tuple[str, int]], documents: str, shard_bytes: int
) -> list[list[Piece]]:
    """Returns the pieces of each shard: about as many bytes of text in each.

    They follow from names and sizes alone, and so from nothing that differs between two runs.

    Args:
        files: With their sizes.
        documents: What a document is in a text file: `"file"` or `"line"`.
        shard_bytes: How many bytes a shard has at most, but for files that cannot be cut.
    """
    shards: list[list[Piece]] = [[]]
    size = 0
    for path, length in files:
        kind = kind_of(path, documents)
        step = shard_bytes if can_be_cut(kind) else max(length, 1)
        for start in range(0, length, step):
            piece = Piece(path, kind, start, min(start + step, length))
            if shards[-1] and size + piece.end - piece.start > shard_bytes:
                shards.append([])
                size = 0
            shards[-1].append(piece)
            size += piece.end - piece.start
    return shards if shards[-1] else []


def shard_name(index: int, count: int) -> str:
    """Returns the name of a shard's files, without their endings."""
    return f"shard-{index:05}-of-{count:05}"


def read_plan(directory: str) -> dict[str, Any] | None:
    """Returns what a directory was prepared by; `None` if nothing was."""
    path = tf.io.gfile.join(directory, PLAN)
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "r") as file:
        try:
            return json.loads(file.read())
        except ValueError as error:
            raise ValueError(f"{path} is no plan of `prepare_records`: {error}") from error


def vocabulary_digest(tokenizer: Tokenizer) -> str:
    """Returns what a vocabulary is known by: its pieces in their order."""
    return hashlib.sha256("\n".join(tokenizer._tokens()).encode()).hexdigest()

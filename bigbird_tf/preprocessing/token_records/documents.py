"""Documents of text files, JSON lines and TFRecords; what cannot be read is handed on as broken."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf

__all__ = ["DOCUMENTS", "Broken", "Piece", "can_be_cut", "kind_of", "read_documents"]

# What a document is in a text file.
DOCUMENTS = ("file", "line")
_JSON_LINES = (".jsonl", ".ndjson", ".json")
_RECORDS = (".tfrecord", ".tfrecords")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")


class Piece(NamedTuple):
    """A part of a file.

    Attributes:
        path: The file.
        kind: `"file"`, `"line"`, `"json"` or `"tfrecord"`.
        start, end: Its bytes. A line belongs to the piece in which it begins.
    """

    path: str
    kind: str
    start: int
    end: int


class Broken(NamedTuple):
    """What is no document.

    Attributes:
        place: The file, and where in it.
        reason: What is wrong with it.
    """

    place: str
    reason: str


def kind_of(path: str, documents: str) -> str:
    """Returns the kind of a file, by its name.

    Raises:
        ValueError: If it is compressed.
    """
    name = path.lower()
    if name.endswith(_COMPRESSED):
        raise ValueError(f"Compressed files are not read: decompress it first. Received: {path}")
    if name.endswith(_JSON_LINES):
        return "json"
    return "tfrecord" if name.endswith(_RECORDS) else documents


def can_be_cut(kind: str) -> bool:
    """Returns whether a file of a kind can be read from anywhere in it."""
    return kind in ("line", "json")


def read_documents(piece: Piece, field: str) -> Iterator[str | Broken]:
    """Reads the documents of a piece, in their order.

    Args:
        piece: Where.
        field: The name of the text in JSON lines and in the examples of TFRecords.

    Yields:
        A text, or a `Broken`.
    """
    try:
        if piece.kind == "tfrecord":
            for number, record in enumerate(_records(piece.path)):
                yield _text_of_example(record, field, f"{piece.path}, record {number}")
        elif piece.kind == "file":
            with tf.io.gfile.GFile(piece.path, "rb") as file:
                yield _decode(file.read(), piece.path)
        else:
            for start, line in _lines(piece):
                place = f"{piece.path}, byte {start}"
                if piece.kind == "line":
                    yield _decode(line.removesuffix(b"\n"), place)
                elif line.strip():
                    yield _text_of_json(line, field, place)
    except (tf.errors.OpError, OSError) as error:
        # Of what was read, all counts. A damaged record ends its file: where the next one would
        # begin, nobody knows.
        yield Broken(piece.path, getattr(error, "message", None) or str(error))


def _lines(piece: Piece) -> Iterator[tuple[int, bytes]]:
    """Returns the lines that begin within a piece, and where."""
    with tf.io.gfile.GFile(piece.path, "rb") as file:
        if piece.start:
            # The end of the line that begins before.
            file.seek(piece.start - 1)
            file.readline()
        # Asked for each time: a line comes without its carriage returns.
        while (start := file.tell()) < piece.end and (line := file.readline()):
            yield start, line


def _records(path: str) -> Iterator[bytes]:
    for record in tf.data.TFRecordDataset(path):
        yield record.numpy()


def _decode(text: bytes, place: str) -> str | Broken:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Broken(place, f"no UTF-8: {error.reason} at its byte {error.start}")


def _text_of_json(line: bytes, field: str, place: str) -> str | Broken:
    try:
        entry: Any = json.loads(line)
    except ValueError as error:
        return Broken(place, f"no JSON: {error}")
    except RecursionError:
        return Broken(place, "no JSON: nested too deeply")
    text = entry.get(field) if isinstance(entry, dict) else None
    if not isinstance(text, str):
        return Broken(place, f"no text in the field {field!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return Broken(place, f"half a surrogate pair in the field {field!r}")
    return text


def _text_of_example(record: bytes, field: str, place: str) -> str | Broken:
    example = tf.train.Example()
    try:
        example.ParseFromString(record)
    except Exception as error:  # of protobuf, whose class differs by its version
        return Broken(place, f"no `tf.train.Example`: {error}")
    values = example.features.feature[field].bytes_list.value
    if len(values) != 1:
        return Broken(place, f"{len(values)} texts in the feature {field!r}, not one")
    return _decode(values[0], place)

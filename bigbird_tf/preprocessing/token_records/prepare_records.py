"""`prepare_records`: texts into files of token ids, by several processes."""

import concurrent.futures
import hashlib
import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from bigbird_tf.config_checks import check_integer
from bigbird_tf.preprocessing.token_records.documents import DOCUMENTS, Piece
from bigbird_tf.preprocessing.token_records.packing import PACKINGS
from bigbird_tf.preprocessing.token_records.plan import (
    PLAN,
    check_part,
    find_files,
    plan_shards,
    read_plan,
    shard_name,
    vocabulary_digest,
)
from bigbird_tf.preprocessing.token_records.shard_writer import ShardWriter
from bigbird_tf.preprocessing.tokenizers import Tokenizer
from bigbird_tf.whole_files import write_whole

__all__ = ["Preparation", "prepare_records"]

MEBI = 2**20
TOKENIZER = "tokenizer"


class Preparation(NamedTuple):
    """What there is after `prepare_records`.

    Attributes:
        shards: How many files were written, now or before.
        documents: How many documents are in them.
        empty: How many had no text.
        broken: How many lines, records or files could not be read.
        sequences: How many records there are.
        tokens: How many ids are in them.
        told: What is wrong with the first broken ones.
    """

    shards: int = 0
    documents: int = 0
    empty: int = 0
    broken: int = 0
    sequences: int = 0
    tokens: int = 0
    told: tuple[str, ...] = ()

    def _with(self, counts: dict[str, Any]) -> "Preparation":
        numbers = {name: getattr(self, name) + counts[name] for name in self._fields[1:-1]}
        return Preparation(self.shards + 1, told=(*self.told, *counts["told"]), **numbers)


def prepare_records(
    files: str | Sequence[str],
    directory: str | os.PathLike,
    tokenizer: Tokenizer,
    *,
    length: int = 4096,
    packing: str = "joined",
    documents: str = "file",
    field: str = "text",
    shard_mebibytes: int = 64,
    processes: int = 1,
    part: tuple[int, int] = (0, 1),
    progress: Callable[[int, int, dict[str, Any]], None] | None = None,
) -> Preparation:
    """Writes texts as TFRecords of token ids, packed to a length, for `read_records`.

    Read are text files, JSON lines (`.jsonl`, `.ndjson`, `.json`) and TFRecords (`.tfrecord`,
    `.tfrecords`) of `tf.train.Example`, wherever `tf.io.gfile` reads, such as `gs://`. What cannot
    be read of them is counted, and the others go on.

    The files are the same in every run and with any number of processes. Called again after it was
    interrupted, it goes on with the shards that are not there yet.

    Args:
        files: A name or a glob, or several.
        directory: Where to write: a new or empty one, or one of an earlier call.
        tokenizer: A `Tokenizer`. It is saved beside the records, as `tokenizer`.
        length: The most ids of a record, special ones included.
        packing: `"joined"` joins documents with a separator between, and fills every record;
            `"sentences"` ends records at ends of sentences and documents.
        documents: What a document is in a text file: all of the `"file"`, or each `"line"`.
        field: The name of the text in JSON lines and TFRecords.
        shard_mebibytes: About how much text goes into a file. Files of whole documents, and
            TFRecords, are not divided among several.
        processes: How many work at the same time. With more than one, a script of yours needs
            `if __name__ == "__main__":`, as `multiprocessing` has it.
        part: Which part of the shards this call writes, and of how many parts: each machine of a
            cluster calls it with another number, from 0, and the other arguments alike.
        progress: Is called after each shard, and once before: how many there are, how many of
            them are done, and what was counted in the last one.

    Returns:
        A `Preparation`: what the shards of this part have together, which are all by default.

    Raises:
        FileNotFoundError: If a name or glob stands for no file.
        ValueError: If an argument is impossible, or the directory holds something else.

    Example:

    >>> prepared = prepare_records("texts/*.txt", "records", tokenizer, length=1024)
    >>> dataset = read_records("records", bb.MaskedLMPreprocessor(tokenizer, max_length=1024), 8)
    """
    _check(length, packing, documents, shard_mebibytes, processes)
    number, parts = check_part("part", part)
    directory = os.fspath(directory)
    found = find_files([files] if isinstance(files, str) else files)
    shards = plan_shards(found, documents, shard_mebibytes * MEBI)
    if not shards:
        raise ValueError("There is no text: all files are empty")
    with tempfile.TemporaryDirectory(prefix="tokenizer_") as folder:
        tokenizer.save_pretrained(folder)
        settings = {
            "files": [list(entry) for entry in found],
            "length": length,
            "packing": packing,
            "documents": documents,
            "field": field,
            "shard_mebibytes": shard_mebibytes,
            "tokenizer": _digest(folder),
            "vocabulary": vocabulary_digest(tokenizer),
            "shards": len(shards),
        }
        _begin(directory, settings, folder)
        own = [
            (shards[index], tf.io.gfile.join(directory, shard_name(index, len(shards))))
            for index in range(number, len(shards), parts)
        ]
        jobs, total = [], Preparation()
        for pieces, path in own:
            if not tf.io.gfile.exists(f"{path}.json"):
                jobs.append((pieces, path))
                continue
            with tf.io.gfile.GFile(f"{path}.json", "r") as file:
                total = total._with(json.loads(file.read()))
        if progress is not None:
            progress(len(own), total.shards, {})
        for counts in _write(jobs, folder, (length, packing, field), processes):
            total = total._with(counts)
            if progress is not None:
                progress(len(own), total.shards, counts)
    return total


def _check(length: Any, packing: Any, documents: Any, shard_mebibytes: Any, processes: Any) -> None:
    for name, value, least in (
        ("length", length, 3),
        ("shard_mebibytes", shard_mebibytes, 1),
        ("processes", processes, 1),
    ):
        check_integer(name, value, least)
    for name, value, possible in (
        ("packing", packing, PACKINGS),
        ("documents", documents, DOCUMENTS),
    ):
        if value not in possible:
            raise ValueError(
                f"`{name}` must be {' or '.join(map(repr, possible))}. Received: {name}={value!r}"
            )


def _digest(folder: str) -> str:
    """Returns what a tokenizer's files are known by."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _begin(directory: str, settings: dict[str, Any], tokenizer_folder: str) -> None:
    """Makes the directory, or finds that it is one of an earlier call with the same arguments."""
    # Looked at first: other machines may begin now, and write the plan before anything else.
    there = tf.io.gfile.listdir(directory) if tf.io.gfile.exists(directory) else []
    before = read_plan(directory)
    if before == settings:
        return
    if before is not None:
        different = sorted(name for name in settings if before.get(name) != settings[name])
        raise ValueError(
            f"{directory} was prepared, or begun, with another value of {', '.join(different)}: "
            "take the same arguments to go on, or another directory"
        )
    # What an interruption leaves, or another machine that begins. Stores write folders with `/`.
    begun = (TOKENIZER, f"{TOKENIZER}/")
    if any(name not in begun and not name.startswith(f".{PLAN}.") for name in there):
        raise ValueError(f"`directory` must be new or empty. Received: directory={directory!r}")
    target = tf.io.gfile.join(directory, TOKENIZER)
    tf.io.gfile.makedirs(target)
    for path in Path(tokenizer_folder).iterdir():
        tf.io.gfile.copy(str(path), tf.io.gfile.join(target, path.name), overwrite=True)
    write_whole(tf.io.gfile.join(directory, PLAN), json.dumps(settings))


def _write(
    jobs: list[tuple[list[Piece], str]], folder: str, settings: tuple, processes: int
) -> Iterator[dict[str, Any]]:
    """Writes shards; returns what was counted in each, as they get done."""
    if processes == 1 or len(jobs) < 2:
        writer = ShardWriter(Tokenizer.from_pretrained(folder), *settings)
        for pieces, path in jobs:
            yield writer.write(pieces, path)
        return
    others = {*multiprocessing.active_children()}
    executor = concurrent.futures.ProcessPoolExecutor(
        min(processes, len(jobs)),
        # TensorFlow does not survive a fork.
        multiprocessing.get_context("spawn"),
        _prepare_process,
        (folder, settings),
    )
    try:
        futures = [executor.submit(_write_in_process, *job) for job in jobs]
        for future in concurrent.futures.as_completed(futures):
            yield future.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise OSError(
            "One of the processes ended, perhaps for lack of memory. Call it again to go on; fewer "
            "`processes` need less memory"
        ) from error
    finally:
        # After an interruption too: nothing is lost but shards that are half written.
        executor.shutdown(wait=False, cancel_futures=True)
        for process in {*multiprocessing.active_children()} - others:
            process.terminate()
            process.join()


_writer: ShardWriter | None = None


def _prepare_process(folder: str, settings: tuple) -> None:
    global _writer
    # Ctrl-C reaches all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    tf.config.set_visible_devices([], "GPU")
    # Each works on a shard of its own.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _writer = ShardWriter(Tokenizer.from_pretrained(folder), *settings)


def _write_in_process(pieces: list[Piece], path: str) -> dict[str, Any]:
    assert _writer is not None
    return _writer.write(pieces, path)

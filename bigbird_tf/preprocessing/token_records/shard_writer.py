"""`ShardWriter`: documents of some pieces into one file of token ids."""

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from bigbird_tf.preprocessing.token_records.documents import Broken, Piece, read_documents
from bigbird_tf.preprocessing.token_records.packing import cut_at_sentences, join_documents
from bigbird_tf.preprocessing.tokenizers import Tokenizer
from bigbird_tf.whole_files import write_whole

__all__ = ["FEATURE", "ShardWriter"]

FEATURE = "input_ids"
# Characters that are tokenized at a time: more takes memory, and is no faster.
STRETCH = 100_000
BATCH = 1_000_000
# Of what is broken, so many a shard are told.
TOLD = 5


class ShardWriter:
    """Writes the documents of pieces as records, and counts.

    Args:
        tokenizer: A `Tokenizer`.
        length: The most ids of a record, special ones included.
        packing: `"joined"` or `"sentences"`.
        field: The name of texts in JSON lines and TFRecords.
    """

    def __init__(self, tokenizer: Tokenizer, length: int, packing: str, field: str):
        self.tokenizer = tokenizer
        self.room = length - 2
        self.packing = packing
        self.field = field
        self.breaker = tf_text.StateBasedSentenceBreaker()

    def write(self, pieces: Iterable[Piece], path: str) -> dict[str, Any]:
        """Writes a shard: `path.tfrecord`, and then `path.json`, which says that it is whole.

        Returns:
            What was counted: `documents`, `empty`, `broken`, `sequences`, `tokens`; and `told`, the
            first broken ones.
        """
        self.counts: dict[str, Any] = dict.fromkeys(
            ("documents", "empty", "broken", "sequences", "tokens"), 0
        )
        self.counts["told"] = []
        partial = f"{path}.tfrecord.partial"
        with tf.io.TFRecordWriter(partial) as writer:
            for row in self._rows(pieces):
                ids = [self.tokenizer.cls_token_id, *row, self.tokenizer.sep_token_id]
                values = tf.train.Feature(int64_list=tf.train.Int64List(value=ids))
                features = tf.train.Features(feature={FEATURE: values})
                writer.write(tf.train.Example(features=features).SerializeToString())
                self.counts["sequences"] += 1
                self.counts["tokens"] += len(ids)
        tf.io.gfile.rename(partial, f"{path}.tfrecord", overwrite=True)
        write_whole(f"{path}.json", json.dumps(self.counts))
        return self.counts

    def _rows(self, pieces: Iterable[Piece]) -> Iterator[list[int]]:
        texts = self._texts(pieces)
        if self.packing == "sentences":
            return cut_at_sentences(self._ids(texts, self._sentences), self.room)
        documents = map(itertools.chain.from_iterable, self._ids(texts, _stretches))
        return join_documents(map(list, documents), self.room, self.tokenizer.sep_token_id)

    def _texts(self, pieces: Iterable[Piece]) -> Iterator[str]:
        for document in itertools.chain.from_iterable(
            read_documents(piece, self.field) for piece in pieces
        ):
            if isinstance(document, Broken):
                self.counts["broken"] += 1
                if len(self.counts["told"]) < TOLD:
                    self.counts["told"].append(f"{document.place}: {document.reason}")
            elif document.strip():
                self.counts["documents"] += 1
                yield document
            else:
                self.counts["empty"] += 1

    def _ids(self, texts: Iterator[str], cut: Any) -> Iterator[list[list[int]]]:
        """Returns the ids of each part that texts are cut into, many parts tokenized at a time."""
        for batch in _batches(texts):
            parts = cut(batch)
            flat = [part for of_text in parts for part in of_text]
            ragged = self.tokenizer.tokenize(tf.constant(flat, tf.string))
            values, splits = ragged.flat_values.numpy().tolist(), ragged.row_splits.numpy().tolist()
            ids = iter([values[i:j] for i, j in itertools.pairwise(splits)])
            yield from (list(itertools.islice(ids, len(of_text))) for of_text in parts)

    def _sentences(self, texts: list[str]) -> list[list[str]]:
        stretches = _stretches(texts)
        flat = tf.constant([part for of_text in stretches for part in of_text], tf.string)
        sentences = iter(self.breaker.break_sentences(flat).to_list())
        return [
            [part.decode() for _ in of_text for part in next(sentences)] for of_text in stretches
        ]


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _stretches(texts: list[str]) -> list[list[str]]:
    """Cuts long texts where there is a space."""
    return [list(_cut(text)) for text in texts]


def _cut(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > STRETCH:
        end = max(text.rfind(space, start + 1, start + STRETCH) for space in (" ", "\n"))
        end = end if end > start else start + STRETCH
        yield text[start:end]
        start = end
    yield text[start:]

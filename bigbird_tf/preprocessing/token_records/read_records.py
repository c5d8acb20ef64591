"""`read_records`: batches of a masked language model, masked afresh each time."""

import json
import os
from typing import Any

import tensorflow as tf

from bigbird_tf.config_checks import check_integer
from bigbird_tf.preprocessing.masked_lm_preprocessor import MaskedLMPreprocessor
from bigbird_tf.preprocessing.token_records.plan import (
    PLAN,
    check_part,
    read_plan,
    shard_name,
    vocabulary_digest,
)
from bigbird_tf.preprocessing.token_records.shard_writer import FEATURE

__all__ = ["read_records"]

# Files that are read at a time, and records of one before the next.
CYCLE, BLOCK = 16, 4


def read_records(
    directory: str | os.PathLike,
    preprocessor: MaskedLMPreprocessor,
    batch_size: int,
    *,
    training: bool = True,
    shuffle_buffer: int = 4096,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Reads what `prepare_records` wrote, as batches of which a `BigBirdForMaskedLM` learns.

    In training they come without end, in another order each epoch, and with other words hidden:
    `fit` needs `steps_per_epoch`. Else each record comes once, with the same words hidden in every
    run, and the last batch is filled up with examples of weight 0: so shapes are static as in
    training, and nothing is left out.

    Args:
        directory: Of the records.
        preprocessor: Hides the words. With `padding="max_length"` all shapes are the same, with
            `padding="longest"` and `pad_to_multiple_of` there are a few.
        batch_size: Records in a batch, of this host.
        training: Whether to repeat, shuffle and hide other words each time.
        shuffle_buffer: Records that the next one is drawn from.
        seed: Of the order.
        shard: Which part of the records is read, and of how many: a host's number and the number
            of hosts, from 0. Parts are whole files if there are enough of them.

    Returns:
        A `tf.data.Dataset` of `(x, y, sample_weight)`, as the preprocessor has them.

    Raises:
        FileNotFoundError: If the directory holds no records, or not all of them yet.
        ValueError: If an argument is impossible, or the records are longer than the preprocessor's
            `max_length`, or of another vocabulary.
    """
    for name, value in (("batch_size", batch_size), ("shuffle_buffer", shuffle_buffer)):
        check_integer(name, value, 1)
    index, count = check_part("shard", shard)
    counts = _count_records(os.fspath(directory), preprocessor)
    takes_files = len(counts) >= count
    files = list(counts)[index::count] if takes_files else list(counts)
    number = sum(counts[file] for file in files)
    if not takes_files:
        number = len(range(index, number, count))
    names = tf.data.Dataset.from_tensor_slices(files)
    if training:
        names = names.shuffle(len(files), seed)
    records = names.interleave(
        tf.data.TFRecordDataset,
        cycle_length=min(CYCLE, len(files)),
        block_length=BLOCK,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    if not takes_files:
        records = records.shard(count, index)
    if training:
        records = records.shuffle(shuffle_buffer, seed).repeat()
        numbered = tf.data.Dataset.zip(records, tf.data.Dataset.counter())
    else:
        numbered = records.map(lambda record: (record, tf.zeros((), tf.int64)))

    def mask(record: tf.Tensor, draw: tf.Tensor) -> Any:
        features = {FEATURE: tf.io.RaggedFeature(tf.int64)}
        ids = tf.cast(tf.io.parse_example(record, features)[FEATURE], tf.int32)
        batch = preprocessor.mask_ids(ids, record, draw)
        return batch if training else tf.nest.map_structure(fill, batch)

    def fill(tensor: tf.Tensor) -> tf.Tensor:
        missing = batch_size - tf.shape(tensor)[0]
        filled = tf.pad(tensor, [[0, missing], *[[0, 0]] * (tensor.shape.rank - 1)])
        return tf.ensure_shape(filled, [batch_size, *tensor.shape[1:]])

    batches = numbered.batch(batch_size, drop_remainder=training)
    batches = batches.map(mask, num_parallel_calls=tf.data.AUTOTUNE)
    if not training:
        # TensorFlow cannot know, and Keras 3.15 warns of data that end without having said when.
        known = tf.data.experimental.assert_cardinality(-(-number // batch_size))
        batches = batches.apply(known)
    return batches.prefetch(tf.data.AUTOTUNE)


def _count_records(directory: str, preprocessor: MaskedLMPreprocessor) -> dict[str, int]:
    """Returns how many records each file has; all files must be there and fit."""
    plan = read_plan(directory)
    if plan is None:
        raise FileNotFoundError(
            f"No records of `prepare_records` or `bigbird-tf prepare` in {directory}: there is no "
            f"{PLAN}"
        )
    names = [shard_name(number, plan["shards"]) for number in range(plan["shards"])]
    paths = [tf.io.gfile.join(directory, name) for name in names]
    missing = sum(not tf.io.gfile.exists(f"{path}.json") for path in paths)
    if missing:
        raise FileNotFoundError(
            f"{missing} of {len(paths)} files of {directory} are not written yet: call "
            "`prepare_records`, or `bigbird-tf prepare`, with the same arguments to go on"
        )
    if plan["length"] > preprocessor.max_length:
        raise ValueError(
            f"The records of {directory} have up to {plan['length']} ids: `max_length` of the "
            f"preprocessor must be that at least. Received: max_length={preprocessor.max_length}"
        )
    if plan["vocabulary"] != vocabulary_digest(preprocessor.tokenizer):
        raise ValueError(
            f"The ids of {directory} are of another vocabulary than the preprocessor's: take the "
            "tokenizer that lies beside the records, `Tokenizer.from_pretrained("
            f"{tf.io.gfile.join(directory, 'tokenizer')!r})`"
        )
    counts = {}
    for path in paths:
        with tf.io.gfile.GFile(f"{path}.json", "r") as file:
            counts[f"{path}.tfrecord"] = json.loads(file.read())["sequences"]
    return counts

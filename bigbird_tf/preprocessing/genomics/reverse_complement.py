"""`reverse_complement`: the other strand of sequences, in the graph."""

from typing import Any

import tensorflow as tf

from bigbird_tf.preprocessing.text_input import to_batch
from bigbird_tf.preprocessing.tokenizers.dna_letters import COMPLEMENTS, check_letters, to_strings

__all__ = ["reverse_complement"]


def reverse_complement(sequences: Any, rate: float = 1.0, seed: int | None = None) -> tf.Tensor:
    """Returns the other strand of sequences, read in its own direction; as augmentation of some.

    Letters are those that `DnaTokenizer` takes. IUPAC's letters for several bases have their
    complements, too, and small letters stay small; U becomes A, and A becomes T.

    Args:
        sequences: One string or a batch of shape (B,): `str`, `bytes`, a list, an array, a tensor.
        rate: Which share of the sequences is turned, at random and anew at each call; the others
            stay as they are.
        seed: Of the random choice.

    Returns:
        Strings of the same shape.

    Raises:
        TypeError: If they are not strings.
        ValueError: If `rate` is not in [0, 1].
        tf.errors.InvalidArgumentError: If a sequence has another letter.

    Example:

    >>> dataset = dataset.map(lambda x, y: (reverse_complement(x, rate=0.5), y))
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ValueError(f"`rate` must be in [0, 1]. Received: rate={rate!r}")
    batch, is_scalar = to_batch("sequences", sequences)
    lengths = tf.strings.length(batch)
    data = tf.io.decode_raw(tf.strings.reduce_join(batch), tf.uint8)
    complement = tf.gather(COMPLEMENTS, tf.cast(data, tf.int32))
    with tf.control_dependencies([check_letters(data, complement, lengths)]):
        ends = tf.cumsum(lengths)
        row = tf.repeat(tf.range(tf.shape(lengths)[0]), lengths)
        mirrored = tf.gather(2 * ends - lengths - 1, row) - tf.range(tf.shape(data)[0])
        turned = to_strings(tf.gather(complement, mirrored), lengths)
    if rate < 1:
        turned = tf.where(tf.random.uniform(tf.shape(batch), seed=seed) < rate, turned, batch)
    return turned[0] if is_scalar else turned

"""Whole words of pieces, chosen at random and hidden, for masked language modelling.

Letters: B batch, T length, K places for masked pieces, V vocabulary.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bigbird_tf.preprocessing.tokenizers import Tokenizer

__all__ = ["MaskingRates", "MaskingVocabulary", "check_masking_rates", "draw_uniform", "mask_words"]

# Scripts without spaces would otherwise have words of a whole sentence, chosen all or not at all.
LONGEST_WORD = 10


class MaskingRates(NamedTuple):
    """How much is hidden, and behind what.

    Attributes:
        selection: The share of a row's pieces that are to be predicted.
        mask: The share of those that `[MASK]` takes the place of.
        random: The share that a random piece takes the place of; the others stay as they are.
    """

    selection: float
    mask: float
    random: float


class MaskingVocabulary(NamedTuple):
    """What masking has to know of a vocabulary.

    Attributes:
        mask_token_id: The id of `[MASK]`.
        is_special: Whether a piece is never chosen; bool of shape (V,).
        begins_word: Whether a word begins with a piece; bool of shape (V,).
        ordinary_ids: The ids that a random piece is drawn from; int32.
    """

    mask_token_id: int
    is_special: np.ndarray
    begins_word: np.ndarray
    ordinary_ids: np.ndarray

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "MaskingVocabulary":
        """Looks through a tokenizer's pieces.

        Raises:
            ValueError: If the vocabulary has no `[MASK]`.
        """
        if tokenizer.mask_token_id is None:
            raise ValueError(
                "`tokenizer` has no piece '[MASK]', which masked language modelling needs."
            )
        is_special = np.zeros(tokenizer.vocab_size, bool)
        is_special[tokenizer.all_special_ids] = True
        return cls(
            tokenizer.mask_token_id,
            is_special,
            tokenizer.begins_word,
            np.flatnonzero(~is_special).astype(np.int32),
        )


def check_masking_rates(rates: MaskingRates) -> None:
    """Raises a `ValueError` that names the first impossible rate."""
    for name, value in zip(
        ("mask_rate", "mask_token_rate", "random_token_rate"), rates, strict=True
    ):
        if not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ValueError(f"`{name}` must be in [0, 1]. Received: {name}={value!r}")
    if rates.mask + rates.random > 1:
        raise ValueError(
            "`mask_token_rate` and `random_token_rate` must be at most 1 together. Received: "
            f"mask_token_rate={rates.mask}, random_token_rate={rates.random}"
        )


def draw_uniform(text: tf.Tensor, draw: Any, seed: int, shape: list[Any]) -> tf.Tensor:
    """Draws numbers in [0, 1) for each text, the same ones wherever and whenever it is called.

    They depend on the text itself, `draw` and `seed`, and not on a generator's state: so they do
    not change with the batch a text is in, the order of parallel maps, or the process.

    Args:
        text: Strings of shape (B,).
        draw: An integer, or integers of shape (B,): another draw gives other numbers.
        seed: An integer.
        shape: Of the numbers for one text.

    Returns:
        float32 of shape (B, *shape).
    """
    text_hash = tf.strings.to_hash_bucket_fast(text, 2**62)
    draw = tf.broadcast_to(tf.cast(draw, tf.int64), tf.shape(text_hash))
    # Far apart, so that no seed with one draw is another seed with another.
    seeds = tf.stack([text_hash, draw + seed * 2**40], axis=-1)
    # One row more, since a loop over none does not know its results' shape.
    numbers = _draw_rows(tf.pad(seeds, [[0, 1], [0, 0]]), tf.stack(shape))
    return tf.reshape(numbers[:-1], [tf.shape(text)[0], *shape])


@tf.function(
    input_signature=[tf.TensorSpec([None, 2], tf.int64), tf.TensorSpec([None], tf.int32)],
)
def _draw_rows(seeds: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    # A function of its own, since eagerly the loop would be one in Python.
    return tf.map_fn(
        lambda pair: tf.random.stateless_uniform(shape, pair),
        seeds,
        fn_output_signature=tf.TensorSpec(None, tf.float32),
    )


def mask_words(
    ids: tf.Tensor,
    uniform: tf.Tensor,
    vocabulary: MaskingVocabulary,
    rates: MaskingRates,
    max_masked: int,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Chooses whole words and hides their pieces.

    Words are taken in random order until the share of pieces is reached; the last one may go
    beyond it, but never beyond `max_masked`. Each piece of a chosen word is hidden on its own
    terms, as in BERT: by `[MASK]`, by a random piece, or not at all. What a word is, `begins_word`
    says ("▁" in SentencePiece); special pieces are none and are never chosen. What is longer than
    10 pieces without a space counts as several words.

    Args:
        ids: int32 ids of shape (B, T).
        uniform: Random numbers in [0, 1), float32 of shape (B, T, 3): to order words by, to decide
            between the three ways of hiding, to choose random pieces.
        vocabulary: What there is to know of the pieces.
        rates: How much is hidden.
        max_masked: K.

    Returns:
        The ids with words hidden, of shape (B, T), and a dict of tensors of shape (B, K):
        `masked_positions` and `masked_ids`, int32, and `masked_weights`, float32; ascending, and 0
        in places that are not needed.
    """
    length = tf.shape(ids)[1]
    is_special = tf.gather(vocabulary.is_special, ids)
    word = _word_of_piece(ids, is_special, vocabulary)
    pieces_of_word = _count_in_words(word, tf.cast(~is_special, tf.int32))
    total = tf.reduce_sum(pieces_of_word, axis=1, keepdims=True)
    wanted = tf.cast(tf.round(rates.selection * tf.cast(total, tf.float32)), tf.int32)
    if rates.selection > 0:
        wanted = tf.maximum(wanted, tf.minimum(total, 1))

    order = tf.argsort(tf.where(pieces_of_word > 0, uniform[..., 0], 2.0), axis=1)
    ordered_pieces = tf.gather(pieces_of_word, order, batch_dims=1)
    until = tf.cumsum(ordered_pieces, axis=1)
    chosen_in_order = (until - ordered_pieces < wanted) & (until <= max_masked)
    chosen_words = tf.gather(chosen_in_order, tf.argsort(order, axis=1), batch_dims=1)
    chosen = tf.gather(chosen_words, word, batch_dims=1) & ~is_special

    # The earliest positions score highest.
    score = tf.where(chosen, length - tf.range(length), 0)
    score = tf.pad(score, [[0, 0], [0, max_masked]])
    score, positions = tf.math.top_k(score, max_masked)
    is_used = score > 0
    positions = tf.where(is_used, positions, 0)
    masked = {
        "masked_positions": positions,
        "masked_ids": tf.where(is_used, tf.gather(ids, positions, batch_dims=1), 0),
        "masked_weights": tf.cast(is_used, tf.float32),
    }

    number = len(vocabulary.ordinary_ids)
    choice = tf.cast(uniform[..., 2] * number, tf.int32)
    random_ids = tf.gather(vocabulary.ordinary_ids, tf.minimum(choice, number - 1))
    way = uniform[..., 1]
    hidden = tf.where(way < rates.mask + rates.random, random_ids, ids)
    hidden = tf.where(way < rates.mask, vocabulary.mask_token_id, hidden)
    return tf.where(chosen, hidden, ids), masked


def _word_of_piece(
    ids: tf.Tensor, is_special: tf.Tensor, vocabulary: MaskingVocabulary
) -> tf.Tensor:
    """Numbers the words of each row, special pieces as words of their own; int32 (B, T)."""
    behind_special = tf.pad(is_special[:, :-1], [[0, 0], [1, 0]], constant_values=True)
    begins = tf.gather(vocabulary.begins_word, ids) | is_special | behind_special
    word = tf.cumsum(tf.cast(begins, tf.int32), axis=1) - 1
    before = tf.cumsum(_count_in_words(word, tf.ones_like(word)), axis=1, exclusive=True)
    place = tf.range(tf.shape(ids)[1]) - tf.gather(before, word, batch_dims=1)
    begins |= place % LONGEST_WORD == 0
    return tf.cumsum(tf.cast(begins, tf.int32), axis=1) - 1


def _count_in_words(word: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """Sums `counts` (B, T) over the pieces of each word; column w is of word w."""
    shape = tf.shape(word)
    flat_word = word + shape[1] * tf.range(shape[0])[:, tf.newaxis]
    sums = tf.math.unsorted_segment_sum(
        tf.reshape(counts, [-1]), tf.reshape(flat_word, [-1]), shape[0] * shape[1]
    )
    return tf.reshape(sums, shape)

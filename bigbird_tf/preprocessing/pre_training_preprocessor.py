"""`PreTrainingPreprocessor`: pairs of segments with hidden words, for `BigBirdForPreTraining`."""

from typing import Any

import keras
import tensorflow as tf

from bigbird_tf.preprocessing.masking import draw_uniform
from bigbird_tf.preprocessing.masking_preprocessor import MaskingPreprocessor
from bigbird_tf.preprocessing.packing import keep_range
from bigbird_tf.preprocessing.text_input import first_of_batch, to_batch
from bigbird_tf.preprocessing.tokenizers import Tokenizer

__all__ = ["PreTrainingPreprocessor"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class PreTrainingPreprocessor(MaskingPreprocessor):
    """Makes pairs of segments out of documents, and hides words of both (Devlin et al., 2019).

    A stretch of a document that fills an input is cut in two at a random place. The second part
    stays (label 0, "follows"), or as much of another document takes its place (label 1). Documents
    longer than the input begin at a random place, shorter ones at their first piece.

    The other documents come from a second input, so that an example does not depend on its batch:
    zip the documents with a shuffled copy of them. As with `MaskedLMPreprocessor`, all is decided
    by the two texts, `seed` and `draw`.

    Args:
        tokenizer: A `Tokenizer` whose vocabulary has `[MASK]`.
        max_length: The most pieces of an input, special ones included.
        padding: `"max_length"` or `"longest"`.
        pad_to_multiple_of: With `"longest"`, the step of the lengths.
        mask_rate: The share of pieces to choose.
        mask_token_rate: The share of chosen pieces that `[MASK]` takes the place of.
        random_token_rate: The share of chosen pieces that a random piece takes the place of.
        max_masked: K, the most chosen pieces of an input; `mask_rate` of `max_length` by default.
        seed: An integer in [0, 2**22).
        other_rate: The share of pairs whose second segment is from another document.
        **kwargs: `name` and the like, as for every Keras layer.

    Raises:
        ValueError: If a rate or `max_masked` is impossible, or the vocabulary has no `[MASK]`.

    Example:

    >>> preprocessor = PreTrainingPreprocessor(tokenizer, max_length=1024)
    >>> pairs = tf.data.Dataset.zip(documents, documents.shuffle(10_000, seed=3))
    >>> model.fit(pairs.batch(4).map(preprocessor))
    """

    num_special = 3

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int = 4096,
        padding: str = "max_length",
        pad_to_multiple_of: int | None = None,
        mask_rate: float = 0.15,
        mask_token_rate: float = 0.8,
        random_token_rate: float = 0.1,
        max_masked: int | None = None,
        seed: int = 0,
        other_rate: float = 0.5,
        **kwargs: Any,
    ):
        super().__init__(
            tokenizer,
            max_length,
            padding,
            pad_to_multiple_of,
            mask_rate,
            mask_token_rate,
            random_token_rate,
            max_masked,
            seed,
            **kwargs,
        )
        if not isinstance(other_rate, (int, float)) or not 0 <= other_rate <= 1:
            raise ValueError(f"`other_rate` must be in [0, 1]. Received: other_rate={other_rate!r}")
        self.other_rate = other_rate

    def call(self, document: Any, other_document: Any, draw: Any = 0) -> Any:
        """Makes a model's input, and the targets and weights of both heads.

        Args:
            document: A string or a batch of shape (B,).
            other_document: Another document to each, of the same shape.
            draw: An integer, or one for each document: another one makes other choices.

        Returns:
            `(x, y, sample_weight)`. `x` is a dict of int32 tensors: `input_ids`, `attention_mask`,
            `token_type_ids` of shape (B, T), and `masked_positions` of shape (B, K). `y` is a dict
            of int32 tensors: `prediction_logits` of shape (B, K), the hidden pieces, and
            `seq_relationship_logits` of shape (B,), 0 for a segment that follows and 1 for one of
            another document. `sample_weight` has float32 of the same keys and shapes. One string
            gives the same without B.

        Raises:
            TypeError: If documents are not strings.
            ValueError: If documents are of rank 2 or more, or not of one shape.
        """
        document, is_scalar = to_batch("document", document)
        other, other_is_scalar = to_batch("other_document", other_document)
        if is_scalar != other_is_scalar or not document.shape.is_compatible_with(other.shape):
            raise ValueError(
                "`document` and `other_document` must be two strings or two batches of one size. "
                f"Received: shapes {document.shape[is_scalar:]} and {other.shape[other_is_scalar:]}"
            )
        # A separator, so that no two pairs of documents are one text.
        both = tf.strings.join([document, other], separator="\x1d")
        # A draw of its own beside those of the masks.
        numbers = draw_uniform(tf.strings.join(["segments", both]), draw, self.seed, [4])
        first, second, is_other = self._segments(document, other, numbers)
        x, masked_ids, masked_weights = self._mask(self._pack(first, second), both, draw)
        result = (
            x,
            {"prediction_logits": masked_ids, "seq_relationship_logits": is_other},
            {
                "prediction_logits": masked_weights,
                "seq_relationship_logits": tf.ones_like(is_other, tf.float32),
            },
        )
        return first_of_batch(result) if is_scalar else result

    def _segments(
        self, document: tf.Tensor, other: tf.Tensor, numbers: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.Tensor]:
        """Cuts the two segments of each pair, by random numbers of shape (B, 4)."""
        room = self.max_length - self.num_special
        ids, other_ids = self.tokenizer.tokenize(document), self.tokenizer.tokenize(other)
        length, other_length = (
            tf.cast(value.row_lengths(), tf.int32) for value in (ids, other_ids)
        )
        stretch = tf.minimum(length, room)
        begin = self._to_word(ids, _up_to(length - stretch, numbers[:, 0]))
        # Both segments have a piece at least, where there are two.
        first_length = tf.minimum(1 + _up_to(stretch - 2, numbers[:, 1]), stretch)
        to_word = self._to_word(ids, begin + first_length) - begin
        first_length = tf.where(to_word > 0, to_word, first_length)
        is_other = numbers[:, 2] < self.other_rate
        other_stretch = tf.minimum(other_length, room - first_length)
        other_begin = self._to_word(other_ids, _up_to(other_length - other_stretch, numbers[:, 3]))

        first = keep_range(ids, begin, first_length)
        following = keep_range(
            ids, begin + first_length, tf.where(is_other, 0, stretch - first_length)
        )
        another = keep_range(other_ids, other_begin, tf.where(is_other, other_stretch, 0))
        # One of the two is empty.
        second = tf.concat([following, another], axis=1)
        return first, second, tf.cast(is_other, tf.int32)

    def _to_word(self, ids: tf.RaggedTensor, positions: tf.Tensor) -> tf.Tensor:
        """Moves positions (B,) in rows of pieces back to where their words begin."""
        rows = ids.value_rowids()
        place = tf.cast(tf.ragged.range(ids.row_lengths()).flat_values, tf.int32)
        begins = tf.gather(self._vocabulary().begins_word, ids.flat_values)
        is_candidate = begins & (place <= tf.gather(positions, rows))
        last = tf.math.unsorted_segment_max(tf.where(is_candidate, place, 0), rows, ids.nrows())
        return tf.maximum(last, 0)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "other_rate": self.other_rate}


def _up_to(most: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Chooses whole numbers from 0 to `most`, both included, and 0 where it is negative."""
    most = tf.maximum(most, 0)
    chosen = tf.cast(uniform * tf.cast(most + 1, tf.float32), tf.int32)
    return tf.minimum(chosen, most)

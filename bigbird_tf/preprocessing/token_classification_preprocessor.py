"""`TokenClassificationPreprocessor`: words and their labels for token classification."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from bigbird_tf.preprocessing.labels import check_label_names, holds_strings, label_ids
from bigbird_tf.preprocessing.packing import align_with_pieces
from bigbird_tf.preprocessing.preprocessor import Preprocessor
from bigbird_tf.preprocessing.text_input import first_of_batch, to_integer_tensor, to_ragged_strings
from bigbird_tf.preprocessing.tokenizers import Tokenizer

__all__ = ["TokenClassificationPreprocessor"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class TokenClassificationPreprocessor(Preprocessor):
    """Turns words and their labels into what `BigBirdForTokenClassification` is trained on.

    A word's label goes to its first piece; its other pieces, special pieces and padding weigh 0.
    Words beyond `max_length` are cut off, with their labels.

    Args:
        tokenizer: A `Tokenizer`.
        max_length: The most pieces of an input, special ones included.
        padding: `"max_length"` or `"longest"`.
        pad_to_multiple_of: With `"longest"`, the step of the lengths.
        labels: The labels' names, in the order of the model's outputs, if labels come as strings.
        **kwargs: `name` and the like, as for every Keras layer.

    Example:

    >>> preprocessor = TokenClassificationPreprocessor(tokenizer, labels=["O", "PLACE"])
    >>> x, y, sample_weight = preprocessor(["In", "Zürich"], ["O", "PLACE"])
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int = 4096,
        padding: str = "max_length",
        pad_to_multiple_of: int | None = None,
        labels: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(tokenizer, max_length, padding, pad_to_multiple_of, **kwargs)
        self.labels = check_label_names(labels)

    def call(self, words: Any, label: Any = None) -> Any:
        """Makes a model's input, with labels and weights for its pieces where labels are given.

        Args:
            words: One text's words, of shape (N,), or those of a batch, of shape (B, N): lists, a
                ragged tensor, or a tensor filled up with `""`. A word without pieces, as `""` is,
                has no label.
            label: Of each word, in the same shape: class ids, of which negative ones (-100, say)
                weigh 0; or names from `labels`, of which `""` weighs 0.

        Returns:
            `x`, or `(x, y, sample_weight)`. `x` is a dict of int32 tensors of shape (B, T):
            `input_ids`, `attention_mask`, `token_type_ids`. `y` is int32 and `sample_weight`
            float32, of the same shape. The words of one text give the same without B.

        Raises:
            TypeError: If words are not strings.
            ValueError: If words are of another rank than 1 or 2, or a label is a string and
                `labels` was not given.
            tf.errors.InvalidArgumentError: If there are not as many labels as words, or a label is
                none of `labels`.
        """
        words, is_scalar = to_ragged_strings("words", words)
        ids = self.tokenizer.tokenize(words)
        x = self._pack(ids.merge_dims(1, 2))
        if label is None:
            return first_of_batch(x) if is_scalar else x
        labels = self._label_ids(label, words, is_scalar)
        pieces_of_word = ids.values.row_lengths()
        labels = tf.repeat(labels.flat_values, pieces_of_word)
        is_first = tf.ragged.range(pieces_of_word).flat_values == 0
        counts = is_first & (labels >= 0)
        pieces = ids.merge_dims(1, 2)
        length = tf.shape(x["input_ids"])[1]
        static_length = x["input_ids"].shape[1]
        y, sample_weight = (
            align_with_pieces(
                pieces.with_flat_values(value), self.max_length, length, static_length
            )
            for value in (tf.where(counts, labels, 0), tf.cast(counts, tf.float32))
        )
        result = (x, y, sample_weight)
        return first_of_batch(result) if is_scalar else result

    def _label_ids(self, label: Any, words: tf.RaggedTensor, is_scalar: bool) -> tf.RaggedTensor:
        """Returns int32 class ids in the ragged shape of the words, -1 where there is none."""
        if holds_strings(label):
            label = label_ids(label, self.labels, optional=True)
        else:
            label = to_integer_tensor("label", label)
        rank = 1 if is_scalar else 2
        if label.shape.rank != rank:
            raise ValueError(
                "`label` must have the shape of `words`. Received: label of shape "
                f"{label.shape} for {'the words of one text' if is_scalar else 'a batch'}"
            )
        if is_scalar:
            label = label[tf.newaxis]
        if not isinstance(label, tf.RaggedTensor):
            label = tf.RaggedTensor.from_tensor(label)
        same = tf.debugging.assert_equal(
            tf.cast(label.row_splits, tf.int64),
            tf.cast(words.row_splits, tf.int64),
            message="`label` must have one label for each of `words`.",
        )
        with tf.control_dependencies([] if same is None else [same]):
            return label.with_flat_values(tf.identity(label.flat_values))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "labels": self.labels}

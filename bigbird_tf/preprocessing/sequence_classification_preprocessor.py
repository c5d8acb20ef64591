"""`SequenceClassificationPreprocessor`: texts and labels for `BigBirdForSequenceClassification`."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from bigbird_tf.preprocessing.labels import check_label_names, holds_strings, label_ids
from bigbird_tf.preprocessing.preprocessor import Preprocessor
from bigbird_tf.preprocessing.text_input import (
    first_of_batch,
    split_pairs,
    to_batch,
    to_string_tensor,
)
from bigbird_tf.preprocessing.tokenizers import Tokenizer

__all__ = ["SequenceClassificationPreprocessor"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class SequenceClassificationPreprocessor(Preprocessor):
    """Turns texts, or pairs of texts, and labels into what `model.fit` takes.

    Args:
        tokenizer: A `Tokenizer`.
        max_length: The most pieces of an input, special ones included.
        padding: `"max_length"` or `"longest"`.
        pad_to_multiple_of: With `"longest"`, the step of the lengths.
        labels: The labels' names, in the order of the model's outputs, if labels come as strings.
        **kwargs: `name` and the like, as for every Keras layer.

    Example:

    >>> preprocessor = SequenceClassificationPreprocessor(tokenizer, max_length=1024)
    >>> dataset = tf.data.Dataset.from_tensor_slices((texts, labels))
    >>> model.fit(dataset.batch(4).map(preprocessor))
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

    def call(self, text: Any, label: Any = None, sample_weight: Any = None) -> Any:
        """Makes a model's input, with the target and the weight where there are any.

        Args:
            text: A string or a batch of shape (B,). A tuple of two of them is a pair of texts, and
                so is each tuple of two strings in a list.
            label: Of one text or of each. Integers are class ids. Strings are looked up in
                `labels`; with one dimension more than `text` (a list of names for each text) they
                become zeros and ones for multi-label training. Floats (regression values, or
                multi-label targets of shape (B, num_labels)) pass as they are.
            sample_weight: A number for each text.

        Returns:
            `x`, `(x, y)` or `(x, y, sample_weight)`. `x` is a dict of int32 tensors of shape
            (B, T): `input_ids`, `attention_mask`, `token_type_ids`. `y` is int32 of shape (B,) for
            class ids, else float32. One string gives the same without B.

        Raises:
            TypeError: If texts are not strings.
            ValueError: If shapes do not fit, or a label is a string and `labels` was not given.
            tf.errors.InvalidArgumentError: If a label is none of `labels`.
        """
        texts = text if isinstance(text, tuple) else (text,)
        if isinstance(text, list):
            first, second = split_pairs(text)
            texts = (first,) if second is None else (first, second)
        if len(texts) > 2:
            raise ValueError(
                f"`text` must be one text, or a tuple of two for pairs. Received: a tuple of "
                f"{len(texts)} (a batch is a list or a tensor)"
            )
        batches = [to_batch("text", part) for part in texts]
        is_scalar = batches[0][1]
        first, last = batches[0][0], batches[-1][0]
        if is_scalar != batches[-1][1] or not first.shape.is_compatible_with(last.shape):
            raise ValueError(
                "The two parts of `text` must be two strings or two batches of one size. "
                f"Received: shapes {first.shape[is_scalar:]} and {last.shape[batches[-1][1] :]}"
            )
        x = self._pack(*(self.tokenizer.tokenize(part) for part, _ in batches))
        if is_scalar:
            x = first_of_batch(x)
        if label is None:
            return x
        y = self._to_target(label, rank_of_text=0 if is_scalar else 1)
        if sample_weight is not None:
            sample_weight = tf.cast(tf.convert_to_tensor(sample_weight), tf.float32)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _to_target(self, label: Any, rank_of_text: int) -> tf.Tensor:
        if not holds_strings(label):
            y = tf.convert_to_tensor(label)
            return tf.cast(y, tf.float32 if y.dtype.is_floating else tf.int32)
        names = to_string_tensor("label", label)
        # Lists of names may be filled up with "".
        ids = label_ids(names, self.labels, optional=names.shape.rank != rank_of_text)
        if ids.shape.rank == rank_of_text:
            return ids
        if ids.shape.rank != rank_of_text + 1:
            raise ValueError(
                "`label` must be one name for each text, or a list of names for each. Received: "
                f"label of shape {ids.shape} for texts of rank {rank_of_text}"
            )
        if isinstance(ids, tf.RaggedTensor):
            ids = ids.to_tensor(-1)
        # -1, for no name, becomes zeros; a name that is there twice counts once.
        assert self.labels is not None  # or `label_ids` had refused the strings
        hot = tf.one_hot(ids, len(self.labels))
        return tf.minimum(tf.reduce_sum(hot, axis=-2), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "labels": self.labels}

"""`MultipleChoicePreprocessor`: a text and several ways to go on, for multiple choice."""

from typing import Any

import keras
import tensorflow as tf

from bigbird_tf.preprocessing.preprocessor import Preprocessor
from bigbird_tf.preprocessing.text_input import first_of_batch, to_batch, to_string_tensor

__all__ = ["MultipleChoicePreprocessor"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class MultipleChoicePreprocessor(Preprocessor):
    """Turns texts, their choices and the right ones into what `BigBirdForMultipleChoice` takes.

    Each choice becomes an input `[CLS] text [SEP] choice [SEP]`.

    Args:
        tokenizer: A `Tokenizer`.
        max_length: The most pieces of an input, special ones included.
        padding: `"max_length"` or `"longest"`.
        pad_to_multiple_of: With `"longest"`, the step of the lengths.
        **kwargs: `name` and the like, as for every Keras layer.

    Example:

    >>> preprocessor = MultipleChoicePreprocessor(tokenizer, max_length=1024)
    >>> x, y = preprocessor("The bird", ["sings.", "is made of stone."], 0)
    """

    num_special = 3

    def call(self, text: Any, choices: Any, label: Any = None) -> Any:
        """Makes a model's input, with the target where there is one.

        Args:
            text: A string, or a batch of shape (B,).
            choices: The choices, of shape (C,), or (B, C): the same number for each text.
            label: Which choice is right: integers of the shape of `text`.

        Returns:
            `x`, or `(x, y)`. `x` is a dict of int32 tensors of shape (B, C, T): `input_ids`,
            `attention_mask`, `token_type_ids`; `y` is int32 of shape (B,). One text gives the same
            without B.

        Raises:
            TypeError: If text or choices are not strings.
            ValueError: If shapes do not fit.
            tf.errors.InvalidArgumentError: If the texts have different numbers of choices.
        """
        text, is_scalar = to_batch("text", text)
        choices = to_string_tensor("choices", choices)
        if choices.shape.rank != (1 if is_scalar else 2):
            raise ValueError(
                "`choices` must be of shape (choices,) for one text, (batch, choices) for a batch. "
                f"Received: choices of shape {choices.shape} for text of shape "
                f"{text.shape[is_scalar:]}"
            )
        if isinstance(choices, tf.RaggedTensor):
            choices = _to_dense(choices)
        if is_scalar:
            choices = choices[tf.newaxis]
        num_choices = choices.shape[1] if choices.shape[1] is not None else tf.shape(choices)[1]
        same_size = tf.debugging.assert_equal(
            tf.shape(text)[0],
            tf.shape(choices)[0],
            message="`text` and `choices` must be of one batch size.",
        )
        with tf.control_dependencies([] if same_size is None else [same_size]):
            texts = tf.repeat(text, num_choices)
        packed = self._pack(
            self.tokenizer.tokenize(texts), self.tokenizer.tokenize(tf.reshape(choices, [-1]))
        )
        batch = tf.shape(text)[0]
        x = {}
        for key, value in packed.items():
            length = value.shape[1] if value.shape[1] is not None else tf.shape(value)[1]
            x[key] = tf.reshape(value, [batch, num_choices, length])
        if is_scalar:
            x = first_of_batch(x)
        if label is None:
            return x
        return x, tf.cast(tf.convert_to_tensor(label), tf.int32)


def _to_dense(choices: tf.RaggedTensor) -> tf.Tensor:
    lengths = choices.row_lengths()
    same_number = tf.debugging.assert_equal(
        lengths, lengths[:1], message="`choices` must be equally many for every text."
    )
    with tf.control_dependencies([] if same_number is None else [same_number]):
        return choices.to_tensor()

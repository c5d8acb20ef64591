"""`MaskedLMPreprocessor`: texts with hidden words, for `BigBirdForMaskedLM`."""

from typing import Any

import keras
import tensorflow as tf

from bigbird_tf.preprocessing.masking_preprocessor import MaskingPreprocessor
from bigbird_tf.preprocessing.packing import pad_rows
from bigbird_tf.preprocessing.text_input import first_of_batch, to_batch

__all__ = ["MaskedLMPreprocessor"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class MaskedLMPreprocessor(MaskingPreprocessor):
    """Hides words of texts, and gives what is behind them as the target (Devlin et al., 2019).

    Whole words are chosen; of their pieces, `[MASK]` takes the place of 80 percent, a random piece
    that of 10, and 10 stay as they are. Special pieces are never chosen. The model is asked for
    logits at the K chosen positions only (`masked_positions`), so that no tensor of length times
    vocabulary is ever built.

    What is hidden depends on the text, `seed` and `draw` alone: the same in every run, at any batch
    size and with any number of parallel calls. To hide other words in every epoch, give each
    example its own `draw`: zip the repeated data set with `tf.data.Dataset.counter()`.

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
        **kwargs: `name` and the like, as for every Keras layer.

    Raises:
        ValueError: If a rate or `max_masked` is impossible, or the vocabulary has no `[MASK]`.

    Example:

    >>> preprocessor = MaskedLMPreprocessor(tokenizer, max_length=1024, seed=7)
    >>> numbered = tf.data.Dataset.zip(texts.repeat(40), tf.data.Dataset.counter())
    >>> model.fit(numbered.batch(4).map(preprocessor))
    """

    def call(self, text: Any, draw: Any = 0) -> Any:
        """Makes a model's input with hidden words, their ids, and their weights.

        Args:
            text: A string or a batch of shape (B,).
            draw: An integer, or one for each text: another one hides other words.

        Returns:
            `(x, y, sample_weight)`. `x` is a dict of int32 tensors: `input_ids`, `attention_mask`,
            `token_type_ids` of shape (B, T), and `masked_positions` of shape (B, K), ascending. `y`
            is int32 of shape (B, K), the pieces behind; `sample_weight` is float32 of that shape.
            Where fewer than K are chosen, the rest is position 0 at weight 0. One string gives the
            same without B.

        Raises:
            TypeError: If texts are not strings.
            ValueError: If texts are of rank 2 or more.
        """
        text, is_scalar = to_batch("text", text)
        result = self._mask(self._pack(self.tokenizer.tokenize(text)), text, draw)
        return first_of_batch(result) if is_scalar else result

    def mask_ids(self, ids: tf.RaggedTensor, key: tf.Tensor, draw: Any = 0) -> Any:
        """Makes the same of rows that are packed already, as `prepare_records` stores them.

        Args:
            ids: Ragged ids, int32 of shape (B, None), special ones included; no row longer than
                `max_length`.
            key: What the choices depend on, in place of the text; strings of shape (B,).
            draw: As of a call.

        Returns:
            `(x, y, sample_weight)`, as of a call.
        """
        x = pad_rows(
            ids,
            pad_token_id=self.tokenizer.pad_token_id,
            max_length=self.max_length,
            padding=self.padding,
            pad_to_multiple_of=self.pad_to_multiple_of,
        )
        return self._mask(x, key, draw)

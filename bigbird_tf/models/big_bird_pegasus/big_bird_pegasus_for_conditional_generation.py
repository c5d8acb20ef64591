"""`BigBirdPegasusForConditionalGeneration`: the next piece of a summary."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.layers import VocabularyHead
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_with_head import BigBirdPegasusWithHead
from bigbird_tf.models.big_bird_pegasus.pair_inputs import ENCODER_NAMES
from bigbird_tf.models.big_bird_pegasus.shifted_labels import shift_right
from bigbird_tf.models.big_bird_pegasus.summary_generation import SummaryGeneration
from bigbird_tf.models.inputs import read_inputs
from bigbird_tf.models.registry import register_model
from bigbird_tf.models.tasks import LanguageModelTask
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdPegasusForConditionalGeneration"]


@register_model
class BigBirdPegasusForConditionalGeneration(
    SummaryGeneration, LanguageModelTask, BigBirdPegasusWithHead
):
    """BigBird-Pegasus with a logit for each piece of the vocabulary, for summaries.

    Letters: B batch, S length of the documents, T length of the summaries, V vocabulary, R rows
    that decode, L room for tokens.

    For `fit`, labels are the summaries' ids, integers `(B, T)`, those that do not count (padding)
    -100 or of weight 0 in sample weights `(B, T)`. The decoder reads them one place later, behind
    the config's `decoder_start_token_id`, unless the inputs have `decoder_input_ids`.

    `generate` writes summaries, step by step, with three methods: `encode(inputs)`,
    `make_cache(encoder_states, encoder_mask, room)` and `decode_step(ids, t, cache)`.

    Args:
        config: A `BigBirdPegasusConfig`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdPegasusModel`'s.
        training: Whether dropout acts.

    Returns:
        float32 logits `(B, T, V)`.
    """

    special_ids = ("pad_token_id", "eos_token_id")

    def _make_head(self) -> keras.layers.Layer:
        return VocabularyHead(self.config, dtype=self.dtype_policy, name="lm_head")

    def call(self, inputs: Inputs, training: bool | None = None) -> Tensor:
        """Computes the logits; see the class."""
        hidden, _ = self.backbone.transform(self._read_inputs(inputs), training=training)
        return self._predict(hidden)

    def _predict(self, hidden: Tensor) -> Tensor:
        word_embeddings = self.backbone.word_embeddings
        return self._logits(self.head(hidden, word_embeddings=word_embeddings))

    def encode(self, inputs: Inputs) -> Tensor:
        """Encodes documents, once for all steps of decoding.

        Args:
            inputs: A dictionary with `input_ids`, integers `(B, S)`, and optionally
                `attention_mask`; or the ids alone.

        Returns:
            The encoder's states, `(B, S, d_model)`.

        Raises:
            ValueError: If the inputs are of wrong shapes or dtypes, empty, or too long.
            tf.errors.InvalidArgumentError: If ids are outside of the vocabulary.
        """
        inputs = read_inputs(inputs, self.config, names=ENCODER_NAMES)
        return self.backbone.encode(inputs["input_ids"], inputs["attention_mask"])

    def make_cache(self, encoder_states: Tensor, encoder_mask: Tensor | None, room: int) -> dict:
        """Returns the cache of rows that have no token yet, one row for each document.

        Args:
            encoder_states: What `encode` returned, `(B, S, d_model)`.
            encoder_mask: `(B, S)`, 0 for padding; `None` if there is none.
            room: L.

        Returns:
            A dictionary. `tokens`: for each block a pair of keys and values `(B, N, L, H)`, which
            each step replaces; the rows are to be repeated and moved with those that decode.
            `memory` and `memory_mask`: what blocks read of the documents, `(B, …)`, the same at all
            steps; they stay one for each document however many rows decode.
        """
        if encoder_mask is None:
            encoder_mask = ops.ones(ops.shape(encoder_states)[:2], "bool")
        return self.backbone.make_cache(encoder_states, encoder_mask, room)

    def decode_step(self, ids: Tensor, t: Tensor, cache: dict) -> tuple[Tensor, dict]:
        """Reads one more token of each row, and returns the logits of the next.

        Args:
            ids: int32 `(R,)`, where R is a multiple of B: the beams of a document side by side. At
                first they are `decoder_start_token_id`.
            t: int32 scalar, the place of these tokens, 0 for the first; below L, and one that no
                step has written before.
            cache: What `make_cache` or the step before returned, with R rows in `tokens`.

        Returns:
            `(logits, cache)`: float32 `(R, V)`, and the cache with these tokens in it.
        """
        hidden, cache = self.backbone.decode_step(ids, t, cache)
        return self._predict(hidden), cache

    def _complete_batch(self, data: Any) -> Any:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x = x if isinstance(x, dict) else {"input_ids": x}
        if y is not None and x.get("decoder_input_ids") is None:
            config = self.config
            read = shift_right(y, config.pad_token_id, config.decoder_start_token_id)
            x = {**x, "decoder_input_ids": read}
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

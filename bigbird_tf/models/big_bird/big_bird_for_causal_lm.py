"""`BigBirdForCausalLM`: the next piece of a text, and `generate`."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.generation.decode import repeat_rows
from bigbird_tf.layers import LanguageModelHead
from bigbird_tf.models.big_bird.big_bird_with_head import BigBirdWithHead
from bigbird_tf.models.prompts import padded_behind
from bigbird_tf.models.registry import register_model
from bigbird_tf.models.tasks import LanguageModelTask
from bigbird_tf.models.text_generation import TextGeneration
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdForCausalLM"]


@register_model
class BigBirdForCausalLM(TextGeneration, LanguageModelTask, BigBirdWithHead):
    """BigBird as a decoder: logits for the piece after each token; its decoder is the embeddings.

    Attention is causal: full, or block-sparse where the config has
    `causal_attention_type="block_sparse"`. The model's own config has `is_decoder=True` and
    `attention_type="original_full"`, which is of encoders, whatever was given.

    Letters: B batch, T length, V vocabulary. For `fit`, labels are the ids one place further,
    integers `(B, T)`, and sample weights `(B, T)` say which of them count; or labels that do not
    are -100.

    Args:
        config: A `BigBirdConfig`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdModel`'s.
        training: Whether dropout acts.

    Returns:
        float32 logits `(B, T, V)`.
    """

    special_ids = ("pad_token_id",)

    def __init__(self, config: BigBirdConfig, **kwargs: Any):
        if isinstance(config, dict):
            config = BigBirdConfig.from_dict(config)
        if isinstance(config, BigBirdConfig):
            config = config.replace(is_decoder=True, attention_type="original_full")
        super().__init__(config, **kwargs)

    def _make_head(self) -> keras.layers.Layer:
        return LanguageModelHead(self.config, dtype=self.dtype_policy, name="predictions")

    def call(self, inputs: Inputs, training: bool | None = None) -> Tensor:
        """Computes the logits; see the class."""
        hidden, _, _ = self.backbone.encode(self._read_inputs(inputs), training=training)
        return self._predict(hidden)

    def _predict(self, hidden: Tensor) -> Tensor:
        word_embeddings = self.backbone.embeddings.word_embeddings
        return self._logits(self.head(hidden, word_embeddings=word_embeddings))

    def _read(
        self,
        ids: Tensor,
        positions: Tensor,
        mask: Tensor,
        cache: Any = None,
        index: Any = None,
    ) -> tuple[Tensor, Any]:
        embedded = self.backbone.embeddings(ids, position_ids=positions)
        return self.backbone.encoder.call_with_cache(embedded, mask, cache, index)

    def _steps(
        self, ids: Tensor, mask: Tensor, positions: Tensor, rows: int, room: int
    ) -> tuple[Tensor, Any, Any]:
        if self.config.causal_attention_type == "block_sparse":
            return self._sparse_steps(ids, mask, rows)
        return super()._steps(ids, mask, positions, rows, room)

    def _sparse_steps(self, ids: Tensor, mask: Tensor, rows: int) -> Any:
        """Does the same for block-sparse attention, which has padding behind prompts."""
        ids, mask = padded_behind(ids, mask)
        hidden, cache = self.backbone.encoder.call_with_cache(self.backbone.embeddings(ids), mask)
        length = ops.sum(mask, axis=1)
        last = ops.take_along_axis(hidden, length[:, None, None] - 1, axis=1)
        length = repeat_rows(length, rows)

        def step(tokens, t, cache):
            position = length + t
            embedded = self.backbone.embeddings(tokens[:, None], position_ids=position[:, None])
            hidden, cache = self.backbone.encoder.call_with_cache(
                embedded, cache=cache, index=position
            )
            return self._predict(hidden[:, 0]), cache

        return self._predict(last[:, 0]), cache, step

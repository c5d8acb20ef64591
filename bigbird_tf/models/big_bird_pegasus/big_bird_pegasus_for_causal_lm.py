"""`BigBirdPegasusForCausalLM`: the decoder alone, for the next piece of a text."""

from typing import Any

import keras

from bigbird_tf.config import BigBirdPegasusConfig
from bigbird_tf.layers import VocabularyHead
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_decoder import BigBirdPegasusDecoder
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_pretrained import BigBirdPegasusPretrained
from bigbird_tf.models.big_bird_pegasus.pair_inputs import ENCODER_NAMES
from bigbird_tf.models.headed_model import HeadedModel
from bigbird_tf.models.inputs import read_inputs
from bigbird_tf.models.registry import register_model
from bigbird_tf.models.tasks import LanguageModelTask
from bigbird_tf.models.text_generation import TextGeneration
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdPegasusForCausalLM"]


@register_model
class BigBirdPegasusForCausalLM(
    TextGeneration, LanguageModelTask, BigBirdPegasusPretrained, HeadedModel
):
    """BigBird-Pegasus' decoder without documents: logits for the piece after each token.

    The model's own config has `is_decoder=True`, `is_encoder_decoder=False`, full attention, and
    no encoder to share weights with. What the decoder has to attend to documents stays as it was
    loaded, and does not train.

    `generate` continues texts, as that of `BigBirdForCausalLM` does.

    Letters: B batch, T length, V vocabulary. For `fit`, labels are the ids one place further,
    integers `(B, T)`, and sample weights `(B, T)` say which of them count; or labels that do not
    are -100.

    Args:
        config: A `BigBirdPegasusConfig`.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: A dictionary with `input_ids`, integers `(B, T)`, and optionally `attention_mask`;
            or the ids alone.
        training: Whether dropout acts.

    Returns:
        float32 logits `(B, T, V)`.
    """

    has_pooler = False
    input_names = ENCODER_NAMES
    exported_inputs = ENCODER_NAMES
    special_ids = ("pad_token_id",)
    backbone: Any

    def __init__(self, config: BigBirdPegasusConfig, **kwargs: Any):
        if isinstance(config, dict):
            config = BigBirdPegasusConfig.from_dict(config)
        if isinstance(config, BigBirdPegasusConfig):
            config = config.replace(
                is_decoder=True,
                is_encoder_decoder=False,
                attention_type="original_full",
                tie_encoder_decoder=False,
            )
        super().__init__(config, **kwargs)
        for block in self.backbone.decoder.blocks:
            block.cross_layer_norm.trainable = False
            block.cross_attention.trainable = False

    def _make_backbone(self) -> keras.Model:
        return BigBirdPegasusDecoder(self.config, dtype=self.dtype_policy, name="backbone")

    def _make_head(self) -> keras.layers.Layer:
        return VocabularyHead(self.config, use_bias=False, dtype=self.dtype_policy, name="lm_head")

    def _read_inputs(self, inputs: Inputs) -> dict:
        return read_inputs(inputs, self.config, names=ENCODER_NAMES)

    def call(self, inputs: Inputs, training: bool | None = None) -> Tensor:
        """Computes the logits; see the class."""
        inputs = self._read_inputs(inputs)
        hidden = self.backbone.decode(
            inputs["input_ids"], inputs["attention_mask"], training=training
        )
        return self._predict(hidden)

    def _read(
        self,
        ids: Tensor,
        positions: Tensor,
        mask: Tensor,
        cache: Any = None,
        index: Any = None,
    ) -> tuple[Tensor, Any]:
        words = self.backbone.word_embeddings(ids)
        embedded = self.backbone.decoder_embeddings(words, position_ids=positions)
        return self.backbone.decoder.call_with_cache(embedded, mask, cache, index)

    def _predict(self, hidden: Tensor) -> Tensor:
        word_embeddings = self.backbone.word_embeddings
        return self._logits(self.head(hidden, word_embeddings=word_embeddings))

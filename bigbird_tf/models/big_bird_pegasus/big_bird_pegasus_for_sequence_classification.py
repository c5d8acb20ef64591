"""`BigBirdPegasusForSequenceClassification`: a label, labels, or a number for each text."""

from typing import Any

import keras
import numpy as np
from keras import ops

from bigbird_tf.config import BigBirdPegasusConfig
from bigbird_tf.layers import ClassificationHead
from bigbird_tf.models.big_bird_pegasus.big_bird_pegasus_with_head import BigBirdPegasusWithHead
from bigbird_tf.models.registry import register_model
from bigbird_tf.models.special_ids import check_in_vocabulary
from bigbird_tf.models.tasks import SequenceClassificationTask
from bigbird_tf.nn.backend import check_when_run
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdPegasusForSequenceClassification"]


@register_model
class BigBirdPegasusForSequenceClassification(SequenceClassificationTask, BigBirdPegasusWithHead):
    """BigBird-Pegasus with a classifier on the decoder's state at the last end token of a text.

    The config's `problem_type` decides the default loss and metrics of `compile()`, as for
    `BigBirdForSequenceClassification`.

    Args:
        config: A `BigBirdPegasusConfig`; `num_labels` is the number of logits, `eos_token_id` the
            end token.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdPegasusModel`'s. Each text has an end token. `decoder_input_ids`, if
            there are any, are as long as `input_ids`.
        training: Whether dropout acts.

    Returns:
        float32 logits `(B, num_labels)`.

    Raises:
        ValueError: If the config has no `eos_token_id`, or it is outside of the vocabulary; or the
            inputs are of wrong shapes or dtypes, empty, or too long.
        tf.errors.InvalidArgumentError: If a text has no end token. Not when compiled by XLA, which
            has no such checks.
    """

    special_ids = ("eos_token_id",)

    def __init__(self, config: BigBirdPegasusConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        if self.config.eos_token_id is None:
            raise ValueError(
                "`BigBirdPegasusForSequenceClassification` needs `eos_token_id` in its config: it "
                "reads the state there. Received: eos_token_id=None"
            )

    def _make_head(self) -> keras.layers.Layer:
        return ClassificationHead(self.config, dtype=self.dtype_policy, name="classification_head")

    def call(self, inputs: Inputs, training: bool | None = None) -> Tensor:
        """Classifies; see the class."""
        inputs = self._read_inputs(inputs)
        lengths = [inputs[name].shape[1] for name in ("input_ids", "decoder_input_ids")]
        if None not in lengths and lengths[0] != lengths[1]:
            raise ValueError(
                "`decoder_input_ids` must be as long as `input_ids`, whose last end token says "
                f"where the decoder's state is read. Received: lengths {lengths[1]} and "
                f"{lengths[0]}"
            )
        place = self._last_end(inputs["input_ids"], inputs["attention_mask"])
        hidden, _ = self.backbone.transform(inputs, training=training)
        states = ops.take_along_axis(hidden, place[:, :, None], axis=1)
        return self._logits(self.head(states, training=training))

    def _last_end(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Returns int32 `(B, 1)`: the place of each row's last end token."""
        ends = np.atleast_1d(np.array(self.config.eos_token_id, "int32"))
        check_in_vocabulary(self.config, "eos_token_id", *ends.tolist())
        is_end = ops.logical_and(ops.any(ids[:, :, None] == ends, axis=-1), mask)
        message = (
            "Each row of `input_ids` must have an end token, the config's `eos_token_id`, "
            f"{self.config.eos_token_id}. Is it that of the tokenizer?"
        )
        has_one = (lambda: ops.all(ops.any(is_end, axis=1)), message)
        is_end = ops.cast(check_when_run(is_end, has_one), "int32")
        places = ops.arange(ops.shape(ids)[1], dtype="int32")
        return ops.max(is_end * places, axis=1, keepdims=True)

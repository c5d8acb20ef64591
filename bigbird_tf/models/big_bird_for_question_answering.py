"""`BigBirdForQuestionAnswering`: the span of a text that answers a question."""

import keras
from keras import ops

from bigbird_tf.layers import QuestionAnsweringHead
from bigbird_tf.models.headed_model import HeadedModel

__all__ = ["BigBirdForQuestionAnswering"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class BigBirdForQuestionAnswering(HeadedModel):
    """BigBird with start and end logits for each token of `[CLS] question [SEP] text [SEP]`.

    As in the original, the question's tokens (up to the first separator) are out of the
    competition, but for the first token, which stands for "no answer"; and missing token types are
    filled in: 0 for the question and 1 for the text.

    Args:
        config: A `BigBirdConfig`; `sep_token_id` tells where the question ends.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdModel`'s, and optionally `question_lengths`, integers `(B,)` or `(B, 1)`:
            the tokens up to and with the first separator.
        training: Whether dropout acts.

    Returns:
        A dictionary: `start_logits` and `end_logits`, float32 `(B, T)`. For `fit`, labels are a
        dictionary of the same keys with token positions, integers `(B,)`.
    """

    has_pooler = False
    extra_inputs = ("question_lengths",)

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        if self.config.sep_token_id is None:
            raise ValueError(
                "`BigBirdForQuestionAnswering` needs `sep_token_id` in its config, to know where "
                "the question ends. Received: sep_token_id=None"
            )

    def _make_head(self):
        return QuestionAnsweringHead(self.config, dtype=self.dtype_policy, name="qa_classifier")

    def call(self, inputs, training=None):
        """Computes the logits; see the class."""
        inputs = self._read_inputs(inputs)
        ids = inputs["input_ids"]
        lengths = inputs["question_lengths"]
        if lengths is None:
            is_separator = ops.cast(ops.equal(ids, self.config.sep_token_id), "int32")
            lengths = ops.argmax(is_separator, axis=-1) + 1
        lengths = ops.reshape(ops.cast(lengths, "int32"), (-1, 1))
        positions = ops.arange(ops.shape(ids)[1], dtype="int32")[None]
        is_question = positions < lengths
        if inputs["token_type_ids"] is None:
            inputs["token_type_ids"] = 1 - ops.cast(is_question, "int32")
        hidden, _, _ = self.backbone.encode(inputs, training=training)
        logits = self._logits(self.head(hidden, training=training))
        is_out = ops.logical_and(is_question, positions > 0)
        logits = logits - ops.cast(is_out, "float32")[:, :, None] * 1e6
        return {"start_logits": logits[:, :, 0], "end_logits": logits[:, :, 1]}

    def _default_loss(self):
        return {
            name: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            for name in ("start_logits", "end_logits")
        }

    def _default_loss_weights(self):
        return {"start_logits": 0.5, "end_logits": 0.5}

    def _default_metrics(self):
        return {
            name: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
            for name in ("start_logits", "end_logits")
        }

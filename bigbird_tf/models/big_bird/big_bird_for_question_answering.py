"""`BigBirdForQuestionAnswering`: the span of a text that answers a question."""

from typing import Any, cast

import keras
from keras import ops

from bigbird_tf.config import BigBirdConfig
from bigbird_tf.layers import QuestionAnsweringHead
from bigbird_tf.models.big_bird.big_bird_with_head import BigBirdWithHead
from bigbird_tf.models.registry import register_model
from bigbird_tf.models.special_ids import check_in_vocabulary
from bigbird_tf.models.tasks import QuestionAnsweringTask
from bigbird_tf.nn.backend import check_when_run
from bigbird_tf.types import Inputs, Tensor

__all__ = ["BigBirdForQuestionAnswering"]


@register_model
class BigBirdForQuestionAnswering(QuestionAnsweringTask, BigBirdWithHead):
    """BigBird with start and end logits for each token of `[CLS] question [SEP] text [SEP]`.

    As in the original, the question's tokens (up to the first separator) are out of the
    competition, but for the first token, which stands for "no answer"; and missing token types are
    filled in: 0 for the question and 1 for the text (0 for all if `type_vocab_size` is 1).

    Args:
        config: A `BigBirdConfig`; `sep_token_id` tells where the question ends.
        **kwargs: Of `keras.Model`.

    Call arguments:
        inputs: As `BigBirdModel`'s, and optionally `question_lengths`, integers `(B,)` or `(B, 1)`:
            the tokens up to and with the first separator.
        training: Whether dropout acts.

    Raises:
        tf.errors.InvalidArgumentError: If a row has no separator, and there are no
            `question_lengths`. Not when compiled by XLA, which has no such checks.

    Returns:
        A dictionary: `start_logits` and `end_logits`, float32 `(B, T)`. For `fit`, labels are a
        dictionary of the same keys with token positions, integers `(B,)`; -100 counts for nothing.
    """

    has_pooler = False
    extra_inputs = ("question_lengths",)
    special_ids = ("sep_token_id",)

    def __init__(self, config: BigBirdConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        if self.config.sep_token_id is None:
            raise ValueError(
                "`BigBirdForQuestionAnswering` needs `sep_token_id` in its config, to know where "
                "the question ends. Received: sep_token_id=None"
            )

    def _make_head(self) -> keras.layers.Layer:
        return QuestionAnsweringHead(self.config, dtype=self.dtype_policy, name="qa_classifier")

    def call(self, inputs: Inputs, training: bool | None = None) -> dict[str, Tensor]:
        """Computes the logits; see the class."""
        inputs = self._read_inputs(inputs)
        ids = inputs["input_ids"]
        lengths = inputs["question_lengths"]
        if lengths is None:
            separator = cast(int, self.config.sep_token_id)  # the constructor asks for it
            check_in_vocabulary(self.config, "sep_token_id", separator)
            lengths = ops.argmax(self._is_separator(ids), axis=-1) + 1
        lengths = ops.reshape(ops.cast(lengths, "int32"), (-1, 1))
        positions = ops.arange(ops.shape(ids)[1], dtype="int32")[None]
        is_question = positions < lengths
        if inputs["token_type_ids"] is None and self.config.type_vocab_size > 1:
            inputs["token_type_ids"] = 1 - ops.cast(is_question, "int32")
        hidden, _, _ = self.backbone.encode(inputs, training=training)
        logits = self._logits(self.head(hidden, training=training))
        is_out = ops.logical_and(is_question, positions > 0)
        logits = logits - ops.cast(is_out, "float32")[:, :, None] * 1e6
        return {"start_logits": logits[:, :, 0], "end_logits": logits[:, :, 1]}

    def _is_separator(self, ids: Tensor) -> Tensor:
        """Returns int32 `(B, T)`: 1 where the separator is. Each row must have one."""
        is_separator = ops.equal(ids, self.config.sep_token_id)
        message = (
            "Each row of `input_ids` must have the separator behind the question, the config's "
            f"`sep_token_id`, {self.config.sep_token_id}. Is it that of the tokenizer? Or pass "
            "`question_lengths`"
        )
        has_one = (lambda: ops.all(ops.any(is_separator, axis=-1)), message)
        return ops.cast(check_when_run(is_separator, has_one), "int32")

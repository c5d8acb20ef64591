"""`MaskedLMServable`: what stands where a text has `[MASK]`."""

from typing import Any

import tensorflow as tf

from bigbird_tf.models.pretrained_model import PretrainedModel
from bigbird_tf.preprocessing.text_bytes import TextBytes
from bigbird_tf.preprocessing.tokenizers import Tokenizer
from bigbird_tf.serving.servable import Servable, check_rank
from bigbird_tf.serving.text_windows import TextWindows

__all__ = ["MaskedLMServable"]

# Logits are as wide as the vocabulary, so fewer rows go into a step.
TOKENS_AT_ONCE = 4096
# A text of nothing but masks would take the square of its length.
MAX_FILLED_BYTES = 64 * 2**20


class MaskedLMServable(Servable):
    """Signatures of `BigBirdForMaskedLM` and `BigBirdForPreTraining`.

    `serving_default` takes strings `text` of shape (B,), with `[MASK]` where something is to be
    filled in. With M the most masks of a text and K `num_best` it gives, the best first, of shape
    (B, M, K): `tokens`, strings; `scores`, float32, their probabilities; `filled`, the text with
    that one mask filled. A mask takes the space before it: a token that begins a word stands behind
    a space, and one that goes on with a word, or is a mark, right behind it. Texts with fewer masks
    have `""` and 0 at the end; a batch without masks gives M = 0. Refused are calls whose filled
    texts would take more than 64 MiB.

    `from_ids` gives `logits`, float32 of shape (B, T, vocab_size); of `BigBirdForPreTraining`
    `prediction_logits` of that shape, and `seq_relationship_logits` of shape (B, 2).

    Args:
        model: A `BigBirdForMaskedLM` or `BigBirdForPreTraining`.
        tokenizer: A `Tokenizer` that has a mask token, or `None`.
        num_best: How many tokens to give for each mask, K.
        **options: `max_length`, `weight_dtype`.
    """

    extra_inputs = ("masked_positions",)

    def __init__(
        self,
        model: PretrainedModel,
        tokenizer: Tokenizer | None = None,
        *,
        num_best: int = 5,
        **options: Any,
    ):
        super().__init__(model, tokenizer, **options)
        if tokenizer is not None and tokenizer.mask_token_id is None:
            raise ValueError("`tokenizer` must have the piece '[MASK]'. Received: one without it")
        most = self.config.vocab_size if tokenizer is None else tokenizer.vocab_size
        if isinstance(num_best, bool) or not isinstance(num_best, int) or not 1 <= num_best <= most:
            raise ValueError(
                f"`num_best` must be from 1 to {most}. Received: num_best={num_best!r}"
            )
        self.num_best = num_best

    def from_ids_outputs(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the logits at all positions."""
        ids = inputs["input_ids"]
        positions = tf.broadcast_to(tf.range(tf.shape(ids)[1])[tf.newaxis], tf.shape(ids))
        return super().from_ids_outputs({**inputs, "masked_positions": positions})

    def string_functions(self) -> dict[str, Any]:
        """Returns `serving_default`."""

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False
        )
        def fill_masks(text):
            return self._fill_masks(check_rank(text))

        return {"serving_default": fill_masks}

    def _fill_masks(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        windows = self.text_windows(text)
        text = self._check_size(text, windows)
        is_mask = windows.ids.flat_values == self.tokenizer.mask_token_id
        num_masks = tf.reduce_sum(tf.cast(is_mask, tf.int32))
        mask_index = tf.cumsum(tf.cast(is_mask, tf.int32), exclusive=True)
        with_masks = self._windows_with_masks(windows)

        def compute(rows):
            x, piece, is_own = windows.fill(tf.gather(with_masks, rows))
            wanted = is_own & (x["input_ids"] == self.tokenizer.mask_token_id)
            position = tf.broadcast_to(tf.range(tf.shape(wanted)[1]), tf.shape(wanted))
            positions = tf.ragged.boolean_mask(position, wanted)
            outputs = self.encode(**x, masked_positions=positions.to_tensor(0))
            logits = outputs["prediction_logits"] if isinstance(outputs, dict) else outputs
            is_there = tf.sequence_mask(positions.row_lengths(), tf.shape(logits)[1])
            logits = tf.boolean_mask(logits, is_there)
            # Only pieces that the vocabulary has; embeddings may have more rows.
            probabilities = tf.nn.softmax(logits)[:, : self.tokenizer.vocab_size]
            scores, ids = tf.math.top_k(probabilities, self.num_best)
            return tf.boolean_mask(tf.gather(mask_index, piece), wanted), {
                "scores": scores,
                "ids": ids,
            }

        found = self.run_by_length(
            compute,
            tf.gather(windows.lengths, with_masks),
            {
                "scores": tf.zeros([num_masks, self.num_best]),
                "ids": tf.zeros([num_masks, self.num_best], tf.int32),
            },
            tokens_at_once=TOKENS_AT_ONCE,
        )
        rows = tf.cast(windows.ids.value_rowids(), tf.int32)
        rows = tf.boolean_mask(rows, is_mask)
        with tf.device("/CPU:0"):
            _, starts, ends = self.tokenizer.tokenize_with_offsets(text)
            starts = tf.boolean_mask(starts.flat_values, is_mask)
            ends = tf.boolean_mask(ends.flat_values, is_mask)
            tokens = self.tokenizer.token_text(found["ids"])
            space, starts, ends = self._mask_bytes(text, rows, starts, ends)
            filled = self._fill(tf.gather(text, rows), space, starts, ends, found["ids"], tokens)
            return {
                name: _by_text(value, rows, windows.num_texts)
                for name, value in (
                    ("tokens", tokens),
                    ("scores", found["scores"]),
                    ("filled", filled),
                )
            }

    def _check_size(self, text: tf.Tensor, windows: TextWindows) -> tf.Tensor:
        """Returns the texts if what is filled fits: a copy of a text for each mask and token."""
        is_mask = tf.cast(windows.ids == self.tokenizer.mask_token_id, tf.int64)
        length = tf.cast(tf.strings.length(text), tf.int64)
        size = tf.reduce_sum(tf.reduce_sum(is_mask, axis=1) * length) * self.num_best
        message = (
            "The filled texts of a call must not take more than "
            f"{MAX_FILLED_BYTES // 2**20} MiB: the bytes of each text, times its masks, times "
            "`num_best`. Send fewer or shorter texts, or such with fewer masks"
        )
        limit = tf.constant(MAX_FILLED_BYTES, tf.int64)
        with tf.control_dependencies([tf.debugging.assert_less_equal(size, limit, message)]):
            return tf.identity(text)

    def _windows_with_masks(self, windows: TextWindows) -> tf.Tensor:
        """Returns the indices of windows that a mask belongs to; others need not be computed."""
        is_mask = tf.cast(windows.ids.flat_values == self.tokenizer.mask_token_id, tf.int32)
        before = tf.concat([[0], tf.cumsum(is_mask)], axis=0)
        plan = windows.plan
        base = tf.cast(tf.gather(windows.ids.row_starts(), plan.example), tf.int32)
        count = tf.gather(before, base + plan.answers_until) - tf.gather(
            before, base + plan.answers_from
        )
        return tf.cast(tf.where(count > 0)[:, 0], tf.int32)

    def _mask_bytes(
        self, text: tf.Tensor, rows: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns where masks are in their texts, in bytes: int32 of shape (M,).

        Args:
            text: Strings of shape (B,).
            rows: The text that each mask is in.
            starts, ends: The bytes of its token, which may have taken space.

        Returns:
            `(space, starts, ends)`: where the space that a mask takes begins, where the mask itself
            begins and ends.
        """
        text_bytes = TextBytes.of(text)
        starts, ends, _ = text_bytes.trim(rows, starts, ends)
        if self.tokenizer.mask_token not in self.tokenizer.lstrip:
            return starts, starts, ends
        _, space, _ = text_bytes.trim(rows, tf.zeros_like(starts), starts)
        return space, starts, ends

    def _fill(
        self,
        texts: tf.Tensor,
        space: tf.Tensor,
        starts: tf.Tensor,
        ends: tf.Tensor,
        ids: tf.Tensor,
        tokens: tf.Tensor,
    ) -> tf.Tensor:
        """Puts tokens (M, K) in place of the masks at bytes `starts` to `ends` of texts (M,)."""
        beginning = tf.zeros_like(starts)
        before = tf.strings.substr(texts, beginning, starts)
        after = tf.strings.substr(texts, ends, tf.strings.length(texts) - ends)
        if not self.tokenizer.has_words:
            return before[:, tf.newaxis] + tokens + after[:, tf.newaxis]
        begins_word = tf.constant(self.tokenizer.begins_word)
        # A new word needs a space, where there is none yet.
        # The last byte alone: the others may be no UTF-8.
        last = tf.strings.substr(before, tf.maximum(starts - 1, 0), tf.ones_like(starts))
        has_space = (starts == 0) | (space < starts) | tf.strings.regex_full_match(last, r"\s")
        before_word = tf.where(has_space, before, before + " ")
        before_rest = tf.strings.substr(texts, beginning, space)
        before = tf.where(
            tf.gather(begins_word, ids), before_word[:, tf.newaxis], before_rest[:, tf.newaxis]
        )
        return before + tokens + after[:, tf.newaxis]

    def example_inputs(self, num_words: int) -> dict[str, list[str]]:
        """Returns a text of so many words and a mask."""
        return {"text": [self.tokenizer.example_word * num_words + self.tokenizer.mask_token]}


def _by_text(values: tf.Tensor, rows: tf.Tensor, num_texts: tf.Tensor) -> tf.Tensor:
    """Puts the masks (all of them, K) of each text together: (B, M, K)."""
    ragged = tf.RaggedTensor.from_value_rowids(
        values, tf.cast(rows, tf.int64), tf.cast(num_texts, tf.int64), validate=False
    )
    return ragged.to_tensor()

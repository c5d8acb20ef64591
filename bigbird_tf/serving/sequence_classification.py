"""`SequenceClassificationServable`: from texts, or pairs of texts, to labels."""

from typing import Any

import tensorflow as tf

from bigbird_tf.preprocessing.context_windows import (
    ContextPieces,
    WindowLayout,
    fill_windows,
    plan_windows,
)
from bigbird_tf.serving.servable import Servable
from bigbird_tf.serving.text_windows import TextWindows

__all__ = ["SequenceClassificationServable"]


class SequenceClassificationServable(Servable):
    """Signatures of `BigBirdForSequenceClassification`.

    `serving_default` takes strings `text` of shape (B,); `pair` takes `text` and `text_pair`. Both
    give `labels`, strings, and `probabilities`, float32, of shape (B, num_labels), the most
    probable first; for multi-label models each probability stands by itself. A regression model
    gives `values`, float32 of shape (B, num_labels), in their order, instead.

    Of a text that is longer than the model the logits of its overlapping windows are averaged. Of
    a pair the second text is read in windows; the first, which stands before each of them, is cut
    to half of the model's length.

    `from_ids` gives `logits`, float32 of shape (B, num_labels).

    Args:
        model: A `BigBirdForSequenceClassification`.
        tokenizer: A `BigBirdTokenizer`, or `None`.
        **options: `max_length`, `weight_dtype`.
    """

    has_labels = True

    def string_signatures(self) -> dict[str, Any]:
        """Gives `serving_default` and `pair`."""
        text_spec = tf.TensorSpec([None], tf.string, name="text")
        pair_spec = tf.TensorSpec([None], tf.string, name="text_pair")

        @tf.function(input_signature=[text_spec])
        def classify(text):
            with tf.device("/CPU:0"):
                ids = self.tokenizer.tokenize(text)
            windows = TextWindows(ids, self.tokenizer, self.max_length, self.length_step)
            logits = self._logits(lambda rows: windows.fill(rows)[0], windows.lengths)
            return self._decode(windows.mean_over_windows(logits))

        @tf.function(input_signature=[text_spec, pair_spec])
        def classify_pair(text, text_pair):
            with tf.device("/CPU:0"):
                same = tf.debugging.assert_equal(
                    tf.shape(text),
                    tf.shape(text_pair),
                    message="`text` and `text_pair` must be of one batch size.",
                )
                with tf.control_dependencies([same]):
                    first = self.tokenizer.tokenize(text)[:, : self.max_length // 2]
                    second = self.tokenizer.tokenize(text_pair)
            return self._decode(self._logits_of_pairs(first, second))

        return {
            "serving_default": classify.get_concrete_function(),
            "pair": classify_pair.get_concrete_function(),
        }

    def _logits(self, fill, lengths: tf.Tensor) -> tf.Tensor:
        """Gives the logits of all windows, float32 of shape (W, num_labels)."""
        return self.run_by_length(
            lambda rows: {"logits": self.encode(**fill(rows))},
            lengths,
            {"logits": tf.TensorSpec([None, self.config.num_labels], tf.float32)},
        )["logits"]

    def _logits_of_pairs(self, first: tf.RaggedTensor, second: tf.RaggedTensor) -> tf.Tensor:
        layout = WindowLayout(
            cls_token_id=self.tokenizer.cls_token_id,
            sep_token_id=self.tokenizer.sep_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            max_length=self.max_length,
            doc_stride=max(1, (self.max_length // 2 - 3) // 2),
            max_windows=None,
            padding="longest",
            pad_to_multiple_of=self.length_step,
        )
        zeros = tf.zeros_like(second)
        pieces = ContextPieces(second, zeros, zeros, tf.cast(zeros, tf.bool))
        plan = plan_windows(first, pieces, layout)
        logits = self._logits(
            lambda rows: fill_windows(plan.take(rows), first, pieces, layout)[0], plan.lengths
        )
        return tf.math.unsorted_segment_mean(logits, plan.example, second.nrows(tf.int32))

    def _decode(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        if self.model.problem_type == "regression":
            return {"values": logits}
        if self.model.problem_type == "multi_label_classification":
            probabilities = tf.sigmoid(logits)
        else:
            probabilities = tf.nn.softmax(logits)
        probabilities, order = tf.math.top_k(probabilities, self.config.num_labels)
        return {"labels": tf.gather(tf.constant(self.labels), order), "probabilities": probabilities}

    def example_inputs(self, num_words: int) -> dict[str, list[str]]:
        """Gives a text of so many words."""
        return {"text": ["word " * num_words]}

"""`SequenceClassificationServable`: from texts, or pairs of texts, to labels."""

from typing import Any

import tensorflow as tf

from bigbird_tf.serving.servable import Servable, check_rank, check_same_batch
from bigbird_tf.serving.text_windows import TextWindows

__all__ = ["SequenceClassificationServable"]


class SequenceClassificationServable(Servable):
    """Signatures of `BigBirdForSequenceClassification`, and of BigBird-Pegasus' class.

    `serving_default` takes strings `text` of shape (B,); `pair` takes `text` and `text_pair`. Both
    give `labels`, strings, and `probabilities`, float32, of shape (B, num_labels), the most
    probable first; for multi-label models each probability stands by itself. A regression model
    gives `values` instead, float32 of shape (B, num_labels).

    Of a text that is longer than the model the logits of its windows are averaged. The second text
    of a pair is cut to half of the model's length.

    `from_ids` gives `logits`, float32 of shape (B, num_labels).

    Args:
        model: A `BigBirdForSequenceClassification` or
            `BigBirdPegasusForSequenceClassification`.
        tokenizer: A `Tokenizer`, or `None`.
    """

    has_labels = True

    def string_functions(self) -> dict[str, Any]:
        """Returns `serving_default` and `pair`."""
        text_spec = tf.TensorSpec([None], tf.string, name="text")
        pair_spec = tf.TensorSpec([None], tf.string, name="text_pair")

        @tf.function(input_signature=[text_spec], autograph=False)
        def classify(text):
            return self._decode(self._logits(self.text_windows(check_rank(text))))

        @tf.function(input_signature=[text_spec, pair_spec], autograph=False)
        def classify_pair(text, text_pair):
            text, text_pair = check_same_batch(text=text, text_pair=text_pair)
            return self._decode(self._logits(self.text_windows(text, text_pair)))

        return {
            "serving_default": classify,
            "pair": classify_pair,
        }

    def _logits(self, windows: TextWindows) -> tf.Tensor:
        """Returns the logits of each text, float32 of shape (B, num_labels)."""

        def compute(rows):
            return rows, {"logits": self.encode(**windows.fill(rows)[0])}

        shape = [tf.shape(windows.lengths)[0], self.config.num_labels]
        logits = self.run_by_length(compute, windows.lengths, {"logits": tf.zeros(shape)})
        return windows.mean_over_windows(logits["logits"])

    def _decode(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        if self.model.problem_type == "regression":
            return {"values": logits}
        if self.model.problem_type == "multi_label_classification":
            probabilities = tf.sigmoid(logits)
        else:
            probabilities = tf.nn.softmax(logits)
        probabilities, order = tf.math.top_k(probabilities, self.config.num_labels)
        return {"labels": tf.gather(self.labels, order), "probabilities": probabilities}

    def example_inputs(self, num_words: int) -> dict[str, list[str]]:
        """Returns a text of so many words."""
        return {"text": [self.tokenizer.example_word * num_words]}

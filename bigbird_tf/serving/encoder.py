"""`EncoderServable`: from texts to vectors."""

from typing import Any

import tensorflow as tf

from bigbird_tf.serving.servable import Servable, check_rank

__all__ = ["EncoderServable"]


class EncoderServable(Servable):
    """Signatures of `BigBirdModel`.

    `serving_default` takes strings `text` of shape (B,) and gives `cls`, the vector of the first
    token, and `mean`, the mean over all tokens, both float32 of shape (B, hidden_size). Of a text
    that is longer than the model, `cls` is averaged over its windows, and in `mean` each piece
    counts once, from the window that it belongs to.

    `from_ids` gives the model's outputs: `last_hidden_state` of shape (B, T, hidden_size) and, if
    there is a pooler, `pooler_output` of shape (B, hidden_size), both float32 whatever the model's
    dtype: TensorFlow Serving writes no half precision as JSON.

    Args:
        model: A `BigBirdModel`.
        tokenizer: A `Tokenizer`, or `None`.
    """

    def from_ids_outputs(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the model's outputs as float32."""
        outputs = super().from_ids_outputs(inputs)
        return {name: tf.cast(value, tf.float32) for name, value in outputs.items()}

    def string_functions(self) -> dict[str, Any]:
        """Returns `serving_default`."""

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False
        )
        def embed(text):
            return self._embed(check_rank(text))

        return {"serving_default": embed}

    def _embed(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        windows = self.text_windows(text)

        def compute(rows):
            x, _, is_own = windows.fill(rows)
            hidden = tf.cast(self.encode(**x)["last_hidden_state"], tf.float32)
            # Special tokens are in every window, and belong to each of them.
            length = tf.gather(windows.lengths, rows)[:, tf.newaxis]
            position = tf.range(tf.shape(hidden)[1])[tf.newaxis]
            counts = is_own | (position == 0) | (position == length - 1)
            counts = tf.cast(counts, tf.float32)
            return rows, {
                "cls": hidden[:, 0],
                "sum": tf.einsum("rt,rth->rh", counts, hidden),
                "count": tf.reduce_sum(counts, axis=1, keepdims=True),
            }

        num_windows = tf.shape(windows.lengths)[0]
        size = self.config.hidden_size
        found = self.run_by_length(
            compute,
            windows.lengths,
            {
                "cls": tf.zeros([num_windows, size]),
                "sum": tf.zeros([num_windows, size]),
                "count": tf.zeros([num_windows, 1]),
            },
        )
        mean = {key: windows.mean_over_windows(value) for key, value in found.items()}
        return {"cls": mean["cls"], "mean": mean["sum"] / mean["count"]}

    def example_inputs(self, num_words: int) -> dict[str, list[str]]:
        """Returns a text of so many words."""
        return {"text": [self.tokenizer.example_word * num_words]}

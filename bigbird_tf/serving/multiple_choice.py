"""`MultipleChoiceServable`: which of several texts goes with a text."""

from typing import Any

import tensorflow as tf

from bigbird_tf.serving.servable import INPUT_NAMES, Servable, check_same_batch

__all__ = ["MultipleChoiceServable"]


class MultipleChoiceServable(Servable):
    """Signatures of `BigBirdForMultipleChoice`.

    `serving_default` takes strings `text` of shape (B,) and `choices` of shape (B, C), and gives
    `choice`, int32 of shape (B,), the most probable choice's index; `answer`, its string; and
    `probabilities`, float32 of shape (B, C). Of a text that is longer than the model the logits of
    its windows are averaged; choices are cut to half of the model's length.

    `from_ids` takes ids of shape (B, C, T) and gives `logits`, float32 of shape (B, C).

    Args:
        model: A `BigBirdForMultipleChoice`.
        tokenizer: A `Tokenizer`, or `None`.
    """

    input_rank = 3

    def string_functions(self) -> dict[str, Any]:
        """Returns `serving_default`."""
        signature = [
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None, None], tf.string, name="choices"),
        ]

        @tf.function(input_signature=signature, autograph=False)
        def choose(text, choices):
            return self._choose(*check_same_batch(text=text, choices=choices))

        return {"serving_default": choose}

    def _choose(self, text: tf.Tensor, choices: tf.Tensor) -> dict[str, tf.Tensor]:
        num_choices = tf.shape(choices)[1]
        check = tf.debugging.assert_positive(
            num_choices, message="`choices` must have one choice at least."
        )
        with tf.control_dependencies([check]):
            windows = self.text_windows(tf.repeat(text, num_choices), tf.reshape(choices, [-1]))

        def compute(rows):
            x = windows.fill(rows)[0]
            x = {name: x[name][:, tf.newaxis] for name in INPUT_NAMES}
            return rows, {"logits": self.encode(**x)}

        logits = tf.zeros([tf.shape(windows.lengths)[0], 1])
        logits = self.run_by_length(compute, windows.lengths, {"logits": logits})["logits"]
        logits = tf.reshape(windows.mean_over_windows(logits), tf.shape(choices))
        choice = tf.argmax(logits, axis=1, output_type=tf.int32)
        with tf.device("/CPU:0"):
            answer = tf.gather(choices, choice, batch_dims=1)
        return {"choice": choice, "answer": answer, "probabilities": tf.nn.softmax(logits)}

    def example_inputs(self, num_words: int) -> dict[str, list]:
        """Returns a text of so many words and two choices."""
        word = self.tokenizer.example_word
        return {"text": [word * num_words], "choices": [[word, word]]}

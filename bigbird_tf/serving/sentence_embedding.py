"""`SentenceEmbeddingServable`: from texts to one vector each."""

from typing import Any

import tensorflow as tf

from bigbird_tf.serving.servable import Servable, check_rank
from bigbird_tf.serving.text_windows import TextWindows

__all__ = ["SentenceEmbeddingServable"]


class SentenceEmbeddingServable(Servable):
    """Signatures of `BigBirdForSentenceEmbedding`.

    `serving_default` takes strings `text` of shape (B,) and gives `sentence_embedding`, float32 of
    shape (B, hidden_size): what `sentence-transformers` gives for them. As there, the model's
    `prompt` stands before each text, and a text that is longer than `max_length` is cut off.

    `from_ids` gives `sentence_embedding` of ids.

    Args:
        model: A `BigBirdForSentenceEmbedding`.
        tokenizer: Its tokenizer, or `None`.
        max_length: The longest text in pieces, the special ones included; `None` for the model's
            `max_seq_length`.
        **options: `weight_dtype`.
    """

    def __init__(
        self, model: Any, tokenizer: Any = None, *, max_length: int | None = None, **options: Any
    ):
        max_length = model.max_seq_length if max_length is None else max_length
        super().__init__(model, tokenizer, max_length=max_length, **options)
        self.prompt = model.prompt or ""

    def from_ids_outputs(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the vectors by name."""
        return {"sentence_embedding": self.encode(**inputs)}

    def string_functions(self) -> dict[str, Any]:
        """Returns `serving_default`."""

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False
        )
        def embed(text):
            return self._embed(check_rank(text))

        return {"serving_default": embed}

    def _embed(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        # Strings have CPU kernels only.
        with tf.device("/CPU:0"):
            ids = self.tokenizer.tokenize(tf.strings.join([self.prompt, text]))
        ids = ids[:, : self.max_length - 2]
        # A window each, since none is longer.
        windows = TextWindows(ids, None, self.tokenizer, self.max_length, self.length_step)

        def compute(rows):
            x, _, _ = windows.fill(rows)
            return rows, {"sentence_embedding": self.encode(**x)}

        shape = [tf.shape(windows.lengths)[0], self.config.hidden_size]
        return self.run_by_length(compute, windows.lengths, {"sentence_embedding": tf.zeros(shape)})

    def example_inputs(self, num_words: int) -> dict[str, list[str]]:
        """Returns a text of so many words."""
        return {"text": [self.tokenizer.example_word * num_words]}

"""`TokenClassificationServable`: labelled spans of texts."""

from typing import Any

import tensorflow as tf

from bigbird_tf.preprocessing.text_bytes import TextBytes
from bigbird_tf.serving.servable import Servable

__all__ = ["TokenClassificationServable"]

OUTSIDE = "O"
WORD_BEGIN = "▁"
ASCII_PUNCTUATION = r"[!-/:-@\[-`{-~].*"


class TokenClassificationServable(Servable):
    """Signatures of `BigBirdForTokenClassification`.

    `serving_default` takes strings `text` of shape (B,). With S the most spans of a text it gives,
    of shape (B, S): `texts`, strings; `labels`, strings; `scores`, float32; `starts` and `ends`,
    int32, bytes of the text. Texts with fewer spans have `""` and 0 at the end; a batch without
    spans gives S = 0.

    A word has the label of its first piece, as in training; words begin where SentencePiece has a
    space before a piece, and with punctuation. Neighbouring words of one kind are one span, whose
    score is the mean of their probabilities. Labels named `B-x` and `I-x` are the kind `x`, and
    `B-` begins a new span; words labelled `O` are in none.

    `from_ids` gives `logits`, float32 of shape (B, T, num_labels).

    Args:
        model: A `BigBirdForTokenClassification`.
        tokenizer: A `BigBirdTokenizer`, or `None`.
        **options: `max_length`, `weight_dtype`.
    """

    has_labels = True

    def string_signatures(self) -> dict[str, Any]:
        """Gives `serving_default`."""

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False
        )
        def find_spans(text):
            return self._find_spans(text)

        return {"serving_default": find_spans.get_concrete_function()}

    def _find_spans(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        windows = self.text_windows(text)

        def compute(rows):
            x, piece, is_own = windows.fill(rows)
            probabilities = tf.nn.softmax(self.encode(**x))
            return tf.boolean_mask(piece, is_own), {
                "score": tf.boolean_mask(tf.reduce_max(probabilities, axis=-1), is_own),
                "label": tf.boolean_mask(
                    tf.argmax(probabilities, axis=-1, output_type=tf.int32), is_own
                ),
            }

        num_pieces = tf.shape(windows.ids.flat_values)[0]
        found = self.run_by_length(
            compute,
            windows.lengths,
            {"score": tf.zeros([num_pieces]), "label": tf.zeros([num_pieces], tf.int32)},
        )
        with tf.device("/CPU:0"):
            return self._merge(text, found["label"], found["score"])

    def _merge(self, text: tf.Tensor, label: tf.Tensor, score: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes spans of the labels and scores of all pieces of a batch."""
        ids, starts, ends = self.tokenizer.tokenize_with_offsets(text)
        rows = tf.cast(ids.value_rowids(), tf.int32)
        starts, ends, visible = TextBytes.of(text).trim(rows, starts.flat_values, ends.flat_values)

        # Pieces to words.
        pieces = [self.tokenizer.id_to_token(i) for i in range(self.tokenizer.vocab_size)]
        begins_word = tf.constant([piece.startswith(WORD_BEGIN) for piece in pieces])
        shown = tf.strings.substr(tf.gather(text, rows), starts, tf.minimum(ends - starts, 1))
        begins = (
            tf.gather(begins_word, ids.flat_values)
            | tf.strings.regex_full_match(shown, ASCII_PUNCTUATION)
            | _is_new(rows)
        )
        word = tf.cumsum(tf.cast(begins, tf.int32)) - 1
        num_words = tf.reduce_sum(tf.cast(begins, tf.int32))
        huge = tf.int32.max
        starts = tf.math.unsorted_segment_min(tf.where(visible, starts, huge), word, num_words)
        ends = tf.math.unsorted_segment_max(tf.where(visible, ends, -1), word, num_words)
        rows, label, score = (tf.boolean_mask(x, begins) for x in (rows, label, score))
        # A word that shows nothing, such as spaces at the end, is none.
        is_word = ends >= 0
        rows, label, score, starts, ends = (
            tf.boolean_mask(x, is_word) for x in (rows, label, score, starts, ends)
        )

        # Words to spans.
        kinds, kind_of_label, begins_span = self._kinds()
        kind = tf.gather(kind_of_label, label)
        begins = tf.gather(begins_span, label) | _is_new(kind) | _is_new(rows)
        span = tf.cumsum(tf.cast(begins, tf.int32)) - 1
        num_spans = tf.reduce_sum(tf.cast(begins, tf.int32))
        score = tf.math.unsorted_segment_mean(score, span, num_spans)
        ends = tf.math.unsorted_segment_max(ends, span, num_spans)
        rows, kind, starts = (tf.boolean_mask(x, begins) for x in (rows, kind, starts))
        is_inside = kind >= 0
        rows, kind, score, starts, ends = (
            tf.boolean_mask(x, is_inside) for x in (rows, kind, score, starts, ends)
        )
        spans = {
            "texts": tf.strings.substr(tf.gather(text, rows), starts, ends - starts),
            "labels": tf.gather(tf.constant(kinds, tf.string), kind),
            "scores": score,
            "starts": starts,
            "ends": ends,
        }
        num_texts = tf.shape(text, tf.int64)[0]
        return {
            name: tf.RaggedTensor.from_value_rowids(
                value, tf.cast(rows, tf.int64), num_texts, validate=False
            ).to_tensor()
            for name, value in spans.items()
        }

    def _kinds(self) -> tuple[list[str], list[int], list[bool]]:
        """Gives the kinds of spans; each label's kind, -1 for none; whether it begins a span."""
        is_tagged = [label[:2] in ("B-", "I-") for label in self.labels]
        names = [
            label[2:] if tagged else label
            for label, tagged in zip(self.labels, is_tagged, strict=True)
        ]
        kinds = sorted(set(names) - {OUTSIDE})
        kind_of_label = [kinds.index(name) if name in kinds else -1 for name in names]
        return kinds, kind_of_label, [label.startswith("B-") for label in self.labels]

    def example_inputs(self, num_words: int) -> dict[str, list[str]]:
        """Gives a text of so many words."""
        return {"text": ["word " * num_words]}


def _is_new(values: tf.Tensor) -> tf.Tensor:
    """Tells of each value whether it is another than the one before, or the first."""
    return tf.concat([tf.ones_like(values[:1], tf.bool), values[1:] != values[:-1]], axis=0)

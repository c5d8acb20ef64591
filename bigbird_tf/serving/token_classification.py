"""`TokenClassificationServable`: labelled spans of texts."""

from typing import Any

import tensorflow as tf

from bigbird_tf.preprocessing.words import split_words
from bigbird_tf.serving.servable import Servable, check_rank
from bigbird_tf.serving.text_windows import TextWindows

__all__ = ["TokenClassificationServable"]

OUTSIDE = "O"
# B begins an entity, I and M are inside, E and L its last word, S and U its only one: IOB, BIOES,
# BILOU and BMES.
TAGS = "BIELSUM"
TAGS_THAT_BEGIN = "BSU"
TAGS_THAT_END = "ELSU"
# Of these alone it is clear what they mean; "E-mail" may be a name.
TAGS_ALONE = "BI"


class TokenClassificationServable(Servable):
    """Signatures of `BigBirdForTokenClassification`.

    `serving_default` takes strings `text` of shape (B,). With S the most spans of a text it gives,
    of shape (B, S): `texts`, strings; `labels`, strings; `scores`, float32; `starts` and `ends`,
    int32, bytes of the text. Texts with fewer spans have `""` and 0 at the end; a batch without
    spans gives S = 0.

    A text is split into words as data sets have them: at spaces, and at the punctuation around
    words, which is words of its own; what is inside a word ("Jean-Pierre", "O'Neil", "U.S.") stays.
    As in training, pieces are those of each word by itself, and a word has the label of its first
    piece. `[MASK]` and the like are text like any other.

    Neighbouring words of one kind are one span, whose score is the mean of their probabilities.
    Labels may follow a scheme, IOB, BIOES, BILOU or BMES: `B-x`, `I-x` and so on are the kind `x`.
    `B-`, `S-` and `U-` begin a new span, `E-`, `L-`, `S-` and `U-` end it. Words labelled `O` are
    in none.

    With a tokenizer without words, such as `DnaTokenizer`, each piece has a label of its own, and
    bytes are bases: spans are what BED calls intervals. Of pieces that overlap, each has the bases
    before the next one.

    `from_ids` gives `logits`, float32 of shape (B, T, num_labels).

    Args:
        model: A `BigBirdForTokenClassification`.
        tokenizer: A `Tokenizer`, or `None`.
    """

    has_labels = True

    def string_functions(self) -> dict[str, Any]:
        """Returns `serving_default`."""

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False
        )
        def find_spans(text):
            return self._find_spans(check_rank(text))

        return {"serving_default": find_spans}

    def _find_spans(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        # Strings have CPU kernels only.
        with tf.device("/CPU:0"):
            ids, starts, ends = self._words(text)
        windows = TextWindows(
            ids.merge_dims(1, 2), None, self.tokenizer, self.max_length, self.length_step
        )

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
            # A word without pieces, such as one of a character that the vocabulary drops, is none.
            pieces_of_word = ids.values.row_lengths()
            is_word = pieces_of_word > 0
            first_piece = tf.boolean_mask(ids.values.row_starts(), is_word)
            rows = tf.boolean_mask(tf.cast(starts.value_rowids(), tf.int32), is_word)
            return self._merge(
                text,
                rows,
                tf.boolean_mask(starts.flat_values, is_word),
                tf.boolean_mask(ends.flat_values, is_word),
                tf.gather(found["label"], first_piece),
                tf.gather(found["score"], first_piece),
            )

    def _words(self, text: tf.Tensor) -> tuple[tf.RaggedTensor, ...]:
        """Returns the pieces of each word, ragged of shape (B, None, None), and its bytes."""
        if self.tokenizer.has_words:
            words, starts, ends = split_words(text)
            return self.tokenizer.tokenize(words), starts, ends
        ids, starts, ends = self.tokenizer.tokenize_with_offsets(text)
        # Where pieces overlap, each has what is before the next one.
        rows = starts.value_rowids()
        following = tf.concat([starts.flat_values[1:], [0]], axis=0)
        is_last = tf.concat([rows[1:] != rows[:-1], tf.ones_like(rows[:1], tf.bool)], axis=0)
        following = tf.where(is_last, ends.flat_values, following)[: tf.shape(rows)[0]]
        own_ends = ends.with_flat_values(tf.minimum(ends.flat_values, following))
        one_each = tf.RaggedTensor.from_uniform_row_length(ids.values, 1)
        return ids.with_values(one_each), starts, own_ends

    def _merge(
        self,
        text: tf.Tensor,
        rows: tf.Tensor,
        starts: tf.Tensor,
        ends: tf.Tensor,
        label: tf.Tensor,
        score: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Makes spans of all words of a batch.

        Args:
            text: Strings of shape (B,).
            rows: The text that each word is of; int32 of shape (N,), as all that follow.
            starts, ends: The word's bytes.
            label, score: What the model found; the score is float32.
        """
        kinds, kind_of_label, begins_span, ends_span = self._kinds()
        kind = tf.gather(kind_of_label, label)
        is_behind_end = tf.pad(tf.gather(ends_span, label), [[1, 0]])[:-1]
        begins = tf.gather(begins_span, label) | is_behind_end | _is_new(kind) | _is_new(rows)
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

    def _kinds(self) -> tuple[list[str], list[int], list[bool], list[bool]]:
        """Returns the kinds of spans; each label's kind, -1 for none; whether it begins or ends."""
        tags = [self._tag(label) for label in self.labels]
        names = [label[2:] if tag else label for label, tag in zip(self.labels, tags, strict=True)]
        kinds = sorted(set(names) - {OUTSIDE})
        kind_of_label = [kinds.index(name) if name in kinds else -1 for name in names]
        return (
            kinds,
            kind_of_label,
            [tag != "" and tag in TAGS_THAT_BEGIN for tag in tags],
            [tag != "" and tag in TAGS_THAT_END for tag in tags],
        )

    def _tag(self, label: str) -> str:
        """Returns the letter that places a word in an entity, or "" for a label without one."""
        tag, dash, kind = label[:1], label[1:2], label[2:]
        if dash != "-" or not kind or tag not in TAGS:
            return ""
        others = [f"{other}-{kind}" for other in TAGS if other != tag]
        return tag if tag in TAGS_ALONE or set(others) & set(self.labels) else ""

    def example_inputs(self, num_words: int) -> dict[str, list[str]]:
        """Returns a text of so many words."""
        return {"text": [self.tokenizer.example_word * num_words]}


def _is_new(values: tf.Tensor) -> tf.Tensor:
    """Returns for each value whether it is another than the one before, or the first."""
    return tf.concat([tf.ones_like(values[:1], tf.bool), values[1:] != values[:-1]], axis=0)

"""`WordPieceKernel`: words into pieces, and back to the bytes that each was made of."""

import tensorflow as tf
import tensorflow_text as tf_text

from bigbird_tf.preprocessing.tokenizers.bert_words import NO_CHARACTER, WordSplitter
from bigbird_tf.preprocessing.tokenizers.pretrained_files import NotExpressibleError

__all__ = ["WordPieceKernel"]

LONGEST_CHARACTER = 4  # bytes of UTF-8
LONGEST_PIECE = 256  # bytes, of `tensorflow_text`


class WordPieceKernel:
    """Cuts texts into pieces, as one function of whatever graph it is called in.

    Args:
        tokens: The vocabulary.
        unk_token: The unknown token.
        prefix: What pieces begin with that go on with a word.
        max_characters: Longer words are unknown.
        splitter: What makes words of texts.

    Raises:
        NotExpressibleError: If a piece is too long for `tensorflow_text`.
    """

    def __init__(
        self,
        tokens: list[str],
        *,
        unk_token: str,
        prefix: str,
        max_characters: int,
        splitter: WordSplitter,
    ):
        for token in tokens:
            size = len(token.removeprefix(prefix).encode())
            if size > LONGEST_PIECE:
                raise NotExpressibleError(
                    f"Pieces must have at most {LONGEST_PIECE} bytes, as `tensorflow_text` has "
                    f"it; `bb.FastTokenizer` takes longer ones, from a tokenizer.json. Received: "
                    f"{token[:20]!r}… of {size} bytes"
                )
        self._unk_id = len(tokens) - 1 - tokens[::-1].index(unk_token)
        self._max_characters = max_characters
        self._splitter = splitter
        with tf.init_scope():
            kernel = tf_text.FastWordpieceTokenizer(
                _distinct(tokens, prefix),
                suffix_indicator=prefix,
                max_bytes_per_word=max_characters * LONGEST_CHARACTER,
                token_out_type=tf.int32,
                unknown_token=unk_token,
                no_pretokenization=True,
            )
            self._model = kernel._model.numpy()
        # One function for all graphs: a SavedModel has its tables once.
        self._in_graph = tf.function(
            self._tokenize, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
        )

    def tokenize(self, texts: tf.Tensor) -> tuple[tf.RaggedTensor, ...]:
        """Cuts strings (B,) into `(ids, starts, ends)`, int32, ragged of shape (B, None)."""
        # Strings have CPU kernels only.
        with tf.device("/CPU:0"):
            ids, starts, ends, row_splits = self._in_graph(texts)
        return tuple(
            tf.RaggedTensor.from_row_splits(values, row_splits, validate=False)
            for values in (ids, starts, ends)
        )

    def _tokenize(self, texts: tf.Tensor) -> tuple[tf.Tensor, ...]:
        words = self._splitter.split(texts)
        is_long = words.num_characters > self._max_characters
        given = tf.where(is_long, self._unk_id, -1)
        given = tf.where(words.token_ids >= 0, words.token_ids, given)
        # A word that no vocabulary has is one piece, the unknown one.
        kernel = tf_text.FastWordpieceTokenizer(
            model_buffer=tf.constant(self._model), token_out_type=tf.int32
        )
        pieces, starts, ends = kernel.tokenize_with_offsets(
            tf.where(given >= 0, chr(NO_CHARACTER), words.texts)
        )
        word = tf.cast(pieces.value_rowids(), tf.int32)
        base = tf.gather(tf.gather(tf.pad(words.byte_starts, [[0, 1]]), words.first), word)
        is_given = tf.gather(given, word) >= 0

        def find(byte):
            return tf.searchsorted(words.byte_starts, byte, out_type=tf.int32)

        first = find(base + tf.cast(starts.flat_values, tf.int32))
        last = find(base + tf.cast(ends.flat_values, tf.int32)) - 1
        is_unknown = (pieces.flat_values == self._unk_id) | is_given
        limit = tf.maximum(tf.shape(words.starts)[0] - 1, 0)
        begin = tf.gather(words.starts, tf.minimum(first, limit))
        end = tf.gather(words.ends, tf.clip_by_value(last, 0, limit))
        counts = tf.math.bincount(
            tf.gather(words.rows, word), minlength=tf.shape(texts)[0], maxlength=tf.shape(texts)[0]
        )
        return (
            tf.where(is_given, tf.gather(given, word), pieces.flat_values),
            tf.where(is_unknown, tf.gather(words.word_starts, word), begin),
            tf.where(is_unknown, tf.gather(words.word_ends, word), end),
            tf.concat([[0], tf.cumsum(tf.cast(counts, tf.int64))], axis=0),
        )


def _distinct(tokens: list[str], prefix: str) -> list[str]:
    """Returns tokens that differ: what stands twice, or is nothing, becomes what no text has.

    Of two that are the same the last one counts, as in a dictionary.
    """
    last = {token: index for index, token in enumerate(tokens)}
    return [
        token
        if last[token] == index and token not in ("", prefix)
        else f"{chr(NO_CHARACTER)}{index}"
        for index, token in enumerate(tokens)
    ]

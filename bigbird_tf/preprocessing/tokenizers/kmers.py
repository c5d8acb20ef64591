"""K-mers: their vocabulary, and how sequences are cut into them in the graph."""

import itertools

import numpy as np
import tensorflow as tf
from sentencepiece import sentencepiece_model_pb2

from bigbird_tf.preprocessing.tokenizers.dna_letters import LETTERS, Sequences

__all__ = ["KmerKernel", "kmer_model"]

CONTROLS = ("<pad>", "</s>", "<s>")
USER_DEFINED = ("[CLS]", "[SEP]", "[MASK]")
BASES = LETTERS[:4]
N = len(BASES)


def kmer_model(k: int) -> bytes:
    """Returns the vocabulary of all k-mers as a SentencePiece model.

    Special pieces come first, then the letters A, C, G, T and N, then the k-mers in order.
    """
    proto = sentencepiece_model_pb2.ModelProto()
    types = sentencepiece_model_pb2.ModelProto.SentencePiece
    for piece in CONTROLS:
        proto.pieces.add(piece=piece, type=types.CONTROL)
    proto.pieces.add(piece="<unk>", type=types.UNKNOWN)
    for piece in USER_DEFINED:
        proto.pieces.add(piece=piece, type=types.USER_DEFINED)
    for piece in LETTERS:
        proto.pieces.add(piece=piece, type=types.NORMAL)
    for letters in itertools.product(BASES, repeat=k):
        proto.pieces.add(piece="".join(letters), type=types.NORMAL)
    proto.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.UNIGRAM
    proto.trainer_spec.unk_id, proto.trainer_spec.pad_id = len(CONTROLS), 0
    proto.trainer_spec.eos_id, proto.trainer_spec.bos_id = 1, 2
    proto.normalizer_spec.add_dummy_prefix = False
    proto.normalizer_spec.remove_extra_whitespaces = False
    return proto.SerializeToString()


class KmerKernel:
    """Cuts sequences into k-mers, and joins them, in the graph.

    Each stretch of A, C, G and T is cut from its beginning; what is left at its end, and each N, is
    a piece of one letter. With overlap a k-mer begins at each base that has k - 1 more behind it in
    the stretch; stretches shorter than k are single letters.

    Args:
        k: Letters of a piece.
        overlapping: Whether a k-mer begins at each base, or where the last one ended.
        special_ids: Ids of the special tokens, in the order of the finder.
    """

    def __init__(self, k: int, overlapping: bool, special_ids: list[int]):
        self.k, self.overlapping = k, overlapping
        self.special_ids = np.array(special_ids, np.int32)
        self.first_letter = len(CONTROLS) + 1 + len(USER_DEFINED)
        self.first_kmer = self.first_letter + len(LETTERS)
        # A, C, G and T are 0 to 3, all else is 4.
        self.codes = np.full(256, N, np.int32)
        self.codes[[ord(base) for base in BASES]] = range(len(BASES))

    def tokenize(self, sequences: Sequences) -> tuple[tf.RaggedTensor, ...]:
        """Cuts sequences into `(ids, starts, ends)`, int32, ragged of shape (B, None)."""
        k, offsets = self.k, sequences.offsets
        code = tf.gather(self.codes, tf.cast(sequences.data, tf.int32))
        code = tf.where(sequences.is_special, N, code)
        size = tf.shape(code)[0]
        place = tf.range(size)
        row = tf.repeat(tf.range(tf.shape(offsets)[0]), sequences.lengths)
        in_row = place - tf.gather(offsets, row)
        is_base = code < N
        # Each stretch of bases, and where it begins and ends.
        before = tf.concat([[False], is_base[:-1]], 0)[:size] & (in_row > 0)
        stretch = tf.cumsum(tf.cast(is_base & ~before, tf.int32)) - 1
        first = tf.concat([tf.boolean_mask(place, is_base & ~before), [0]], 0)
        counts = tf.math.unsorted_segment_sum(
            tf.cast(is_base, tf.int32), tf.maximum(stretch, 0), tf.shape(first)[0]
        )
        stretch = tf.maximum(stretch, 0)
        in_stretch, count = place - tf.gather(first, stretch), tf.gather(counts, stretch)
        if self.overlapping:
            is_kmer = is_base & (in_stretch + k <= count)
            is_letter = is_base & (count < k)
        else:
            is_whole = (in_stretch // k + 1) * k <= count
            is_kmer = is_base & is_whole & (in_stretch % k == 0)
            is_letter = is_base & ~is_whole
        is_letter |= (code == N) & ~sequences.is_special
        # A special token is a piece at its first byte.
        matches = sequences.matches
        first = (tf.gather(offsets, matches.rows) + matches.starts)[:, tf.newaxis]
        special_length = tf.scatter_nd(first, matches.ends - matches.starts, [size])
        special_id = tf.scatter_nd(first, tf.gather(self.special_ids, matches.index), [size])
        is_special = special_length > 0

        padded = tf.pad(code, [[0, k]])
        value = sum(padded[i : i + size] * len(BASES) ** (k - 1 - i) for i in range(k))
        ids = tf.where(is_kmer, self.first_kmer + value, self.first_letter + code)
        ids = tf.where(is_special, special_id, ids)
        lengths = tf.where(is_kmer, k, tf.where(is_special, special_length, 1))
        begins = is_kmer | is_letter | is_special
        rows = tf.cast(tf.boolean_mask(row, begins), tf.int64)
        num_rows = tf.shape(offsets, tf.int64)[0]
        return tuple(
            tf.RaggedTensor.from_value_rowids(
                tf.boolean_mask(values, begins), rows, num_rows, validate=False
            )
            for values in (ids, in_row, in_row + lengths)
        )

    def detokenize(self, rows: tf.RaggedTensor, texts: np.ndarray) -> tf.Tensor | tf.RaggedTensor:
        """Joins rows of ids to strings.

        Args:
            rows: int32, ragged in its last dimension.
            texts: What each piece is by itself; objects of shape (V,).
        """
        flat = rows.flat_values
        text = tf.gather(texts, flat)
        if self.overlapping:
            inner = rows
            while isinstance(inner.values, tf.RaggedTensor):
                inner = inner.values
            is_kmer = flat >= self.first_kmer
            goes_on = tf.concat([[False], is_kmer[:-1]], 0)[: tf.shape(flat)[0]] & is_kmer
            goes_on &= tf.ragged.range(inner.row_lengths()).flat_values > 0
            # Of a k-mer behind another all but its last letter is there already.
            skipped = tf.where(goes_on, self.k - 1, 0)
            text = tf.strings.substr(text, skipped, tf.strings.length(text) - skipped)
        return tf.strings.reduce_join(rows.with_flat_values(text), axis=-1)

"""`DnaTokenizer`: sequences of DNA into learnt pieces, or k-mers, inside the TensorFlow graph."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bigbird_tf.config_checks import check_integer
from bigbird_tf.preprocessing.characters import WHITE_SPACE
from bigbird_tf.preprocessing.tokenizers.added_tokens import AddedTokenFinder
from bigbird_tf.preprocessing.tokenizers.dna_letters import LETTERS, read_sequences, to_strings
from bigbird_tf.preprocessing.tokenizers.dna_training import train_model
from bigbird_tf.preprocessing.tokenizers.kmers import KmerKernel, kmer_model
from bigbird_tf.preprocessing.tokenizers.pretrained_files import (
    VOCABULARY_NAME,
    PretrainedFiles,
    read_model,
)
from bigbird_tf.preprocessing.tokenizers.sentencepiece_kernel import parse_model
from bigbird_tf.preprocessing.tokenizers.sentencepiece_tokenizer import (
    KIND,
    SentencePieceTokenizer,
)
from bigbird_tf.preprocessing.tokenizers.tokenizer import Tokens
from bigbird_tf.preprocessing.tokenizers.tokenizer_classes import DNA_CLASSES, check_class

__all__ = ["DnaTokenizer"]

# Found in sequences, as in texts: what a mask stands for is to be filled in.
IN_SEQUENCES = ("[CLS]", "[SEP]", "[MASK]")
SHORTEST_K, LONGEST_K = 3, 6


@keras.saving.register_keras_serializable(package="bigbird_tf")
class DnaTokenizer(SentencePieceTokenizer):
    """Turns sequences of DNA into pieces, and into a model's input.

    Pieces are learnt by byte-pair encoding (SentencePiece), as in BigBird's paper, or are k-mers.
    Runs eagerly, in `tf.data` maps, in `tf.function` and in SavedModels, on one sequence or a
    batch. Time grows with the length.

    Letters are read by these rules: a small letter (a repeat, in many files) as the large one; U as
    T; N as N; IUPAC's letters for several bases (R, Y, S, W, K, M, B, D, H, V) as N. Any other
    letter, spaces and gaps among them, is an error. `[CLS]`, `[SEP]` and `[MASK]` in a sequence are
    those tokens.

    With `k`, each stretch of A, C, G and T is cut into k-mers from its beginning; what is left at
    its end, and each N, is a piece of one letter. With `overlapping`, a k-mer begins at each base
    that has k - 1 more behind it in the stretch.

    `tokenize_with_offsets` has the bases of each piece; a byte is a base.

    Args:
        model: A SentencePiece model: the path of a `spiece.model` file, or its bytes.
        k: Letters of a k-mer, 3 to 6, instead of `model`.
        overlapping: Whether a k-mer begins at each base.
        **kwargs: `name` and the like, as for every Keras layer.

    Raises:
        FileNotFoundError: If `model` is a path without a file.
        ValueError: If `model` is no SentencePiece model, or lacks `[CLS]`, `[SEP]`, `<pad>` or a
            letter; or if `k` is impossible.

    Example:

    >>> tokenizer = DnaTokenizer(k=3)
    >>> ids, starts, ends = tokenizer.tokenize_with_offsets("acgtacgn")
    >>> [tokenizer.id_to_token(i) for i in ids.numpy()], ends.numpy().tolist()
    (['ACG', 'TAC', 'G', 'N'], [3, 6, 7, 8])
    """

    has_words = False
    # A piece of its own.
    example_word = "N"

    def __init__(
        self,
        model: str | os.PathLike | bytes | None = None,
        k: int | None = None,
        overlapping: bool = False,
        **kwargs: Any,
    ):
        if k is not None:
            is_integer = isinstance(k, int) and not isinstance(k, bool)
            if not is_integer or not SHORTEST_K <= k <= LONGEST_K:
                raise ValueError(
                    f"`k` must be an integer from {SHORTEST_K} to {LONGEST_K}. Received: k={k!r}"
                )
            if model is not None:
                raise ValueError("`model` and `k` must not both be given: k-mers need no model")
        elif overlapping:
            raise ValueError(
                "`overlapping` is of k-mers. Pass `k`, too. Received: overlapping=True, k=None"
            )
        self.k = k
        self.overlapping = bool(overlapping)
        super().__init__(model if k is None else kmer_model(k), **kwargs)

    @classmethod
    def train(
        cls,
        sequences: Iterable[str | bytes],
        vocab_size: int = 32_000,
        max_bases: int = 10_000_000,
        seed: int = 0,
        **kwargs: Any,
    ) -> "DnaTokenizer":
        """Learns pieces by byte-pair encoding.

        Sequences are cut where N is, so that N is a piece of its own only, and into chunks of 4000
        bases.

        Args:
            sequences: What to learn from, such as the records of a FASTA file.
            vocab_size: The most pieces, special ones included; few sequences make fewer.
            max_bases: Of more bases, chunks are drawn. Memory grows with it.
            seed: Decides which.
            **kwargs: Of the constructor.

        Raises:
            TypeError: If `sequences` is one string, or has what is none.
            ValueError: If a sequence has another letter, none has a base, or a number is
                impossible.
        """
        if isinstance(sequences, (str, bytes)):
            raise TypeError(
                "`sequences` must be an iterable of sequences. Received: one of type "
                f"{type(sequences).__name__}; pass [sequence]"
            )
        for name, value, least in (("vocab_size", vocab_size, 16), ("max_bases", max_bases, 1)):
            check_integer(name, value, least)
        return cls(train_model(sequences, vocab_size, max_bases, seed), **kwargs)

    def _set_model(self, model: bytes) -> None:
        super()._set_model(model)
        missing = [letter for letter in LETTERS if not self._is_found(letter)]
        if missing:
            raise ValueError(
                "`model` must have A, C, G, T and N as pieces, so that no sequence is unknown to "
                "it: train it with `DnaTokenizer.train`, or with SentencePiece and "
                "user_defined_symbols=['[CLS]', '[SEP]', '[MASK]', 'N']. Received: a model of "
                f"{self.vocab_size} pieces without {missing}"
            )
        present = [token for token in IN_SEQUENCES if self._is_found(token)]
        self._sequence_finder = AddedTokenFinder(present)
        if self.k is not None:
            ids = [self.token_to_id(token) for token in present]
            self._kmers = KmerKernel(self.k, self.overlapping, ids)

    def _is_found(self, token: str) -> bool:
        return self.token_to_id(token) != self.unk_token_id

    @classmethod
    def _from_files(cls, files: PretrainedFiles) -> "DnaTokenizer | None":
        """Reads `spiece.model`, or `k` and `overlapping` of `tokenizer_config.json`."""
        path = files.find(VOCABULARY_NAME)
        if path is None:
            return None
        check_class(files, path, cls.__name__, DNA_CLASSES)
        if files.config.get("k") is not None:
            return cls(k=files.config["k"], overlapping=files.config.get("overlapping", False))
        return cls(read_model(path, KIND))

    @classmethod
    def stand_in(cls) -> "DnaTokenizer":
        """Returns one with the least vocabulary, for what is the same with any vocabulary."""
        return cls(k=SHORTEST_K)

    @property
    def begins_word(self) -> np.ndarray:
        """All true, since there are no words; bool of shape (V,)."""
        return np.ones(self.vocab_size, bool)

    @property
    def invisible_characters(self) -> np.ndarray:
        """Which characters are space, which sequences cannot have; bool of shape (65536,)."""
        return WHITE_SPACE

    def _cut(self, text: tf.Tensor) -> Tokens:
        sequences = read_sequences(text, self._sequence_finder)
        if self.k is not None:
            return self._kmers.tokenize(sequences)
        return super()._cut(to_strings(sequences.data, sequences.lengths))

    def detokenize(self, ids: Any) -> tf.Tensor | tf.RaggedTensor:
        """Joins pieces to sequences; of k-mers that overlap each base is there once.

        Args:
            ids: Integers of rank 1 or more: a tensor, ragged tensor or (nested) list.

        Returns:
            Strings, of the shape of `ids` without its last dimension. Control pieces such as
            `<pad>` vanish.

        Raises:
            tf.errors.InvalidArgumentError: If an id is outside of the vocabulary.
        """
        return super().detokenize(ids)

    def _detokenize(self, ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor | tf.RaggedTensor:
        if self.k is None:
            return super()._detokenize(ids)
        if ids.shape.rank == 1:
            return self._detokenize(ids[tf.newaxis])[0]
        rows, is_ragged = ids, isinstance(ids, tf.RaggedTensor)
        if not is_ragged:
            rows = tf.RaggedTensor.from_tensor(ids, ragged_rank=ids.shape.rank - 1)
        joined = self._kmers.detokenize(rows, self._texts())
        if isinstance(joined, tf.RaggedTensor) and not is_ragged:
            return joined.to_tensor()
        return joined

    def _texts(self) -> np.ndarray:
        """Returns what each k-mer or other piece is by itself; objects of shape (V,)."""
        pieces = parse_model(self._model).pieces
        texts = ["" if piece.type == piece.CONTROL else piece.piece for piece in pieces]
        return np.array([text.encode() for text in texts], object)

    def save_pretrained(self, directory: str | os.PathLike) -> None:
        """Writes what `from_pretrained` reads.

        That is `spiece.model`, and a `tokenizer_config.json` that says how to use it.
        """
        super().save_pretrained(directory)

    def save_vocabulary(self, directory: str | os.PathLike) -> Path:
        """Writes `spiece.model` and returns its path; of k-mers it lists the pieces only."""
        return super().save_vocabulary(directory)

    @property
    def _settings(self) -> dict[str, Any]:
        return {"k": self.k, "overlapping": self.overlapping}

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the vocabulary is an asset and no part of them."""
        config = super().get_config()
        for name in ("lstrip", "rstrip", "added_tokens"):
            del config[name]
        return {**config, "k": self.k, "overlapping": self.overlapping}

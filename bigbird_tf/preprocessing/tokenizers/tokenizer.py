"""`Tokenizer`: what the tokenizers of all kinds of vocabularies have in common."""

import os
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from bigbird_tf.preprocessing.packing import check_length_arguments, pack_segments
from bigbird_tf.preprocessing.text_input import (
    first_of_batch,
    split_pairs,
    to_batch,
    to_string_tensor,
)
from bigbird_tf.preprocessing.tokenizers.pretrained_files import (
    NotExpressibleError,
    PretrainedFiles,
)
from bigbird_tf.preprocessing.tokenizers.text_layout import LaidOut

__all__ = ["SPECIAL_NAMES", "Tokenizer", "Tokens"]

# Ids, starts and ends; int32, ragged of shape (B, None).
Tokens = tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]
# Of `transformers`, whatever the tokens themselves are.
SPECIAL_NAMES = (
    "cls_token", "sep_token", "mask_token", "pad_token", "unk_token", "bos_token", "eos_token",
)  # fmt: skip


class Tokenizer(LaidOut, keras.layers.Layer):
    """Base of the layers that turn text into the ids of a vocabulary, and back.

    `Tokenizer.from_pretrained` gives the class that reads what a checkpoint has. All of them run
    eagerly, in `tf.data` maps and in `tf.function`, on one string or a batch; those with `in_graph`
    also in SavedModels.

    Args:
        **kwargs: `name` and the like, as for every Keras layer.

    Attributes:
        in_graph: Whether all of it is TensorFlow's, so that a SavedModel can hold it.
        has_words: Whether texts are of words, between which there are spaces.
        example_word: What texts to try a model with are made of.
        lstrip, rstrip: Tokens that take the spaces before, and behind, them.
        cls_token_id, sep_token_id, pad_token_id: Ids of the tokens that inputs are laid out with.
        mask_token_id, bos_token_id, eos_token_id: Ids of others; `None` where the vocabulary has
            none.
        unk_token_id: Id of what stands for text that the vocabulary does not have.

    Example:

    >>> tokenizer = Tokenizer.from_pretrained("google/bigbird-roberta-base")
    >>> tokenizer("A short text.")["input_ids"]
    """

    in_graph = True
    has_words = True
    example_word = "word "
    # Subclasses that `Tokenizer.from_pretrained` asks, in this order, whether they read what is
    # there.
    _kinds: ClassVar[list[type["Tokenizer"]]] = []

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        # Python strings and string tensors are the input; Keras would make numbers of them.
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.built = True
        self._vocabulary: Any = None  # until there is a model
        self.lstrip: list[str] = []
        self.rstrip: list[str] = []
        for name in SPECIAL_NAMES:
            setattr(self, f"{name}_id", None)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_from_files" in vars(cls):
            Tokenizer._kinds.append(cls)

    # Subclasses define these.

    @classmethod
    def _from_files(cls, files: PretrainedFiles) -> "Tokenizer | None":
        """Makes a tokenizer of a checkpoint's files; `None` if there are none that it reads.

        Raises:
            NotExpressibleError: If they ask for what this class cannot do.
            ValueError: If they are broken.
        """
        raise NotImplementedError

    @classmethod
    def stand_in(cls) -> "Tokenizer":
        """Returns one with the least vocabulary, for what is the same with any vocabulary."""
        raise NotImplementedError

    def _tokens(self) -> list[str]:
        """Returns all tokens of the vocabulary, in the order of their ids."""
        raise NotImplementedError

    def _token(self, token_id: int) -> str:
        return self._tokens()[token_id]

    def _tokenize(self, text: tf.Tensor) -> Tokens:
        """Cuts strings (B,) into tokens and the bytes of each."""
        raise NotImplementedError

    def _detokenize(self, ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor | tf.RaggedTensor:
        """Joins ids that are known to be in the vocabulary, of rank 1 or more."""
        raise NotImplementedError

    def save_vocabulary(self, directory: str | os.PathLike) -> Path:
        """Writes the vocabulary's file and returns its path."""
        raise NotImplementedError

    def save_pretrained(self, directory: str | os.PathLike) -> None:
        """Writes what `from_pretrained`, here and in `transformers`, reads."""
        raise NotImplementedError

    def load_assets(self, dir_path: str) -> None:
        """Reads the vocabulary of a `.keras` file; Keras calls this."""
        raise NotImplementedError

    @property
    def begins_word(self) -> np.ndarray:
        """Which tokens begin a word; bool of shape (V,)."""
        raise NotImplementedError

    @property
    def invisible_characters(self) -> np.ndarray:
        """Which characters the vocabulary sees as space, or not at all; bool of shape (65536,)."""
        raise NotImplementedError

    # These follow from the above.

    @property
    def has_vocabulary(self) -> bool:
        """Whether there is a vocabulary already; made from a config alone, there is none yet."""
        return self._vocabulary is not None

    def _require_model(self) -> None:
        if not self.has_vocabulary:
            raise ValueError(
                f"The tokenizer {self.name!r} has no vocabulary: it was made from a config alone. "
                "Pass `model`, or load it from a `.keras` file or with `from_pretrained`."
            )

    @property
    def vocab_size(self) -> int:
        """Number of tokens, added ones included."""
        self._require_model()
        return len(self._tokens())

    @property
    def mask_token(self) -> str | None:
        """What a text has where something is to be filled in; `None` if there is no such token."""
        return None if self.mask_token_id is None else self.id_to_token(self.mask_token_id)

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special tokens that the vocabulary has, ascending."""
        self._require_model()
        ids = {getattr(self, f"{name}_id") for name in SPECIAL_NAMES}
        return sorted(ids - {None})

    @property
    def config_fields(self) -> dict[str, int | None]:
        """The fields of a model's config that the vocabulary decides.

        Special ids that a model does not share with its tokenizer go wrong silently, and
        `BigBirdConfig` has those of Google's vocabulary by default. So a config for a vocabulary of
        your own is `BigBirdConfig(**tokenizer.config_fields, num_hidden_layers=4)`.
        """
        names = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id")
        return {"vocab_size": self.vocab_size, **{name: getattr(self, name) for name in names}}

    def id_to_token(self, token_id: int) -> str:
        """Returns the token of an id.

        Raises:
            ValueError: If the id is outside of the vocabulary.
        """
        if not 0 <= token_id < self.vocab_size:
            raise ValueError(
                f"`token_id` must be in [0, {self.vocab_size}). Received: token_id={token_id}"
            )
        return self._token(token_id)

    def token_to_id(self, token: str) -> int:
        """Returns the id of a token, or `unk_token_id` where the vocabulary has no such token."""
        raise NotImplementedError

    def tokenize(self, text: Any) -> tf.Tensor | tf.RaggedTensor:
        """Cuts text into tokens, without special ones around it.

        Args:
            text: One string, or a tensor, ragged tensor or nested list of strings.

        Returns:
            int32 ids: of shape (None,) for one string, else ragged with one more dimension than
            `text`.
        """
        return self.tokenize_with_offsets(text)[0]

    def tokenize_with_offsets(self, text: Any) -> tuple[tf.Tensor | tf.RaggedTensor, ...]:
        """Cuts text into tokens and tells the bytes that each was made of.

        Args:
            text: As in `tokenize`.

        Returns:
            `(ids, starts, ends)`, int32, each of the shape that `tokenize` returns. Token k is made
            of the bytes from `starts[k]` up to, not including, `ends[k]`; a SentencePiece piece
            that begins with "▁" includes the space before the word, where there is one.
        """
        self._require_model()
        text = to_string_tensor("text", text)
        is_scalar = text.shape.rank == 0
        if isinstance(text, tf.Tensor) and text.shape.rank > 1:
            text = tf.RaggedTensor.from_tensor(text, ragged_rank=text.shape.rank - 1)
        flat = text.flat_values if isinstance(text, tf.RaggedTensor) else tf.reshape(text, [-1])
        tokens = self._tokenize(flat)
        if is_scalar:
            return tuple(values.flat_values for values in tokens)
        if isinstance(text, tf.RaggedTensor):
            return tuple(text.with_flat_values(values) for values in tokens)
        return tokens

    def detokenize(self, ids: Any) -> tf.Tensor | tf.RaggedTensor:
        """Joins tokens to text.

        Args:
            ids: Integers of rank 1 or more: a tensor, ragged tensor or (nested) list.

        Returns:
            Strings, of the shape of `ids` without its last dimension.

        Raises:
            tf.errors.InvalidArgumentError: If an id is outside of the vocabulary.
        """
        self._require_model()
        if not isinstance(ids, (tf.Tensor, tf.RaggedTensor)):
            ids = tf.ragged.constant(ids, tf.int32) if isinstance(ids, list) else tf.constant(ids)
        if ids.shape.rank == 0:
            raise ValueError("`ids` must be of rank 1 or more. Received: a scalar")
        ids = tf.cast(ids, tf.int32)
        flat = ids.flat_values if isinstance(ids, tf.RaggedTensor) else ids
        message = f"`ids` must be in [0, {self.vocab_size})."
        checks = [
            tf.debugging.assert_non_negative(flat, message),
            tf.debugging.assert_less(flat, self.vocab_size, message),
        ]
        # Eagerly the checks have raised by now, and there is nothing to wait for.
        with tf.control_dependencies([check for check in checks if check is not None]):
            return self._detokenize(tf.identity(ids))

    def token_text(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns what each token adds to a text, without a space before it; strings like `ids`."""
        text = self.detokenize(tf.reshape(ids, [-1, 1]))
        return tf.reshape(text, tf.shape(ids))

    def get_special_tokens_mask(self, ids: Any) -> tf.Tensor | tf.RaggedTensor:
        """Marks the special tokens, the unknown one among them, as `transformers` does.

        Args:
            ids: Integers of any shape.

        Returns:
            int32 of the same shape: 1 for special tokens, 0 for all others.
        """
        if not isinstance(ids, (tf.Tensor, tf.RaggedTensor)):
            ids = tf.convert_to_tensor(ids)
        if isinstance(ids, tf.RaggedTensor):
            return ids.with_flat_values(self.get_special_tokens_mask(ids.flat_values))
        special = tf.constant(self.all_special_ids, ids.dtype)
        return tf.cast(tf.reduce_any(ids[..., tf.newaxis] == special, axis=-1), tf.int32)

    def call(
        self,
        text: Any,
        text_pair: Any = None,
        max_length: int | None = None,
        padding: str = "longest",
        truncation: bool = True,
        pad_to_multiple_of: int | None = None,
    ) -> dict[str, tf.Tensor]:
        """Makes a model's input: `[CLS] text [SEP]`, or `[CLS] text [SEP] text_pair [SEP]`.

        Args:
            text: One string or a batch of shape (B,): `str`, `bytes`, a list, an array, a tensor.
                A list of tuples of two strings is a batch of pairs.
            text_pair: A second text to each, or `None`.
            max_length: The most tokens of an input, special ones included; `None` for no limit.
                Of a pair the longer text is cut first, as `transformers`' "longest_first" does.
            padding: `"longest"` pads to the longest row of the batch, `"max_length"` to that.
            truncation: Whether inputs over `max_length` are cut; otherwise they stay whole.
            pad_to_multiple_of: Rounds the padded length up to a multiple, though not beyond
                `max_length`, so that few different lengths occur.

        Returns:
            A dict of int32 tensors of shape (B, T), or (T,) for one string: `input_ids`;
            `attention_mask`, 1 for tokens and 0 for padding; `token_type_ids`, 1 for `text_pair`
            and the `[SEP]` after it, 0 elsewhere.

        Raises:
            TypeError: If a text is not of strings.
            ValueError: If a text is of rank 2 or more, the two texts are not of one shape, or an
                argument of length is impossible.
        """
        self._require_model()
        if text_pair is None:
            text, text_pair = split_pairs(text)
        num_special = self.count_special(1 if text_pair is None else 2)
        check_length_arguments(max_length, padding, pad_to_multiple_of, num_special)
        text, is_scalar = to_batch("text", text)
        texts = [text]
        if text_pair is not None:
            text_pair, pair_is_scalar = to_batch("text_pair", text_pair)
            if is_scalar != pair_is_scalar or not text.shape.is_compatible_with(text_pair.shape):
                raise ValueError(
                    "`text` and `text_pair` must be two strings or two batches of one size. "
                    f"Received: text of shape {text.shape[is_scalar:]}, text_pair of shape "
                    f"{text_pair.shape[pair_is_scalar:]}"
                )
            texts.append(text_pair)
        packed = self.pack(
            [self.tokenize(part) for part in texts],
            max_length=max_length,
            padding=padding,
            pad_to_multiple_of=pad_to_multiple_of,
            truncation=truncation,
        )
        return first_of_batch(packed) if is_scalar else packed

    def pack(self, segments: list[tf.RaggedTensor], **options: Any) -> dict[str, tf.Tensor]:
        """Lays one or two ragged segments of ids `(B, None)` out as a call does, and returns that.

        Args:
            segments: The ids, without special tokens.
            **options: `max_length`, `padding`, `pad_to_multiple_of`, `truncation`, as of a call.
        """
        names = ("cls_token_id", "sep_token_id", "pad_token_id")
        return pack_segments(segments, **{name: getattr(self, name) for name in names}, **options)

    def count_special(self, num_texts: int) -> int:
        """Returns how many special tokens an input of so many texts has, or 1 if it has none."""
        return 1 + num_texts

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike, **hub_arguments: Any) -> "Tokenizer":
        """Makes the tokenizer of a directory or of a repository of the hub.

        `Tokenizer.from_pretrained` picks the class by what is there: `BigBirdTokenizer` for
        `spiece.model` or a unigram `tokenizer.json`, `WordPieceTokenizer` for `vocab.txt` or a
        WordPiece `tokenizer.json`, `PegasusTokenizer` for a `spiece.model` that the files say is
        Pegasus', `FastTokenizer` for any other `tokenizer.json`, or for
        `vocab.json` with `merges.txt`. A class's own `from_pretrained` makes that class.

        Args:
            name_or_path: A directory, a shipped model's name, or a repository id.
            **hub_arguments: `revision`, `cache_dir`, `token`, `local_files_only`, as in
                `bigbird_tf.hub.find_file`.

        Raises:
            FileNotFoundError: If there is no file of a tokenizer.
            ValueError: If a file is broken, or asks for what we do not have.
        """
        files = PretrainedFiles(name_or_path, hub_arguments)
        kinds = Tokenizer._kinds if cls is Tokenizer else [cls]
        for kind in kinds:
            try:
                tokenizer = kind._from_files(files)
            except NotExpressibleError as error:
                # Another class may be able to; if not, this is why.
                files.reasons.append(error)
                continue
            if tokenizer is not None:
                return tokenizer
        if files.reasons:
            raise ValueError(str(files.reasons[0])) from files.reasons[0]
        raise files.not_found()

    def save_assets(self, dir_path: str) -> None:
        """Writes the vocabulary into a `.keras` file; Keras calls this."""
        self.save_vocabulary(dir_path)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the shapes and dtypes of a call; it needs no vocabulary for that.

        Keras rebuilds the graph of a saved Functional model before it loads assets.
        """
        if self.has_vocabulary:
            return super().compute_output_spec(*args, **kwargs)
        return self.stand_in().compute_output_spec(*args, **kwargs)

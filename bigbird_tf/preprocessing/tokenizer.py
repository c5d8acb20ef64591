"""`BigBirdTokenizer`: SentencePiece inside the TensorFlow graph."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bigbird_tf import hub
from bigbird_tf.preprocessing.characters import invisible_characters
from bigbird_tf.preprocessing.packing import check_length_arguments, pack_segments
from bigbird_tf.preprocessing.sentencepiece_kernel import make_kernel, read_model, stand_in_model
from bigbird_tf.preprocessing.taken_spaces import drop_taken_spaces
from bigbird_tf.preprocessing.text_input import (
    first_of_batch,
    split_pairs,
    to_batch,
    to_string_tensor,
)
from bigbird_tf.preprocessing.tokenizer_config import read_stripped_pieces, write_tokenizer_config
from bigbird_tf.preprocessing.tokenizer_json import read_tokenizer_json
from bigbird_tf.preprocessing.vocabulary import SPECIAL_PIECES, Vocabulary

__all__ = ["BigBirdTokenizer"]

VOCABULARY_NAME = "spiece.model"
JSON_NAME = "tokenizer.json"
CONFIG_NAME = "tokenizer_config.json"


@keras.saving.register_keras_serializable(package="bigbird_tf")
class BigBirdTokenizer(keras.layers.Layer):
    """Turns text into the pieces of a SentencePiece vocabulary and into a model's input.

    Runs eagerly, in `tf.data` maps, in `tf.function` and in SavedModels, on one string or a batch.
    Gives the pieces of the `sentencepiece` library; only where two ways to cut a text score the
    same but for rounding can they differ. Invalid UTF-8 and NUL bytes are taken as the library
    takes them: each stretch of them becomes the unknown piece.

    One thing the library does not do: `[MASK]` takes the spaces before it, as in `transformers`.
    Where words are hidden for training there is none either, since a word's piece includes the
    space before the word.

    Pieces that the vocabulary declares as user-defined, `[CLS]`, `[SEP]` and `[MASK]` among them,
    are recognised in the text itself. Text from strangers that must not be able to write them has
    to be cleaned before. And it should be cut to a sensible size: the kernel's time grows with the
    square of the longest stretch of unknown characters (a megabyte of them: 3 to 30 seconds on a
    processor of 2023); that of all other text grows with its length.

    Saved as part of a `.keras` file, the vocabulary travels along as an asset; a tokenizer made by
    `from_config` alone has none until `load_assets` or loading the file gives it one.

    Args:
        model: A SentencePiece model: the path of a `spiece.model` file, or its bytes.
        lstrip: Pieces that take the spaces before them, as `AddedToken(lstrip=True)` does.
        rstrip: Pieces that take the spaces behind them.
        **kwargs: `name` and the like, as for every Keras layer.

    Attributes:
        cls_token_id, sep_token_id, pad_token_id: Ids of `[CLS]`, `[SEP]`, `<pad>`.
        mask_token_id, bos_token_id, eos_token_id: Ids of `[MASK]`, `<s>`, `</s>`; `None` where the
            vocabulary has no such piece.
        unk_token_id: Id of the unknown piece.

    Raises:
        FileNotFoundError: If `model` is a path without a file.
        ValueError: If `model` is no SentencePiece model or lacks `[CLS]`, `[SEP]` or `<pad>`, or a
            piece of `lstrip` or `rstrip`.

    Example:

    >>> tokenizer = BigBirdTokenizer("spiece.model")
    >>> inputs = tokenizer(["A short text.", "Another one"], max_length=128)
    >>> sorted(inputs)
    ['attention_mask', 'input_ids', 'token_type_ids']
    """

    def __init__(
        self,
        model: str | os.PathLike | bytes | None = None,
        lstrip: Sequence[str] = (SPECIAL_PIECES["mask_token"],),
        rstrip: Sequence[str] = (),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        for name, value in (("lstrip", lstrip), ("rstrip", rstrip)):
            if isinstance(value, str):
                raise TypeError(f"`{name}` must be a list of pieces. Received: {name}={value!r}")
        self.lstrip, self.rstrip = list(lstrip), list(rstrip)
        # Python strings and string tensors are the input; Keras would make numbers of them.
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.built = True
        self._vocabulary: Any = None  # until there is a model
        for name in SPECIAL_PIECES:
            setattr(self, f"{name}_id", None)
        if model is not None:
            self._set_model(read_model(model))

    def _set_model(self, model: bytes) -> None:
        """Takes over a vocabulary: special ids, the Python look-ups, and the graph's kernel."""
        self._vocabulary = Vocabulary.of(model, self.lstrip, self.rstrip)
        for name, index in self._vocabulary.special_ids.items():
            setattr(self, f"{name}_id", index)
        self._kernel = make_kernel(model)

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
        """Number of pieces."""
        self._require_model()
        return self._vocabulary.processor.vocab_size()

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special pieces that the vocabulary has, ascending."""
        self._require_model()
        ids = {getattr(self, f"{name}_id") for name in SPECIAL_PIECES}
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

    @property
    def invisible_characters(self) -> np.ndarray:
        """Which characters the vocabulary sees as space, or not at all; bool of shape (65536,)."""
        self._require_model()
        return invisible_characters(self._vocabulary.processor)

    def id_to_token(self, token_id: int) -> str:
        """Gives the piece of an id.

        Raises:
            ValueError: If the id is outside of the vocabulary.
        """
        if not 0 <= token_id < self.vocab_size:
            raise ValueError(
                f"`token_id` must be in [0, {self.vocab_size}). Received: token_id={token_id}"
            )
        return self._vocabulary.processor.id_to_piece(token_id)

    def token_to_id(self, token: str) -> int:
        """Gives the id of a piece, or `unk_token_id` where the vocabulary has no such piece."""
        self._require_model()
        return self._vocabulary.processor.piece_to_id(token)

    def tokenize(self, text: Any) -> tf.Tensor | tf.RaggedTensor:
        """Cuts text into pieces, without special ones around it.

        Args:
            text: One string, or a tensor, ragged tensor or nested list of strings.

        Returns:
            int32 ids: of shape (None,) for one string, else ragged with one more dimension than
            `text`.
        """
        return self.tokenize_with_offsets(text)[0]

    def tokenize_with_offsets(self, text: Any) -> tuple[tf.Tensor | tf.RaggedTensor, ...]:
        """Cuts text into pieces and tells the bytes that each was made of.

        Args:
            text: As in `tokenize`.

        Returns:
            `(ids, starts, ends)`, int32, each of the shape that `tokenize` gives. Piece k is made
            of the bytes from `starts[k]` up to, not including, `ends[k]`; a piece that begins with
            "▁" includes the space before the word, where there is one.
        """
        self._require_model()
        text = to_string_tensor("text", text)
        is_scalar = text.shape.rank == 0
        if isinstance(text, tf.Tensor) and text.shape.rank > 1:
            text = tf.RaggedTensor.from_tensor(text, ragged_rank=text.shape.rank - 1)
        flat = text.flat_values if isinstance(text, tf.RaggedTensor) else tf.reshape(text, [-1])
        ids, starts, ends = self._kernel.tokenize_with_offsets(flat)
        pieces = (ids, tf.cast(starts, tf.int32), tf.cast(ends, tf.int32))
        pieces = drop_taken_spaces(flat, pieces, self._vocabulary)
        if is_scalar:
            return tuple(values.flat_values for values in pieces)
        if isinstance(text, tf.RaggedTensor):
            return tuple(text.with_flat_values(values) for values in pieces)
        return pieces

    def detokenize(self, ids: Any) -> tf.Tensor | tf.RaggedTensor:
        """Joins pieces to text.

        Args:
            ids: Integers of rank 1 or more: a tensor, ragged tensor or (nested) list.

        Returns:
            Strings, of the shape of `ids` without its last dimension. Control pieces such as
            `<pad>` vanish, unknown ones become " ⁇ ".

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
            return self._kernel.detokenize(tf.identity(ids))

    def get_special_tokens_mask(self, ids: Any) -> tf.Tensor | tf.RaggedTensor:
        """Marks the special pieces, the unknown one among them, as `transformers` does.

        Args:
            ids: Integers of any shape.

        Returns:
            int32 of the same shape: 1 for special pieces, 0 for all others.
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
            max_length: The most pieces of an input, special ones included; `None` for no limit.
                Of a pair the longer text is cut first, as `transformers`' "longest_first" does.
            padding: `"longest"` pads to the longest row of the batch, `"max_length"` to that.
            truncation: Whether inputs over `max_length` are cut; otherwise they stay whole.
            pad_to_multiple_of: Rounds the padded length up to a multiple, though not beyond
                `max_length`, so that few different lengths occur.

        Returns:
            A dict of int32 tensors of shape (B, T), or (T,) for one string: `input_ids`;
            `attention_mask`, 1 for pieces and 0 for padding; `token_type_ids`, 1 for `text_pair`
            and the `[SEP]` after it, 0 elsewhere.

        Raises:
            TypeError: If a text is not of strings.
            ValueError: If a text is of rank 2 or more, the two texts are not of one shape, or an
                argument of length is impossible.
        """
        self._require_model()
        if text_pair is None:
            text, text_pair = split_pairs(text)
        num_special = 2 if text_pair is None else 3
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
        packed = pack_segments(
            [self.tokenize(part) for part in texts],
            cls_token_id=self.cls_token_id,
            sep_token_id=self.sep_token_id,
            pad_token_id=self.pad_token_id,
            max_length=max_length,
            padding=padding,
            pad_to_multiple_of=pad_to_multiple_of,
            truncation=truncation,
        )
        return first_of_batch(packed) if is_scalar else packed

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | os.PathLike, **hub_arguments: Any
    ) -> "BigBirdTokenizer":
        """Reads the vocabulary of a directory or of a repository of the hub.

        That is `spiece.model`, or where there is none, the `tokenizer.json` that `transformers` 5
        saves in its place. The latter says which pieces take the spaces beside them; beside
        `spiece.model` its `tokenizer_config.json` does, and by default `[MASK]` takes
        those before it.

        Args:
            name_or_path: A directory, a shipped model's name, or a repository id.
            **hub_arguments: `revision`, `cache_dir`, `token`, `local_files_only`, as in
                `bigbird_tf.hub.find_file`.

        Raises:
            FileNotFoundError: If there is neither.
            ValueError: If it is no unigram model or lacks a special piece.
        """
        path = hub.find_file(name_or_path, VOCABULARY_NAME, **hub_arguments)
        if path is None:
            json_path = hub.find_file(name_or_path, JSON_NAME, **hub_arguments)
            if json_path is not None:
                model, stripped = read_tokenizer_json(json_path)
                return cls(model, **stripped)
            # Neither is there; its message lists what is.
            path = hub.require_file(name_or_path, VOCABULARY_NAME, **hub_arguments)
        config_path = hub.find_file(name_or_path, CONFIG_NAME, **hub_arguments)
        if config_path is None:
            return cls(path)
        return cls(path, **read_stripped_pieces(config_path, SPECIAL_PIECES["mask_token"]))

    def save_vocabulary(self, directory: str | os.PathLike) -> Path:
        """Writes `spiece.model`, byte for byte what was read, and gives its path."""
        self._require_model()
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / VOCABULARY_NAME
        path.write_bytes(self._vocabulary.model)
        return path

    def save_pretrained(self, directory: str | os.PathLike) -> None:
        """Writes what `from_pretrained`, here and in `transformers`, reads.

        That is `spiece.model`, and a `tokenizer_config.json` that names the special pieces.
        """
        path = self.save_vocabulary(directory)
        special = {
            name: self.id_to_token(getattr(self, f"{name}_id"))
            for name in SPECIAL_PIECES
            if getattr(self, f"{name}_id") is not None
        }
        pieces = [*special.values(), *self.lstrip, *self.rstrip]
        by_id = {self.token_to_id(piece): piece for piece in pieces}
        by_id[self.unk_token_id] = special["unk_token"]
        write_tokenizer_config(
            path.with_name(CONFIG_NAME), special, by_id, self.lstrip, self.rstrip
        )

    def save_assets(self, dir_path: str) -> None:
        """Writes the vocabulary into a `.keras` file; Keras calls this."""
        self.save_vocabulary(dir_path)

    def load_assets(self, dir_path: str) -> None:
        """Reads the vocabulary of a `.keras` file; Keras calls this."""
        self._set_model(read_model(Path(dir_path) / VOCABULARY_NAME))

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments; the vocabulary is an asset and no part of them."""
        return {
            **super().get_config(),
            "model": None,
            "lstrip": self.lstrip,
            "rstrip": self.rstrip,
        }

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the shapes and dtypes of a call; it needs no vocabulary for that.

        Keras rebuilds the graph of a saved Functional model before it loads assets.
        """
        if self.has_vocabulary:
            return super().compute_output_spec(*args, **kwargs)
        return type(self)(stand_in_model()).compute_output_spec(*args, **kwargs)

"""`BigBirdTokenizer`: SentencePiece inside the TensorFlow graph."""

import json
import os
from pathlib import Path
from typing import Any

import keras
import sentencepiece
import tensorflow as tf

from bigbird_tf import hub
from bigbird_tf.preprocessing.packing import check_length_arguments, pack_segments
from bigbird_tf.preprocessing.sentencepiece_kernel import make_kernel
from bigbird_tf.preprocessing.text_input import first_of_batch, to_batch, to_string_tensor
from bigbird_tf.preprocessing.tokenizer_json import read_tokenizer_json

__all__ = ["BigBirdTokenizer"]

VOCABULARY_NAME = "spiece.model"
JSON_NAME = "tokenizer.json"
CONFIG_NAME = "tokenizer_config.json"
# Names of `transformers`, and the pieces that Google's vocabularies have for them.
SPECIAL_PIECES = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "bos_token": "<s>",
    "eos_token": "</s>",
}
REQUIRED_PIECES = ("cls_token", "sep_token", "pad_token")


@keras.saving.register_keras_serializable(package="bigbird_tf")
class BigBirdTokenizer(keras.layers.Layer):
    """Turns text into the pieces of a SentencePiece vocabulary and into a model's input.

    Runs eagerly, in `tf.data` maps, in `tf.function` and in SavedModels, on one string or a batch.
    Gives the pieces of the `sentencepiece` library; only where two ways to cut a text score the
    same but for rounding can they differ. Invalid UTF-8 and NUL bytes are taken as the library
    takes them: each stretch of them becomes the unknown piece.

    Pieces that the vocabulary declares as user-defined, `[CLS]`, `[SEP]` and `[MASK]` among them,
    are recognised in the text itself. Text from strangers that must not be able to write them has
    to be cleaned before. And it should be cut to a sensible size: the kernel's time grows with the
    square of the longest stretch of unknown characters (a megabyte of them: 3 to 30 seconds on a
    processor of 2023); that of all other text grows with its length.

    Saved as part of a `.keras` file, the vocabulary travels along as an asset; a tokenizer made by
    `from_config` alone has none until `load_assets` or loading the file gives it one.

    Args:
        model: A SentencePiece model: the path of a `spiece.model` file, or its bytes.
        **kwargs: `name` and the like, as for every Keras layer.

    Attributes:
        cls_token_id, sep_token_id, pad_token_id: Ids of `[CLS]`, `[SEP]`, `<pad>`.
        mask_token_id, bos_token_id, eos_token_id: Ids of `[MASK]`, `<s>`, `</s>`; `None` where the
            vocabulary has no such piece.
        unk_token_id: Id of the unknown piece.

    Raises:
        FileNotFoundError: If `model` is a path without a file.
        ValueError: If `model` is no SentencePiece model or lacks `[CLS]`, `[SEP]` or `<pad>`.

    Example:

    >>> tokenizer = BigBirdTokenizer("spiece.model")
    >>> inputs = tokenizer(["A short text.", "Another one"], max_length=128)
    >>> sorted(inputs)
    ['attention_mask', 'input_ids', 'token_type_ids']
    """

    def __init__(self, model: str | os.PathLike | bytes | None = None, **kwargs):
        super().__init__(**kwargs)
        # Python strings and string tensors are the input; Keras would make numbers of them.
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.built = True
        self._model_bytes = None
        for name in SPECIAL_PIECES:
            setattr(self, f"{name}_id", None)
        if model is not None:
            self._set_model(_read_model(model))

    def _set_model(self, model: bytes) -> None:
        """Takes over a vocabulary: special ids, the Python look-ups, and the graph's kernel."""
        try:
            # Not through the constructor, which takes empty bytes for "no model" and warns only.
            processor = sentencepiece.SentencePieceProcessor()
            processor.LoadFromSerializedProto(model)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"`model` must be a SentencePiece model. Received {len(model)} bytes that are "
                f"none: {error}"
            ) from error
        for name, piece in SPECIAL_PIECES.items():
            index = processor.unk_id() if name == "unk_token" else processor.piece_to_id(piece)
            if index == processor.unk_id() and name != "unk_token":
                index = None
            if index is None and name in REQUIRED_PIECES:
                raise ValueError(
                    f"`model` has no piece {piece!r}, which every BigBird input needs. Train the "
                    "vocabulary with user_defined_symbols=['[CLS]', '[SEP]', '[MASK]'] and "
                    f"pad_id=0. Received: a model of {processor.vocab_size()} pieces"
                )
            setattr(self, f"{name}_id", index)
        self._model_bytes = model
        self._processor = processor
        self._kernel = make_kernel(model)

    @property
    def has_vocabulary(self) -> bool:
        """Whether there is a vocabulary already; made from a config alone, there is none yet."""
        return self._model_bytes is not None

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
        return self._processor.vocab_size()

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special pieces that the vocabulary has, ascending."""
        self._require_model()
        ids = {getattr(self, f"{name}_id") for name in SPECIAL_PIECES}
        return sorted(ids - {None})

    def id_to_token(self, token_id: int) -> str:
        """Gives the piece of an id.

        Raises:
            ValueError: If the id is outside of the vocabulary.
        """
        if not 0 <= token_id < self.vocab_size:
            raise ValueError(
                f"`token_id` must be in [0, {self.vocab_size}). Received: token_id={token_id}"
            )
        return self._processor.id_to_piece(token_id)

    def token_to_id(self, token: str) -> int:
        """Gives the id of a piece, or `unk_token_id` where the vocabulary has no such piece."""
        self._require_model()
        return self._processor.piece_to_id(token)

    def tokenize(self, text: Any) -> tf.Tensor | tf.RaggedTensor:
        """Cuts text into pieces, without special ones around it.

        Args:
            text: One string, or a tensor, ragged tensor or nested list of strings.

        Returns:
            int32 ids: of shape (None,) for one string, else ragged with one more dimension than
            `text`.
        """
        self._require_model()
        return self._kernel.tokenize(to_string_tensor("text", text))

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
        ids, starts, ends = self._kernel.tokenize_with_offsets(to_string_tensor("text", text))
        return ids, tf.cast(starts, tf.int32), tf.cast(ends, tf.int32)

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
            [self._kernel.tokenize(part) for part in texts],
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
        saves in its place.

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
                return cls(read_tokenizer_json(json_path))
            # Neither is there; its message lists what is.
            path = hub.require_file(name_or_path, VOCABULARY_NAME, **hub_arguments)
        return cls(path)

    def save_vocabulary(self, directory: str | os.PathLike) -> Path:
        """Writes `spiece.model`, byte for byte what was read, and gives its path."""
        self._require_model()
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / VOCABULARY_NAME
        path.write_bytes(self._model_bytes)
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
        config = {"tokenizer_class": "BigBirdTokenizer", **special}
        text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
        path.with_name(CONFIG_NAME).write_text(text + "\n", encoding="utf-8")

    def save_assets(self, dir_path: str) -> None:
        """Writes the vocabulary into a `.keras` file; Keras calls this."""
        self.save_vocabulary(dir_path)

    def load_assets(self, dir_path: str) -> None:
        """Reads the vocabulary of a `.keras` file; Keras calls this."""
        self._set_model(_read_model(Path(dir_path) / VOCABULARY_NAME))

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments; the vocabulary is an asset and no part of them."""
        return {**super().get_config(), "model": None}


def _read_model(model: str | os.PathLike | bytes) -> bytes:
    if isinstance(model, bytes):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(
            "`model` must be the path of a SentencePiece model file or its bytes. Received: "
            f"model of type {type(model).__name__}"
        )
    path = Path(model).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"`model` must be a SentencePiece model file. Received: {path}, where there is no "
            "file. For a directory or a repository of the hub use `from_pretrained`."
        )
    return path.read_bytes()

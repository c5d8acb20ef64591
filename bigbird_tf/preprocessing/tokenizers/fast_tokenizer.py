"""`FastTokenizer`: any `tokenizer.json`, by the library `tokenizers`, outside of the graph."""

import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bigbird_tf.preprocessing.characters import WHITE_SPACE
from bigbird_tf.preprocessing.tokenizers.byte_level_files import (
    ROBERTA_TOKENS,
    byte_level_json,
    with_prefix_space,
)
from bigbird_tf.preprocessing.tokenizers.post_processor import cls_and_sep, warn_of_layout
from bigbird_tf.preprocessing.tokenizers.pretrained_files import (
    CONFIG_NAME,
    FLAGS,
    JSON_NAME,
    PretrainedFiles,
    read_given_token,
    read_model,
)
from bigbird_tf.preprocessing.tokenizers.special_tokens import BERT_TOKENS, find_special_ids
from bigbird_tf.preprocessing.tokenizers.tokenizer import SPECIAL_NAMES, Tokenizer, Tokens
from bigbird_tf.preprocessing.tokenizers.tokenizer_json import model_type
from bigbird_tf.whole_files import write_whole

__all__ = ["FastTokenizer"]

# How vocabularies mark the tokens that begin a word.
WORD_SIGNS = ("Ġ", "▁")


@keras.saving.register_keras_serializable(package="bigbird_tf")
class FastTokenizer(Tokenizer):
    """Turns text into the tokens of a `tokenizer.json` and into a model's input.

    For vocabularies that TensorFlow has no operation for, byte-pair encoding (GENA-LM, RoBERTa) and
    WordLevel among them: the library `tokenizers` (the extra `tokenizers`) runs as it does in
    `transformers`. It works eagerly, in `tf.data` maps and in `tf.function`, in the process that
    made it, and in no SavedModel: export the model without a tokenizer, and send ids.

    Args:
        model: A `tokenizer.json`: its path, or its bytes.
        cls_token: The token that begins an input; `None` for none. So with the others.
        sep_token: The separator.
        mask_token: The mask.
        pad_token: Padding.
        unk_token: What stands for words that the vocabulary lacks.
        bos_token: The token that begins a text.
        eos_token: The token that ends a text.
        added_tokens: Tokens beside those of the file, as dictionaries that `transformers` writes of
            an `AddedToken`.
        **kwargs: `name` and the like, as for every Keras layer.

    Raises:
        FileNotFoundError: If `model` is a path without a file.
        ImportError: If the library `tokenizers` is not installed.
        ValueError: If `model` is no `tokenizer.json`, or lacks `cls_token`, `sep_token` or
            `pad_token`.

    Example:

    >>> tokenizer = FastTokenizer("tokenizer.json", cls_token="<s>", sep_token="</s>",
    ...                           pad_token="<pad>")
    >>> tokenizer(["ACGTACGT"], max_length=512)["input_ids"]
    """

    in_graph = False

    def __init__(
        self,
        model: str | os.PathLike | bytes | None = None,
        cls_token: str | None = "[CLS]",
        sep_token: str | None = "[SEP]",
        mask_token: str | None = "[MASK]",
        pad_token: str | None = "[PAD]",
        unk_token: str | None = "[UNK]",
        bos_token: str | None = None,
        eos_token: str | None = None,
        added_tokens: list[str | Mapping[str, Any]] | tuple = (),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        given = (cls_token, sep_token, mask_token, pad_token, unk_token, bos_token, eos_token)
        self._special_tokens = dict(zip(SPECIAL_NAMES, given, strict=True))
        self._added_tokens = [read_given_token(token) for token in added_tokens]
        self._reasons: list[str] = []
        if model is not None:
            self._set_model(read_model(model, JSON_NAME))

    def _set_model(self, model: bytes) -> None:
        """Takes over a `tokenizer.json`."""
        library = _library()
        try:
            self._backend = library.Tokenizer.from_str(model.decode("utf-8"))
        # The library raises a bare `Exception` that says what is wrong.
        except Exception as error:
            raise ValueError(
                f"`model` must be a tokenizer.json of the library `tokenizers`. Received: {error}"
            ) from error
        self._model = model
        # Inputs are cut and padded by `call`.
        self._backend.no_truncation()
        self._backend.no_padding()
        for given in self._added_tokens:
            added = library.AddedToken(given["content"], **{flag: given[flag] for flag in FLAGS})
            add = self._backend.add_special_tokens if added.special else self._backend.add_tokens
            add([added])
        ids = self._backend.get_vocab(with_added_tokens=True)
        special_ids = find_special_ids(
            self._special_tokens, ids, argument="model", num_tokens=len(ids)
        )
        for name, index in special_ids.items():
            setattr(self, f"{name}_id", index)
        added = self._backend.get_added_tokens_decoder()
        self.lstrip = [token.content for token in added.values() if token.lstrip]
        self.rstrip = [token.content for token in added.values() if token.rstrip]
        self._further_special_ids = {index for index, token in added.items() if token.special}
        self._vocabulary = [""] * (max(ids.values()) + 1)
        for token, index in ids.items():
            self._vocabulary[index] = token

    @classmethod
    def _from_files(cls, files: PretrainedFiles) -> "FastTokenizer | None":
        """Reads `tokenizer.json`, or RoBERTa's `vocab.json` and `merges.txt`."""
        content, defaults = files.tokenizer_json, dict(BERT_TOKENS)
        if content is None:
            content = byte_level_json(files)
            defaults = dict(ROBERTA_TOKENS)
            if content is None:
                return None
        try:
            content = with_prefix_space(content, files.config)
            ends = cls_and_sep(content)
            vocabulary = content["model"]["vocab"]
            if isinstance(vocabulary, list):
                vocabulary = {piece: index for index, (piece, _) in enumerate(vocabulary)}
            vocabulary, unknown = dict(vocabulary), content["model"].get("unk_token")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"The {JSON_NAME} of {files.name_or_path} must be one that the library "
                f"`tokenizers` writes. Received: {error!r}"
            ) from error
        warn_of_layout(content, files.name_or_path)
        if ends.get("cls_token") == ROBERTA_TOKENS["cls_token"]:
            defaults = dict(ROBERTA_TOKENS)
        defaults.update(ends, **({"unk_token": unknown} if unknown else {}))
        special, added = files.tokens(defaults, vocabulary)
        by_id = {token.id: token.content for token in added}
        by_id.update({index: token for token, index in vocabulary.items()})
        names = {
            name: None if index is None else by_id.get(index) for name, index in special.items()
        }
        listed = {token["content"]: token for token in content.get("added_tokens") or []}
        beside: list[str | Mapping[str, Any]] = [
            token.to_dict()
            for token in added
            if any(listed.get(token.content, {}).get(f) != getattr(token, f) for f in FLAGS)
        ]
        model = json.dumps(content, ensure_ascii=False).encode()
        tokenizer = cls(model, **names, added_tokens=beside)
        tokenizer._reasons = [str(reason) for reason in files.reasons]
        return tokenizer

    @classmethod
    def stand_in(cls) -> "FastTokenizer":
        """Returns one with the least vocabulary, for what is the same with any vocabulary."""
        vocabulary = [token for token in BERT_TOKENS.values() if token is not None]
        model = {"type": "WordLevel", "vocab": {t: i for i, t in enumerate(vocabulary)}}
        model["unk_token"] = "[UNK]"
        content = {"version": "1.0", "added_tokens": [], "model": model}
        return cls(json.dumps(content).encode())

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special tokens that the vocabulary has, ascending."""
        return sorted({*super().all_special_ids, *self._further_special_ids})

    @property
    def begins_word(self) -> np.ndarray:
        """Which tokens begin a word; bool of shape (V,). All, where nothing marks them."""
        self._require_model()
        tokens = self._vocabulary
        prefix = json.loads(self._model)["model"].get("continuing_subword_prefix")
        if prefix:
            return np.array([not token.startswith(prefix) for token in tokens])
        is_marked = np.array([token.startswith(WORD_SIGNS) for token in tokens])
        return is_marked if is_marked.any() else ~is_marked

    @property
    def invisible_characters(self) -> np.ndarray:
        """Which characters are space; bool of shape (65536,)."""
        return WHITE_SPACE

    def _tokens(self) -> list[str]:
        return self._vocabulary

    def token_to_id(self, token: str) -> int:
        """Returns the id of a token, or `unk_token_id` where the vocabulary has no such token."""
        self._require_model()
        index = self._backend.token_to_id(token)
        return self.unk_token_id if index is None else index

    def _tokenize(self, text: tf.Tensor) -> Tokens:
        types = [tf.int32, tf.int32, tf.int32, tf.int64]
        ids, starts, ends, row_splits = tf.numpy_function(
            self._tokenize_in_python, [text], types, stateful=False
        )
        for value in (ids, starts, ends, row_splits):
            value.set_shape([None])
        return tuple(
            tf.RaggedTensor.from_row_splits(value, row_splits, validate=False)
            for value in (ids, starts, ends)
        )

    def _tokenize_in_python(self, texts: np.ndarray) -> tuple[np.ndarray, ...]:
        # What is no UTF-8 stays a character a byte, and is read as U+FFFD.
        decoded = [bytes(text).decode("utf-8", "surrogateescape") for text in texts]
        encodings = self._backend.encode_batch(
            [_without_surrogates(text) for text in decoded], add_special_tokens=False
        )
        counts = [len(encoding) for encoding in encodings]
        row_splits = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        ids = np.zeros(row_splits[-1], np.int32)
        spans = np.zeros((row_splits[-1], 2), np.int32)
        for text, encoding, begin, end in zip(
            decoded, encodings, row_splits[:-1], row_splits[1:], strict=True
        ):
            if begin == end:
                continue
            ids[begin:end] = encoding.ids
            offsets = np.array(encoding.offsets, np.int32)
            spans[begin:end] = offsets if text.isascii() else _byte_offsets(text)[offsets]
        return ids, spans[:, 0].copy(), spans[:, 1].copy(), row_splits

    def _detokenize(self, ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor | tf.RaggedTensor:
        if not isinstance(ids, tf.RaggedTensor):
            if ids.shape.rank == 1:
                return self._detokenize(ids[tf.newaxis])[0]
            shape = tf.shape(ids)
            flat = tf.reshape(ids, [-1, shape[-1]])
            flat = tf.RaggedTensor.from_tensor(flat)
            return tf.reshape(self._decode(flat), shape[:-1])
        if isinstance(ids.values, tf.RaggedTensor):
            return ids.with_values(self._detokenize(ids.values))
        if ids.values.shape.rank > 1:
            return ids.with_values(self._detokenize(ids.values))
        return self._decode(ids)

    def _decode(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Returns rows of ids, ragged of shape (B, None), as strings (B,)."""
        text = tf.numpy_function(
            self._decode_in_python, [ids.values, ids.row_splits], tf.string, stateful=False
        )
        text.set_shape([None])
        return text

    def _decode_in_python(self, ids: np.ndarray, row_splits: np.ndarray) -> np.ndarray:
        rows = [ids[begin:end].tolist() for begin, end in itertools.pairwise(row_splits)]
        texts = self._backend.decode_batch(rows, skip_special_tokens=False)
        return np.array([text.encode() for text in texts], object)

    def token_text(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns what each token adds to a text, without a space before it; strings like `ids`."""
        return tf.strings.strip(super().token_text(ids))

    def save_vocabulary(self, directory: str | os.PathLike) -> Path:
        """Writes `tokenizer.json`, with the added tokens in it, and returns its path."""
        self._require_model()
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / JSON_NAME
        write_whole(path, self._backend.to_str(pretty=True))
        return path

    def save_pretrained(self, directory: str | os.PathLike) -> None:
        """Writes what `from_pretrained`, here and in `transformers`, reads.

        That is `tokenizer.json`, and a `tokenizer_config.json` that names the special tokens.
        """
        path = self.save_vocabulary(directory)
        special = {name: token for name, token in self._special_tokens.items() if token is not None}
        decoder = {
            str(index): {"content": t.content, **{flag: getattr(t, flag) for flag in FLAGS}}
            for index, t in sorted(self._backend.get_added_tokens_decoder().items())
        }
        config = {
            # It goes by `tokenizer.json` alone.
            "tokenizer_class": "PreTrainedTokenizerFast",
            **special,
            "added_tokens_decoder": decoder,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        }
        text = json.dumps(config, indent=2, ensure_ascii=False)
        write_whole(path.with_name(CONFIG_NAME), text + "\n")

    def load_assets(self, dir_path: str) -> None:
        """Reads the vocabulary of a `.keras` file; Keras calls this."""
        self._set_model(read_model(Path(dir_path) / JSON_NAME, JSON_NAME))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the vocabulary is an asset and no part of them."""
        return {
            **super().get_config(),
            "model": None,
            **self._special_tokens,
            "added_tokens": self._added_tokens,
        }

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        if save_type == "savedmodel":
            raise ValueError(self.why_not_in_graph)
        return super()._trackable_children(save_type, **kwargs)

    @property
    def why_not_in_graph(self) -> str:
        """Why no SavedModel can hold it, and what to do instead."""
        kind = model_type(json.loads(self._model)) if self.has_vocabulary else "such"
        why = f"{kind} vocabularies have no operation in TensorFlow"
        if kind in ("Unigram", "WordPiece"):
            why = "; ".join(["its rules have no operations in TensorFlow", *self._reasons])
        return (
            f"A SavedModel cannot hold a `FastTokenizer`: {why}, and the library "
            "`tokenizers` is not where it is served. Export the model "
            "without it (`export_saved_model(model, path)`; signatures then take `input_ids`, "
            "`attention_mask` and `token_type_ids`), and tokenize before you send: "
            "`tokenizer(texts)` has those"
        )


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            "This vocabulary needs the package `tokenizers`, which is not installed: "
            "pip install 'bigbird-tf[tokenizers]'"
        ) from error
    return tokenizers


def _without_surrogates(text: str) -> str:
    """Returns a text with U+FFFD for the bytes that are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    return text


def _byte_offsets(text: str) -> np.ndarray:
    """Returns at which byte each character begins, and the end; int32."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    sizes = 1 + (points >= 0x80).astype(np.int32) + (points >= 0x800) + (points >= 0x10000)
    # A byte that is no UTF-8.
    sizes[(points >= 0xD800) & (points < 0xE000)] = 1
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)

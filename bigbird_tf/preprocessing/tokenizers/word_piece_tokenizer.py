"""`WordPieceTokenizer`: BERT's vocabularies inside the TensorFlow graph."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from bigbird_tf.preprocessing.characters import WHITE_SPACE
from bigbird_tf.preprocessing.tokenizers.added_tokens import AddedToken
from bigbird_tf.preprocessing.tokenizers.bert_characters import CharacterRules, is_dropped
from bigbird_tf.preprocessing.tokenizers.bert_words import WordSplitter
from bigbird_tf.preprocessing.tokenizers.pretrained_files import (
    CONFIG_NAME,
    JSON_NAME,
    PretrainedFiles,
    read_given_token,
)
from bigbird_tf.preprocessing.tokenizers.special_tokens import (
    BERT_TOKENS,
    REQUIRED_TOKENS,
    find_special_ids,
)
from bigbird_tf.preprocessing.tokenizers.tokenizer import SPECIAL_NAMES, Tokenizer, Tokens
from bigbird_tf.preprocessing.tokenizers.word_piece_files import (
    SETTINGS,
    VOCABULARY_NAME,
    read_vocabulary,
    read_word_piece_files,
    word_piece_config,
    word_piece_json,
)
from bigbird_tf.preprocessing.tokenizers.word_piece_kernel import WordPieceKernel
from bigbird_tf.whole_files import write_whole

__all__ = ["WordPieceTokenizer"]

REQUIRED = (*REQUIRED_TOKENS, "unk_token")


@keras.saving.register_keras_serializable(package="bigbird_tf")
class WordPieceTokenizer(Tokenizer):
    """Turns text into the pieces of a WordPiece vocabulary and into a model's input.

    Runs eagerly, in `tf.data` maps, in `tf.function` and in SavedModels, on one string or a batch.
    Returns the pieces of `BertTokenizer` of `transformers`, and its offsets, in bytes: a text is
    cleaned, split at spaces, punctuation and Chinese characters, and its words are cut into the
    longest pieces that fit, by `tensorflow_text`. Invalid UTF-8 is dropped, as U+FFFD is.

    Special and added tokens are recognised in the text itself. Text from strangers that must not be
    able to write them has to be cleaned before.

    Saved as part of a `.keras` file, the vocabulary travels along as an asset; a tokenizer made by
    `from_config` alone has none until `load_assets` or loading the file gives it one.

    Args:
        vocabulary: The path of a `vocab.txt`, or the tokens in the order of their ids.
        do_lower_case: Whether text is made small.
        strip_accents: Whether accents are taken off; `None` for the same as `do_lower_case`.
        tokenize_chinese_chars: Whether each Chinese character is a word of its own.
        clean_text: Whether control characters are dropped, and all white space becomes spaces.
        max_input_chars_per_word: Longer words become the unknown token.
        continuing_subword_prefix: What pieces begin with that go on with a word.
        cls_token: The token that begins an input; `None` for none. So with the others.
        sep_token: The separator.
        mask_token: The mask.
        pad_token: Padding.
        unk_token: What stands for words that the vocabulary lacks.
        bos_token: The token that begins a text.
        eos_token: The token that ends a text.
        added_tokens: Tokens that are found before words are split: texts, or dictionaries as
            `transformers` writes an `AddedToken`. Those that `vocabulary` does not have get the ids
            behind it.
        never_split: Words between spaces that stay as they are.
        **kwargs: `name` and the like, as for every Keras layer.

    Raises:
        FileNotFoundError: If `vocabulary` is a path without a file.
        ValueError: If the vocabulary lacks `cls_token`, `sep_token`, `pad_token` or `unk_token`.

    Example:

    >>> tokenizer = WordPieceTokenizer("vocab.txt", do_lower_case=False)
    >>> tokenizer(["한국어 문장", "또 하나"], max_length=128)["input_ids"]
    """

    def __init__(
        self,
        vocabulary: str | os.PathLike | Sequence[str] | None = None,
        do_lower_case: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        clean_text: bool = True,
        max_input_chars_per_word: int = 100,
        continuing_subword_prefix: str = "##",
        cls_token: str | None = "[CLS]",
        sep_token: str | None = "[SEP]",
        mask_token: str | None = "[MASK]",
        pad_token: str | None = "[PAD]",
        unk_token: str | None = "[UNK]",
        bos_token: str | None = None,
        eos_token: str | None = None,
        added_tokens: Sequence[str | Mapping[str, Any]] = (),
        never_split: Sequence[str] = (),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        for name, value in (("added_tokens", added_tokens), ("never_split", never_split)):
            if isinstance(value, str):
                raise TypeError(f"`{name}` must be a list of tokens. Received: {name}={value!r}")
        limit = max_input_chars_per_word
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ValueError(
                "`max_input_chars_per_word` must be a positive integer. Received: "
                f"max_input_chars_per_word={limit!r}"
            )
        self.do_lower_case = bool(do_lower_case)
        self.strip_accents = strip_accents
        self.tokenize_chinese_chars = bool(tokenize_chinese_chars)
        self.clean_text = bool(clean_text)
        self.max_input_chars_per_word = limit
        self.continuing_subword_prefix = continuing_subword_prefix
        given = (cls_token, sep_token, mask_token, pad_token, unk_token, bos_token, eos_token)
        self._special_tokens = dict(zip(SPECIAL_NAMES, given, strict=True))
        self._added_tokens = [read_given_token(token) for token in added_tokens]
        self.never_split = list(never_split)
        if vocabulary is not None:
            self._set_vocabulary(read_vocabulary(vocabulary))

    @property
    def rules(self) -> CharacterRules:
        """What is made of characters before words are split."""
        strips = self.do_lower_case if self.strip_accents is None else self.strip_accents
        return CharacterRules(
            clean_text=self.clean_text,
            split_chinese=self.tokenize_chinese_chars,
            strip_accents=bool(strips),
            lowercase=self.do_lower_case,
        )

    def _set_vocabulary(self, tokens: list[str]) -> None:
        """Takes over a vocabulary: ids, added tokens, and what the graph needs."""
        ids = {token: index for index, token in enumerate(tokens)}
        added = _give_ids(self._special_tokens, self._added_tokens, ids)
        behind = sorted(token.id for token in added if token.id >= len(tokens))
        if behind != list(range(len(tokens), len(tokens) + len(behind))):
            raise ValueError(
                f"The ids of `added_tokens` must follow the vocabulary's, from {len(tokens)} on. "
                f"Received: {behind}"
            )
        all_tokens = tokens + [
            token.content for token in sorted(added, key=_id) if token.id in behind
        ]
        ids = {token: index for index, token in enumerate(all_tokens)}
        special_ids = find_special_ids(
            self._special_tokens,
            ids,
            argument="vocabulary",
            num_tokens=len(tokens),
            required=REQUIRED,
        )
        for name, index in special_ids.items():
            setattr(self, f"{name}_id", index)
        unk_token = self._special_tokens["unk_token"]
        if unk_token not in tokens:
            raise ValueError(
                "`unk_token` must be one of `vocabulary`: words that it lacks become it before "
                "tokens are added. Received: "
                f"unk_token={unk_token!r} among `added_tokens` only"
            )
        found = added + [
            AddedToken(ids[word], word, between_spaces=True)
            for word in self.never_split
            if word in ids and word not in {token.content for token in added}
        ]
        self.lstrip = [token.content for token in added if token.lstrip]
        self.rstrip = [token.content for token in added if token.rstrip]
        self._further_special_ids = {token.id for token in added if token.special}
        self._vocabulary = all_tokens
        self._num_pieces = len(tokens)
        self._ids = ids
        self._added = added
        self._kernel = WordPieceKernel(
            tokens,
            unk_token=unk_token,
            prefix=self.continuing_subword_prefix,
            max_characters=self.max_input_chars_per_word,
            splitter=WordSplitter(self.rules, found),
        )

    @classmethod
    def _from_files(cls, files: PretrainedFiles) -> "WordPieceTokenizer | None":
        """Reads a WordPiece `tokenizer.json`, or `vocab.txt`, with what the other files say."""
        settings, vocabulary = read_word_piece_files(files)
        if vocabulary is None:
            return None
        ids = {token: index for index, token in enumerate(vocabulary)}
        defaults = {**BERT_TOKENS, **settings.pop("special_tokens", {})}
        special, added = files.tokens(defaults, ids)
        by_id = {token.id: token.content for token in added}
        names: dict[str, Any] = {
            name: None if index is None else by_id.get(index) or vocabulary[index]
            for name, index in special.items()
        }
        for name in REQUIRED:
            # What is added behind a vocabulary cannot be what its unknown words become.
            if names[name] is None or (name == "unk_token" and names[name] not in ids):
                raise ValueError(
                    f"The vocabulary of {files.name_or_path} must have the {name}: "
                    f"{defaults[name]!r}, unless {CONFIG_NAME} names another. Name it there, or "
                    f"pass `{name}` to `bb.WordPieceTokenizer`. Received: {len(vocabulary)} "
                    f"tokens without {names[name] or defaults[name]!r}"
                )
        never_split = files.config.get("never_split") or ()
        return cls(
            vocabulary,
            **settings,
            **names,
            added_tokens=[token.to_dict() for token in added],
            never_split=never_split,
        )

    @classmethod
    def stand_in(cls) -> "WordPieceTokenizer":
        """Returns one with the least vocabulary, for what is the same with any vocabulary."""
        return cls([token for token in BERT_TOKENS.values() if token is not None])

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special tokens that the vocabulary has, ascending."""
        return sorted({*super().all_special_ids, *self._further_special_ids})

    @property
    def begins_word(self) -> np.ndarray:
        """Which tokens do not go on with a word; bool of shape (V,)."""
        self._require_model()
        prefix = self.continuing_subword_prefix
        return np.array([not token.startswith(prefix) for token in self._vocabulary])

    @property
    def invisible_characters(self) -> np.ndarray:
        """Which characters are space, or dropped; bool of shape (65536,)."""
        table = WHITE_SPACE.copy()
        if self.clean_text:
            table |= is_dropped()[: len(table)]
        for point, made in self.rules.replacements().items():
            if not made and point < len(table):
                table[point] = True
        return table

    def _tokens(self) -> list[str]:
        return self._vocabulary

    def token_to_id(self, token: str) -> int:
        """Returns the id of a token, or `unk_token_id` where the vocabulary has no such token."""
        self._require_model()
        return self._ids.get(token, cast(int, self.unk_token_id))

    def _tokenize(self, text: tf.Tensor) -> Tokens:
        return self._kernel.tokenize(text)

    def _detokenize(self, ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor | tf.RaggedTensor:
        rows = ids if isinstance(ids, tf.RaggedTensor) else None
        if rows is None and ids.shape.rank == 1:
            return self._detokenize(ids[tf.newaxis])[0]
        if rows is None:
            rows = tf.RaggedTensor.from_tensor(ids, ragged_rank=ids.shape.rank - 1)
        first, behind = self._surfaces()
        place = tf.ragged.range(_innermost(rows).row_lengths()).flat_values
        flat = rows.flat_values
        text = tf.where(place == 0, tf.gather(first, flat), tf.gather(behind, flat))
        joined = tf.strings.reduce_join(rows.with_flat_values(text), axis=-1)
        if isinstance(joined, tf.RaggedTensor) and not isinstance(ids, tf.RaggedTensor):
            joined = joined.to_tensor()
        return joined

    def _surfaces(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns what tokens are at the beginning of a text and behind others; objects (V,)."""
        prefix = self.continuing_subword_prefix
        tokens = list(self._vocabulary)
        for token in self._added:
            # `tokenizers` writes them as it finds them.
            if token.normalized:
                tokens[token.id] = self.rules.apply(token.content)
        behind = [
            token[len(prefix) :] if token.startswith(prefix) else f" {token}" for token in tokens
        ]
        first, others = (
            np.array([_clean_up(text).encode() for text in texts], object)
            for texts in (tokens, behind)
        )
        return first, others

    def token_text(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns what each token adds to a text, without a space before it; strings like `ids`."""
        prefix = self.continuing_subword_prefix
        texts = [token.removeprefix(prefix).encode() for token in self._vocabulary]
        return tf.gather(np.array(texts, object), ids)

    def save_vocabulary(self, directory: str | os.PathLike) -> Path:
        """Writes `vocab.txt` and returns its path."""
        self._require_model()
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / VOCABULARY_NAME
        text = "".join(f"{token}\n" for token in self._vocabulary[: self._num_pieces])
        write_whole(path, text.encode("utf-8"))
        return path

    def save_pretrained(self, directory: str | os.PathLike) -> None:
        """Writes what `from_pretrained`, here and in `transformers`, reads.

        That is `vocab.txt`, a `tokenizer.json` with all the rules, and a `tokenizer_config.json`.
        """
        path = self.save_vocabulary(directory)
        settings = {name: getattr(self, name) for name in SETTINGS}
        special = {name: token for name, token in self._special_tokens.items() if token is not None}
        pieces = self._vocabulary[: self._num_pieces]
        config = word_piece_config(settings, special, self._added, self.never_split)
        content = word_piece_json(settings, special, self._added, pieces)
        for name, value in ((CONFIG_NAME, config), (JSON_NAME, content)):
            text = json.dumps(value, indent=2, ensure_ascii=False)
            write_whole(path.with_name(name), text + "\n")

    def load_assets(self, dir_path: str) -> None:
        """Reads the vocabulary of a `.keras` file; Keras calls this."""
        self._set_vocabulary(read_vocabulary(Path(dir_path) / VOCABULARY_NAME))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the vocabulary is an asset and no part of them."""
        return {
            **super().get_config(),
            "vocabulary": None,
            **{name: getattr(self, name) for name in SETTINGS},
            **self._special_tokens,
            "added_tokens": self._added_tokens,
            "never_split": self.never_split,
        }


def _id(token: AddedToken) -> int:
    return token.id


def _give_ids(
    special: Mapping[str, str | None], added: Iterable[Mapping[str, Any]], ids: Mapping[str, int]
) -> list[AddedToken]:
    """Returns the added tokens, special ones among them, each with its id."""
    ids = dict(ids)
    tokens = {}
    for given in added:
        token = AddedToken(**given)
        ids.setdefault(token.content, token.id if token.id >= len(ids) else len(ids))
        tokens[token.content] = AddedToken(**{**given, "id": ids[token.content]})
    for content in special.values():
        if content is not None and content in ids:
            tokens.setdefault(content, AddedToken(ids[content], content, special=True))
    return list(tokens.values())


# What `tokenizers` puts right between a token and the space before it.
CLEAN_UPS = (
    *((f" {mark}", mark) for mark in ".?!,"),
    *((" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't")),
    *((" 's", "'s"), (" 've", "'ve"), (" 're", "'re")),
)


def _clean_up(token: str) -> str:
    for written, meant in CLEAN_UPS:
        token = token.replace(written, meant)
    return token


def _innermost(rows: tf.RaggedTensor) -> tf.RaggedTensor:
    while isinstance(rows.values, tf.RaggedTensor):
        rows = rows.values
    return rows

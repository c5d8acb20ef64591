"""`SentencePieceTokenizer`: what the tokenizers of SentencePiece models have in common."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from bigbird_tf.preprocessing.characters import SPACE_SIGN, invisible_characters
from bigbird_tf.preprocessing.tokenizers.added_pieces import add_pieces, cut_between
from bigbird_tf.preprocessing.tokenizers.added_tokens import AddedTokenFinder
from bigbird_tf.preprocessing.tokenizers.pretrained_files import (
    CONFIG_NAME,
    VOCABULARY_NAME,
    read_given_token,
    read_model,
)
from bigbird_tf.preprocessing.tokenizers.sentencepiece_kernel import make_kernel
from bigbird_tf.preprocessing.tokenizers.taken_spaces import drop_taken_spaces
from bigbird_tf.preprocessing.tokenizers.tokenizer import Tokenizer, Tokens
from bigbird_tf.preprocessing.tokenizers.tokenizer_config import write_tokenizer_config
from bigbird_tf.preprocessing.tokenizers.vocabulary import (
    BIG_BIRD_PIECES,
    SpecialPieces,
    Vocabulary,
)
from bigbird_tf.whole_files import write_whole

__all__ = ["KIND", "SentencePieceTokenizer"]

KIND = "SentencePiece model file"


class SentencePieceTokenizer(Tokenizer):
    """Base of the tokenizers that have a SentencePiece model.

    Args:
        model: A SentencePiece model: the path of a `spiece.model` file, or its bytes.
        lstrip: Pieces that take the spaces before them, as `AddedToken(lstrip=True)` does.
        rstrip: Pieces that take the spaces behind them.
        added_tokens: Tokens beside the model's pieces, as `transformers` adds them: texts, or
            dictionaries as it writes an `AddedToken`, whose ids follow the model's. They are found
            in a text before it is cut into pieces.
        **kwargs: `name` and the like, as for every Keras layer.

    Attributes:
        special_pieces: Which pieces are special, and which of them there must be.
    """

    special_pieces: ClassVar[SpecialPieces] = BIG_BIRD_PIECES

    def __init__(
        self,
        model: str | os.PathLike | bytes | None = None,
        lstrip: Sequence[str] = (),
        rstrip: Sequence[str] = (),
        added_tokens: Sequence[str | Mapping[str, Any]] = (),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        lists = {"lstrip": lstrip, "rstrip": rstrip, "added_tokens": added_tokens}
        for name, value in lists.items():
            if isinstance(value, str):
                raise TypeError(f"`{name}` must be a list of pieces. Received: {name}={value!r}")
        self.lstrip, self.rstrip = list(lstrip), list(rstrip)
        self.added_tokens = [read_given_token(token) for token in added_tokens]
        if model is not None:
            self._set_model(read_model(model, KIND))

    def _set_model(self, model: bytes) -> None:
        """Takes over a vocabulary: special ids, the Python look-ups, and the graph's kernel."""
        self._model = model
        contents = [token["content"] for token in self.added_tokens]
        with_added = add_pieces(self._lay_out(model), self.added_tokens)
        self._vocabulary = Vocabulary.of(with_added, self.lstrip, self.rstrip, self.special_pieces)
        for name, index in self._vocabulary.special_ids.items():
            setattr(self, f"{name}_id", index)
        self._kernel = make_kernel(with_added)
        self._finder = AddedTokenFinder(contents) if contents else None

    def _lay_out(self, model: bytes) -> bytes:
        """Returns the model with each piece at the place of its id."""
        return model

    @property
    def vocab_size(self) -> int:
        """Number of pieces."""
        self._require_model()
        return self._vocabulary.processor.vocab_size()

    @property
    def begins_word(self) -> np.ndarray:
        """Which pieces begin with "▁"; bool of shape (V,)."""
        self._require_model()
        return np.array([piece.startswith(SPACE_SIGN) for piece in self._tokens()])

    @property
    def invisible_characters(self) -> np.ndarray:
        """Which characters the vocabulary sees as space, or not at all; bool of shape (65536,)."""
        self._require_model()
        return invisible_characters(self._vocabulary.processor)

    def _tokens(self) -> list[str]:
        processor = self._vocabulary.processor
        return processor.id_to_piece(list(range(processor.vocab_size())))

    def _token(self, token_id: int) -> str:
        return self._vocabulary.processor.id_to_piece(token_id)

    def token_to_id(self, token: str) -> int:
        """Returns the id of a piece, or `unk_token_id` where the vocabulary has no such piece."""
        self._require_model()
        return self._vocabulary.processor.piece_to_id(token)

    def _tokenize(self, text: tf.Tensor) -> Tokens:
        if self._finder is None:
            return self._cut(text)
        return cut_between(self._cut, text, self._finder, self._vocabulary.space_ids)

    def _cut(self, text: tf.Tensor) -> Tokens:
        ids, starts, ends = self._kernel.tokenize_with_offsets(text)
        pieces = (ids, tf.cast(starts, tf.int32), tf.cast(ends, tf.int32))
        return drop_taken_spaces(text, pieces, self._vocabulary)

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
        return super().detokenize(ids)

    def _detokenize(self, ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor | tf.RaggedTensor:
        return self._kernel.detokenize(ids)

    def save_vocabulary(self, directory: str | os.PathLike) -> Path:
        """Writes `spiece.model`, byte for byte what was read, and returns its path."""
        self._require_model()
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / VOCABULARY_NAME
        write_whole(path, self._model)
        return path

    def save_pretrained(self, directory: str | os.PathLike) -> None:
        """Writes what `from_pretrained`, here and in `transformers`, reads.

        That is `spiece.model`, and a `tokenizer_config.json` that names the special pieces.
        """
        path = self.save_vocabulary(directory)
        special = {
            name: self.id_to_token(getattr(self, f"{name}_id"))
            for name in self.special_pieces.names
            if getattr(self, f"{name}_id") is not None
        }
        added = [token["content"] for token in self.added_tokens]
        pieces = [*special.values(), *self.lstrip, *self.rstrip, *added]
        by_id = {self.token_to_id(piece): piece for piece in pieces}
        by_id[self.unk_token_id] = special["unk_token"]
        write_tokenizer_config(
            path.with_name(CONFIG_NAME),
            special,
            by_id,
            self.lstrip,
            self.rstrip,
            further=[token["content"] for token in self.added_tokens if token["special"]],
            tokenizer_class=type(self).__name__,
            settings=self._settings,
        )

    @property
    def _settings(self) -> dict[str, Any]:
        """What else `tokenizer_config.json` says."""
        return {}

    def load_assets(self, dir_path: str) -> None:
        """Reads the vocabulary of a `.keras` file; Keras calls this."""
        self._set_model(read_model(Path(dir_path) / VOCABULARY_NAME, KIND))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the vocabulary is an asset and no part of them."""
        return {
            **super().get_config(),
            "model": None,
            "lstrip": self.lstrip,
            "rstrip": self.rstrip,
            "added_tokens": self.added_tokens,
        }

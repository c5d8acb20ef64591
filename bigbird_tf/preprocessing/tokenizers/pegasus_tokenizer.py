"""`PegasusTokenizer`: SentencePiece as the Pegasus models have it."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from bigbird_tf.preprocessing.packing import pack_ended
from bigbird_tf.preprocessing.tokenizers.added_pieces import added_tokens_beside
from bigbird_tf.preprocessing.tokenizers.pegasus_layout import (
    MASKS,
    default_offset,
    put_offset,
)
from bigbird_tf.preprocessing.tokenizers.pretrained_files import (
    CONFIG_NAME,
    VOCABULARY_NAME,
    PretrainedFiles,
    read_model,
)
from bigbird_tf.preprocessing.tokenizers.sentencepiece_kernel import stand_in_model
from bigbird_tf.preprocessing.tokenizers.sentencepiece_tokenizer import (
    KIND,
    SentencePieceTokenizer,
)
from bigbird_tf.preprocessing.tokenizers.text_layout import TextLayout
from bigbird_tf.preprocessing.tokenizers.tokenizer import Tokens
from bigbird_tf.preprocessing.tokenizers.tokenizer_classes import PEGASUS_CLASSES, check_class
from bigbird_tf.preprocessing.tokenizers.tokenizer_config import read_stripped_pieces
from bigbird_tf.preprocessing.tokenizers.vocabulary import SPECIAL_PIECES, SpecialPieces

__all__ = ["PegasusTokenizer"]

# What stands for a line break.
NEWLINE = "<n>"


@keras.saving.register_keras_serializable(package="bigbird_tf")
class PegasusTokenizer(SentencePieceTokenizer):
    """Turns text into the pieces of a Pegasus vocabulary, and summaries back into text.

    What `BigBirdTokenizer` says of graphs, of the `sentencepiece` library, of pieces that are found
    in text, and of `.keras` files holds here too. What differs: an input is `text </s>`, and has no
    token types; and a line break is the piece `<n>`, in both directions, as in Google's data (where
    the vocabulary has that piece; `transformers` makes a space of it).

    Args:
        model: A SentencePiece model: the path of a `spiece.model` file, or its bytes. Its first two
            pieces are `<pad>` and `</s>`.
        offset: How many pieces ids have behind these two that the model does not have: 0 for
            BigBird-Pegasus, 103 for plain Pegasus, whose special pieces they are.
        add_eos_token: Whether a document ends with `</s>`. Google's own pipeline has it behind
            summaries only. An empty one is `</s>` in any case, since a model reads one token at
            least.
        lstrip: Pieces that take the spaces before them, as `AddedToken(lstrip=True)` does.
        rstrip: Pieces that take the spaces behind them.
        added_tokens: Tokens beside the model's pieces; see `BigBirdTokenizer`.
        **kwargs: `name` and the like, as for every Keras layer.

    Raises:
        FileNotFoundError: If `model` is a path without a file.
        ValueError: If `model` is no SentencePiece model or lacks `<pad>` or `</s>`, or a piece of
            `lstrip` or `rstrip`; or if `offset` is impossible.

    Example:

    >>> tokenizer = PegasusTokenizer("spiece.model")
    >>> inputs = tokenizer(["A short text.", "Another one"], max_length=128)
    >>> sorted(inputs)
    ['attention_mask', 'input_ids']
    """

    def __init__(
        self,
        model: str | os.PathLike | bytes | None = None,
        offset: int = 0,
        add_eos_token: bool = True,
        lstrip: Sequence[str] = (),
        rstrip: Sequence[str] = (),
        added_tokens: Sequence[str | Mapping[str, Any]] = (),
        **kwargs: Any,
    ):
        is_integer = isinstance(offset, int) and not isinstance(offset, bool)
        if not is_integer or offset < 0 or offset == 1:
            raise ValueError(
                f"`offset` must be 0, or an integer from 2 on, since {' and '.join(MASKS)} are "
                f"among the pieces that it adds. Received: offset={offset!r}"
            )
        self.offset = offset
        self.add_eos_token = bool(add_eos_token)
        super().__init__(model, lstrip, rstrip, added_tokens, **kwargs)

    @property
    def special_pieces(self) -> SpecialPieces:  # type: ignore[override]  # it depends on `offset`
        """Which pieces are special, and which of them there must be."""
        names = {**SPECIAL_PIECES, "mask_token": MASKS[-1]} if self.offset else SPECIAL_PIECES
        return SpecialPieces(names, ("pad_token", "eos_token"), "Pegasus", "pad_id=0, eos_id=1")

    def _lay_out(self, model: bytes) -> bytes:
        return put_offset(model, self.offset)

    @classmethod
    def _from_files(cls, files: PretrainedFiles) -> "PegasusTokenizer | None":
        """Reads `spiece.model`, with the `offset` of `tokenizer_config.json`."""
        path = files.find(VOCABULARY_NAME)
        if path is None:
            return None
        check_class(files, path, cls.__name__, PEGASUS_CLASSES)
        model = read_model(path, KIND)
        offset = files.config.get("offset")
        offset = default_offset(model) if offset is None else offset
        config_path = files.find(CONFIG_NAME)
        stripped = {} if config_path is None else read_stripped_pieces(config_path)
        added = added_tokens_beside(files, put_offset(model, offset))
        return cls(
            model,
            offset,
            add_eos_token=files.config.get("add_eos_token", True),
            **stripped,
            added_tokens=[token.to_dict() for token in added],
        )

    @classmethod
    def stand_in(cls) -> "PegasusTokenizer":
        """Returns one with the least vocabulary, for what is the same with any vocabulary."""
        return cls(stand_in_model())

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special tokens that the vocabulary has, ascending."""
        return sorted({*super().all_special_ids, *range(2, 2 + self.offset)})

    @property
    def text_layout(self) -> TextLayout:
        """Nothing before texts and between them, `</s>` behind: of windows, whatever the ends."""
        self._require_model()
        return TextLayout(None, None, self.eos_token_id)

    @property
    def decoder_start_token_id(self) -> int:
        """What a decoder reads before the first token: `<s>`, or `<pad>` where there is none."""
        self._require_model()
        return self.pad_token_id if self.bos_token_id is None else self.bos_token_id

    @property
    def config_fields(self) -> dict[str, int | None]:
        """The fields of a `BigBirdPegasusConfig` that the vocabulary decides."""
        names = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
        ids = {name: getattr(self, name) for name in names}
        found = {name: index for name, index in ids.items() if index is not None}
        return {"vocab_size": self.vocab_size, **found}

    def pack(
        self, segments: list[tf.RaggedTensor], *, ends: bool | None = None, **options: Any
    ) -> dict[str, tf.Tensor]:
        """Lays one or two ragged segments of ids `(B, None)` out as a model's input.

        Args:
            segments: The ids, without special tokens.
            ends: Whether `</s>` follows; `None` for `add_eos_token`. An empty text has it always.
            **options: `max_length`, `padding`, `pad_to_multiple_of`, `truncation`, as of a call.

        Returns:
            A dict of int32 tensors of shape (B, T): `input_ids`, `attention_mask`.
        """
        ends = self.add_eos_token if ends is None else ends
        return pack_ended(
            segments,
            eos_token_id=self.eos_token_id if ends else None,
            empty_token_id=self.eos_token_id,
            pad_token_id=self.pad_token_id,
            **options,
        )

    def count_special(self, num_texts: int) -> int:
        """Returns 1, however many texts there are: `</s>`, or what stands for nothing."""
        return 1

    def call(
        self,
        text: Any,
        text_pair: Any = None,
        max_length: int | None = None,
        padding: str = "longest",
        truncation: bool = True,
        pad_to_multiple_of: int | None = None,
    ) -> dict[str, tf.Tensor]:
        """Makes a model's input: `text </s>`, or `text text_pair </s>` as in `transformers`.

        Args:
            text: One string or a batch of shape (B,): `str`, `bytes`, a list, an array, a tensor.
                A list of tuples of two strings is a batch of pairs.
            text_pair: A second text to each, or `None`.
            max_length: The most tokens of an input, `</s>` included; `None` for no limit.
            padding: `"longest"` pads to the longest row of the batch, `"max_length"` to that.
            truncation: Whether inputs over `max_length` are cut; otherwise they stay whole.
            pad_to_multiple_of: Rounds the padded length up to a multiple, though not beyond
                `max_length`.

        Returns:
            A dict of int32 tensors of shape (B, T), or (T,) for one string: `input_ids`;
            `attention_mask`, 1 for tokens and 0 for padding.

        Raises:
            TypeError: If a text is not of strings.
            ValueError: If a text is of rank 2 or more, the two texts are not of one shape, or an
                argument of length is impossible.
        """
        return super().call(text, text_pair, max_length, padding, truncation, pad_to_multiple_of)

    @property
    def _has_newline(self) -> bool:
        return self.token_to_id(NEWLINE) != self.unk_token_id

    def _tokenize(self, text: tf.Tensor) -> Tokens:
        if not self._has_newline:
            return super()._tokenize(text)
        ids, starts, ends = super()._tokenize(tf.strings.regex_replace(text, "\n", NEWLINE))
        # As long as what was cut, but with line breaks that nothing else in it looks like.
        widened = tf.strings.regex_replace(text, "\n", "\n" * len(NEWLINE))
        data = tf.io.decode_raw(tf.strings.reduce_join(widened), tf.uint8)
        before = tf.cumsum(tf.cast(data == ord("\n"), tf.int32))
        before = tf.concat([[0], before], 0) // len(NEWLINE)
        begin = tf.cumsum(tf.strings.length(widened), exclusive=True)
        begin = tf.gather(begin, ids.value_rowids())

        def original(positions):
            added = tf.gather(before, begin + positions) - tf.gather(before, begin)
            return positions - added * (len(NEWLINE) - 1)

        return ids, *(
            places.with_flat_values(original(places.flat_values)) for places in (starts, ends)
        )

    def _detokenize(self, ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor | tf.RaggedTensor:
        text = super()._detokenize(ids)
        if isinstance(text, tf.RaggedTensor):
            return text.with_flat_values(_break_lines(text.flat_values))
        return _break_lines(text)

    @property
    def _settings(self) -> dict[str, Any]:
        return {
            "offset": self.offset,
            "mask_token_sent": MASKS[0] if self.offset else None,
            "add_eos_token": self.add_eos_token,
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the vocabulary is an asset and no part of them."""
        return {
            **super().get_config(),
            "offset": self.offset,
            "add_eos_token": self.add_eos_token,
        }


def _break_lines(text: tf.Tensor) -> tf.Tensor:
    return tf.strings.regex_replace(text, NEWLINE, "\n")

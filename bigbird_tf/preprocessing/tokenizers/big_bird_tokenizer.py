"""`BigBirdTokenizer`: SentencePiece inside the TensorFlow graph."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from bigbird_tf.preprocessing.tokenizers.added_pieces import added_tokens_beside
from bigbird_tf.preprocessing.tokenizers.pretrained_files import (
    CONFIG_NAME,
    JSON_NAME,
    VOCABULARY_NAME,
    NotExpressibleError,
    PretrainedFiles,
    read_model,
)
from bigbird_tf.preprocessing.tokenizers.sentencepiece_kernel import stand_in_model
from bigbird_tf.preprocessing.tokenizers.sentencepiece_tokenizer import (
    KIND,
    SentencePieceTokenizer,
)
from bigbird_tf.preprocessing.tokenizers.tokenizer_classes import (
    BIG_BIRD_CLASSES,
    PEGASUS_CLASSES,
    check_class,
    check_settings,
    class_of,
    is_class,
)
from bigbird_tf.preprocessing.tokenizers.tokenizer_config import read_stripped_pieces
from bigbird_tf.preprocessing.tokenizers.tokenizer_json import read_tokenizer_json
from bigbird_tf.preprocessing.tokenizers.vocabulary import SPECIAL_PIECES

__all__ = ["BigBirdTokenizer"]

# Of `tokenizer_config.json`, where they have these values: no `spiece.model` has such rules.
REFUSED_SETTINGS = {"do_lower_case": True, "add_prefix_space": False, "keep_accents": False}


@keras.saving.register_keras_serializable(package="bigbird_tf")
class BigBirdTokenizer(SentencePieceTokenizer):
    """Turns text into the pieces of a SentencePiece vocabulary and into a model's input.

    Runs eagerly, in `tf.data` maps, in `tf.function` and in SavedModels, on one string or a batch.
    Returns the pieces of the `sentencepiece` library; only where two ways to cut a text score the
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
        added_tokens: Tokens beside the model's pieces, as `transformers` adds them: texts, or
            dictionaries as it writes an `AddedToken`, whose ids follow the model's. They are found
            in a text before it is cut into pieces.
        **kwargs: `name` and the like, as for every Keras layer.

    Attributes:
        mask_token_id, bos_token_id, eos_token_id: Ids of `[MASK]`, `<s>`, `</s>`; `None` where the
            vocabulary has no such piece.

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
        added_tokens: Sequence[str | Mapping[str, Any]] = (),
        **kwargs: Any,
    ):
        super().__init__(model, lstrip, rstrip, added_tokens, **kwargs)

    @classmethod
    def _from_files(cls, files: PretrainedFiles) -> "BigBirdTokenizer | None":
        """Reads `spiece.model`, or the `tokenizer.json` that `transformers` 5 saves in its place.

        The latter says which pieces take the spaces beside them; beside `spiece.model` its
        `tokenizer_config.json` does, and by default `[MASK]` takes those before it.
        """
        path = files.find(VOCABULARY_NAME)
        # It has rules of its own for what is around the pieces, which only its class knows.
        is_pegasus = is_class(class_of(files)[1], PEGASUS_CLASSES)
        if path is not None:
            try:
                check_class(files, path, cls.__name__, BIG_BIRD_CLASSES)
                check_settings(files, path, cls.__name__, REFUSED_SETTINGS)
            except NotExpressibleError:
                # The rules are in `tokenizer.json`, if there is one.
                if is_pegasus or files.find(JSON_NAME) is None:
                    raise
                path = None
        if path is None:
            json_path = files.find(JSON_NAME)
            if json_path is None or is_pegasus:
                return None
            model, stripped, added = read_tokenizer_json(json_path)
            return cls(model, **stripped, added_tokens=added)
        model = read_model(path, KIND)
        config_path = files.find(CONFIG_NAME)
        stripped = {}
        if config_path is not None:
            stripped = read_stripped_pieces(config_path, SPECIAL_PIECES["mask_token"])
        added = [token.to_dict() for token in added_tokens_beside(files, model)]
        return cls(model, **stripped, added_tokens=added)

    @classmethod
    def stand_in(cls) -> "BigBirdTokenizer":
        """Returns one with the least vocabulary, for what is the same with any vocabulary."""
        return cls(stand_in_model())

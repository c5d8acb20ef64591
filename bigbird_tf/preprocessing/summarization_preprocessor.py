"""`SummarizationPreprocessor`: documents and their summaries, for BigBird-Pegasus."""

import os
from typing import Any

import keras
import tensorflow as tf

from bigbird_tf import hub
from bigbird_tf.config import CONFIG_NAME, GENERATION_CONFIG_NAME, read_fields
from bigbird_tf.preprocessing.packing import check_length_arguments
from bigbird_tf.preprocessing.preprocessor import HUB_NAMES, Preprocessor
from bigbird_tf.preprocessing.text_input import first_of_batch, to_batch
from bigbird_tf.preprocessing.tokenizers import PegasusTokenizer, Tokenizer

__all__ = ["SummarizationPreprocessor"]


@keras.saving.register_keras_serializable(package="bigbird_tf")
class SummarizationPreprocessor(Preprocessor):
    """Makes what an encoder-decoder is trained on: documents, and their summaries to predict.

    The decoder reads the summary one place later than it has to predict it, with
    `decoder_start_token_id` in front. Documents and summaries that are too long are cut at the end,
    and end with `</s>` all the same (documents only if the tokenizer has `add_eos_token`).

    Args:
        tokenizer: A `PegasusTokenizer`.
        sequence_length: The most pieces of a document, `</s>` included.
        target_length: The most pieces of a summary, `</s>` included.
        padding: `"max_length"` gives all inputs these lengths, static shapes that suit XLA and
            TPUs; `"longest"` pads to the longest of the batch.
        pad_to_multiple_of: With `"longest"`, rounds the lengths up to a multiple (not beyond
            `sequence_length` and `target_length`), so that few different ones occur.
        decoder_start_token_id: As in the model's config, which `from_pretrained` reads; `None` for
            the tokenizer's, which is `<s>` where the vocabulary has it, else `<pad>`.
        **kwargs: `name` and the like, as for every Keras layer.

    Raises:
        TypeError: If `tokenizer` is no `PegasusTokenizer`.
        ValueError: If a length is impossible, or `decoder_start_token_id` is not in the vocabulary.

    Example:

    >>> preprocessor = SummarizationPreprocessor(tokenizer, 4096, 256)
    >>> model.fit(tf.data.Dataset.zip(documents, summaries).batch(4).map(preprocessor))
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        sequence_length: int = 4096,
        target_length: int = 256,
        padding: str = "max_length",
        pad_to_multiple_of: int | None = None,
        decoder_start_token_id: int | None = None,
        **kwargs: Any,
    ):
        for name, length in (
            ("sequence_length", sequence_length),
            ("target_length", target_length),
        ):
            if isinstance(length, bool) or not isinstance(length, int) or length < 2:
                raise ValueError(
                    f"`{name}` must be an integer, 2 or more. Received: {name}={length!r}"
                )
        check_length_arguments(target_length, padding, pad_to_multiple_of)
        super().__init__(tokenizer, sequence_length, padding, pad_to_multiple_of, **kwargs)
        if not isinstance(tokenizer, PegasusTokenizer):
            raise TypeError(
                "`tokenizer` must be a `PegasusTokenizer`. Received: tokenizer of type "
                f"{type(tokenizer).__name__}"
            )
        self.sequence_length = sequence_length
        self.target_length = target_length
        if decoder_start_token_id is not None and tokenizer.has_vocabulary:
            _check_start(decoder_start_token_id, tokenizer.vocab_size)
        self.decoder_start_token_id = decoder_start_token_id

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike, **arguments: Any) -> Preprocessor:
        """Makes a preprocessor with the vocabulary and the start token of a pretrained model.

        Args:
            name_or_path: A directory with the files of a tokenizer, or a repository id of the hub.
                If it has a model's `config.json`, too, its `decoder_start_token_id` is what
                decoders read first, or that of `generation_config.json`, which counts more.
            **arguments: As of `Preprocessor.from_pretrained`.

        Raises:
            ValueError: If `decoder_start_token_id` is given, and differs from the config's.
        """
        hub_arguments = {name: arguments[name] for name in HUB_NAMES if name in arguments}
        start, given = None, arguments.get("decoder_start_token_id")
        for name in (GENERATION_CONFIG_NAME, CONFIG_NAME):
            if start is None and hub.find_file(name_or_path, name, **hub_arguments) is not None:
                fields = read_fields(name_or_path, name, **hub_arguments)[1]
                start = fields.get("decoder_start_token_id")
        if None not in (start, given) and start != given:
            raise ValueError(
                "`decoder_start_token_id` must be that of the model's config, which it decodes "
                f"with, {start}. Received: decoder_start_token_id={given!r}. To have "
                "another one, replace the config's"
            )
        arguments["decoder_start_token_id"] = given if start is None else start
        return super().from_pretrained(name_or_path, **arguments)

    def call(self, document: Any, summary: Any = None) -> Any:
        """Makes a model's input, and what it has to predict.

        Args:
            document: A string or a batch of shape (B,).
            summary: As many; `None` for documents that are yet to be summarised.

        Returns:
            `(x, y, sample_weight)`. `x` is a dict of int32 tensors: `input_ids`, `attention_mask`
            of shape (B, S), `decoder_input_ids`, `decoder_attention_mask` of shape (B, T). `y` is
            int32 of shape (B, T), the pieces of the summaries; `sample_weight` is float32 of that
            shape, 0 for padding. Without summaries, a dict of `input_ids` and `attention_mask`
            alone. One string gives the same without B.

        Raises:
            TypeError: If texts are not strings.
            ValueError: If texts are of rank 2 or more, or not of one shape.
        """
        document, is_scalar = to_batch("document", document)
        x = self._pack(self.tokenizer.tokenize(document))
        if summary is None:
            return first_of_batch(x) if is_scalar else x
        summary, summary_is_scalar = to_batch("summary", summary)
        if is_scalar != summary_is_scalar or not document.shape.is_compatible_with(summary.shape):
            shapes = f"{document.shape[is_scalar:]} and {summary.shape[summary_is_scalar:]}"
            raise ValueError(
                "`document` and `summary` must be two strings or two batches of one size. "
                f"Received: shapes {shapes}"
            )
        target = self.tokenizer.pack(
            [self.tokenizer.tokenize(summary)],
            ends=True,
            max_length=self.target_length,
            padding=self.padding,
            pad_to_multiple_of=self.pad_to_multiple_of,
        )
        ids, mask = target["input_ids"], target["attention_mask"]
        start = self.decoder_start_token_id
        start = self.tokenizer.decoder_start_token_id if start is None else start
        starts = tf.fill([tf.shape(ids)[0], 1], tf.constant(start, tf.int32))
        # What is read where the summary's padding is to be predicted is padding, too.
        shifted = tf.where(
            mask == 1, tf.concat([starts, ids[:, :-1]], 1), self.tokenizer.pad_token_id
        )
        x |= {"decoder_input_ids": shifted, "decoder_attention_mask": mask}
        result = (x, ids, tf.cast(mask, tf.float32))
        return first_of_batch(result) if is_scalar else result

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the vocabulary is an asset and no part of them."""
        config = super().get_config()
        del config["max_length"]
        return {
            **config,
            "sequence_length": self.sequence_length,
            "target_length": self.target_length,
            "decoder_start_token_id": self.decoder_start_token_id,
        }


def _check_start(token_id: Any, vocab_size: int) -> None:
    is_integer = isinstance(token_id, int) and not isinstance(token_id, bool)
    if not is_integer or not 0 <= token_id < vocab_size:
        raise ValueError(
            f"`decoder_start_token_id` must be an id of the vocabulary, below {vocab_size}. "
            f"Received: decoder_start_token_id={token_id!r}"
        )

"""`Preprocessor`: what the preprocessors of all tasks have in common."""

import os
from typing import Any

import keras
import tensorflow as tf

from bigbird_tf.preprocessing.packing import check_length_arguments
from bigbird_tf.preprocessing.tokenizers import Tokenizer

__all__ = ["HUB_NAMES", "Preprocessor"]

HUB_NAMES = ("revision", "cache_dir", "token", "local_files_only")


class Preprocessor(keras.layers.Layer):
    """Base of the layers that turn raw text into what `model.fit` takes.

    Args:
        tokenizer: A `Tokenizer`.
        max_length: The most pieces of an input, special ones included.
        padding: `"max_length"` gives every input that length, a static shape that suits XLA and
            TPUs; `"longest"` pads to the longest of the batch.
        pad_to_multiple_of: With `"longest"`, rounds the length up to a multiple (not beyond
            `max_length`), so that few different lengths occur.
        **kwargs: `name` and the like, as for every Keras layer.

    Raises:
        TypeError: If `tokenizer` is no `Tokenizer`.
        ValueError: If an argument of length is impossible.
    """

    # How many special pieces an input has at least; subclasses of pairs have 3.
    num_special = 2

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int = 4096,
        padding: str = "max_length",
        pad_to_multiple_of: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        # Python strings and string tensors are the input; Keras would make numbers of them.
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.built = True
        if not isinstance(tokenizer, Tokenizer):
            raise TypeError(
                "`tokenizer` must be a `BigBirdTokenizer` or another `Tokenizer`; "
                "`from_pretrained` makes a preprocessor "
                f"of a directory. Received: tokenizer of type {type(tokenizer).__name__}"
            )
        if max_length is None:
            raise ValueError("`max_length` must be an integer. Received: max_length=None")
        check_length_arguments(max_length, padding, pad_to_multiple_of, self.num_special)
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.padding = padding
        self.pad_to_multiple_of = pad_to_multiple_of

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike, **arguments: Any) -> "Preprocessor":
        """Makes a preprocessor with the vocabulary of a pretrained model.

        Args:
            name_or_path: A directory with the files of a tokenizer, or a repository id of the hub.
            **arguments: The constructor's other arguments; those of the hub (`revision`,
                `cache_dir`, `token`, `local_files_only`) go to `Tokenizer.from_pretrained`.
        """
        hub_arguments = {name: arguments.pop(name) for name in HUB_NAMES if name in arguments}
        return cls(Tokenizer.from_pretrained(name_or_path, **hub_arguments), **arguments)

    def _pack(self, *segments: tf.RaggedTensor) -> dict[str, tf.Tensor]:
        """Makes the model's inputs, int32 of shape (B, T), of one or two ragged segments of ids."""
        return self.tokenizer.pack(
            list(segments),
            max_length=self.max_length,
            padding=self.padding,
            pad_to_multiple_of=self.pad_to_multiple_of,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; the vocabulary is an asset and no part of them."""
        return {
            **super().get_config(),
            "tokenizer": keras.saving.serialize_keras_object(self.tokenizer),
            "max_length": self.max_length,
            "padding": self.padding,
            "pad_to_multiple_of": self.pad_to_multiple_of,
        }

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the shapes and dtypes of a call; it needs no vocabulary for that.

        Keras rebuilds the graph of a saved Functional model before it loads assets.
        """
        if self.tokenizer.has_vocabulary:
            return super().compute_output_spec(*args, **kwargs)
        stand_in = self.tokenizer.stand_in()
        same = type(self)(**{**self.get_config(), "tokenizer": stand_in})
        return same.compute_output_spec(*args, **kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Preprocessor":
        """Makes the layer that `get_config` described."""
        tokenizer = keras.saving.deserialize_keras_object(config["tokenizer"])
        return cls(**{**config, "tokenizer": tokenizer})

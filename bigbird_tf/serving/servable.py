"""`Servable`: what the SavedModels of all heads have in common."""

import abc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from bigbird_tf.models.pretrained_model import PretrainedModel
from bigbird_tf.models.special_ids import adopt_special_ids
from bigbird_tf.preprocessing.tokenizers import Tokenizer
from bigbird_tf.serving.length_groups import run_by_length
from bigbird_tf.serving.stored_dtype import with_stored_dtype
from bigbird_tf.serving.text_windows import TextWindows

__all__ = ["Servable", "check_rank", "check_same_batch"]

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")


class Servable(abc.ABC):
    """A model with what turns strings into its input and its output into answers.

    Subclasses, one a head, say what the signatures compute. Weights are variables of the
    SavedModel. The model itself is one function of the graph, which all signatures call.

    Args:
        model: The model.
        tokenizer: A `Tokenizer`, or `None` for signatures on ids only.
        max_length: The longest input of the model, in pieces; longer texts are read in windows.
            `None` for the config's `max_position_embeddings`.
        weight_dtype: `"float16"` or `"bfloat16"` to store weights in half the size; they are
            computed with in the model's own dtype. `"int8"` for a quarter, by Keras' quantization,
            which computes products in 8 bits. `None` to store them as they are.

    Raises:
        TypeError: If `tokenizer` is no `Tokenizer`.
        ValueError: If an argument is impossible, or the tokenizer has more pieces than the model.
    """

    # What the model's function gets: the ids, and what is of their shape.
    input_names: tuple[str, ...] = INPUT_NAMES
    # Dimensions of the ids.
    input_rank = 2
    # What it gets besides.
    extra_inputs: tuple[str, ...] = ()
    has_labels = False

    def __init__(
        self,
        model: PretrainedModel,
        tokenizer: Tokenizer | None = None,
        *,
        max_length: int | None = None,
        weight_dtype: str | None = None,
    ):
        if "token_type_ids" not in model.input_names:
            names = self.input_names
            self.input_names = tuple(name for name in names if name != "token_type_ids")
        if tokenizer is not None:
            _check_tokenizer(tokenizer, model.config.vocab_size)
            adopt_special_ids(model, tokenizer)
        config = model.config
        longest = config.max_position_embeddings
        max_length = longest if max_length is None else max_length
        if isinstance(max_length, bool) or not isinstance(max_length, int):
            raise ValueError(f"`max_length` must be an integer. Received: {max_length!r}")
        if not 8 <= max_length <= longest:
            raise ValueError(
                "`max_length` must be from 8 to the model's `max_position_embeddings`, "
                f"{longest}. Received: max_length={max_length}"
            )
        if "global_membership" not in self.input_names and (
            getattr(config, "global_reads", "all") == "members"
        ):
            raise ValueError(
                "global_reads='members' needs to be told which global token each position belongs "
                "to. Of the servables only that of question answering, with construction='etc', "
                "does so. Export the model on ids with `model.export`, or pass global_reads='all' "
                "where the model is loaded"
            )
        self.model = model if weight_dtype is None else with_stored_dtype(model, weight_dtype)
        self.config = config
        # The signatures that read it are made only where there is one.
        self.tokenizer: Any = tokenizer
        self.max_length = max_length
        self.encode = self._make_encode()

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """The variables to save, by the names of the weights."""
        return {weight.path: weight.value for weight in self.model.weights}

    def _make_encode(self) -> Any:
        """Makes the graph's one function of the model, on int32 tensors by name."""
        names = (*self.input_names, *self.extra_inputs)
        shape = [None] * self.input_rank

        @tf.function(
            input_signature=[tf.TensorSpec(shape, tf.int32, name=name) for name in names],
            autograph=False,
        )
        def encode(*inputs):
            return self.model(dict(zip(names, inputs, strict=True)), training=False)

        return lambda **inputs: encode(*(inputs[name] for name in names))

    def signatures(self) -> dict[str, Any]:
        """Returns all signatures, as concrete functions by name."""
        return {name: made.get_concrete_function() for name, made in self.functions().items()}

    def functions(self) -> dict[str, Any]:
        """Returns what becomes the signatures by name: `tf.function`s that are not traced yet."""
        from_ids = self._from_ids()
        if self.tokenizer is None:
            return {"serving_default": from_ids, "from_ids": from_ids}
        return {"from_ids": from_ids, **self.string_functions()}

    @abc.abstractmethod
    def string_functions(self) -> dict[str, Any]:
        """Returns those of `functions` on raw strings, `serving_default` among them."""

    @abc.abstractmethod
    def example_inputs(self, num_words: int) -> dict[str, list[str]]:
        """Returns inputs of `serving_default`, a batch of one text of about so many words."""

    def from_ids_outputs(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns what the signature `from_ids` gives for int32 inputs by name."""
        outputs = self.encode(**inputs)
        return outputs if isinstance(outputs, dict) else {"logits": outputs}

    @property
    def labels(self) -> list[str]:
        """The labels' names, in the order of the logits; for heads that have labels."""
        names = self.config.id2label or {}
        return [names.get(i, f"LABEL_{i}") for i in range(self.config.num_labels)]

    def write_assets(self, folder: Path) -> None:
        """Writes files for clients: the vocabulary and, where the head has labels, their names."""
        if self.tokenizer is not None:
            self.tokenizer.save_vocabulary(folder)
        if self.has_labels:
            (folder / "labels.txt").write_text("\n".join(self.labels) + "\n", encoding="utf-8")

    def _from_ids(self) -> tf.types.experimental.PolymorphicFunction:
        shape = [None] * self.input_rank

        names = self.input_names

        @tf.function(
            input_signature=[tf.TensorSpec(shape, tf.int32, name=n) for n in names],
            autograph=False,
        )
        def from_ids(input_ids, *others):
            expected = tf.shape(input_ids)
            checks = [
                tf.debugging.assert_equal(
                    tf.shape(value),
                    expected,
                    message=f"`{name}` must be of the shape of `input_ids`.",
                )
                for name, value in zip(names[1:], others, strict=True)
                # These have a length of their own, which the model checks.
                if name not in ("global_input_ids", "global_attention_mask")
            ]
            checks.append(
                tf.debugging.assert_positive(
                    expected[-1], message="Sequences must have one token at least."
                )
            )
            with tf.control_dependencies(checks):
                inputs = (tf.identity(input_ids), *others)
            return self.from_ids_outputs(dict(zip(names, inputs, strict=True)))

        return from_ids

    @property
    def length_step(self) -> int:
        """The step of the lengths that texts are padded to."""
        return self.config.block_size

    def run_by_length(
        self, compute: Callable, lengths: tf.Tensor, results: dict[str, tf.Tensor], **options: Any
    ) -> dict[str, tf.Tensor]:
        """Runs something on rows of the given lengths; see `length_groups.run_by_length`."""
        # The model's own config: that of a decoder says that its attention is full.
        config = self.model.config
        is_full = config.attention_type == "original_full"
        return run_by_length(
            compute,
            lengths,
            results,
            length_step=self.length_step,
            same_up_to=self.max_length if is_full else config.longest_full_attention,
            **options,
        )

    def text_windows(self, text: tf.Tensor, text_pair: tf.Tensor | None = None) -> TextWindows:
        """Cuts a batch of texts, each perhaps with a second one, into pieces and windows."""
        # Strings have CPU kernels only. On a server with a GPU, a placer that is free to choose
        # must not pull them, or the vocabulary's resource, to where the model is.
        with tf.device("/CPU:0"):
            ids = self.tokenizer.tokenize(text)
            second = None if text_pair is None else self.tokenizer.tokenize(text_pair)
        return TextWindows(ids, second, self.tokenizer, self.max_length, self.length_step)


def _check_tokenizer(tokenizer: Tokenizer, vocab_size: int) -> None:
    if not isinstance(tokenizer, Tokenizer):
        raise TypeError(
            "`tokenizer` must be a `BigBirdTokenizer` or another `Tokenizer`, such as "
            f"`Tokenizer.from_pretrained(directory)`. Received: {type(tokenizer).__name__}"
        )
    if tokenizer.vocab_size > vocab_size:
        raise ValueError(
            "`tokenizer` must not have more pieces than the model's `vocab_size`. Received: "
            f"{tokenizer.vocab_size} pieces, vocab_size={vocab_size}. Is it another model's?"
        )


def check_rank(text: tf.Tensor) -> tf.Tensor:
    """Returns strings with a check that they are of the signature's shape.

    TensorFlow does not compare what a signature is called with: one string alone, a scalar, would
    fail in a slice somewhere within. Its message names the input, its shape, and that it takes.

    Args:
        text: Strings of a shape that is known in part, such as (None,).
    """
    name = None if tf.executing_eagerly() else text.op.name  # eager tensors have no names
    return tf.ensure_shape(text, text.shape, name=name)


def check_same_batch(**texts: tf.Tensor) -> list[tf.Tensor]:
    """Returns string tensors with a check that they are of one batch size.

    Args:
        **texts: Strings of shape (B,), by name.
    """
    texts = {name: check_rank(text) for name, text in texts.items()}
    first, *others = texts
    checks = [
        tf.debugging.assert_equal(
            tf.shape(texts[first])[0],
            tf.shape(texts[other])[0],
            message=f"`{first}` and `{other}` must be of one batch size.",
        )
        for other in others
    ]
    with tf.control_dependencies(checks):
        return [tf.identity(text) for text in texts.values()]

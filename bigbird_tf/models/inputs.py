"""Checks what models are called with."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.attention.layers.argument_checks import checked_mask
from bigbird_tf.config import ModelConfig
from bigbird_tf.nn.backend import check_in_range, check_when_run, same_shape
from bigbird_tf.types import Inputs, Tensor

__all__ = ["check_ids", "check_kind_of_inputs", "is_text", "read_inputs"]

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
# The fields of a config that say below which number ids are.
_SIZES = {"token_type_ids": "type_vocab_size", "position_ids": "max_position_embeddings"}


def read_inputs(
    inputs: Inputs,
    config: ModelConfig,
    extra_names: tuple[str, ...] = (),
    rank: int = 2,
    names: tuple[str, ...] = INPUT_NAMES,
) -> dict:
    """Returns a model's inputs as a dictionary of checked tensors.

    Args:
        inputs: A dictionary with `input_ids`, integers `(B, T)`, and optionally `attention_mask`,
            `token_type_ids` and `position_ids`, all of that shape; or the ids alone.
        config: The model's config. With a `type_vocab_size` of 1 all tokens are of type 0,
            whatever `token_type_ids` are: tokenizers write 1 for a second text.
        extra_names: Keys that this model takes besides.
        rank: Number of dimensions of the ids.
        names: What the model's inputs are called: the ids first, then the mask, then the others.

    Returns:
        A dictionary: `input_ids` int32, `attention_mask` bool (true where there was none), and the
        others int32, or `None` where they were not given.

    Raises:
        ValueError: If a key is unknown or missing, a shape or dtype is wrong, or the sequences are
            empty or too long.
        tf.errors.InvalidArgumentError: If an id is not in the vocabulary, or a mask has other
            values than 0 and 1. Not when compiled by XLA, which has no such checks.
    """
    id_name, mask_name, *others = names
    if not isinstance(inputs, dict):
        inputs = {id_name: inputs}
    known = (*names, *extra_names)
    unknown = sorted(set(inputs) - set(known))
    if unknown or inputs.get(id_name) is None:
        raise ValueError(
            f"A model's inputs are a dictionary with '{id_name}' and optionally "
            f"{', '.join(repr(name) for name in known[1:])}. Received the keys: {sorted(inputs)}"
        )
    tensors: dict[str, Any] = {name: inputs.get(name) for name in known}
    for name, value in tensors.items():
        if value is not None:
            tensors[name] = _as_integers(name, value)
    ids = tensors[id_name]
    if len(ids.shape) != rank:
        expected = "(batch, length)" if rank == 2 else "(batch, choices, length)"
        raise ValueError(
            f"`{id_name}` must be of shape {expected}. Received: {id_name}.shape={tuple(ids.shape)}"
        )
    for name in names[1:]:
        _check_same_shape(name, tensors[name], id_name, ids)
    ids = _check_length(ids, config.max_position_embeddings)
    # Positions may be one row for all.
    of_ids_shape = {name: tensors[name] for name in (mask_name, *others) if name != "position_ids"}
    ids = _check_shapes_when_run(id_name, ids, of_ids_shape)
    tensors[id_name] = check_ids(id_name, ids, config.vocab_size, "vocab_size")
    for name in others:
        field = _SIZES[name]
        size = getattr(config, field)
        if name == "token_type_ids" and size == 1:
            tensors[name] = None
        if tensors[name] is not None:
            tensors[name] = check_ids(name, tensors[name], size, field)
    mask = tensors[mask_name]
    tensors[mask_name] = ops.ones(ops.shape(ids), "bool") if mask is None else checked_mask(mask)
    return tensors


def check_kind_of_inputs(inputs: Inputs) -> None:
    """Refuses what is no input of a model, and says how to make one of it.

    Keras would make tensors of most of it, and the model nonsense.

    Raises:
        TypeError: If there are texts, tuples, lists, or ragged tensors.
    """
    for name, value in inputs.items() if isinstance(inputs, dict) else [("input_ids", inputs)]:
        if is_text(value):
            raise TypeError(
                f"`{name}` must be integers. Received texts: {_shown(value)}. Make ids of them "
                "first: `tokenizer(texts)`; for `fit`, `dataset.map(preprocessor)`"
            )
        if getattr(getattr(value, "dtype", None), "kind", None) == "O":
            raise TypeError(
                f"`{name}` must be an array of integers. Received an array of Python objects, "
                f"{_shown(value)}. Rows of unequal lengths are padded first, and an "
                "`attention_mask` says what is padding"
            )
        if isinstance(value, (tuple, list)):
            raise TypeError(
                f"`{name}` must be an array or a tensor, and several inputs a dictionary, such as "
                "{'input_ids': ids, 'attention_mask': mask}. Received: " + _shown(value)
            )
        _refuse_ragged(name, value)


def _refuse_ragged(name: str, value: Tensor) -> None:
    if hasattr(value, "row_splits"):
        raise TypeError(
            f"`{name}` must not be ragged. Make it dense, and say what is padding: {{'input_ids': "
            "ids.to_tensor(pad_token_id), 'attention_mask': tf.sequence_mask(ids.row_lengths())}. "
            f"Received: a ragged tensor of shape {tuple(value.shape)}"
        )


def is_text(value: Tensor) -> bool:
    """Returns whether a value is a string or holds strings, by what comes first in it."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    if isinstance(value, (str, bytes)):
        return True
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "kind", None) == "O":
        return value.size > 0 and is_text(value.flat[0])
    return dtype is not None and (
        "string" in str(dtype) or getattr(dtype, "kind", None) in ("S", "U")
    )


def _shown(value: Tensor) -> str:
    text = repr(value)
    return f"{type(value).__name__}, {text if len(text) <= 80 else text[:77] + '...'}"


def _as_integers(name: str, value: Tensor) -> Tensor:
    _refuse_ragged(name, value)
    value = ops.convert_to_tensor(value)
    dtype = keras.backend.standardize_dtype(value.dtype)
    # A mask of 0.0 and 1.0 is common, ids with fractions are a mistake.
    if not name.endswith("attention_mask") and "int" not in dtype:
        raise ValueError(f"`{name}` must be integers. Received: {name}.dtype={dtype}")
    return value


def _check_same_shape(name: str, value: Tensor, id_name: str, ids: Tensor) -> None:
    if value is None:
        return
    shape, expected = tuple(value.shape), tuple(ids.shape)
    fits = len(shape) == len(expected) and all(
        None in pair or pair[0] == pair[1] or (name == "position_ids" and pair[0] == 1)
        for pair in zip(shape, expected, strict=True)
    )
    if not fits:
        raise ValueError(
            f"`{name}` must be of the shape of `{id_name}`. Received: {name}.shape={shape}, "
            f"{id_name}.shape={expected}"
        )


def _check_shapes_when_run(id_name: str, ids: Tensor, tensors: Any) -> Tensor:
    """Returns the ids after a check of the shapes that were unknown when the graph was made."""
    checks = [
        (
            lambda x=x: same_shape(x, ids, len(ids.shape)),
            f"`{name}` must be of the shape of `{id_name}`",
        )
        for name, x in tensors.items()
        if x is not None and None in ids.shape
    ]
    return check_when_run(ids, *checks) if checks else ids


def _check_length(ids: Tensor, longest: int | None) -> Tensor:
    length = ids.shape[-1]
    too_long = (
        "Sequences must not be longer than `max_position_embeddings`. Received: length={length}, "
        f"max_position_embeddings={longest}. Cut them (`max_length` of the tokenizer), read them "
        "in windows (the question-answering preprocessor), or make a model for longer ones"
    )
    empty = (
        "Sequences must have one token at least (an empty text still has its special tokens). "
        "Received: length=0"
    )
    if length is None:
        return check_when_run(
            ids,
            (lambda: ops.shape(ids)[-1] <= longest, too_long.format(length="of this batch")),
            (lambda: ops.shape(ids)[-1] > 0, empty),
        )
    if length > longest:
        raise ValueError(too_long.format(length=length))
    if length == 0:
        raise ValueError(empty)
    return ids


def check_ids(name: str, ids: Tensor, size: int, field: str) -> Any:
    """Returns ids as int32, with a check that all are in `[0, size)`.

    A gather on a GPU gives zeros for ids outside of the table, and Keras reads negative ones from
    its end: nonsense, silently. So the check is worth its pass over the ids.
    """
    message = f"`{name}` must be in [0, {field}), that is [0, {size})."
    return ops.cast(check_in_range(ids, size, message), "int32")

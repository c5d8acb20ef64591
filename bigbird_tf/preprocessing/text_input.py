"""What the tokenizer and the preprocessors share at their entrance: Python values into tensors."""

from typing import Any

import tensorflow as tf

__all__ = [
    "first_of_batch",
    "split_pairs",
    "to_batch",
    "to_integer_tensor",
    "to_ragged_strings",
    "to_string_tensor",
]


def to_string_tensor(name: str, value: Any) -> tf.Tensor | tf.RaggedTensor:
    """Makes a string tensor of a string, bytes, a (nested) list, a NumPy array or a tensor.

    Args:
        name: The argument's name, for messages.
        value: The argument's value. Lists of unequal lengths become a ragged tensor.

    Raises:
        TypeError: If the value holds anything but bytes and strings that UTF-8 can write.
    """
    if not isinstance(value, (tf.Tensor, tf.RaggedTensor)):
        value = _convert(name, value)
    if value.dtype == tf.string:
        return value
    if value.shape.num_elements() == 0:
        # An empty Python list says nothing about its type.
        return tf.zeros(value.shape, tf.string)
    raise TypeError(f"`{name}` must be of strings. Received: {name} of dtype {value.dtype.name}")


def _convert(name: str, value: Any) -> tf.Tensor | tf.RaggedTensor:
    try:
        if isinstance(value, (list, tuple)) and _is_nested(value):
            return tf.ragged.constant(value)
        return tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`{name}` must be a string, bytes, or a batch of them, without `None` among them, and "
            f"without lone surrogates. Received: {name}={_shorten(value)} of type "
            f"{type(value).__name__}"
        ) from error


def _is_nested(value: list | tuple) -> bool:
    return any(isinstance(item, (list, tuple)) for item in value)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def to_batch(name: str, value: Any) -> tuple[tf.Tensor, bool]:
    """Makes a batch of strings, and tells whether it was a single one.

    Args:
        name: The argument's name, for messages.
        value: A string, or a batch of shape (B,).

    Returns:
        A string tensor of shape (B,), and whether `value` was a scalar (then B is 1).

    Raises:
        TypeError: If the value holds anything but strings or bytes.
        ValueError: If the value is of rank 2 or more.
    """
    text = to_string_tensor(name, value)
    rank = text.shape.rank
    if rank is None or rank > 1:
        raise ValueError(
            f"`{name}` must be one string or a batch of strings of shape (batch,). Received: "
            f"{name} of shape {text.shape}. Two texts for each input are a pair: give the second "
            "ones as an argument of their own (of a tokenizer `text_pair`), not as a dimension"
        )
    return (text[tf.newaxis], True) if rank == 0 else (text, False)


def split_pairs(text: Any) -> tuple[Any, Any]:
    """Splits a list of tuples of two strings, which `transformers` takes as pairs, into two lists.

    Lists of two could as well be the words of texts, and stay as they are.

    Returns:
        The first texts and the second ones; of all else `(text, None)`.
    """
    is_pairs = (
        isinstance(text, (list, tuple))
        and bool(text)
        and all(
            isinstance(item, tuple)
            and len(item) == 2
            and all(isinstance(part, (str, bytes)) for part in item)
            for item in text
        )
    )
    if not is_pairs:
        return text, None
    first, second = zip(*text, strict=True)
    return list(first), list(second)


def to_integer_tensor(name: str, value: Any) -> tf.Tensor | tf.RaggedTensor:
    """Makes an int32 tensor of a number, a (nested) list, an array or a tensor.

    Raises:
        TypeError: If the value holds anything but integers.
    """
    if not isinstance(value, (tf.Tensor, tf.RaggedTensor)):
        is_nested = isinstance(value, (list, tuple)) and _is_nested(value)
        value = tf.ragged.constant(value, tf.int32) if is_nested else tf.convert_to_tensor(value)
    # An empty Python list says nothing about its type.
    if not value.dtype.is_integer and value.shape.num_elements() != 0:
        raise TypeError(f"`{name}` must be integers. Received: {name} of dtype {value.dtype.name}")
    return tf.cast(value, tf.int32)


def to_ragged_strings(name: str, value: Any) -> tuple[tf.RaggedTensor, bool]:
    """Makes a batch of lists of strings, and tells whether it was a single list.

    Args:
        name: The argument's name, for messages.
        value: Strings of shape (N,) or (B, N).

    Returns:
        A ragged string tensor of shape (B, None), and whether `value` was one list (then B is 1).

    Raises:
        TypeError: If the value holds anything but strings or bytes.
        ValueError: If the value is of rank 0, or 3 or more.
    """
    strings = to_string_tensor(name, value)
    rank = strings.shape.rank
    if rank not in (1, 2):
        raise ValueError(
            f"`{name}` must be strings of shape (number,), or (batch, number). Received: {name} of "
            f"shape {strings.shape}"
        )
    if rank == 1:
        strings = strings[tf.newaxis]
    if not isinstance(strings, tf.RaggedTensor):
        strings = tf.RaggedTensor.from_tensor(strings)
    return strings, rank == 1


def first_of_batch(structure: Any) -> Any:
    """Takes the batch dimension, of size 1, off every tensor of a nested structure."""
    return tf.nest.map_structure(lambda tensor: tensor[0], structure)

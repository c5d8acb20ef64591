"""What attention layers refuse: impossible shapes, and masks that are none."""

from typing import Any

import keras
from keras import ops

from bigbird_tf.nn.backend import check_when_run, same_shape
from bigbird_tf.types import Tensor

__all__ = [
    "check_cross_shapes",
    "check_global_bias",
    "check_global_membership",
    "check_shapes",
    "check_shapes_when_run",
    "checked_mask",
    "may_be_equal",
]


def check_shapes(query: Tensor, value: Tensor, key: Tensor, attention_mask: Tensor) -> None:
    """Refuses shapes that are known to be impossible.

    Raises:
        ValueError: If they are.
    """
    for name, x in (("query", query), ("value", value), ("key", key)):
        _check_rank(name, x)
        if not may_be_equal(x.shape[:2], query.shape[:2]):
            raise ValueError(
                "Block-sparse attention is self attention: `query`, `value` and `key` must "
                "have one batch size and one length. Received: query.shape="
                f"{tuple(query.shape)}, {name}.shape={tuple(x.shape)}"
            )
    if query.shape[1] == 0:
        raise ValueError(
            f"Sequences must have one token at least. Received: query.shape={tuple(query.shape)}"
        )
    if attention_mask is not None:
        _check_mask_shape(attention_mask, "query", query)


def check_cross_shapes(query: Tensor, value: Tensor, attention_mask: Tensor | None) -> None:
    """Refuses shapes that attention from one sequence to another cannot have.

    Raises:
        ValueError: If they are known to be impossible.
    """
    _check_rank("query", query)
    _check_rank("value", value)
    if not may_be_equal(query.shape[:1], value.shape[:1]):
        raise ValueError(
            "`query` and `value` must have one batch size. Received: query.shape="
            f"{tuple(query.shape)}, value.shape={tuple(value.shape)}"
        )
    if attention_mask is not None:
        _check_mask_shape(attention_mask, "value", value)


def check_global_bias(global_bias: Tensor, query: Tensor, most: int) -> None:
    """Refuses a bias of queries that are not all in global blocks at the start.

    Args:
        global_bias: Tensor `(B, K, T)`.
        query: Tensor `(B, T, D)`.
        most: Queries of these blocks.

    Raises:
        ValueError: If the shape is known to be another one.
    """
    shape = tuple(global_bias.shape)
    fits = len(shape) == 3 and may_be_equal((shape[0], shape[2]), query.shape[:2])
    if not fits or (shape[1] or 0) > most:
        raise ValueError(
            "`global_bias` must be of shape (batch, queries, length), for the queries of global "
            f"blocks at the start, here {most} at most. Received: global_bias.shape={shape}, "
            f"query.shape={tuple(query.shape)}"
        )


def check_global_membership(membership: Tensor, query: Tensor, num_side_blocks: int) -> None:
    """Refuses what does not say to which token beside the sequence each token belongs.

    Args:
        membership: Tensor `(B, T)`.
        query: Tensor `(B, T, D)`.
        num_side_blocks: The layer's.

    Raises:
        ValueError: If the shape is known to be another one, or there are no such tokens.
    """
    if not num_side_blocks:
        raise ValueError(
            "`global_membership` is about tokens beside the sequence, where positions are "
            f"relative. Received: num_side_blocks=0, a membership of {tuple(membership.shape)}"
        )
    shape = tuple(membership.shape)
    if len(shape) != 2 or not may_be_equal(shape, query.shape[:2]):
        raise ValueError(
            "`global_membership` must be of shape (batch, length). Received: "
            f"global_membership.shape={shape}, query.shape={tuple(query.shape)}"
        )


def _check_rank(name: str, x: Tensor) -> None:
    if len(x.shape) != 3:
        raise ValueError(
            f"`{name}` must be of shape (batch, length, features). Received: "
            f"{name}.shape={tuple(x.shape)}"
        )


def _check_mask_shape(attention_mask: Tensor, name: str, x: Tensor) -> None:
    shape = tuple(attention_mask.shape)
    if len(shape) != 2 or not may_be_equal(shape, x.shape[:2]):
        raise ValueError(
            "`attention_mask` must be of shape (batch, length), 1 for tokens and 0 for "
            f"padding. Received: attention_mask.shape={shape}, {name}.shape={tuple(x.shape)}"
        )


def may_be_equal(shape: Any, other: Any) -> bool:
    """Returns whether two shapes of one rank are equal as far as they are known."""
    return all(None in pair or pair[0] == pair[1] for pair in zip(shape, other, strict=True))


def checked_mask(attention_mask: Tensor) -> Tensor:
    """Returns a mask as booleans, after a check that it is one of zeros and ones.

    Masks that are added to scores (0 and -10000) and weights of tokens look like masks of zeros and
    ones, and would be read the wrong way round. Boolean ones need no check, so a model that has
    checked its mask hands on booleans to its layers.

    Args:
        attention_mask: Tensor of any dtype and shape.

    Raises:
        tf.errors.InvalidArgumentError: If a value is another one, when the graph runs.
    """
    if keras.backend.standardize_dtype(attention_mask.dtype) == "bool":
        return attention_mask
    message = (
        "`attention_mask` must be 1 for tokens and 0 for padding, and nothing else. Of a mask that "
        "is added to scores, 0 for tokens and very negative for padding, pass `mask == 0`"
    )

    def is_well():
        is_token, is_padding = ops.equal(attention_mask, 1), ops.equal(attention_mask, 0)
        return ops.all(ops.logical_or(is_token, is_padding))

    return ops.not_equal(check_when_run(attention_mask, (is_well, message)), 0)


def check_shapes_when_run(
    query: Tensor, value: Tensor, key: Tensor, attention_mask: Tensor
) -> Tensor:
    """Returns `query` after a check of what `check_shapes` could not know."""
    others = {"value": value, "key": key}
    if query.shape[1] is None:
        others["attention_mask"] = attention_mask
    messages = {
        "value": "`query` and `value` must be of one batch size and one length",
        "key": "`query` and `key` must be of one batch size and one length",
        "attention_mask": "`attention_mask` must be of shape (batch, length)",
    }
    checks = [
        (lambda x=x: same_shape(query, x, 2), messages[name])
        for name, x in others.items()
        if x is not None and x is not query and None in (*query.shape[:2], *x.shape[:2])
    ]
    return check_when_run(query, *checks) if checks else query

"""Reads the inputs of BigBird's models, those of global tokens beside the sequence among them."""

from typing import Any

from keras import ops

from bigbird_tf.attention.layers.argument_checks import checked_mask, may_be_equal
from bigbird_tf.config import BigBirdConfig
from bigbird_tf.models.inputs import check_ids, read_inputs
from bigbird_tf.nn.backend import check_in_range, check_when_run, same_shape
from bigbird_tf.types import Inputs, Tensor

__all__ = ["GLOBAL_NAMES", "read_big_bird_inputs"]

GLOBAL_NAMES = ("global_input_ids", "global_attention_mask", "global_membership")


def read_big_bird_inputs(
    inputs: Inputs,
    config: BigBirdConfig,
    extra_names: tuple[str, ...] = (),
    rank: int = 2,
) -> dict:
    """Returns a model's inputs as a dictionary of checked tensors.

    Args:
        inputs: As `read_inputs` takes them; with `num_global_tokens` in the config also those that
            `GLOBAL_NAMES` names.
        config: The model's config.
        extra_names: Keys that this model takes besides.
        rank: Number of dimensions of the ids.

    Returns:
        What `read_inputs` returns; with `num_global_tokens` in the config also
        `global_input_ids` int32, `global_attention_mask` bool and `global_membership` int32, each
        `None` where it was not given, or (the last) is not read.

    Raises:
        ValueError: As of `read_inputs`; if shapes of global inputs are wrong; if
            `global_membership` is missing where the config has `global_reads="members"`; or if
            there are `position_ids` where positions are relative.
        tf.errors.InvalidArgumentError: As of `read_inputs`.
    """
    names = GLOBAL_NAMES if config.num_global_tokens else ()
    read = read_inputs(inputs, config, (*extra_names, *names), rank)
    is_relative = config.position_embedding_type == "relative"
    if is_relative and read["position_ids"] is not None:
        raise ValueError(
            "`position_ids` have no effect where the config has "
            "position_embedding_type='relative': there is no table of positions. Leave them out"
        )
    if not names:
        return read
    ids, mask, membership = (read[name] for name in GLOBAL_NAMES)
    of_sequence = read["input_ids"]
    count: Any = config.num_global_tokens
    if ids is not None:
        ids = _check_shape("global_input_ids", ids, of_sequence, count, "num_global_tokens or less")
        ids = check_ids("global_input_ids", ids, config.vocab_size, "vocab_size")
        count = ids.shape[-1]
    if mask is not None:
        meaning = "num_global_tokens" if ids is None else "the length of global_input_ids"
        mask = _check_shape("global_attention_mask", mask, of_sequence, count, meaning)
        if ids is not None and None in (*ids.shape, *mask.shape):
            message = "`global_attention_mask` must be of the shape of `global_input_ids`"
            mask = check_when_run(mask, (lambda: same_shape(mask, ids, rank), message))
        mask = checked_mask(mask)
    must_be_given = config.global_reads == "members"
    if must_be_given or (is_relative and membership is not None):
        count = config.num_global_tokens if ids is None else ops.shape(ids)[-1]
        membership = _read_membership(membership, of_sequence, count)
    else:
        membership = None
    return {**read, **dict(zip(GLOBAL_NAMES, (ids, mask, membership), strict=True))}


def _check_shape(name: str, value: Tensor, ids: Tensor, count: Any, meaning: str) -> Tensor:
    """Returns a tensor of global tokens after a check of its shape, beside the sequence's ids."""
    most = meaning.endswith("or less")
    rank = len(ids.shape)
    expected = (*ids.shape[:-1], count)
    letters = "(batch, {})" if rank == 2 else "(batch, choices, {})"
    message = f"`{name}` must be of shape {letters.format(meaning)}, here {expected}"
    length: Any = value.shape[-1] if len(value.shape) == rank else None
    fits = len(value.shape) == rank and may_be_equal(value.shape[:-1], ids.shape[:-1])
    if None not in (length, count):
        fits = fits and (1 <= length <= count if most else length == count)
    if not fits:
        raise ValueError(f"{message}. Received: {name}.shape={tuple(value.shape)}")
    checks: list[Any] = []
    if None in (*value.shape[:-1], *ids.shape[:-1]):
        checks.append((lambda: same_shape(value, ids, rank - 1), message))
    if length is None and count is not None:

        def is_well():
            length = ops.shape(value)[-1]
            if not most:
                return ops.equal(length, count)
            return ops.logical_and(length >= 1, length <= count)

        checks.append((is_well, message))
    return check_when_run(value, *checks) if checks else value


def _read_membership(membership: Tensor | None, ids: Tensor, count: Any) -> Tensor:
    """Returns int32 of the ids' shape: numbers below `count`, or -1."""
    if membership is None:
        raise ValueError(
            "`global_membership` must be given, since the config has global_reads='members': for "
            "each position the number of the global token that it belongs to, or -1. Received the "
            "inputs without it. For global tokens that read everything, pass global_reads='all' "
            "where the config is made or read"
        )
    shape, expected = tuple(membership.shape), tuple(ids.shape)
    message = "`global_membership` must be of the shape of `input_ids`"
    if len(shape) != len(expected) or not may_be_equal(shape, expected):
        raise ValueError(
            f"{message}. Received: global_membership.shape={shape}, input_ids.shape={expected}"
        )
    if None in (*shape, *expected):
        membership = check_when_run(
            membership, (lambda: same_shape(membership, ids, len(expected)), message)
        )
    # By one more, so that -1 is in the range.
    shifted = check_in_range(
        ops.cast(membership, "int32") + 1,
        count + 1,
        "`global_membership` must be the number of a global token, from 0 to below G, or -1",
    )
    return shifted - 1

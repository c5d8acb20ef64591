"""Picks the vectors at the positions that a language model is asked about."""

from keras import ops

from bigbird_tf.models.inputs import check_ids
from bigbird_tf.types import Tensor

__all__ = ["gather_positions"]


def gather_positions(hidden: Tensor, positions: Tensor) -> Tensor:
    """Returns the vectors at some positions of each row.

    So a loss over few positions needs logits at these alone, and no tensor of length × vocabulary.

    Args:
        hidden: Tensor `(B, T, hidden_size)`.
        positions: Integers `(B, K)` in `[0, T)`, or `None` for all positions.

    Returns:
        Tensor `(B, K, hidden_size)`; `hidden` itself for `None`.

    Raises:
        ValueError: If the positions are not of shape `(B, K)`.
        tf.errors.InvalidArgumentError: If a position is outside of the row.
    """
    if positions is None:
        return hidden
    if len(positions.shape) != 2 or (
        None not in (positions.shape[0], hidden.shape[0]) and positions.shape[0] != hidden.shape[0]
    ):
        raise ValueError(
            "`masked_positions` must be of shape (batch, positions of each row). Received: "
            f"masked_positions.shape={tuple(positions.shape)}, batch={hidden.shape[0]}"
        )
    positions = check_ids("masked_positions", positions, ops.shape(hidden)[1], "length")
    return ops.take_along_axis(hidden, positions[:, :, None], axis=1)

"""Teacher forcing: a decoder reads what it should have written, one place later."""

from keras import ops

from bigbird_tf.models.ignored_labels import IGNORED_LABEL
from bigbird_tf.types import Tensor

__all__ = ["shift_right"]


def shift_right(labels: Tensor, pad_token_id: int, decoder_start_token_id: int) -> Tensor:
    """Returns the ids that a decoder reads to write some labels.

    Args:
        labels: Integers `(B, T)`; -100 for those that do not count, which become padding.
        pad_token_id: What they become.
        decoder_start_token_id: What comes first.

    Returns:
        int32 `(B, T)`: the start token and all labels but the last.
    """
    labels = ops.cast(labels, "int32")
    labels = ops.where(labels == IGNORED_LABEL, pad_token_id, labels)
    first = ops.full_like(labels[:, :1], decoder_start_token_id)
    return ops.concatenate([first, labels[:, :-1]], axis=1)

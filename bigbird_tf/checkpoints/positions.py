"""Longer tables of positions from short ones."""

import keras
import numpy as np

from bigbird_tf.checkpoints.transformers_format import tensor_table

__all__ = ["copy_weights", "tile_positions"]

_POSITIONS = ("position_embeddings.weight", "embed_positions.weight")


def tile_positions(positions: np.ndarray, length: int) -> np.ndarray:
    """Repeats a table of positions until it is long enough (BigBird paper, section 4).

    Args:
        positions: `(T, hidden_size)`.
        length: Rows of the result.
    """
    repeats = -(-length // len(positions))
    return np.ascontiguousarray(np.tile(positions, (repeats, 1))[:length])


def copy_weights(model: keras.Model, longer: keras.Model) -> None:
    """Copies a model's weights to one of the same class that takes longer sequences.

    LoRA's are added to their kernels; tables of positions are repeated.

    Args:
        model: The model.
        longer: Where they are copied to.
    """
    table = tensor_table(longer)
    for name, entry in tensor_table(model).items():
        tensor = entry.read()
        if name.endswith(_POSITIONS):
            tensor = tile_positions(tensor, len(table[name].read()))
        table[name].write(tensor)

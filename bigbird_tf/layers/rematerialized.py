"""Calls a block in training so that the backward pass computes its inside again."""

import keras
from keras import ops

from bigbird_tf.types import Tensor

__all__ = ["call_rematerialized"]


def call_rematerialized(block: keras.layers.Layer, inputs: Tensor, **tensors: Tensor) -> Tensor:
    """Returns `block(inputs, **tensors, training=True)`, and keeps nothing of its inside.

    Args:
        block: A layer with `draw_seeds`, whose calls take `seeds`.
        inputs: Its input, of a floating dtype.
        **tensors: Its other tensors by name. Those whose names end in `_mask` are masks.
    """
    seeds = block.draw_seeds()
    drawn = [seed for seed in seeds if seed is not None]
    names = list(tensors)

    def call(inputs, *others):
        others, given = others[: len(names)], iter(others[len(names) :])
        arguments = {
            name: ops.cast(x, "bool") if name.endswith("_mask") else x
            for name, x in zip(names, others, strict=True)
        }
        own_seeds = [None if seed is None else next(given) for seed in seeds]
        return block(inputs, **arguments, training=True, seeds=own_seeds)

    # Masks as numbers: arguments of a function with a gradient must not be booleans.
    others = [
        ops.cast(x, inputs.dtype) if name.endswith("_mask") else x for name, x in tensors.items()
    ]
    return keras.remat(call)(inputs, *others, *drawn)

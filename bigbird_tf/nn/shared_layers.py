"""Layers that two others have in common."""

import keras

__all__ = ["replace_layer"]


def replace_layer(owner: keras.layers.Layer, name: str, layer: keras.layers.Layer) -> None:
    """Replaces a layer that is not built yet by another one.

    Args:
        owner: What has both; not built yet.
        name: The attribute.
        layer: The other layer, which may be part of others, too.
    """
    # Keras 3.15 goes on tracking what an attribute held before.
    owner._tracker.untrack(getattr(owner, name))
    setattr(owner, name, layer)

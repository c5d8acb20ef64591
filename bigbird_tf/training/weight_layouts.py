"""`layout_map`: how devices share out a model's weights under `keras.distribution` on JAX."""

from typing import Any

import keras

from bigbird_tf.config import ModelConfig
from bigbird_tf.nn.backend import NAME

__all__ = ["layout_map"]

AXIS = "model"
# Fields of either family that the devices of the axis share out: each must divide evenly.
_SHARED_OUT = (
    "num_attention_heads",
    "intermediate_size",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
)


def layout_map(
    model: keras.Model | ModelConfig, mesh: keras.distribution.DeviceMesh
) -> keras.distribution.LayoutMap:
    """Returns the layouts of a model's weights for `keras.distribution.ModelParallel`, on JAX.

    Each device of the axis `"model"` has its share of

    - queries, keys and values: some of the heads, and their rows of the output projection;
    - the inner layers: a part of their width;
    - embeddings of words and positions, and a decoder that is not tied: some of the rows, if the
      devices divide them.

    Every device has all else whole. An optimizer's state lies as the weights do.
    So a block needs two sums over the axis, one after attention and one after the inner layer, and
    no device gathers queries, keys or values.

    The layouts follow from the sizes alone, so that they are there before any weight is: make or
    load the model after `keras.distribution.set_distribution`.

    Args:
        model: A model, or its config.
        mesh: Two axes, one of them named `"model"`. The other one is of the batch: give its name as
            `batch_dim_name` to `ModelParallel`.

    Returns:
        A `keras.distribution.LayoutMap`, to which layouts of other weights may be added.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If the mesh has other axes, or the axis `"model"` does not divide the heads or
            the inner width.
        RuntimeError: If Keras' backend is not JAX.

    Example:

    >>> mesh = keras.distribution.DeviceMesh((4, 2), ["data", "model"])
    >>> layouts = bb.layout_map(bb.BigBirdConfig(), mesh)
    >>> keras.distribution.set_distribution(
    ...     keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="data")
    ... )
    >>> model = bb.BigBirdForMaskedLM(bb.BigBirdConfig())
    """
    config = getattr(model, "config", model)
    if not isinstance(config, ModelConfig):
        raise TypeError(
            "`model` must be a model of this package or its config, such as `BigBirdConfig()`. "
            f"Received: model={model!r}"
        )
    count = _devices_of_axis(mesh)
    _check_divides(config, count)
    if NAME != "jax":
        raise RuntimeError(
            "`layout_map` is for Keras' backend 'jax': set the environment variable "
            "KERAS_BACKEND=jax before Keras is imported. On TensorFlow, train in the scope of a "
            f"`tf.distribute` strategy. Received: backend {NAME!r}"
        )
    layouts = keras.distribution.LayoutMap(mesh)
    for kernels in ("attention/(query|key|value)", "feed_forward/intermediate"):
        layouts[f".*{kernels}/kernel"] = (None, AXIS)
        layouts[f".*{kernels}/bias"] = (AXIS,)
    for kernels in ("attention/output", "feed_forward/output"):
        layouts[f".*{kernels}/kernel"] = (AXIS, None)
    # Parts of rows would have to be gathered again, for every token.
    if config.vocab_size % count == 0:
        layouts[".*word_embeddings/embeddings"] = (AXIS, None)
        layouts[".*/decoder/kernel"] = (None, AXIS)
    if config.max_position_embeddings % count == 0:
        layouts[".*position_embeddings/embeddings"] = (AXIS, None)
    return layouts


def _devices_of_axis(mesh: Any) -> int:
    """Returns how many devices share out the weights."""
    if not isinstance(mesh, keras.distribution.DeviceMesh):
        raise TypeError(
            f"`mesh` must be a `keras.distribution.DeviceMesh`. Received: mesh={mesh!r}"
        )
    sizes = dict(zip(mesh.axis_names, mesh.shape, strict=True))
    if len(sizes) != 2 or AXIS not in sizes:
        raise ValueError(
            f"`mesh` must have two axes, that of the batch and {AXIS!r}, such as "
            f"`DeviceMesh((4, 2), ['data', {AXIS!r}])`. If devices are to share out the batch "
            "alone, take `keras.distribution.DataParallel`, which needs no layouts. Received: a "
            f"mesh of {sizes}"
        )
    return sizes[AXIS]


def _check_divides(config: ModelConfig, count: int) -> None:
    for name in _SHARED_OUT:
        if name not in config.__dataclass_fields__:
            continue
        value = getattr(config, name)
        if value % count == 0:
            continue
        possible = [n for n in range(1, value + 1) if value % n == 0]
        raise ValueError(
            f"The axis {AXIS!r} of `mesh` must divide `{name}`: heads and inner widths are shared "
            f"out whole. Received: {count} devices on that axis, {name}={value}, which "
            f"{', '.join(map(str, possible[:8]))}{', …' if possible[8:] else ''} divide. The other "
            "axis, that of the batch, can have the other devices"
        )

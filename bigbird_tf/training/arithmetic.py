"""How much arithmetic a model is."""

import math

import keras

__all__ = ["training_flops_per_token"]

# The forward pass, and twice as much in the backward pass: for inputs and for weights.
PASSES = 3


def training_flops_per_token(model: keras.Model, length: int) -> float:
    """Returns floating-point operations of training a token, two for each multiply-add.

    They are those of all weights that tokens are multiplied with, and of attention's products:
    layers say in `product_flops(length)` what they compute besides their weights. Where weights of
    a layer do not train, it is a little less than that.

    Args:
        model: A built model.
        length: How long the sequences are.
    """
    weights, products = 0, 0
    for layer in model._flatten_layers():
        if hasattr(layer, "product_flops"):
            products += layer.product_flops(length)
        if not isinstance(layer, keras.layers.Embedding):
            own = layer._trainable_variables + layer._non_trainable_variables
            weights += sum(math.prod(weight.shape) for weight in own if len(weight.shape) > 1)
    return PASSES * (2 * weights + products / length)

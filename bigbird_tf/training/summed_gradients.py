"""Optimizers that see the sum of the replicas' gradients."""

import functools

import keras

from bigbird_tf.nn.backend import replica_context

__all__ = ["sum_gradients_first"]


def sum_gradients_first(optimizer: keras.optimizers.Optimizer) -> None:
    """Makes an optimizer add up the replicas' gradients before it does anything with them.

    Keras' optimizers clip, accumulate and check for overflow what one replica has, and add up what
    is left: a norm of a part is not the norm of the whole, and an overflow elsewhere is not seen.
    Nothing changes where there is one replica.

    Args:
        optimizer: Changed in place. Its class and its saved form stay as they are.
    """
    # That of `LossScaleOptimizer` is not used: the optimizer inside of it adds up.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # Of the classes: the optimizer may have been changed before, also as another one's inner one.
    apply = functools.partial(type(optimizer).apply, optimizer)
    add_up = functools.partial(type(inner)._all_reduce_sum_gradients, inner)
    inner.apply = functools.partial(type(inner).apply, inner)

    def apply_to_sum(grads, trainable_variables=None):
        if replica_context() is not None:
            variables = trainable_variables
            if variables is None:
                variables = optimizer._trainable_variables
            grads = [gradient for gradient, _ in add_up(zip(grads, variables, strict=True))]
        return apply(grads, trainable_variables)

    optimizer.apply = apply_to_sum
    # They have been added up by then.
    inner._all_reduce_sum_gradients = list

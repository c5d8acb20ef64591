"""What tests need of Keras' backend at hand: graphs, gradients, and what is TensorFlow's alone."""

import inspect
from collections.abc import Callable

import keras
import pytest
from keras import ops

IS_TENSORFLOW = keras.backend.backend() == "tensorflow"
tensorflow_alone = pytest.mark.skipif(not IS_TENSORFLOW, reason="TensorFlow's own")


def compile_fast() -> None:
    """On JAX, leaves optimizations out, in every process alike, since they change last digits."""
    if not IS_TENSORFLOW:
        import jax

        jax.config.update("jax_disable_most_optimizations", True)


def calls_tensorflow(function: Callable) -> bool:
    """Returns whether a test calls TensorFlow, itself or in a helper of the tests.

    So does `x.numpy()`, which tensors of JAX do not have (tests of both say `np.asarray(x)`). What
    this module does for both backends is not counted.
    """
    seen, stack = set(), [inspect.unwrap(function)]
    while stack:
        function = stack.pop()
        if function in seen or function.__module__ == __name__:
            continue
        seen.add(function)
        codes = [function.__code__]
        for code in codes:
            codes += [value for value in code.co_consts if inspect.iscode(value)]
        names = {name for code in codes for name in code.co_names}
        values = [function.__globals__.get(name) for name in names]
        if any(name.split(".")[0] in ("tensorflow", "numpy") for name in names) or any(
            inspect.ismodule(value) and value.__name__.split(".")[0] == "tensorflow"
            for value in values
        ):
            return True
        stack += [
            inspect.unwrap(value)
            for value in values
            if inspect.isfunction(value) and value.__module__.split(".")[0] == "tests"
        ]
    return False


def compiled(function: Callable, *, jit_compile: bool = True) -> Callable:
    """Returns a function as a graph, or as what XLA makes of it; on JAX these are one."""
    if IS_TENSORFLOW:
        import tensorflow as tf

        return tf.function(function, jit_compile=jit_compile)
    import jax

    return jax.jit(function)


def as_one(function: Callable) -> Callable:
    """Returns a function that runs quickly the first time.

    That is as it is on TensorFlow. JAX compiles each operation for each shape if they are called
    one by one, which takes ten times as long as to compile the whole function.
    """
    return function if IS_TENSORFLOW else compiled(function)


def of_unknown_length(function: Callable, arrays) -> Callable:
    """Returns a TensorFlow graph of a function of arrays whose first two sizes are unknown."""
    import tensorflow as tf

    specs = [tf.TensorSpec([None, None, *x.shape[2:]], x.dtype) for x in arrays]
    return tf.function(function, input_signature=specs)


def value_and_gradients(function: Callable, tensors, grad_output):
    """Returns `function(*tensors)`, a tensor, and what flows back to each of its tensors.

    Args:
        function: Of tensors; gives a tensor.
        tensors: A list of tensors.
        grad_output: What flows back to the result: a tensor of its shape and dtype.
    """
    if IS_TENSORFLOW:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            y = function(*tensors)
        return y, *tape.gradient(y, tensors, grad_output)
    import jax

    def both(tensors, grad_output):
        y, backward = jax.vjp(function, *tensors)
        return y, *backward(grad_output)

    return as_one(both)(tensors, grad_output)


def loss_and_gradients(loss: Callable, x, layer: keras.layers.Layer):
    """Returns a scalar and its gradients with respect to a tensor and a layer's trainable weights.

    Args:
        loss: A function of the tensor that gives the scalar.
        x: The tensor.
        layer: The layer.

    Returns:
        `(value, gradients)`, the gradients a list: the tensor's first.
    """
    weights = layer.trainable_weights
    if IS_TENSORFLOW:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(x)
        return value, tape.gradient(value, [x, *(weight.value for weight in weights)])
    import jax

    def stateless(x, trainable, others):
        mapping = [*zip(weights, trainable, strict=True), *zip(states, others, strict=True)]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            value = loss(x)
        return value, [scope.get_current_value(state) for state in states]

    states = layer.non_trainable_variables
    values = [[variable.value for variable in part] for part in (weights, states)]
    function = jax.jit(jax.value_and_grad(stateless, (0, 1), has_aux=True))
    (value, new_states), (x_grad, gradients) = function(x, *values)
    for state, new in zip(states, new_states, strict=True):
        state.assign(new)
    return value, [x_grad, *gradients]


def gradients_of_weights(loss: Callable, layer: keras.layers.Layer) -> list:
    """Returns the gradients of a scalar with respect to a layer's trainable weights.

    Args:
        loss: A function of nothing that gives the scalar.
        layer: The layer.
    """
    return loss_and_gradients(lambda _: loss(), ops.zeros(()), layer)[1][1:]

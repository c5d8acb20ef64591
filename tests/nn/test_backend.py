"""Loops and their parts."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf.nn.backend import (
    call_traced_once,
    is_compiled_by_xla,
    recompute_barrier,
    serial_map,
)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_is_compiled_by_xla(jit_compile):
    seen = []

    def inner(x):
        seen.append(is_compiled_by_xla())
        return x + 1

    outer = tf.function(lambda x: tf.function(inner)(x) * 2, jit_compile=jit_compile)
    assert outer(tf.constant(1)) == 4
    assert seen == [jit_compile]
    inner(tf.constant(1))
    assert seen[-1] is False


def test_serial_map_with_a_count_that_is_a_tensor():
    table = tf.random.normal((5, 3))

    @tf.function
    def doubled(count):
        return serial_map(lambda i: [table[i] * 2, table[i]], count, [3], "float32", 2)

    for mine, expected in zip(doubled(tf.constant(4)), (table[:4] * 2, table[:4]), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_call_traced_once():
    traces = []

    def function(x, *, factor):
        traces.append(factor)
        return x * factor

    @tf.function
    def layers(x):
        for factor in (2.0, 2.0, 3.0):
            x = call_traced_once(function, x, factor=factor)
        return x

    assert layers(tf.constant(1.0)) == 12
    assert traces == [2.0, 3.0]


def test_recompute_barrier_waits():
    @tf.function
    def late(upstream, x):
        return recompute_barrier(tf.exp(upstream), x) + 1

    graph = late.get_concrete_function(tf.constant(1.0), tf.constant(2.0)).graph
    (identity,) = [
        op for op in graph.get_operations() if op.control_inputs and op.type == "Identity"
    ]
    assert identity.inputs[0] is graph.inputs[1]
    assert [op.type for op in identity.control_inputs] == ["Exp"]
    assert late(tf.constant(1.0), tf.constant(2.0)) == 3

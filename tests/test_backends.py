"""Which tests are left out on JAX: those that call TensorFlow, and no others."""

import tensorflow as tf

from tests.backends import calls_tensorflow
from tests.contract import as_function
from tests.layer_contract import LayerContract
from tests.model_contract import ModelContract


def traces(call):
    return as_function(call, [])


def test_a_test_that_calls_tensorflow():
    assert calls_tensorflow(lambda: tf.constant(1))
    # Through a helper; in a function inside of a test; in an import inside of it.
    assert calls_tensorflow(lambda: traces(print))
    assert calls_tensorflow(lambda: [lambda: tf.constant(1)])
    assert calls_tensorflow(lambda x: x.numpy())
    assert calls_tensorflow(LayerContract.test_dynamic_length_is_static)
    assert calls_tensorflow(ModelContract.test_dynamic_length_is_static)


def test_a_test_of_both_backends():
    assert not calls_tensorflow(LayerContract.test_gradients_reach_all_weights)
    assert not calls_tensorflow(ModelContract.test_graph_and_xla_are_eager)
    left_out = [
        name
        for contract in (LayerContract, ModelContract)
        for name in vars(contract)
        if name.startswith("test_") and calls_tensorflow(getattr(contract, name))
    ]
    assert left_out == ["test_dynamic_length_is_static"] * 2

"""Operations one after the other."""

import numpy as np
import tensorflow as tf

from bigbird_tf.nn.serialized_execution import SerializedExecution


def test_in_order_waits_for_the_call_before():
    @tf.function
    def calls(x):
        in_order = SerializedExecution()
        first = in_order(lambda a: [tf.exp(a, name="first"), tf.sin(a, name="second")], x)
        third = in_order(lambda a: tf.cos(a, name="third"), x)
        fourth = in_order(lambda a: tf.tan(a, name="fourth"), x)
        return *first, third, fourth

    x = tf.constant([0.5])
    operations = calls.get_concrete_function(x).graph

    def waits_for(name):
        operation = operations.get_operation_by_name(name)
        return {other.name for other in operation.control_inputs}

    assert waits_for("first") == waits_for("second") == set()
    assert waits_for("third") == {"first", "second"}
    assert waits_for("fourth") == {"third"}
    np.testing.assert_allclose(calls(x)[2], np.cos(x))

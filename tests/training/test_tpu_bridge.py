"""TensorFlow's own bridge to TPUs takes each head's train step whole; no TPU is needed for that.

The step is traced as a replica's function of `TPUStrategy` is. The pass then makes one cluster of
it, or leaves outside what it cannot compile.
"""

import re
from unittest import mock

import pytest
import tensorflow as tf
from tensorflow.python.tpu import tpu

from bigbird_tf.attention.kernels import plan
from tests.training.head_cases import HEADS, data_of, make

pytestmark = pytest.mark.slow
BRIDGE = "tf-replicated-clustering-bridge-v2"


def traced(step, data) -> str:
    """Returns a replica's function as MLIR, as `TPUStrategy.run` would hand it on."""

    @tf.function(autograph=False)
    def replicated(*flat):
        return tpu.replicate(step, [list(flat)])

    flat = tf.nest.flatten(data)
    specs = [tf.TensorSpec(x.shape, x.dtype) for x in flat]
    with mock.patch.object(plan, "device_type", return_value="tpu"):
        function = replicated.get_concrete_function(*specs)
    return tf.mlir.experimental.convert_function(function, pass_pipeline="")


def clusters(text: str) -> tuple[int, int]:
    """Returns how many clusters the bridge makes, and how many ops it leaves outside."""
    text = tf.mlir.experimental.run_pass_pipeline(text, BRIDGE)
    outside = re.findall(r"_xla_outside_compilation|tf_device\.launch", text)
    return len(re.findall(r'"?tf_device\.cluster_func"?', text)), len(outside)


@pytest.mark.parametrize("cls", HEADS, ids=lambda cls: cls.__name__)
def test_train_step_is_one_cluster(cls):
    model = make(cls, dtype="mixed_bfloat16")
    data = tuple(part for part in data_of(cls) if part is not None)
    model._symbolic_build(data_batch=data)
    model.optimizer.build(model.trainable_variables)

    def step(*flat):
        return model.train_step(tf.nest.pack_sequence_as(data, flat))["loss"]

    assert clusters(traced(step, data)) == (1, 0)

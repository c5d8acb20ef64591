"""TensorFlow's own bridge to TPUs takes each head's train step whole; no TPU is needed for that.

The step is traced as a replica's function of `TPUStrategy` is. The pass then makes one cluster of
it, or leaves outside what it cannot compile. Its ops have kernels on TPUs, by the registry of
`tensorflow-tpu`.
"""

import re
from unittest import mock

import pytest
import tensorflow as tf
from tensorflow.python.tpu import tpu

from bigbird_tf.attention.kernels import plan
from tests.conftest import ROOT
from tests.training.head_cases import HEADS, data_of, make

pytestmark = pytest.mark.slow
BRIDGE = "tf-replicated-clustering-bridge-v2"
# Of the registry of `tensorflow-tpu`; see `make_tpu_ops`.
TPU_OPS = {*(ROOT / "tests/data/tpu_ops.txt").read_text().splitlines()[1:]}
# Parts of MLIR's own control flow, whose ops While and If have kernels; and what stands beside the
# cluster, on the host.
NO_KERNELS = {"WhileRegion", "IfRegion", "Yield", "TPUCompilationResult"}


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


def clustered(text: str) -> str:
    """Returns what the bridge makes of it."""
    return tf.mlir.experimental.run_pass_pipeline(text, BRIDGE)


@pytest.mark.parametrize("cls", HEADS, ids=lambda cls: cls.__name__)
def test_train_step_is_one_cluster(cls):
    model = make(cls, dtype="mixed_bfloat16")
    data = tuple(part for part in data_of(cls) if part is not None)
    model._symbolic_build(data_batch=data)
    model.optimizer.build(model.trainable_variables)

    def step(*flat):
        return model.train_step(tf.nest.pack_sequence_as(data, flat))["loss"]

    text = clustered(traced(step, data))
    assert text.count("tf_device.cluster_func") == 1
    assert not re.findall(r"_xla_outside_compilation|tf_device\.launch", text)
    ops = set(re.findall(r'"tf\.(\w+)"', text))
    assert "MatMul" in ops
    assert ops - NO_KERNELS <= TPU_OPS


def test_the_bridge_sees_what_cannot_be_compiled():
    def step(x):
        return tf.strings.length(tf.strings.as_string(x))

    with pytest.raises(tf.errors.UnknownError, match=r"'tf.AsString' op TF/XLA TPU bridge input"):
        clustered(traced(step, (tf.zeros((3,)),)))

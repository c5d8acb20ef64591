"""A server's TensorFlow makes few passes over the memory of what was exported."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.serving import export_saved_model
from tests.serving.conftest import small_config

# Asked of the machine, not of the graph: where there is oneDNN, nothing is skipped.
HAS_ONEDNN = platform.machine() in ("x86_64", "AMD64")
# By itself, TensorFlow uses it on processors with AVX-512 VNNI alone.
IS_ON = os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1"


@pytest.mark.slow
@pytest.mark.skipif(not HAS_ONEDNN or IS_ON, reason="runs the test below with oneDNN switched on")
def test_with_onednn():
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:xdist", "-m", "slow", __file__],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    assert "3 passed" in run.stdout


@pytest.mark.slow
@pytest.mark.skipif(not HAS_ONEDNN or not IS_ON, reason="these are kernels of oneDNN")
@pytest.mark.parametrize(
    ("activation", "kernel"),
    [("gelu_new", b"GeluApproximate"), ("gelu", b"GeluExact"), ("relu", b"Relu")],
)
def test_one_kernel_of_product_bias_and_activation(tmp_path, activation, kernel):
    config = small_config(hidden_act=activation, num_hidden_layers=2)
    model = models.BigBirdForSequenceClassification(config)
    folder = export_saved_model(model, tmp_path)
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        loaded = v1.saved_model.loader.load(session, ["serve"], str(folder))
        signature = loaded.signature_def["serving_default"]
        metadata = v1.RunMetadata()
        session.run(
            [output.name for output in signature.outputs.values()],
            {put.name: np.ones((2, 37), "int32") for put in signature.inputs.values()},
            options=v1.RunOptions(output_partition_graphs=True),
            run_metadata=metadata,
        )
    nodes = [
        node
        for graph in metadata.partition_graphs
        for part in (graph.node, *(function.node_def for function in graph.library.function))
        for node in part
    ]
    fused = [list(node.attr["fused_ops"].list.s) for node in nodes]
    assert fused.count([b"BiasAdd", kernel]) >= config.num_hidden_layers

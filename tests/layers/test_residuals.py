"""What passes a sublayer by is not dropped: only what the sublayer adds to it is."""

import numpy as np
import pytest

from bigbird_tf.layers import EncoderBlock, FeedForward, QuestionAnsweringHead
from tests.contract import BATCH, LENGTH, WIDTH, assert_close, randomize, tiny_config

OUTPUTS = {
    EncoderBlock: ("attention.output_dense", "feed_forward.output_dense"),
    FeedForward: ("output_dense",),
    QuestionAnsweringHead: ("feed_forward.output_dense",),
}


@pytest.mark.parametrize("cls", OUTPUTS)
def test_dropout_leaves_the_residual_alone(cls):
    layer = cls(tiny_config(hidden_dropout_prob=0.5))
    layer.build((BATCH, LENGTH, WIDTH))
    randomize(layer)
    inputs = np.random.default_rng(3).normal(size=(BATCH, LENGTH, WIDTH)).astype("float32")
    # What the sublayers add is dropped,
    assert np.abs(np.asarray(layer(inputs, training=True)) - layer(inputs)).max() > 0.1
    for path in OUTPUTS[cls]:
        dense = layer
        for name in path.split("."):
            dense = getattr(dense, name)
        dense.set_weights([np.zeros(weight.shape) for weight in dense.weights])
    # and where they add nothing, nothing is.
    assert_close(layer(inputs, training=True), layer(inputs))

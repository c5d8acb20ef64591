"""What Keras users do to models besides training them."""

import concurrent.futures
import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BigBirdForSequenceClassification, BigBirdModel, BlockSparseAttention
from tests.contract import LENGTH, WIDTH, assert_close, mask_of, random_ids, randomize, tiny_config

INPUTS = {"input_ids": random_ids(), "attention_mask": mask_of()}


@pytest.fixture(scope="module")
def model():
    model = BigBirdForSequenceClassification(
        tiny_config(num_hidden_layers=1, id2label={0: "stone", 1: "bird"})
    )
    randomize(model)
    return model


@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_configs_and_models_are_copied_and_pickled(model, copy_of):
    config = copy_of(model.config)
    assert config == model.config
    assert config.id2label == {0: "stone", 1: "bird"}
    again = copy_of(model)
    assert again is not model
    assert again.config == model.config
    assert_close(again(INPUTS), model(INPUTS), 1e-6)


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_eight_threads_share_a_model(model, mode):
    """Lengths of full and of sparse attention, each traced by several threads at once."""
    call = model if mode == "eager" else tf.function(model)
    batches = [random_ids(seed=seed, length=(23, LENGTH)[seed % 2]) for seed in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        outputs = list(threads.map(lambda ids: call(tf.constant(ids)), batches * 2))
    expected = [model(ids) for ids in batches]
    for output, value in zip(outputs, expected * 2, strict=True):
        assert_close(output, value)


@pytest.mark.slow
def test_export_archive(model, tmp_path):
    """Keras' way to write a SavedModel with signatures of one's own."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    spec = tf.TensorSpec((None, None), tf.int32, name="ids")
    archive.add_endpoint("logits", lambda ids: model(ids, training=False), [spec])
    archive.add_endpoint("labels", lambda ids: tf.argmax(model(ids), axis=-1), [spec])
    archive.write_out(tmp_path / "archive", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "archive")
    for length in (11, LENGTH):
        ids = tf.constant(random_ids(length=length))
        assert_close(loaded.logits(ids), model(ids))
        np.testing.assert_array_equal(loaded.labels(ids), tf.argmax(model(ids), axis=-1))


def assert_second_derivative(loss_of, x, direction, step=1e-2, tolerance=5e-3):
    """The gradient of (gradient · direction) is the difference of gradients along the direction."""

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = loss_of(x)
        return tape.gradient(loss, x)

    with tf.GradientTape() as tape:
        tape.watch(x)
        product = tf.reduce_sum(gradient(x) * direction)
    second = tape.gradient(product, x)
    expected = (gradient(x + step * direction) - gradient(x - step * direction)) / (2 * step)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(second, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("length", [23, LENGTH], ids=["full", "sparse"])
def test_second_derivatives_of_attention(length):
    layer = BlockSparseAttention(num_heads=3, key_dim=7, block_size=4, num_random_blocks=1)
    layer.build((None, None, WIDTH))
    randomize(layer)
    rng = np.random.default_rng(4)
    x, direction, weights = (
        tf.constant(rng.normal(size=(1, length, WIDTH)).astype("float32") * 0.5) for _ in range(3)
    )
    mask = mask_of((length - 3,), length)
    assert_second_derivative(
        lambda x: tf.reduce_sum(layer(x, attention_mask=mask) * weights), x, direction
    )


def test_second_derivatives_of_a_model():
    """As penalties on gradients need them, through all layers."""
    model = BigBirdModel(tiny_config(num_hidden_layers=1))
    randomize(model)
    mask = tf.constant(mask_of((LENGTH,)), tf.bool)
    rng = np.random.default_rng(4)
    x, direction, weights = (
        tf.constant(rng.normal(size=(1, LENGTH, WIDTH)).astype("float32")) for _ in range(3)
    )

    def loss_of(x):
        hidden, _, _ = model.encoder(model.embeddings.layer_norm(x), mask)
        return tf.reduce_sum(hidden * weights)

    assert_second_derivative(loss_of, x, direction)

"""What `BlockSparseAttention` refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.attention.layers.test_block_sparse_attention import inputs, made_and_random, make
from tests.contract import BATCH, LENGTH, WIDTH


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_heads", 0),
        ("num_heads", 2.5),
        ("key_dim", -1),
        ("block_size", 0),
        ("num_random_blocks", -1),
        ("num_window_blocks", 4),
        ("num_window_blocks", 0),
        ("num_global_blocks", -1),
        ("max_length", 0),
        ("full_attention_up_to", -1),
        ("full_attention_up_to", 64.5),
        ("full_attention_up_to", False),
        ("seed", -3),
        ("seed", None),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("dropout", "0.1"),
        ("attention_type", "sparse"),
        ("random_plan", "Google"),
        ("inference_random_blocks", "none"),
    ],
)
def test_impossible_arguments(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must .*Received: {name}={value!r}"):
        make(**{name: value})


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 21)], r"`query` must be of shape \(batch, length, features\).*query.shape="),
        ([(2, 37, 3, 7)], "`query` must be of shape"),
        ([(2, 37, 21), (2, 36, 21)], "self attention.*value.shape="),
        ([(2, 37, 21), (4, 37, 21)], "self attention.*value.shape="),
        ([(1, 37, 21), (2, 37, 21)], "self attention.*value.shape="),
        ([(2, 37, 21), (2, 37, 21), (2, 36, 21)], "self attention.*key.shape="),
        ([(2, 37, 21), None, None, (2, 36)], "`attention_mask` must be of shape.*36"),
        ([(2, 37, 21), None, None, (2, 37, 37)], "`attention_mask` must be of shape"),
        ([(2, 37, 21), None, None, (3, 37)], "`attention_mask` must be of shape"),
        ([(2, 37, 21), None, None, (37,)], "`attention_mask` must be of shape"),
        ([(2, 0, 21)], "one token at least"),
    ],
)
def test_shapes_that_do_not_fit(shapes, message, symbolic):
    layer = made_and_random()
    make_input = (lambda s: keras.KerasTensor(s)) if symbolic else (lambda s: np.ones(s, "float32"))
    arguments = [None if shape is None else make_input(shape) for shape in shapes]
    with pytest.raises(ValueError, match=message):
        layer(*arguments)


@pytest.mark.parametrize("length", [23, LENGTH])
def test_shapes_that_do_not_fit_when_the_graph_runs(length):
    layer = made_and_random()
    x = tf.TensorSpec([None, None, WIDTH])
    masked = tf.function(
        lambda x, mask: layer(x, attention_mask=mask),
        input_signature=[x, tf.TensorSpec([None, None])],
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="`attention_mask` must be of shape"):
        masked(inputs(length), np.ones((BATCH, 1), "float32"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`attention_mask` must be of shape"):
        masked(inputs(length), np.ones((1, length), "float32"))
    pair = tf.function(layer, input_signature=[x, x])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"`value` .* one length"):
        pair(inputs(length), inputs(length + 1))


@pytest.mark.parametrize("length", [23, LENGTH])
def test_batches_that_do_not_fit_when_the_graph_runs(length):
    """The length is known, and the batch sizes are not."""
    x = tf.TensorSpec([None, length, WIDTH])
    pair = tf.function(made_and_random(), input_signature=[x, x])
    for batches in ((BATCH, 2 * BATCH), (1, BATCH), (BATCH, 1)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"`value` .* one batch size"):
            pair(*(inputs(length, batch) for batch in batches))


@pytest.mark.parametrize("length", [11, LENGTH])
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_masks_of_other_values_than_zero_and_one(length, mode):
    layer = make()
    x = np.zeros((BATCH, length, WIDTH), np.float32)
    call = layer if mode == "eager" else tf.function(layer)
    real = np.arange(length)[None] < np.array([[length], [5]])
    for mask in ((1 - real) * -10000.0, real * 0.5, np.where(real, 2, 0)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"1 for tokens.*`mask == 0`"):
            call(x, attention_mask=mask)
    for dtype in (bool, np.int32, np.float32):
        assert np.isfinite(call(x, attention_mask=real.astype(dtype))).all()

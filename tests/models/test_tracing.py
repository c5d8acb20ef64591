"""How often models are traced in `fit`, and what stands in the graph of a training step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import bigbird_tf as bb
from tests.contract import VOCABULARY, random_ids, tiny_config
from tests.graph_walk import all_tensors


def counted(model) -> list:
    """Returns a list that grows by the shape of the ids with each trace of the model."""
    traces, original = [], model.call

    def call(inputs, *args, **kwargs):
        ids = inputs["input_ids"] if isinstance(inputs, dict) else inputs
        if tf.inside_function():  # Keras calls with symbols, too, to build metrics.
            traces.append(tuple(ids.shape))
        return original(inputs, *args, **kwargs)

    model.call = call
    return traces


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "XLA"])
def test_steps_of_equal_shape_trace_once(jit_compile):
    model = bb.BigBirdForSequenceClassification(tiny_config(num_hidden_layers=1))
    traces = counted(model)
    model.compile(jit_compile=jit_compile)
    ids, labels = random_ids(batch=8), np.arange(8) % 2
    model.fit(ids, labels, batch_size=2, epochs=2, verbose=0)
    # Tracing goes through `call` once for the symbols of Keras' own shape inference, perhaps.
    first = len(traces)
    assert 1 <= first <= 2
    model.fit(ids, labels, batch_size=2, verbose=0)
    assert len(traces) == first


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "XLA"])
def test_many_lengths_trace_twice(jit_compile):
    """The first length's trace is its own, the second's serves all others, sparse or not."""
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = tiny_config(num_hidden_layers=1, num_random_blocks=1, **no_dropout)
    model = bb.BigBirdForSequenceClassification(config)
    start = [weight.copy() for weight in model.get_weights()]
    lengths = [48, 16, 61, 32, 7] if jit_compile else [48, *range(61, 2, -2)]

    def losses(**options):
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.3), **options)
        model.optimizer.build(model.trainable_variables)
        found = []
        for length in lengths:
            ids = np.random.default_rng(length).integers(6, VOCABULARY, (2, length))
            found.append(model.train_on_batch(ids.astype("int32"), np.array([0, 1]))[0])
        return found

    traces = counted(model)
    found = losses(jit_compile=jit_compile)
    assert len(set(lengths)) == len(lengths)
    # Symbols of Keras' own shape inference come first, perhaps.
    assert set(traces) == {(2, 48), (2, None)}
    assert len(traces) <= 3
    # Losses of later steps have the gradients of the ones before in them.
    np.testing.assert_allclose(found, losses(run_eagerly=True), rtol=1e-4)


@pytest.mark.parametrize(
    ("attention_type", "is_linear"), [("block_sparse", True), ("original_full", False)]
)
def test_no_tensor_of_a_training_step_is_length_by_length(attention_type, is_linear):
    length = 1024
    config = tiny_config(
        num_hidden_layers=1,
        max_position_embeddings=length,
        block_size=16,
        attention_type=attention_type,
    )
    model = bb.BigBirdForMaskedLM(config)

    @tf.function
    def step(ids):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(ids, training=True)))
        return loss, tape.gradient(loss, model.trainable_variables)

    concrete = step.get_concrete_function(tf.TensorSpec([1, length], "int32"))
    shapes = [tensor.shape for tensor in all_tensors(concrete)]
    sizes = [shape.num_elements() for shape in shapes if shape.is_fully_defined()]
    assert len(sizes) > 100
    assert (max(sizes) < length**2) == is_linear

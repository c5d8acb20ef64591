"""How often models are traced in `fit`, and what stands in the graph of a training step."""

import numpy as np
import pytest
import tensorflow as tf

import bigbird_tf as bb
from tests.contract import VOCABULARY, random_ids, tiny_config
from tests.graph_walk import all_tensors


def counted(model) -> list:
    """Gives a list that grows by the shape of the ids with each trace of the model."""
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
def test_fixed_shapes_of_many_lengths_trace_once_a_bucket():
    """Batches of static shapes, as XLA needs them: one trace a bucket, not one a length."""
    model = bb.BigBirdForSequenceClassification(tiny_config(num_hidden_layers=1))
    step, longest = 16, 61
    lengths = np.random.default_rng(0).permutation(np.arange(2, longest + 1))[:40]
    assert len(set(lengths)) == 40
    model.compile()
    model.optimizer.build(model.trainable_variables)
    traces = counted(model)
    model.make_train_function()
    for length in lengths:
        bucket = min(-(-length // step) * step, longest)
        ids = np.zeros((2, bucket), "int32")
        ids[:, :length] = np.random.default_rng(length).integers(6, VOCABULARY, (2, length))
        inputs = {"input_ids": ids, "attention_mask": (ids > 0).astype("int32")}
        loss = model.train_on_batch(inputs, np.array([0, 1]))
        assert np.isfinite(loss).all()
    assert len(traces) <= 5


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

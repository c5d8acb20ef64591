from typing import ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BigBirdForSequenceClassification
from tests.backends import IS_TENSORFLOW
from tests.contract import VOCABULARY, assert_close, random_ids, randomize, tiny_config
from tests.model_contract import ModelContract


class TestContract(ModelContract):
    model_class = BigBirdForSequenceClassification
    config_fields: ClassVar[dict] = {"num_labels": 3}
    # The encoder's 5 + 2 * 16, and two dense layers.
    trainable_weights = 37 + 4
    # The pooler is in the published form, and not read.
    other_weights = 2
    # The encoder's, and two in the head.
    states = 7 + 2
    # The encoder's with pooler, 21 * 21 + 21 and 21 * 3 + 3.
    parameters = 7964 + 462 + 66

    def labels(self):
        return np.array([2, 0])


@pytest.mark.parametrize(
    ("fields", "labels", "loss", "metric"),
    [
        ({"num_labels": 3}, [2, 0], keras.losses.SparseCategoricalCrossentropy, "accuracy"),
        (
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            [[1, 0, 1], [0, 0, 1]],
            keras.losses.BinaryCrossentropy,
            "accuracy",
        ),
        ({"num_labels": 1}, [[0.5], [-1.5]], keras.losses.MeanSquaredError, "mean_absolute_error"),
        (
            {"num_labels": 2, "problem_type": "regression"},
            [[0.5, 1.0], [-1.5, 0.0]],
            keras.losses.MeanSquaredError,
            "mean_absolute_error",
        ),
    ],
    ids=["single label", "multi label", "regression", "several numbers"],
)
def test_default_loss_and_metric(fields, labels, loss, metric):
    model = TestContract.make({"num_hidden_layers": 0, **fields})
    model.compile()
    assert isinstance(model.loss, loss)
    ids, labels = random_ids(length=13), np.array(labels, "float32")
    result = model.evaluate(ids, labels, verbose=0, return_dict=True)
    logits = model(ids).numpy().astype("float64")
    if loss is keras.losses.SparseCategoricalCrossentropy:
        log_sum = np.log(np.exp(logits).sum(-1))
        expected = np.mean(log_sum - logits[np.arange(2), labels.astype(int)])
        right = logits.argmax(-1) == labels
    elif loss is keras.losses.BinaryCrossentropy:
        expected = np.mean(np.log1p(np.exp(logits)) - labels * logits)
        right = (logits > 0) == labels
    else:
        expected = np.mean((logits - labels) ** 2)
        right = np.abs(logits - labels)
    assert set(result) == {"loss", metric}
    np.testing.assert_allclose(result["loss"], expected, rtol=1e-4)
    np.testing.assert_allclose(result[metric], np.mean(right), rtol=1e-4)


def test_default_optimizer():
    model = TestContract.make({"num_hidden_layers": 1})
    model.compile()
    optimizer = model.optimizer
    assert isinstance(optimizer, keras.optimizers.AdamW)
    settings = optimizer.get_config()
    np.testing.assert_allclose(settings["learning_rate"], 5e-5, rtol=1e-6)
    assert (settings["weight_decay"], settings["global_clipnorm"]) == (0.01, 1.0)
    for weight in model.trainable_weights:
        is_matrix = len(weight.shape) == 2
        assert optimizer._use_weight_decay(weight) == is_matrix, weight.path
    # On a CPU the graph is faster. What JAX runs, XLA has compiled.
    assert model.jit_compile is not IS_TENSORFLOW


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_default_optimizer_of_a_file(dtype):
    """In float16 it is inside of another one, which knows nothing of what is excluded."""
    model, again = (TestContract.make({"num_hidden_layers": 1}, dtype=dtype) for _ in range(2))
    model.compile()
    again.compile_from_config(model.get_compile_config())
    optimizer = getattr(again.optimizer, "inner_optimizer", again.optimizer)
    for weight in again.trainable_weights:
        assert optimizer._use_weight_decay(weight) == (len(weight.shape) == 2), weight.path


def test_own_choices_win():
    model = TestContract.make({"num_hidden_layers": 0})
    model.compile("sgd", keras.losses.MeanSquaredError(), metrics=["mae"], jit_compile=True)
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert isinstance(model.loss, keras.losses.MeanSquaredError)
    assert model.jit_compile is True


@pytest.mark.slow
def test_fit_on_batches_of_unlike_lengths_traces_once():
    """Their lengths are unknown to the graph, and on both sides of full attention's limit."""
    model = BigBirdForSequenceClassification(tiny_config(num_hidden_layers=1))
    traces = []
    original = model.call
    model.call = lambda *args, **kwargs: traces.append(1) or original(*args, **kwargs)
    rng = np.random.default_rng(0)
    rows = [rng.integers(6, VOCABULARY, length) for length in (3, 9, 28, 29, 40, 61, 33, 5)]

    def examples():
        for row in rows:
            yield row, len(row) % 2

    dataset = tf.data.Dataset.from_generator(
        examples,
        output_signature=(tf.TensorSpec([None], "int64"), tf.TensorSpec([], "int32")),
    )
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(rows)))
    dataset = dataset.padded_batch(2).map(
        lambda ids, label: (
            {"input_ids": ids, "attention_mask": tf.cast(ids > 0, "int32")},
            label,
        )
    )
    model.compile()
    model.optimizer.build(model.trainable_variables)
    history = model.fit(dataset, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    # Keras calls once more with symbols, to build metrics.
    assert len(traces) <= 2
    assert np.isfinite(model.predict(dataset, verbose=0)).all()


def test_mixed_precision_survives_a_keras_file(tmp_path):
    model = TestContract.make({"num_hidden_layers": 1}, dtype="mixed_bfloat16")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == "mixed_bfloat16"
    assert loaded.backbone.encoder.blocks[0].attention.compute_dtype == "bfloat16"
    assert_close(loaded(random_ids()), model(random_ids()))


@pytest.mark.slow
def test_gradient_checkpointing_trains_the_same():
    losses = []
    for gradient_checkpointing in (False, True):
        keras.utils.set_random_seed(3)
        model = TestContract.make(
            {"num_hidden_layers": 1, "gradient_checkpointing": gradient_checkpointing}
        )
        randomize(model, seed=1)
        model.compile(keras.optimizers.SGD(0.1))
        ids = random_ids(length=23)
        losses.append(model.fit(ids, np.array([2, 0]), epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert losses[0][0] != losses[0][2]


def test_classifier_act_and_dropout():
    ids = random_ids(length=13)
    model = TestContract.make({"num_hidden_layers": 0, "classifier_act": "tanh"})
    head = model.head
    first = model.backbone.encode(model._read_inputs(ids))[0][:, 0]
    expected = head.output_dense(keras.ops.tanh(head.dense(first)))
    assert_close(model(ids), expected, 1e-6)
    model = TestContract.make(
        {"num_hidden_layers": 0, "hidden_dropout_prob": 0.0, "classifier_dropout": 0.5}
    )
    assert np.abs(model(ids, training=True) - model(ids)).max() > 1e-3

"""Keras' own exports of models, on ids."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from tests.contract import assert_close, mask_of, random_ids, randomize, tiny_config

# Those of the other family read other inputs, and have their own tests.
NAMES = sorted(name for name in models.__all__ if not name.startswith("BigBirdPegasus"))


def make(name, **fields):
    model = getattr(models, name)(tiny_config(num_hidden_layers=1, **fields))
    randomize(model)
    return model


def ids_of(model, length=37):
    ids = random_ids(batch=2, length=length)
    return ids if model.input_rank == 2 else np.stack([ids, ids[::-1], ids], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_export(name, tmp_path):
    """A SavedModel on ids of any batch and length, never called before."""
    model = make(name)
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")
    for length, batch in ((37, 2), (11, 1)):
        ids = ids_of(model, length)[:batch]
        mask = (np.arange(length) < length - 3) * np.ones_like(ids)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        inputs = {key: tf.constant(value, tf.int32) for key, value in inputs.items()}
        assert_close(loaded.serve(inputs), model(inputs))


@pytest.mark.slow
def test_export_after_fit(tmp_path):
    model = make("BigBirdForSequenceClassification")
    model.compile(jit_compile=False)
    ids = random_ids()
    model.fit({"input_ids": ids, "attention_mask": mask_of()}, np.array([0, 1]), verbose=0)
    model.export(tmp_path / "exported", verbose=False)
    short = tf.constant(ids[:1, :17])
    inputs = {"input_ids": short, "attention_mask": short * 0 + 1, "token_type_ids": short * 0}
    loaded = tf.saved_model.load(tmp_path / "exported")
    assert_close(loaded.serve(inputs), model(inputs))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BigBirdForQuestionAnswering", "BigBirdForTokenClassification"])
def test_export_to_litert(name, tmp_path):
    """Of the longest length, and any batch."""
    model = make(name)
    model.export(tmp_path / "model.tflite", format="litert", verbose=False)
    with warnings.catch_warnings():
        # TensorFlow's own interpreter goes to a package of its own.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    run = interpreter.get_signature_runner()
    ids = random_ids(length=61)
    inputs = {"input_ids": ids, "attention_mask": mask_of((61, 40), 61), "token_type_ids": ids * 0}
    expected = model(inputs)
    expected = list(expected.values()) if isinstance(expected, dict) else [expected]
    outputs = list(run(**inputs).values())
    assert len(outputs) == len(expected)
    for value in expected:
        errors = [np.abs(output - value).max() for output in outputs]
        assert min(errors) < 1e-4 * np.abs(value[np.abs(value) < 1e5]).max()


def test_litert_of_a_free_length(tmp_path):
    model = make("BigBirdModel")
    spec = [keras.layers.InputSpec(shape=(None, None), dtype="int32")]
    with pytest.raises(ValueError, match=r"length must be fixed.*`bigbird_tf.export_saved_model`"):
        model.export(tmp_path / "m.tflite", format="litert", input_signature=spec)


def test_what_the_converter_to_litert_cannot_do(tmp_path, monkeypatch):
    def convert(self):
        raise Exception("an operation is missing")

    model = make("BigBirdModel")
    monkeypatch.setattr(tf.lite.TFLiteConverter, "from_saved_model", convert)
    with pytest.raises(RuntimeError, match=r"`bigbird_tf.export_saved_model`.*is missing"):
        model.export(tmp_path / "m.tflite", format="litert", verbose=False)

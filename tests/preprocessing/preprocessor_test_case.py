"""The contract that every preprocessor passes, in one base class."""

import inspect
import json
from typing import ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf


def assert_same(actual, expected):
    """Equal nested structures: keys, dtypes, shapes and numbers."""
    tf.nest.assert_same_structure(actual, expected)
    for mine, theirs in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


class PreprocessorTestCase:
    """Subclasses give the preprocessor, and a batch of arguments.

    Attributes:
        expands: Whether one example becomes several rows (windows), so that an example alone keeps
            a batch dimension and rows are concatenated instead of stacked.
    """

    expands: ClassVar[bool] = False

    @pytest.fixture
    def preprocessor(self, tokenizer) -> keras.layers.Layer:
        raise NotImplementedError

    @pytest.fixture
    def arguments(self) -> tuple[tf.Tensor, ...]:
        """Positional arguments of `call`: tensors that share their first dimension."""
        raise NotImplementedError

    def test_unbatched_map_is_direct_call(self, preprocessor, arguments):
        expected = preprocessor(*arguments)
        dataset = tf.data.Dataset.from_tensor_slices(arguments).map(preprocessor)
        if self.expands:
            dataset = dataset.unbatch()
        rows = tf.nest.flatten(expected)[0].shape[0]
        assert_same(next(iter(dataset.batch(rows))), expected)

    def test_batched_map_is_direct_call(self, preprocessor, arguments):
        """Of what `fit` sees, only the batch size is unknown: XLA and TPUs need the rest."""
        expected = preprocessor(*arguments)
        dataset = tf.data.Dataset.from_tensor_slices(arguments).batch(2).map(preprocessor)
        for spec in tf.nest.flatten(dataset.element_spec):
            assert None not in spec.shape[1:]
        rows = tf.nest.flatten(expected)[0].shape[0]
        assert_same(next(iter(dataset.unbatch().batch(rows))), expected)

    def test_saved_model_in_a_fresh_process(self, preprocessor, arguments, saved_model_process):
        module = tf.Module()
        module.preprocessor = preprocessor
        signature = [tf.TensorSpec([None, *a.shape[1:]], a.dtype) for a in arguments]
        module.preprocess = tf.function(preprocessor.__call__, input_signature=signature)
        outputs = saved_model_process.run(module, "preprocess", *arguments)
        for mine, theirs in zip(outputs, tf.nest.flatten(preprocessor(*arguments)), strict=True):
            np.testing.assert_array_equal(mine, theirs)

    def test_config(self, preprocessor):
        config = json.loads(json.dumps(preprocessor.get_config()))
        again = type(preprocessor).from_config(config)
        assert json.loads(json.dumps(again.get_config())) == config
        for name in config:
            if name not in ("tokenizer", "dtype"):
                assert getattr(again, name) == getattr(preprocessor, name), name

    def test_every_constructor_argument_is_in_the_config(self, preprocessor):
        parameters = inspect.signature(type(preprocessor).__init__).parameters
        names = {p.name for p in parameters.values() if p.kind != p.VAR_KEYWORD} - {"self"}
        assert names <= set(preprocessor.get_config())

    def test_keras_file(self, preprocessor, arguments, tmp_path):
        keras.saving.save_model(preprocessor, tmp_path / "preprocessor.keras")
        loaded = keras.saving.load_model(tmp_path / "preprocessor.keras")
        assert type(loaded) is type(preprocessor)
        assert_same(loaded(*arguments), preprocessor(*arguments))

    def test_empty_batch(self, preprocessor, arguments):
        outputs = tf.nest.flatten(preprocessor(*(argument[:0] for argument in arguments)))
        assert {int(value.shape[0]) for value in outputs} == {0}

    def test_no_tokenizer(self, preprocessor):
        config = preprocessor.get_config()
        with pytest.raises(TypeError, match="`tokenizer`"):
            type(preprocessor)(**{**config, "tokenizer": "spiece.model"})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("max_length", 0),
            ("max_length", None),
            ("padding", "always"),
            ("pad_to_multiple_of", -1),
        ],
    )
    def test_impossible_lengths(self, preprocessor, tokenizer, name, value):
        config = {**preprocessor.get_config(), "tokenizer": tokenizer, name: value}
        with pytest.raises(ValueError, match=f"`{name}`"):
            type(preprocessor)(**config)

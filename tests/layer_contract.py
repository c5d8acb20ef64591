"""The contract that every layer passes; see `contract`."""

from typing import ClassVar

import keras
import numpy as np
import pytest
from keras import ops

from tests.backends import compiled, gradients_of_weights
from tests.contract import (
    BATCH,
    HALF_POLICIES,
    LENGTH,
    WIDTH,
    as_function,
    assert_close,
    assert_config_round_trip,
    assert_policy_everywhere,
    assert_weights,
    flat_numpy,
    mask_of,
    randomize,
    symbolic,
)
from tests.loader_process import save_arguments


class LayerContract:
    """Subclasses define `make`, and the numbers; and `arguments` if the layer reads other things.

    Attributes:
        trainable_weights: Number of trainable weights.
        states: Number of other variables: one for each dropout.
        parameters: Numbers in all weights.
        half_tolerance: Error in half precision, relative to the largest output.
    """

    trainable_weights: ClassVar[int]
    states: ClassVar[int] = 0
    parameters: ClassVar[int]
    half_tolerance: ClassVar[float] = 3e-2

    def make(self, **kwargs) -> keras.layers.Layer:
        raise NotImplementedError

    def arguments(self) -> list[np.ndarray]:
        """Positional arguments of a call."""
        rng = np.random.default_rng(7)
        inputs = rng.normal(size=(BATCH, LENGTH, WIDTH)).astype(np.float32)
        return [inputs]

    @pytest.fixture
    def layer(self):
        layer = self.make()
        layer(*self.arguments())
        randomize(layer)
        return layer

    def test_config(self):
        assert_config_round_trip(self.make())

    def test_weights_from_shapes_alone(self):
        layer = self.make()
        layer.build(self.arguments()[0].shape)
        assert layer.built
        assert_weights(layer, self.trainable_weights, 0, self.states, self.parameters)
        layer(*self.arguments())
        assert len(layer.weights) == self.trainable_weights

    def test_graph_and_xla_are_eager(self, layer):
        arguments = self.arguments()
        expected = layer(*arguments)
        for jit_compile in (False, True):
            run = compiled(layer, jit_compile=jit_compile)
            assert_close(run(*arguments), expected)

    def test_dynamic_length_is_static(self, layer):
        arguments = self.arguments()
        dynamic = as_function(layer, arguments, dynamic=True)
        assert_close(dynamic(*arguments), layer(*arguments))

    def test_symbolic_call_and_keras_file(self, layer, tmp_path, loader_process):
        arguments = self.arguments()
        expected = layer(*arguments)
        for length in (LENGTH, None):
            inputs = symbolic(arguments, length=length)
            outputs = layer(*inputs)
            for spec, value in zip(
                keras.tree.flatten(outputs), keras.tree.flatten(expected), strict=True
            ):
                assert spec.dtype == keras.backend.standardize_dtype(value.dtype)
                known = [(s, v) for s, v in zip(spec.shape, value.shape, strict=True) if s]
                assert all(s == v for s, v in known)
                # Only the batch size, and the length if it was, are unknown.
                unknown = [v for s, v in zip(spec.shape, value.shape, strict=True) if s is None]
                assert unknown[0] == BATCH
                assert set(unknown[1:]) <= (set() if length else {LENGTH})
        model = keras.Model(inputs, outputs)
        assert_close(model(arguments), expected)
        model.save(tmp_path / "model.keras")
        save_arguments(tmp_path / "inputs.npz", arguments)
        loader_process.run(
            path=tmp_path / "model.keras",
            inputs=tmp_path / "inputs.npz",
            outputs=tmp_path / "outputs.npz",
        )
        with np.load(tmp_path / "outputs.npz") as outputs:
            for name, value in zip(outputs, flat_numpy(expected), strict=True):
                np.testing.assert_allclose(outputs[name], value, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("policy", HALF_POLICIES)
    def test_half_precision(self, layer, policy):
        arguments = self.arguments()
        expected = layer(*arguments)
        half = self.make(dtype=policy)
        outputs = half(*arguments)
        assert_policy_everywhere(half, policy)
        half.set_weights(layer.get_weights())
        outputs = half(*arguments)
        compute_dtype = keras.DTypePolicy(policy).compute_dtype
        for mine, theirs in zip(
            keras.tree.flatten(outputs), keras.tree.flatten(expected), strict=True
        ):
            assert mine.dtype == compute_dtype
            assert_close(ops.cast(mine, "float32"), theirs, self.half_tolerance)

    def test_gradients_reach_all_weights(self, layer):
        arguments = [ops.convert_to_tensor(argument) for argument in self.arguments()]

        def loss():
            outputs = keras.tree.flatten(layer(*arguments, training=True))
            return sum(ops.mean(ops.square(output)) for output in outputs)

        weights = layer.trainable_weights
        gradients = gradients_of_weights(loss, layer)
        for weight, gradient in zip(weights, gradients, strict=True):
            assert gradient is not None, weight.path
            gradient = ops.convert_to_numpy(gradient)
            assert np.isfinite(gradient).all(), weight.path
            assert np.abs(gradient).max() > 0, weight.path


class MaskedLayerContract(LayerContract):
    """Of layers that take a mask, as their second argument."""

    def arguments(self) -> list[np.ndarray]:
        return [*super().arguments(), mask_of().astype(np.float32)]

    def test_padding_is_invisible(self, layer):
        inputs, mask = self.arguments()
        real = mask.astype(bool)
        changed = np.where(real[:, :, None], inputs, inputs[:, ::-1] * 3)
        longer = (np.pad(x, [(0, 0), (0, 3), (0, 0)][: x.ndim]) for x in (changed, mask))
        expected = self.tokens(layer(inputs, mask))[real]
        assert_close(self.tokens(layer(changed, mask))[real], expected)
        assert_close(self.tokens(layer(*longer))[:, :LENGTH][real], expected)

    def tokens(self, outputs) -> np.ndarray:
        """Returns the part of what a call returns that has a vector for each token."""
        return keras.ops.convert_to_numpy(keras.tree.flatten(outputs)[0])

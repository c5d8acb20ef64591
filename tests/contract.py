"""The contract that every layer and every model passes, as base classes of tests.

A test class derives from `LayerContract` or `ModelContract`, says what to test, and writes down by
hand how many weights that has. Sizes are distinct primes where they can be, so that no transposed
axis hides; lengths are such that sparse attention is in use, with padding inside and outside.
"""

import inspect
import json
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from keras import ops

from bigbird_tf.config import BigBirdConfig
from tests.backends import IS_TENSORFLOW, compiled, gradients_of_weights
from tests.loader_process import save_arguments

VOCABULARY, SEPARATOR, HEADS, HEAD_SIZE, LONGEST = 53, 5, 3, 7, 61
WIDTH = HEADS * HEAD_SIZE
BLOCK = 4
# Full attention up to (5 + 2 * 1) * 4 = 28 tokens. 37 tokens are ten blocks, the last with padding.
LENGTH = 37
# Real tokens of each sequence of the batch; the second one's padding fills a block and a bit.
REAL_LENGTHS = (37, 30)
BATCH = len(REAL_LENGTHS)
# On JAX one of them, for time: what differs by dtype is the same code.
HALF_POLICIES = (
    ("mixed_float16", "mixed_bfloat16", "bfloat16") if IS_TENSORFLOW else ("mixed_bfloat16",)
)


def tiny_config(**fields) -> BigBirdConfig:
    """Gives a config of a model that is as small as it can be with everything in it."""
    tiny: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "intermediate_size": 13,
        "max_position_embeddings": LONGEST,
        "block_size": BLOCK,
        "num_random_blocks": 1,
        "sep_token_id": SEPARATOR,
    }
    return BigBirdConfig(**{**tiny, **fields})


def randomize(layer, seed: int = 11) -> None:
    """Gives all weights values that matter: no zero biases, no gammas of one, no tiny kernels."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        if not keras.backend.is_float_dtype(weight.dtype):
            continue
        values = rng.normal(size=weight.shape)
        if "gamma" in weight.path:
            values = 1 + 0.2 * values
        elif len(weight.shape) == 1:
            values = 0.2 * values
        elif "embeddings" not in weight.path:
            values /= weight.shape[0] ** 0.5
        weight.assign(values)


def random_ids(seed: int = 3, batch: int = BATCH, length: int = LENGTH) -> np.ndarray:
    """Gives token ids with one separator in each row, at different places."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(SEPARATOR + 1, VOCABULARY, (batch, length), dtype=np.int32)
    for row in range(batch):
        ids[row, 5 + 2 * row] = SEPARATOR
    return ids


def mask_of(lengths=REAL_LENGTHS, length: int = LENGTH) -> np.ndarray:
    """Gives the mask of sequences with so many tokens."""
    return (np.arange(length) < np.array(lengths)[:, None]).astype(np.int32)


def flat_numpy(outputs) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(outputs)]


def assert_close(actual, expected, tolerance: float = 1e-5) -> None:
    """Same structure, shapes, dtypes, and numbers but for rounding, relative to the largest."""
    keras.tree.assert_same_structure(actual, expected)
    for mine, theirs in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        assert keras.backend.standardize_dtype(mine.dtype) == keras.backend.standardize_dtype(
            theirs.dtype
        )
        mine, theirs = (keras.ops.convert_to_numpy(x) for x in (mine, theirs))
        assert mine.shape == theirs.shape
        assert np.isfinite(theirs).all()
        largest = max(1.0, np.abs(theirs).max(initial=0.0))
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * largest)


def assert_config_round_trip(made) -> None:
    """`get_config` survives JSON and `from_config`, and has every constructor argument."""
    config = json.loads(json.dumps(made.get_config()))
    again = type(made).from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    parameters = inspect.signature(type(made).__init__).parameters.values()
    names = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    names -= {"self"}
    assert names <= set(config)
    for name in names:
        mine, theirs = getattr(made, name), getattr(again, name)
        if hasattr(mine, "get_config"):
            mine, theirs = ((type(x), x.get_config()) for x in (mine, theirs))
        assert mine == theirs, name


def assert_weights(made, trainable_weights: int, other_weights: int, states: int, parameters: int):
    """`states` are the seeds of dropout, which Keras has among variables but not among weights."""
    assert len(made.trainable_weights) == trainable_weights
    assert len(made.non_trainable_weights) == other_weights
    assert len(made.variables) == trainable_weights + other_weights + states
    assert sum(int(np.prod(w.shape)) for w in made.weights) == parameters
    assert len({w.path for w in made.weights}) == len(made.weights)


def assert_policy_everywhere(made, policy: str) -> None:
    for part in made._flatten_layers():
        assert part.dtype_policy.name == policy, part.path
    variable_dtype = keras.DTypePolicy(policy).variable_dtype
    assert {w.dtype for w in made.weights} == {variable_dtype}


def as_function(call, arguments, *, dynamic: bool = False, **options):
    """Gives a `tf.function` of positional arguments, with the length unknown if `dynamic`."""
    import tensorflow as tf

    def spec(array):
        array = np.asarray(array)
        shape = [None if dynamic and size in (BATCH, LENGTH) else size for size in array.shape]
        return tf.TensorSpec(shape, array.dtype)

    signature = [keras.tree.map_structure(spec, argument) for argument in arguments]
    return tf.function(call, input_signature=signature, **options)


def symbolic(arguments, *, length: int | None = LENGTH):
    """Gives `keras.Input`s for arguments, whose batch size is unknown."""

    def make(array, name=None):
        shape = [length if size == LENGTH else size for size in array.shape[1:]]
        return keras.Input(shape, dtype=str(array.dtype), name=name)

    return [
        {name: make(array, name) for name, array in argument.items()}
        if isinstance(argument, dict)
        else make(argument)
        for argument in arguments
    ]


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
        """Gives the part of what a call returns that has a vector for each token."""
        return keras.ops.convert_to_numpy(keras.tree.flatten(outputs)[0])


class ModelContract:
    """Subclasses give the class and its numbers; and inputs and labels where they differ.

    Attributes:
        model_class: The class to test.
        config_fields: Fields of the config other than `tiny_config`'s.
        trainable_weights, other_weights: Numbers of weights; others are a pooler that is not used.
        states: Number of other variables: one for each dropout.
        parameters: Numbers in all weights.
        extra_config: What `get_config` has besides `config`.
        half_tolerance: Error in half precision, relative to the largest output.
    """

    model_class: ClassVar[type]
    config_fields: ClassVar[dict] = {}
    trainable_weights: ClassVar[int]
    other_weights: ClassVar[int] = 0
    states: ClassVar[int]
    parameters: ClassVar[int]
    half_tolerance: ClassVar[float] = 3e-2

    @classmethod
    def config(cls, **fields) -> BigBirdConfig:
        return tiny_config(**{**cls.config_fields, **fields})

    @classmethod
    def make(cls, fields: dict | None = None, **kwargs) -> keras.Model:
        """Makes the model, with random weights of a good size."""
        model = cls.model_class(cls.config(**(fields or {})), **kwargs)
        randomize(model)
        return model

    @pytest.fixture(scope="class")
    @classmethod
    def shared_model(cls):
        """One model for all tests that do not change it."""
        return cls.make()

    def inputs(self) -> dict[str, np.ndarray]:
        """Inputs with padding. All arrays have the batch first; ids have the length last."""
        types = (np.arange(LENGTH) > 11).astype(np.int32)
        return {
            "input_ids": random_ids(),
            "attention_mask": mask_of(),
            "token_type_ids": np.broadcast_to(types, (BATCH, LENGTH)).copy(),
        }

    def labels(self) -> Any:
        """What `fit` takes as `y` for `inputs`."""
        raise NotImplementedError

    def fit_arguments(self) -> dict[str, Any]:
        """What `fit` takes besides `x` and `y`, such as `sample_weight`."""
        return {}

    def compile_arguments(self) -> dict[str, Any]:
        """What `compile` needs."""
        return {}

    def at_real_positions(self, outputs, mask: np.ndarray) -> list[np.ndarray]:
        """Gives what must not depend on padding: whole outputs, but of tokens only the real ones.

        Outputs with the length as the axis after those of the batch have a vector for each token.
        """
        axes = mask.ndim
        real = mask.astype(bool)
        return [
            output[real] if output.shape[:axes] == mask.shape else output
            for output in flat_numpy(outputs)
        ]

    def unread_by_loss(self) -> tuple[str, ...]:
        """Parts of paths of trainable weights that need not move in `fit`.

        A constant added to all scores of a query changes nothing, so key biases stay.
        """
        return ("/key/bias",)

    # 1
    def test_config(self):
        assert_config_round_trip(self.model_class(self.config(), name="named"))

    def test_config_may_be_a_dictionary(self):
        model = self.model_class(self.config().to_dict())
        assert model.config == self.config()

    def test_config_of_another_kind(self):
        with pytest.raises(ValueError, match=r"`config` must be .* Received: str.*from_pretrained"):
            self.model_class("google/bigbird-roberta-base")

    # 2
    def test_weights_exist_at_once(self):
        model = self.model_class(self.config())
        assert model.built
        count = self.trainable_weights, self.other_weights, self.states, self.parameters
        assert_weights(model, *count)
        model(self.inputs())
        assert_weights(model, *count)

    # 3
    def test_graph_and_xla_are_eager(self, shared_model):
        inputs = self.inputs()
        expected = shared_model(inputs)
        for jit_compile in (False, True):
            assert_close(compiled(shared_model, jit_compile=jit_compile)(inputs), expected)

    def test_dynamic_length_is_static(self, shared_model):
        inputs = self.inputs()
        dynamic = as_function(shared_model, [inputs], dynamic=True)
        assert_close(dynamic(inputs), shared_model(inputs))
        # The same graph serves lengths of full attention.
        short = {name: x[..., :23] if x.shape[-1] == LENGTH else x for name, x in inputs.items()}
        assert_close(dynamic(short), shared_model(short))

    def test_symbolic_call(self, shared_model):
        inputs = self.inputs()
        expected = shared_model(inputs)
        for length in (LENGTH, None):
            specs = symbolic([inputs], length=length)[0]
            outputs = shared_model(specs)
            keras.tree.assert_same_structure(outputs, expected)
            for spec, value in zip(
                keras.tree.flatten(outputs), keras.tree.flatten(expected), strict=True
            ):
                assert spec.dtype == keras.backend.standardize_dtype(value.dtype)
                assert len(spec.shape) == len(value.shape)
                pairs = list(zip(spec.shape, value.shape, strict=True))[1:]
                assert all(s == v or (s is None and v == LENGTH and not length) for s, v in pairs)
        assert_close(keras.Model(specs, outputs)(inputs), expected)

    # 4
    @pytest.mark.parametrize("policy", HALF_POLICIES)
    def test_half_precision(self, shared_model, policy):
        inputs = self.inputs()
        half = self.make(dtype=policy)
        assert_policy_everywhere(half, policy)
        half.set_weights(shared_model.get_weights())
        for name, mine, theirs in self.named_outputs(half(inputs), shared_model(inputs)):
            expected_dtype = half.compute_dtype if "logits" not in name else "float32"
            assert mine.dtype == expected_dtype, name
            assert_close(ops.cast(mine, "float32"), theirs, self.half_tolerance)

    @staticmethod
    def named_outputs(outputs, expected):
        """Gives name and two tensors for each output; an output alone is logits."""
        if not isinstance(outputs, dict):
            outputs, expected = {"logits": outputs}, {"logits": expected}
        return [(name, outputs[name], expected[name]) for name in outputs]

    # 5
    @pytest.mark.slow
    def test_fit_under_xla_trains_what_is_trainable(self):
        model = self.make({"num_hidden_layers": 1})
        frozen = model.backbone.embeddings if hasattr(model, "backbone") else model.embeddings
        frozen.word_embeddings.trainable = False
        frozen_weights = [frozen.word_embeddings.embeddings, *model.non_trainable_weights]
        before = {w.path: np.array(w) for w in model.weights}
        model.compile(
            optimizer=keras.optimizers.SGD(0.1),
            jit_compile=True,
            **self.compile_arguments(),
        )
        arguments = {"batch_size": BATCH, "epochs": 1, "verbose": 0, **self.fit_arguments()}
        history = model.fit(self.inputs(), self.labels(), **arguments)
        assert np.isfinite(history.history["loss"]).all()
        frozen_paths = {w.path for w in frozen_weights}
        for weight in model.weights:
            moved = np.abs(np.array(weight) - before[weight.path]).max()
            assert np.isfinite(moved), weight.path
            if weight.path in frozen_paths:
                assert moved == 0, weight.path
            elif not any(part in weight.path for part in self.unread_by_loss()):
                assert moved > 0, weight.path

    def test_fit_evaluate_predict_with_defaults(self):
        model = self.make({"num_hidden_layers": 1, "hidden_dropout_prob": 0.0})
        model.compile(**self.compile_arguments())
        x, y = self.inputs(), self.labels()
        arguments = {"batch_size": BATCH, "verbose": 0, **self.fit_arguments()}
        model.optimizer.learning_rate = 3e-3
        losses = model.fit(x, y, epochs=7, **arguments).history["loss"]
        assert losses[-1] < losses[0]
        result = model.evaluate(x, y, return_dict=True, **arguments)
        assert np.isfinite(list(result.values())).all()
        assert result["loss"] < losses[0]
        assert_close(
            keras.tree.map_structure(ops.convert_to_tensor, model.predict(x, verbose=0)), model(x)
        )

    def test_fit_without_compile(self):
        model = self.make()
        with pytest.raises(ValueError, match="compile"):
            model.fit(self.inputs(), self.labels(), verbose=0)

    # 6
    def test_round_trips_in_another_process(self, shared_model, tmp_path, loader_process):
        inputs = self.inputs()
        expected = flat_numpy(shared_model(inputs))
        save_arguments(tmp_path / "inputs.npz", [inputs])
        shared_model.save(tmp_path / "model.keras")
        shared_model.save_pretrained(tmp_path / "pretrained")
        for path in (tmp_path / "model.keras", tmp_path / "pretrained"):
            answer = loader_process.run(
                path=path,
                cls=self.model_class.__name__,
                inputs=tmp_path / "inputs.npz",
                outputs=tmp_path / "outputs.npz",
            )
            assert answer["class"] == self.model_class.__name__
            with np.load(tmp_path / "outputs.npz") as outputs:
                assert len(outputs) == len(expected)
                for name, value in zip(outputs, expected, strict=True):
                    np.testing.assert_allclose(outputs[name], value, rtol=0, atol=1e-6)

    # 8
    def test_padding_is_invisible(self, shared_model):
        inputs = self.inputs()
        mask = inputs["attention_mask"]
        expected = self.at_real_positions(shared_model(inputs), mask)
        changed = dict(inputs)
        for name, size in (("input_ids", VOCABULARY), ("token_type_ids", 2)):
            if name in inputs:
                changed[name] = np.where(mask == 1, inputs[name], size - 1 - inputs[name] % size)
        assert any((changed[name] != inputs[name]).any() for name in changed)
        assert_close(self.at_real_positions(shared_model(changed), mask), expected)
        # As many blocks as before: another number of blocks is another pattern.
        longer = {
            name: np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 3)]) if x.shape == mask.shape else x
            for name, x in changed.items()
        }
        outputs = shared_model(longer)
        assert_close(self.at_real_positions(outputs, longer["attention_mask"]), expected)

    def test_ids_alone_are_all_real(self, shared_model):
        ids = self.inputs()["input_ids"]
        with_mask = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        assert_close(shared_model(ids), shared_model(with_mask), 1e-6)

"""The contract that every model passes; see `contract`."""

from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from keras import ops

from bigbird_tf.config import BigBirdConfig, BigBirdPegasusConfig
from tests.backends import compiled
from tests.contract import (
    BATCH,
    HALF_POLICIES,
    LENGTH,
    VOCABULARY,
    as_function,
    assert_close,
    assert_config_round_trip,
    assert_policy_everywhere,
    assert_weights,
    flat_numpy,
    mask_of,
    random_ids,
    randomize,
    symbolic,
    tiny_config,
)
from tests.loader_process import save_arguments


class ModelContract:
    """Subclasses give the class and its numbers; and inputs and labels where they differ.

    Attributes:
        model_class: The class to test.
        config_fields: Fields of the config other than `tiny_config`'s.
        one_layer, no_dropout: Fields of a config that say so.
        trainable_weights, other_weights: Numbers of weights; others are a pooler that is not used.
        states: Number of other variables: one for each dropout.
        parameters: Numbers in all weights.
        extra_config: What `get_config` has besides `config`.
        half_tolerance: Error in half precision, relative to the largest output.
    """

    model_class: ClassVar[type]
    config_fields: ClassVar[dict] = {}
    one_layer: ClassVar[dict] = {"num_hidden_layers": 1}
    no_dropout: ClassVar[dict] = {"hidden_dropout_prob": 0.0}
    trainable_weights: ClassVar[int]
    other_weights: ClassVar[int] = 0
    states: ClassVar[int]
    parameters: ClassVar[int]
    half_tolerance: ClassVar[float] = 3e-2

    @classmethod
    def config(cls, **fields) -> BigBirdConfig | BigBirdPegasusConfig:
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
        """Returns what must not depend on padding: whole outputs, but of tokens only the real ones.

        Outputs with the length as the axis after those of the batch have a vector for each token.
        """
        axes = mask.ndim
        real = mask.astype(bool)
        return [
            output[real] if output.shape[:axes] == mask.shape else output
            for output in flat_numpy(outputs)
        ]

    @staticmethod
    def word_embeddings(backbone) -> keras.layers.Layer:
        return backbone.embeddings.word_embeddings

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
    # Layers have the third policy, too.
    @pytest.mark.parametrize("policy", HALF_POLICIES[:2])
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
        """Returns name and two tensors for each output; an output alone is logits."""
        if not isinstance(outputs, dict):
            outputs, expected = {"logits": outputs}, {"logits": expected}
        return [(name, outputs[name], expected[name]) for name in outputs]

    # 5
    @pytest.mark.slow
    def test_fit_under_xla_trains_what_is_trainable(self):
        model = self.make(self.one_layer)
        frozen = self.word_embeddings(getattr(model, "backbone", model))
        frozen.trainable = False
        frozen_weights = [frozen.embeddings, *model.non_trainable_weights]
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
        model = self.make({**self.one_layer, **self.no_dropout})
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

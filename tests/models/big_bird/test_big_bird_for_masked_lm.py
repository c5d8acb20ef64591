from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BigBirdForMaskedLM
from bigbird_tf.checkpoints import transformers_format
from tests.contract import (
    BATCH,
    LENGTH,
    VOCABULARY,
    as_function,
    assert_close,
    mask_of,
    random_ids,
)
from tests.model_contract import ModelContract

# Positions asked for; the second row repeats one, as rows with fewer masks do.
POSITIONS = np.array([[3, 36, 11, 20, 1], [0, 29, 7, 7, 7]], np.int32)
WEIGHTS = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], np.float32)


# JAX has no such error.
OUT_OF_RANGE = (tf.errors.InvalidArgumentError, ValueError)


class TestContract(ModelContract):
    model_class = BigBirdForMaskedLM
    config_fields: ClassVar[dict] = {"num_hidden_layers": 1}
    # The encoder's 5 + 16; dense and norm of the head, and its bias; the decoder is shared.
    trainable_weights = 21 + 4 + 1
    # The pooler is in the published form, and not read.
    other_weights = 2
    states = 4
    # The encoder's with pooler; 21 * 21 + 21, 2 * 21 and 53.
    parameters = 5452 + 462 + 42 + 53

    def labels(self):
        return random_ids(seed=5)

    def fit_arguments(self):
        return {"sample_weight": mask_of().astype("float32")}

    def test_decoder_is_the_word_embeddings(self, shared_model):
        names = transformers_format.tensor_table(shared_model)
        assert {name for name in names if name.startswith("cls.")} == {
            "cls.predictions.bias",
            "cls.predictions.transform.dense.weight",
            "cls.predictions.transform.dense.bias",
            "cls.predictions.transform.LayerNorm.weight",
            "cls.predictions.transform.LayerNorm.bias",
        }
        # A piece that no input has: its embedding matters to its own logit alone.
        ids = np.full((1, 7), 9, "int32")
        before = np.asarray(shared_model(ids))
        embeddings = shared_model.backbone.embeddings.word_embeddings.embeddings
        value = np.array(embeddings)
        embeddings.assign(value + 0.5 * (np.arange(VOCABULARY) == 17)[:, None])
        after = np.asarray(shared_model(ids))
        embeddings.assign(value)
        changed = np.abs(after - before).max(axis=(0, 1)) > 1e-3
        assert changed.tolist() == (np.arange(VOCABULARY) == 17).tolist()

    def test_logits_at_some_positions(self, shared_model):
        inputs = self.inputs()
        full = np.asarray(shared_model(inputs))
        expected = np.stack([full[row, POSITIONS[row]] for row in range(BATCH)])
        asked = {**inputs, "masked_positions": POSITIONS}
        assert_close(shared_model(asked), expected)
        assert_close(as_function(shared_model, [asked], dynamic=True)(asked), expected)

    def test_no_tensor_of_length_by_vocabulary(self, shared_model):
        asked = {**self.inputs(), "masked_positions": POSITIONS}

        def shapes(inputs):
            graph = as_function(shared_model, [inputs]).get_concrete_function().graph
            found = set()
            for operation in graph.get_operations():
                found |= {tuple(output.shape) for output in operation.outputs if output.shape.rank}
            return {shape for shape in found if shape[-1] == VOCABULARY and LENGTH in shape}

        assert shapes(self.inputs()) == {(BATCH, LENGTH, VOCABULARY)}
        assert shapes(asked) == set()

    def test_fit_on_masked_positions(self):
        model = self.make({"hidden_dropout_prob": 0.0})
        model.compile()
        model.optimizer.learning_rate = 3e-3
        inputs = {**self.inputs(), "masked_positions": POSITIONS}
        labels = np.random.default_rng(5).integers(0, VOCABULARY, POSITIONS.shape)
        logits = np.asarray(model(inputs))
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        losses = -np.take_along_axis(log_probs, labels[:, :, None], -1)[:, :, 0]
        arguments = {"sample_weight": WEIGHTS, "batch_size": BATCH, "verbose": 0}
        history = model.fit(inputs, labels, epochs=5, **arguments).history
        np.testing.assert_allclose(history["loss"][0], (losses * WEIGHTS).sum() / 8, rtol=1e-4)
        assert history["loss"][-1] < history["loss"][0]
        assert "accuracy" in history

    @pytest.mark.parametrize(
        ("positions", "error", "message"),
        [
            (np.array([3, 5]), ValueError, r"`masked_positions` must be of shape .*\(2,\)"),
            (np.zeros((3, 2), "int32"), ValueError, r"`masked_positions`.*\(3, 2\), batch=2"),
            (np.array([[1.0], [2.0]]), ValueError, "`masked_positions` must be integers"),
            (
                np.array([[1], [LENGTH]]),
                OUT_OF_RANGE,
                r"`masked_positions` must be in \[0, length\), that is \[0, 37\)",
            ),
            (np.array([[-1], [0]]), OUT_OF_RANGE, "`masked_positions`"),
        ],
        ids=["rank", "batch", "floats", "beyond the end", "negative"],
    )
    def test_bad_positions(self, shared_model, positions, error, message):
        with pytest.raises(error, match=message):
            shared_model({**self.inputs(), "masked_positions": positions})

"""Weights that an export stores in fewer bits."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.serving import export_saved_model
from bigbird_tf.serving.export import make_servable
from tests.serving.allowed_ops import TENSORFLOW_OPS, TEXT_OPS
from tests.serving.conftest import small_config
from tests.serving.saved_graphs import ops_of
from tests.serving.test_export import id_inputs


class TestWeightDtype:
    # With 8 bits, a fifth of this narrow model's numbers are scales and biases, in 32 bits.
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("dtype", "share", "tolerance"),
        [("float16", 0.5, 2e-3), ("bfloat16", 0.5, 2e-2), ("int8", 0.4, 1e-1)],
    )
    def test_smaller_and_nearly_the_same(self, exported, tmp_path, dtype, share, tolerance):
        whole = exported("BigBirdForSequenceClassification", on_ids=True)
        folder = export_saved_model(whole.model, tmp_path, weight_dtype=dtype)

        def size(folder):
            return (folder / "variables/variables.data-00000-of-00001").stat().st_size

        # The names of the weights are in that file, too.
        assert size(folder) < share * size(whole.folder) + 4000
        assert ops_of(folder) - TENSORFLOW_OPS - TEXT_OPS == set()
        inputs = {key: tf.constant(value) for key, value in id_inputs("").items()}
        halved = tf.saved_model.load(str(folder)).signatures["from_ids"](**inputs)["logits"]
        logits = whole.run("from_ids", **inputs)["logits"]
        assert halved.dtype == tf.float32
        difference = np.abs(halved - logits).max() / np.abs(logits).max()
        assert 0 < difference < tolerance

    def test_too_large_for_float16(self):
        model = models.BigBirdModel(small_config())
        model.pooler.weights[0].assign(np.full(model.pooler.weights[0].shape, 1e5))
        with pytest.raises(ValueError, match=r"pooler.*values that float16 does not have"):
            make_servable(model, weight_dtype="float16")
        assert make_servable(model, weight_dtype="bfloat16")

    @pytest.mark.slow
    def test_the_model_stays_as_it_is(self, exported):
        model = exported("BigBirdForSequenceClassification").model
        before = model(id_inputs("")).numpy()
        make_servable(model, weight_dtype="int8")
        np.testing.assert_array_equal(model(id_inputs("")), before)
        assert {weight.dtype for weight in model.weights} == {"float32"}

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:.* does not have a `quantize` method")
    def test_quantized_before(self, tmp_path):
        """A model that is quantized already is exported as it is."""
        model = models.BigBirdModel(small_config())
        model.quantize("int8")
        with pytest.raises(ValueError, match="whose weights have changed since"):
            make_servable(model, weight_dtype="int8")
        inputs = id_inputs("")
        loaded = tf.saved_model.load(str(export_saved_model(model, tmp_path)))
        found = loaded.signatures["from_ids"](**{k: tf.constant(v) for k, v in inputs.items()})
        for name, value in model(inputs).items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4)

    def test_changed_models(self):
        model = models.BigBirdModel(small_config())
        model.encoder.blocks[0].attention.query_dense.enable_lora(3)
        with pytest.raises(ValueError, match="whose weights have changed since"):
            make_servable(model, weight_dtype="float16")

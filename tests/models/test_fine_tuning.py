"""What users do to models before and after training: freeze, LoRA, quantize, override."""

import keras
import numpy as np
import pytest

from bigbird_tf import (
    BigBirdForMaskedLM,
    BigBirdForSequenceClassification,
    BigBirdModel,
)
from tests.contract import (
    WIDTH,
    assert_close,
    mask_of,
    random_ids,
    randomize,
    tiny_config,
)

# Keras' quantizers convert variables in a way that NumPy 2 deprecates, and tell of each layer that
# has nothing to quantize.
KERAS_WARNINGS = (
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    "ignore:Layer (LayerNorm|Dropout) does not have a `quantize` method:UserWarning",
)
INPUTS = {"input_ids": random_ids(), "attention_mask": mask_of()}
LABELS = np.array([1, 0])


def make(cls=BigBirdForSequenceClassification, **fields):
    model = cls(tiny_config(**{"num_hidden_layers": 1, **fields}))
    randomize(model)
    return model


def moved_by_fit(model, labels=LABELS) -> set[str]:
    before = {v.path: np.array(v) for v in model.variables}
    model.compile(keras.optimizers.SGD(0.1), metrics=None)
    model.fit(INPUTS, labels, epochs=2, verbose=0)
    weights = {w.path: np.array(w) for w in model.weights}
    return {path for path, value in weights.items() if (value != before[path]).any()}


def test_frozen_backbone():
    model = make()
    model.backbone.trainable = False
    assert moved_by_fit(model) == {w.path for w in model.head.weights}


def test_lora_trains_additions_and_head_only():
    model = make(hidden_dropout_prob=0.0)
    expected = model(INPUTS)
    model.enable_lora(2)
    # The additions begin at zero.
    assert_close(model(INPUTS), expected, 1e-6)
    # Two matrices for queries and values of a block, and the head's two dense layers.
    assert len(model.trainable_variables) == 2 * 2 + 4
    additions = [v for v in model.trainable_variables if "lora" in v.path]
    assert {v.shape for v in additions} == {(WIDTH, 2), (2, WIDTH)}
    assert moved_by_fit(model) == {v.path for v in model.trainable_variables}


def test_lora_on_the_encoder_alone():
    model = make(BigBirdModel, num_hidden_layers=2)
    model.enable_lora(3)
    assert len(model.trainable_variables) == 2 * 2 * 2


@pytest.mark.parametrize("form", ["keras", "pretrained"])
def test_lora_is_merged_when_saved(form, tmp_path):
    model = make()
    model.enable_lora(2)
    assert moved_by_fit(model)
    expected = model(INPUTS)
    if form == "keras":
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    else:
        model.save_pretrained(tmp_path)
        loaded = BigBirdForSequenceClassification.from_pretrained(tmp_path)
    assert not any("lora" in v.path for v in loaded.variables)
    assert_close(loaded(INPUTS), expected, 1e-6)
    loaded.enable_lora(5)


def test_lora_once_and_with_a_rank():
    model = make()
    for rank in (0, -1, 2.0, True, None):
        with pytest.raises(ValueError, match=f"`rank` must be a positive integer.*rank={rank}"):
            model.enable_lora(rank)
    model.enable_lora(1)
    with pytest.raises(ValueError, match="LoRA already"):
        model.enable_lora(1)


@pytest.mark.filterwarnings(*KERAS_WARNINGS)
@pytest.mark.slow
class TestInt8:
    def test_outputs_stay_close(self):
        # The head reads the word embeddings backwards: these are quantized too.
        model = make(BigBirdForMaskedLM)
        expected = np.asarray(model(INPUTS))
        model.quantize("int8")
        dense = model.backbone.encoder.blocks[0].attention.query_dense
        assert keras.backend.standardize_dtype(dense.kernel.dtype) == "int8"
        outputs = np.asarray(model(INPUTS))
        assert outputs.dtype == "float32"
        error = np.abs(outputs - expected).max()
        assert 0 < error < 0.1 * np.abs(expected).max()
        np.testing.assert_allclose(model.predict(INPUTS, verbose=0), outputs, atol=1e-5)

    @pytest.mark.parametrize("filters", [None, ["query", "value"]], ids=["all", "some"])
    def test_keras_file(self, filters, tmp_path):
        model = make(BigBirdForMaskedLM)
        model.quantize("int8", filters=filters)
        expected = model(INPUTS)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        kinds = {w.path: w.dtype for w in model.weights}
        assert {w.path: w.dtype for w in loaded.weights} == kinds
        assert "int8" in kinds.values()
        assert_close(loaded(INPUTS), expected, 1e-6)

    def test_has_no_pretrained_form(self, tmp_path):
        model = make()
        model.quantize("int8")
        with pytest.raises(ValueError, match=r"quantized model.*`save_pretrained` before"):
            model.save_pretrained(tmp_path)
        assert not list(tmp_path.iterdir())


def test_overrides_of_the_config(tmp_path):
    make(BigBirdModel).save_pretrained(tmp_path)
    load = BigBirdModel.from_pretrained
    model = load(tmp_path, attention_type="original_full")
    assert model.config.attention_type == "original_full"
    assert model.encoder.blocks[0].attention.attention_type == "original_full"
    other = load(tmp_path, num_random_blocks=0, block_size=2)
    assert other.encoder.blocks[0].attention.block_size == 2
    outputs = [np.asarray(m(INPUTS)["last_hidden_state"]) for m in (load(tmp_path), model, other)]
    # The same weights, but each attends to other keys.
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(outputs[a] - outputs[b]).max() > 1e-3

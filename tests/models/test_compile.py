"""What `compile` sets, and what of it a file brings back."""

import keras
import pytest

from bigbird_tf import BigBirdForSequenceClassification
from tests.contract import tiny_config


def make(dtype=None):
    return BigBirdForSequenceClassification(tiny_config(num_hidden_layers=1), dtype=dtype)


def save(model, path):
    """Saves as after training, when the optimizer has all its variables."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    model.save(path)


def decaying(model):
    """The paths of the weights that decay."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return {w.path for w in model.trainable_variables if optimizer._use_weight_decay(w)}


@pytest.mark.parametrize("dtype", [None, "mixed_float16"])
def test_a_file_keeps_what_does_not_decay(tmp_path, dtype):
    """Of the optimizer Keras saves all but this."""
    model = make(dtype)
    model.compile()
    matrices = {w.path for w in model.trainable_variables if len(w.shape) == 2}
    assert decaying(model) == matrices
    assert len(matrices) < len(model.trainable_variables)
    for number in range(2):
        path = tmp_path / f"{number}.keras"
        save(model, path)
        model = keras.models.load_model(path)
        assert decaying(model) == matrices
    settings = getattr(model.optimizer, "inner_optimizer", model.optimizer).get_config()
    assert (settings["weight_decay"], settings["global_clipnorm"]) == (0.01, 1.0)
    assert settings["learning_rate"] == pytest.approx(5e-5)


def test_an_optimizer_of_ones_own_stays_as_it_is(tmp_path):
    model = make()
    model.compile(keras.optimizers.AdamW(0.125, weight_decay=0.25))
    everything = {w.path for w in model.trainable_variables}
    assert decaying(model) == everything
    save(model, tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert decaying(loaded) == everything
    settings = loaded.optimizer.get_config()
    assert (settings["learning_rate"], settings["weight_decay"]) == (0.125, 0.25)
    assert settings["global_clipnorm"] is None
    # And compiled anew with the default, it is the default.
    loaded.compile()
    assert decaying(loaded) < everything

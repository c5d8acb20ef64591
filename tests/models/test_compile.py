"""What `compile` sets, and what of it a file brings back."""

import keras
import numpy as np
import pytest

from bigbird_tf import BigBirdForQuestionAnswering, BigBirdForSequenceClassification
from tests.contract import random_ids, randomize, tiny_config


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


@pytest.mark.parametrize(
    ("arguments", "weights"),
    [
        ({}, (0.5, 0.5)),
        ({"loss_weights": {"start_logits": 0.25, "end_logits": 2.0}}, (0.25, 2.0)),
        # The default weights are those of the default loss.
        (
            {"loss": dict.fromkeys(("start_logits", "end_logits"), "mse"), "metrics": None},
            (1.0, 1.0),
        ),
    ],
)
def test_loss_weights(arguments, weights):
    config = tiny_config(num_hidden_layers=0, sep_token_id=3)
    model = BigBirdForQuestionAnswering(config)
    randomize(model)
    model.compile(**arguments, run_eagerly=True)
    ids = random_ids()
    ids[:, 4] = 3
    labels = {"start_logits": np.array([5, 9]), "end_logits": np.array([7, 11])}
    if "loss" in arguments:
        labels = {name: np.eye(ids.shape[1])[label] for name, label in labels.items()}
    found = model.evaluate(ids, labels, return_dict=True, verbose=0)
    parts = [found[f"{name}_loss"] for name in ("start_logits", "end_logits")]
    assert min(parts) > 0
    assert found["loss"] == pytest.approx(np.dot(weights, parts), rel=1e-5)


def test_metrics_that_are_given_take_the_place_of_the_default_ones():
    ids, labels = random_ids(), np.array([0, 1])
    for arguments, expected in (
        ({}, {"loss", "accuracy"}),
        ({"metrics": ["mse"]}, {"loss", "mse"}),
        ({"metrics": None, "weighted_metrics": ["mae"]}, {"loss", "mae"}),
    ):
        model = BigBirdForSequenceClassification(tiny_config(num_hidden_layers=0))
        model.compile(**arguments, run_eagerly=True)
        found = model.evaluate(ids, labels, return_dict=True, verbose=0)
        assert set(found) == expected

"""Fine-tuning with LoRA: what is saved, and that training goes on after loading."""

import keras
import numpy as np
import pytest

from bigbird_tf import BigBirdForSequenceClassification
from bigbird_tf.nn import Dense
from tests.contract import random_ids, randomize, tiny_config
from tests.models.test_fine_tuning import KERAS_WARNINGS

RANK = 2
X = random_ids(length=12)
Y = np.array([0, 1])


def make(rank=RANK):
    """A model of one layer without dropout, with LoRA and weights that are not the initial ones."""
    keras.utils.set_random_seed(7)
    model = BigBirdForSequenceClassification(
        tiny_config(num_hidden_layers=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    )
    randomize(model)
    if rank:
        model.enable_lora(rank)
    return compiled(model)


def compiled(model):
    model.compile(optimizer=keras.optimizers.Adam(1e-2), run_eagerly=True)
    # Or Keras has nowhere to load its state to.
    model.optimizer.build(model.trainable_variables)
    return model


def factors(model):
    return {w.path: w.numpy() for w in model.trainable_weights if "lora" in w.path}


def train(model, epochs, **options):
    return model.fit(X, Y, epochs=epochs, verbose=0, shuffle=False, **options).history["loss"]


@pytest.fixture(scope="module")
def straight():
    """Losses of four epochs without a break, and the model."""
    model = make()
    return train(model, 4), model


class Stop(Exception):
    pass


class StopAfter(keras.callbacks.Callback):
    """A machine that is taken away after some epochs."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epochs:
            raise Stop


def test_backup_and_restore_goes_on(straight, tmp_path):
    losses, model = straight
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(Stop):
        train(make(), 4, callbacks=[backup, StopAfter(2)])
    resumed = make()
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    np.testing.assert_allclose(train(resumed, 4, callbacks=[backup]), losses[2:], rtol=1e-5)
    for path, value in factors(model).items():
        np.testing.assert_allclose(factors(resumed)[path], value, atol=1e-5, err_msg=path)


def test_load_weights_goes_on(straight, tmp_path):
    losses, _ = straight
    model = make()
    train(model, 2)
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = make()
    loaded.load_weights(tmp_path / "model.weights.h5")
    for path, value in factors(model).items():
        np.testing.assert_array_equal(factors(loaded)[path], value, err_msg=path)
    np.testing.assert_allclose(train(loaded, 2), losses[2:], rtol=1e-5)


@pytest.mark.parametrize("other", [0, 3], ids=["no LoRA", "another rank"])
def test_weights_of_another_kind_train_on(other, tmp_path):
    """Weights that were saved without LoRA, or with another rank, give the same outputs first."""
    source = make(other)
    train(source, 2)
    source.save_weights(tmp_path / "model.weights.h5")
    loaded = make()
    # Its optimizer has other variables, which Keras tells.
    loaded.optimizer = None
    loaded.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(loaded(X), source(X), atol=1e-5)
    compiled(loaded)
    before = factors(loaded)
    assert len(before) == 4
    train(loaded, 2)
    for path, value in factors(loaded).items():
        assert np.abs(value - before[path]).max() > 0, path


def test_a_model_without_lora_loads_the_sum(straight, tmp_path):
    _, model = straight
    model.save_weights(tmp_path / "model.weights.h5")
    plain = make(0)
    plain.optimizer = None
    plain.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(plain(X), model(X), atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(loaded(X), model(X), atol=1e-5)


def test_embeddings_with_lora_train_on(tmp_path):
    models = [make(0) for _ in range(2)]
    for model in models:
        for name in ("word_embeddings", "position_embeddings"):
            getattr(model.backbone.embeddings, name).enable_lora(RANK)
        compiled(model)
    train(models[0], 2)
    models[0].save_weights(tmp_path / "model.weights.h5")
    models[1].load_weights(tmp_path / "model.weights.h5")
    saved, loaded = (factors(model) for model in models)
    assert len(saved) == 4
    for path, value in saved.items():
        assert np.abs(value).max() > 0, path
        np.testing.assert_array_equal(loaded[path], value, err_msg=path)
    np.testing.assert_allclose(models[1](X), models[0](X), atol=1e-5)


@pytest.mark.filterwarnings(*KERAS_WARNINGS)
def test_quantized_layers_can_train_on(tmp_path):
    layers = [Dense(3, name="dense") for _ in range(2)]
    x = np.random.default_rng(2).normal(size=(5, 7)).astype("float32")
    for layer in layers:
        layer.build((None, 7))
        layer.quantize("int8")
        layer.enable_lora(RANK)
    source, loaded = (keras.Sequential([keras.Input((7,)), layer]) for layer in layers)
    layers[0].lora_kernel_b.assign(np.full((RANK, 3), 0.3))
    expected = source(x)
    source.save_weights(tmp_path / "model.weights.h5")
    loaded.load_weights(tmp_path / "model.weights.h5")
    # The sum is in the codes, so that nothing more is to be added.
    assert np.abs(loaded(x) - expected).max() < 0.05 * np.abs(expected).max()
    assert np.abs(layers[1].lora_kernel_a).max() > 0
    assert np.abs(layers[1].lora_kernel_b).max() == 0

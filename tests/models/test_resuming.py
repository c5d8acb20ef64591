"""Training that is interrupted and goes on ends where it would have ended."""

import keras
import numpy as np
import pytest

from bigbird_tf import BigBirdForMaskedLM
from tests.contract import assert_close, random_ids, tiny_config

pytestmark = pytest.mark.slow

IDS = random_ids(batch=6, length=17)


class InterruptedError(Exception):
    """What a test is interrupted with."""


class InterruptAt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise InterruptedError


def make_model():
    """Makes a model without dropout, the same each time, with a rate that changes all the time."""
    keras.utils.set_random_seed(3)
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = BigBirdForMaskedLM(tiny_config(num_hidden_layers=1, **rates), dtype="mixed_bfloat16")
    rate = keras.optimizers.schedules.CosineDecay(0.0, 9, warmup_target=1e-2, warmup_steps=3)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=0.01, global_clipnorm=1.0))
    return model


def fit(model, callbacks=(), epochs=3, **options):
    arguments = {"batch_size": 2, "shuffle": False, "verbose": 0, "epochs": epochs, **options}
    history = model.fit(IDS, IDS, callbacks=list(callbacks), **arguments)
    return history.epoch, history.history["loss"]


@pytest.fixture(scope="module")
def uninterrupted():
    model = make_model()
    epochs, losses = fit(model)
    assert epochs == [0, 1, 2]
    assert losses[2] < losses[0]
    return losses, model.get_weights()


def test_backup_and_restore(uninterrupted, tmp_path):
    losses, weights = uninterrupted
    backup = tmp_path / "backup"
    with pytest.raises(InterruptedError):
        fit(make_model(), [keras.callbacks.BackupAndRestore(backup), InterruptAt(2)])
    assert backup.exists()
    model = make_model()
    # Other weights than those that come back.
    model.set_weights([0.5 * weight for weight in model.get_weights()])
    epochs, resumed = fit(model, [keras.callbacks.BackupAndRestore(backup)])
    assert epochs == [2]
    np.testing.assert_allclose(resumed, losses[2:], rtol=1e-5)
    assert_close(model.get_weights(), weights)


def test_a_keras_file_has_the_optimizer(uninterrupted, tmp_path):
    losses, weights = uninterrupted
    path = str(tmp_path / "best.keras")
    fit(make_model(), [keras.callbacks.ModelCheckpoint(path)], epochs=2)
    model = keras.models.load_model(path)
    epochs, resumed = fit(model, initial_epoch=2)
    assert epochs == [2]
    np.testing.assert_allclose(resumed, losses[2:], rtol=1e-5)
    assert_close(model.get_weights(), weights)

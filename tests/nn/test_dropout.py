from types import SimpleNamespace

import keras
import numpy as np
from keras import ops

from bigbird_tf.nn import dropout
from bigbird_tf.nn.dropout import Dropout

ONES = np.ones((17, 101), "float32")


def test_drops_in_training_only():
    layer = Dropout(0.3)
    for training in (False, None):
        np.testing.assert_array_equal(layer(ONES, training=training), ONES)
    dropped = np.asarray(layer(ONES, training=True))
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / 0.7], rtol=1e-6)
    assert 0.25 < (dropped == 0).mean() < 0.35
    assert not np.array_equal(layer(ONES, training=True), dropped)


def test_a_seed_drawn_ahead_drops_the_same_again():
    layer = Dropout(0.5)
    first, second = layer.draw_seed(), layer.draw_seed()
    dropped = np.asarray(layer(ONES, training=True, seed=first))
    np.testing.assert_array_equal(layer(ONES, training=True, seed=first), dropped)
    assert not np.array_equal(layer(ONES, training=True, seed=second), dropped)


def test_rate_of_zero_has_no_state():
    layer = Dropout(0.0)
    assert layer.draw_seed() is None
    assert not layer.variables
    np.testing.assert_array_equal(layer(ONES, training=True), ONES)


def test_keras_file(tmp_path):
    inputs = keras.Input((101,))
    keras.Model(inputs, Dropout(0.25)(inputs)).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.layers[1], Dropout)
    assert loaded.layers[1].rate == 0.25


def test_each_replica_has_a_seed_of_its_own(monkeypatch):
    """The first one's is that without replicas; the second number stays."""
    drawn = ops.convert_to_tensor([5, 7], "int32")
    layer = Dropout(0.5)
    monkeypatch.setattr(layer.seed_generator, "next", lambda: drawn)
    for number in range(3):
        context = SimpleNamespace(replica_id_in_sync_group=ops.convert_to_tensor(number, "int32"))
        monkeypatch.setattr(dropout, "replica_context", lambda context=context: context)
        seed = layer.draw_seed()
        assert seed.dtype == drawn.dtype
        assert np.asarray(seed).tolist() == [5 + number * 1_000_000_007, 7]
    monkeypatch.setattr(dropout, "replica_context", lambda: None)
    assert np.asarray(layer.draw_seed()).tolist() == [5, 7]

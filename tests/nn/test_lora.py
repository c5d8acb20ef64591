"""What a layer with LoRA saves of itself."""

import keras
import numpy as np
import pytest

from bigbird_tf.nn.dense import Dense
from bigbird_tf.nn.embedding_tables import Embedding, ReversibleEmbedding

NAMES = {"lora_frozen", "lora_a", "lora_b"}


def made(lora=False, quantized=False):
    layer = Dense(5)
    layer.build((None, 3))
    if lora:
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(np.ones((2, 5)))
    if quantized:
        layer.quantize("int8")
    return layer


def saved(layer):
    store = {}
    layer.save_own_variables(store)
    return {key: np.array(value) for key, value in store.items()}


@pytest.mark.filterwarnings("ignore:.*quantize.*:UserWarning")
def test_factors_are_saved_where_they_go_on_training():
    """Codes of a quantized kernel hold the product already, and factors beside would be stale."""
    assert set(saved(made(lora=True))) >= NAMES
    assert not NAMES & set(saved(made()))
    assert not NAMES & set(saved(made(lora=True, quantized=True)))


def test_factors_come_back_and_the_kernel_has_their_product():
    layer = made(lora=True)
    store = saved(layer)
    # `lora_alpha` is the rank, so nothing scales the product.
    product = store["lora_a"] @ store["lora_b"]
    np.testing.assert_allclose(store["0"], store["lora_frozen"] + product, rtol=1e-5)
    again = made(lora=True)
    again.load_own_variables(store)
    for name in ("lora_kernel_a", "lora_kernel_b", "kernel"):
        np.testing.assert_allclose(getattr(again, name), getattr(layer, name), rtol=1e-6)
    # Without LoRA, it is an ordinary kernel.
    plain = made()
    plain.load_own_variables(store)
    np.testing.assert_allclose(plain.kernel, layer.kernel, rtol=1e-6)


def test_a_file_without_factors_starts_a_pair_that_can_train():
    """A product of zero, and one factor that is none: both zero would have no gradient."""
    layer = made(lora=True)
    layer.load_own_variables(saved(made()))
    product = keras.ops.matmul(layer.lora_kernel_a, layer.lora_kernel_b)
    assert not np.array(product).any()
    assert np.array(layer.lora_kernel_a).any()
    # Of another rank is as if there were none.
    other = Dense(5)
    other.build((None, 3))
    other.enable_lora(1)
    other.load_own_variables(saved(made(lora=True)))
    assert np.array(other.lora_kernel_a).any()
    assert not np.array(other.lora_kernel_b).any()


@pytest.mark.parametrize("cls", [Embedding, ReversibleEmbedding])
def test_tables_save_their_factors_too(cls):
    def make_table():
        layer = cls(7, 5)
        layer.build(None)
        layer.enable_lora(2)
        layer.lora_embeddings_b.assign(np.full((2, 5), 0.5))
        return layer

    layer = make_table()
    store = saved(layer)
    assert set(store) >= NAMES
    np.testing.assert_array_equal(store["lora_frozen"], layer._embeddings)
    np.testing.assert_array_equal(store["lora_a"], layer.lora_embeddings_a)
    np.testing.assert_array_equal(store["lora_b"], layer.lora_embeddings_b)
    again = make_table()
    again.load_own_variables(store)
    for name in ("lora_embeddings_a", "lora_embeddings_b", "embeddings"):
        np.testing.assert_allclose(getattr(again, name), getattr(layer, name), rtol=1e-6)
    ids = np.array([[3, 0]])
    np.testing.assert_allclose(again(ids), np.asarray(layer.embeddings)[ids], rtol=1e-6)

import numpy as np
import pytest

from bigbird_tf.layers import BigBirdEmbeddings
from tests.contract import BATCH, LENGTH, WIDTH, random_ids, randomize, tiny_config


def made(**fields):
    layer = BigBirdEmbeddings(tiny_config(**fields))
    layer.build()
    randomize(layer)
    return layer


def normalized(x, layer):
    gamma, beta = np.asarray(layer.layer_norm.gamma), np.asarray(layer.layer_norm.beta)
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-12) * gamma + beta


@pytest.mark.parametrize("rescale", [False, True])
def test_sum_then_norm(rescale):
    layer = made(rescale_embeddings=rescale)
    ids = random_ids()
    rng = np.random.default_rng(0)
    types, positions = rng.integers(0, 2, ids.shape), rng.integers(0, 61, ids.shape)
    words, places, kinds = (
        np.asarray(table.embeddings)
        for table in (
            layer.word_embeddings,
            layer.position_embeddings,
            layer.token_type_embeddings,
        )
    )
    scale = WIDTH**0.5 if rescale else 1
    expected = normalized(words[ids] * scale + places[positions] + kinds[types], layer)
    np.testing.assert_allclose(layer(ids, types, positions), expected, atol=1e-5)
    expected = normalized(words[ids] * scale + places[:LENGTH] + kinds[0], layer)
    np.testing.assert_allclose(layer(ids), expected, atol=1e-5)


def test_dropout_comes_before_the_norm():
    """So what comes out has mean beta, and no zeros; with gammas of one, a deviation of one."""
    layer = made(hidden_dropout_prob=0.5)
    layer.layer_norm.gamma.assign(np.ones(WIDTH))
    layer.layer_norm.beta.assign(np.full(WIDTH, 0.25))
    output = np.asarray(layer(random_ids(), training=True))
    assert output.shape == (BATCH, LENGTH, WIDTH)
    np.testing.assert_allclose(output.mean(-1), 0.25, atol=1e-5)
    np.testing.assert_allclose(output.std(-1), 1, atol=1e-4)
    assert np.abs(output - layer(random_ids())).max() > 0.1

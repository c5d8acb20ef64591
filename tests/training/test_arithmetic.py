"""How much arithmetic a model is, counted by hand."""

import keras

import bigbird_tf as bb
from bigbird_tf.training.arithmetic import training_flops_per_token


def test_dense_layers_and_embeddings():
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(11, 3)(ids)
    model = keras.Model(ids, keras.layers.Dense(5)(keras.layers.LayerNormalization()(x)))
    # Looking up, scaling and adding are no products.
    assert training_flops_per_token(model, 7) == 3 * 2 * 3 * 5


def test_products_of_attention():
    attention = bb.BlockSparseAttention(2, 3, block_size=4, num_random_blocks=1, seed=1)
    x = keras.Input((None, 10))
    model = keras.Model(x, attention(x))
    weights = 4 * 10 * 6
    # Of ten blocks, the first and the last read all. The others list both, a random one, and a
    # window of three, of which those beside a global block have two.
    for length, blocks in ((8, 4), (40, 2 * 10 + 6 * 6 + 2 * 5)):
        products = 2 * 2 * 2 * 3 * 16 * blocks
        assert training_flops_per_token(model, length) == 3 * (2 * weights + products / length)

"""What a config is made of for the Model Garden's encoder, worked out by hand: without the library.

Stand-ins have what the converter looks at: layers with attention of that class name, their
settings, and weights with names and values.
"""

import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from bigbird_tf.checkpoints import convert_model_garden_encoder
from bigbird_tf.config import BigBirdConfig

# All sizes differ: two heads of three, so six wide.
HEADS, HEAD_SIZE, INNER, VOCABULARY, TYPES = 2, 3, 5, 11, 4
WIDTH = HEADS * HEAD_SIZE


class Weight:
    def __init__(self, name, *shape):
        self.name, self.shape = f"some/scope/{name}:0", shape
        self.values = np.arange(np.prod(shape), dtype="float32").reshape(shape)

    def numpy(self):
        return self.values


class BigBirdAttention:
    def __init__(self, **config):
        self.config = config

    def get_config(self):
        return self.config


class Block:
    def __init__(self, number, settings, attention):
        self._attention_layer = BigBirdAttention(**{"seed": number, **attention})
        self.settings = settings
        shapes = {
            "query/kernel": (WIDTH, HEADS, HEAD_SIZE), "query/bias": (HEADS, HEAD_SIZE),
            "key/kernel": (WIDTH, HEADS, HEAD_SIZE), "key/bias": (HEADS, HEAD_SIZE),
            "value/kernel": (WIDTH, HEADS, HEAD_SIZE), "value/bias": (HEADS, HEAD_SIZE),
            "attention_output/kernel": (HEADS, HEAD_SIZE, WIDTH),
            "attention_output/bias": (WIDTH,), "self_attention_layer_norm/gamma": (WIDTH,),
            "self_attention_layer_norm/beta": (WIDTH,), "intermediate/kernel": (WIDTH, INNER),
            "intermediate/bias": (INNER,), "output/kernel": (INNER, WIDTH),
            "output/bias": (WIDTH,), "output_layer_norm/gamma": (WIDTH,),
            "output_layer_norm/beta": (WIDTH,),
        }  # fmt: skip
        self.weights = [Weight(f"{number}/{name}", *shape) for name, shape in shapes.items()]

    def get_config(self):
        return self.settings


def encoder(positions=4096, num_layers=2, attention=None, **settings):
    settings = {
        "norm_first": False, "inner_dim": INNER, "inner_activation": keras.activations.relu,
        "dropout_rate": 0.11, "attention_dropout_rate": 0.12, "norm_epsilon": 0.013, **settings,
    }  # fmt: skip
    attention = {
        "num_heads": HEADS, "key_dim": HEAD_SIZE, "from_block_size": 64, "num_rand_blocks": 3,
        **(attention or {}),
    }  # fmt: skip
    blocks = [Block(number, settings, attention) for number in range(num_layers)]
    outside = [
        Weight("word_embeddings/embeddings", VOCABULARY, WIDTH),
        Weight("position_embedding/embeddings", positions, WIDTH),
        Weight("type_embeddings/embeddings", TYPES, WIDTH),
        Weight("layer_norm/gamma", WIDTH),
        Weight("layer_norm/beta", WIDTH),
    ]
    weights = outside + [weight for block in blocks for weight in block.weights]
    return SimpleNamespace(layers=[SimpleNamespace(), *blocks], weights=weights)


def convert(made, folder):
    convert_model_garden_encoder(made, folder / "out")
    return BigBirdConfig.from_pretrained(folder / "out")


def test_every_setting_has_its_field(tmp_path):
    config = convert(encoder(), tmp_path)
    expected = {
        "vocab_size": 11, "hidden_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 5, "hidden_act": "relu", "hidden_dropout_prob": 0.11,
        "attention_probs_dropout_prob": 0.12, "max_position_embeddings": 4096,
        "type_vocab_size": 4, "layer_norm_eps": 0.013, "block_size": 64, "num_random_blocks": 3,
        "random_plan": "google", "inference_random_blocks": "seeded", "full_attention_up_to": 704,
        "attention_type": "block_sparse", "use_bias": True,
    }  # fmt: skip
    assert {name: getattr(config, name) for name in expected} == expected
    assert config.extra["architectures"] == ["BigBirdModel"]


@pytest.mark.parametrize(
    ("positions", "plan", "warns"),
    [
        (1024, "transformers", False),
        (3072, "transformers", False),
        (4096, "google", False),
        (2048, "transformers", True),
        (4095, "transformers", True),
        (4097, "transformers", True),
        (512, "transformers", True),
    ],
)
def test_whose_plan_draws_as_theirs_does(tmp_path, positions, plan, warns):
    """One table for all positions: Google's own at 4096, that of `transformers` at these two."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config = convert(encoder(positions), tmp_path)
    assert (config.random_plan, config.max_position_embeddings) == (plan, positions)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == warns
    assert all(f"random blocks for {positions} positions" in message for message in messages)
    # They point to the caller's own line.
    assert all(warning.filename == __file__ for warning in caught)


@pytest.mark.parametrize(
    ("block_size", "num_random", "limit"),
    [
        # (2 global + 3 window + 2 * random) * block_size, but sparse from 1024 on as theirs is.
        (16, 3, 176),
        (64, 2, 576),
        (93, 3, 1023),
        (94, 3, 1023),
        (128, 3, 1023),
    ],
)
def test_where_full_attention_ends(tmp_path, block_size, num_random, limit):
    attention = {"from_block_size": block_size, "num_rand_blocks": num_random}
    config = convert(encoder(attention=attention), tmp_path)
    assert config.full_attention_up_to == limit
    assert (config.block_size, config.num_random_blocks) == (block_size, num_random)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (encoder(norm_first=True), "must normalise after each sublayer"),
        (encoder(attention={"seed": 0}), r"Received layers with the seeds: \[0, 0\]"),
        (encoder(attention={"key_dim": 4}), "embedding_width=6, hidden_size=8"),
        (encoder(inner_activation=keras.activations.softsign), "Received: 'softsign'"),
        (encoder(num_layers=0), "must be a BigBird encoder of the Model Garden"),
    ],
)
def test_what_is_refused(tmp_path, made, message):
    with pytest.raises(ValueError, match=message):
        convert_model_garden_encoder(made, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", [True, False])
def test_weights_that_are_missing_or_too_many(tmp_path, missing):
    made = encoder()
    made.weights = made.weights[1:] if missing else [*made.weights, Weight("more/kernel", 2)]
    with pytest.raises((ValueError, KeyError), match=r"word_embeddings|more/kernel"):
        convert_model_garden_encoder(made, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []

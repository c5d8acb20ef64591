import pytest

from bigbird_tf.checkpoints.google_settings import config_from_google

SIZES = {
    "vocab_size": 53,
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "norm_type": "prenorm",
    "max_decoder_length": 16,
}


def test_what_is_left_out_is_as_in_googles_code():
    """Its flags differ from the defaults that `transformers` has for Pegasus."""
    config = config_from_google(SIZES)
    assert (config.scale_embedding, config.use_bias, config.attention_dropout) == (False, True, 0.1)
    assert (config.layer_norm_eps, config.full_attention_up_to) == (1e-12, 512)


@pytest.mark.parametrize("value", [True, False])
def test_what_is_given_counts(value):
    config = config_from_google({**SIZES, "rescale_embedding": value, "use_bias": not value})
    assert (config.scale_embedding, config.use_bias) == (value, not value)

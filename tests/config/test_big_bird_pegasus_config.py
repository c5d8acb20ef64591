import json

import pytest

from bigbird_tf import BigBirdConfig, BigBirdPegasusConfig


def test_defaults_are_those_of_the_published_models():
    config = BigBirdPegasusConfig()
    assert (config.vocab_size, config.d_model, config.max_position_embeddings) == (
        96103,
        1024,
        4096,
    )
    assert (config.encoder_layers, config.decoder_layers, config.decoder_ffn_dim) == (16, 16, 4096)
    assert (config.block_size, config.num_random_blocks, config.head_size) == (64, 3, 64)
    assert (config.use_bias, config.scale_embedding) == (False, True)
    assert (config.pad_token_id, config.eos_token_id, config.decoder_start_token_id) == (0, 1, 2)
    assert config.longest_full_attention == 704


@pytest.mark.parity
def test_fields_and_defaults_of_transformers():
    from transformers import BigBirdPegasusConfig as Theirs

    theirs = Theirs().to_dict()
    only_ours = {
        "num_global_blocks",
        "num_window_blocks",
        "random_plan",
        "inference_random_blocks",
        "full_attention_up_to",
        "gradient_checkpointing",
        "layer_norm_eps",
        "normalize_before",
        "tie_encoder_decoder",
        "num_labels",
        "problem_type",
        "pos_weight",
    }
    for name, value in BigBirdPegasusConfig().to_dict().items():
        if name in theirs:
            assert theirs[name] == value, name
        else:
            assert name in only_ours, name


def test_names_that_layers_of_all_families_read():
    config = BigBirdPegasusConfig(
        d_model=24,
        encoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=6,
        encoder_ffn_dim=7,
        activation_function="relu",
        dropout=0.2,
        attention_dropout=0.3,
        init_std=0.4,
    )
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (24, 3, 4)
    assert (config.intermediate_size, config.hidden_act) == (7, "relu")
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.2, 0.3)
    assert (config.initializer_range, config.classifier_act) == (0.4, "tanh")
    assert config.pattern_spec(5).seed == 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"d_model": 0}, "`d_model` must be a positive integer. Received: d_model=0"),
        (
            {"decoder_attention_heads": 3},
            "`d_model` must be a multiple of `decoder_attention_heads`.*d_model=1024.*heads=3",
        ),
        ({"encoder_attention_heads": 3}, "multiple of `encoder_attention_heads`"),
        ({"decoder_start_token_id": 96103}, "`decoder_start_token_id` must be below `vocab_size`"),
        ({"pad_token_id": 96103}, "`pad_token_id` must be below `vocab_size`.*=96103"),
        ({"encoder_layerdrop": 0.1}, "`encoder_layerdrop` must be 0.*encoder_layerdrop=0.1"),
        ({"decoder_layers": -1}, "`decoder_layers` must be a positive integer"),
        ({"activation_function": "swish2"}, "`activation_function` must be one of 'gelu_new'"),
        ({"activation_dropout": 1.0}, r"`activation_dropout` must be in \[0, 1\)"),
        ({"num_window_blocks": 4}, "`num_window_blocks` must be odd"),
        (
            {"tie_encoder_decoder": True, "decoder_layers": 3},
            "`encoder_layers` and `decoder_layers` must be equal.*decoder_layers=3",
        ),
        (
            {"tie_encoder_decoder": True, "encoder_ffn_dim": 3},
            "`encoder_ffn_dim` and .*encoder_ffn_dim=3",
        ),
        (
            {"tie_encoder_decoder": True, "encoder_attention_heads": 8},
            "`encoder_attention_heads` and .*encoder_attention_heads=8",
        ),
        (
            {"normalize_before": False, "activation_dropout": 0.1},
            "`activation_dropout` must be 0 with .*normalize_before=False",
        ),
    ],
)
def test_impossible_values(fields, message):
    with pytest.raises(ValueError, match=message):
        BigBirdPegasusConfig(**fields)


def test_a_config_of_the_hub(tmp_path):
    """Fields of other libraries stay, and both families refuse each other's."""
    theirs = {
        "model_type": "bigbird_pegasus",
        "architectures": ["BigBirdPegasusForConditionalGeneration"],
        "activation_function": "gelu_fast",
        "num_beams": 5,
        "length_penalty": 0.8,
        "max_length": 256,
        "encoder_layerdrop": 0.0,
    }
    (tmp_path / "config.json").write_text(json.dumps(theirs))
    config = BigBirdPegasusConfig.from_pretrained(tmp_path, dropout=0.3)
    assert (config.activation_function, config.dropout) == ("gelu_fast", 0.3)
    assert config.extra["num_beams"] == 5
    config.save_pretrained(tmp_path)
    assert theirs.items() <= json.loads((tmp_path / "config.json").read_text()).items()
    assert BigBirdPegasusConfig.from_pretrained(tmp_path) == config
    with pytest.raises(ValueError, match=r"`BigBirdConfig` reads .*='bigbird_pegasus'"):
        BigBirdConfig.from_pretrained(tmp_path)


class TestOtherNames:
    """Of `transformers`, which writes some beside the fields that they stand for."""

    def test_equal_ones_are_not_kept(self):
        fields = {"d_model": 24, "hidden_size": 24, "encoder_layers": 3, "num_hidden_layers": 3}
        fields |= {"encoder_attention_heads": 4, "decoder_attention_heads": 3}
        config = BigBirdPegasusConfig.from_dict(fields)
        assert config.extra == {}
        # Nothing is left that would contradict.
        assert config.replace(d_model=48, encoder_layers=2).d_model == 48
        changed = BigBirdPegasusConfig.from_dict(fields, encoder_layers=2)
        assert changed.encoder_layers == 2

    def test_alone_they_stand_for_the_fields(self):
        fields = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4}
        fields |= {"attention_probs_dropout_prob": 0.25, "decoder_attention_heads": 3}
        config = BigBirdPegasusConfig.from_dict(fields)
        assert (config.d_model, config.encoder_layers) == (24, 3)
        assert (config.encoder_attention_heads, config.attention_dropout) == (4, 0.25)

    def test_contradictions(self):
        fields = {"encoder_layers": 3, "num_hidden_layers": 2}
        with pytest.raises(ValueError, match="`num_hidden_layers` is another name for `encoder_l"):
            BigBirdPegasusConfig.from_dict(fields)
        with pytest.raises(ValueError, match="`extra` must not have `hidden_size`"):
            BigBirdPegasusConfig(extra={"hidden_size": 3})

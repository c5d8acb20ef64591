"""Defaults of what users call, as data: a default that changes, changes results silently."""

import inspect

import keras
import pytest

import bigbird_tf as bb
from bigbird_tf import attention, checkpoints, layers, models, nn

EMPTY = inspect.Parameter.empty
PATTERN = {
    "block_size": 64,
    "num_random_blocks": 3,
    "num_window_blocks": 3,
    "num_global_blocks": 2,
    "seed": 0,
    "random_plan": "google",
    "max_length": 4096,
}
PROJECTIONS = {
    "dropout": 0.0,
    "use_bias": True,
    "use_output_bias": None,
    "kernel_initializer": "glorot_uniform",
    "bias_initializer": "zeros",
}
HUB = {"revision": None, "cache_dir": None, "token": None, "local_files_only": False}
CALL = {"training": None}
MASKED = {"attention_mask": None, "training": None}
ATTENTION_CALL = {
    "value": None,
    "key": None,
    **MASKED,
    "return_attention_scores": False,
    "use_causal_mask": False,
    "query_mask": None,
    "mask": None,
    "dropout_seed": None,
    "global_bias": None,
    "global_membership": None,
}
STACK_CALL = {**MASKED, "output_hidden_states": False, "output_attentions": False}
BLOCK_CALL = {**MASKED, "seeds": None, "return_attention_scores": False}
CACHE_CALL = dict.fromkeys(("cache", "index", "memory", "memory_mask"))
DECODER_CALL = {**MASKED, "encoder_states": None, "encoder_mask": None}
# By class or function: the defaults of its constructor; by `name.method` those of the method.
# Constructors and calls that are not listed have none.
DEFAULTS = {
    "BlockSparseAttention": {
        **PATTERN,
        **PROJECTIONS,
        "attention_type": "block_sparse",
        "inference_random_blocks": "seeded",
        "full_attention_up_to": None,
        "relative_pos_max_distance": 0,
        "num_side_blocks": 0,
    },
    "BlockSparseAttention.call": ATTENTION_CALL,
    "BlockSparseAttention.pattern": {"training": False, "use_causal_mask": False},
    "BlockPattern": {"is_causal": False, "side_blocks": None},
    "BlockPattern.build": {**PATTERN, "first_block": False, "is_causal": False},
    "BlockPattern.of": {"training": False},
    "CausalAttention": {"attention_type": "original_full"},
    "CausalAttention.call": ATTENTION_CALL,
    "CausalAttention.call_with_cache": {"attention_mask": None, "cache": None, "index": None},
    "CrossAttention": PROJECTIONS,
    "CrossAttention.call": {**MASKED, "return_attention_scores": False, "dropout_seed": None},
    "PatternSpec": {
        "block_size": 64,
        "num_global_start": 1,
        "num_global_end": 1,
        "window_before": 1,
        "window_after": 1,
        "num_random_blocks": 3,
        "random_plan": "google",
        "inference_random_blocks": "seeded",
        "full_attention_up_to": None,
        "max_length": 4096,
        "seed": 0,
        "is_causal": False,
        "relative_pos_max_distance": 0,
        "num_side_blocks": 0,
    },
    "PatternSpec.from_arguments": {"num_window_blocks": 3, "num_global_blocks": 2},
    "BigBirdEmbeddings.call": {"token_type_ids": None, "position_ids": None, "training": None},
    "ClassificationHead.call": CALL,
    "Decoder.call": DECODER_CALL,
    "Decoder.call_with_cache": CACHE_CALL,
    "DecoderBlock.call_with_cache": CACHE_CALL,
    "DecoderBlock.call": {**DECODER_CALL, "seeds": None},
    "Encoder.call": {**STACK_CALL, "global_bias": None, "global_membership": None},
    "Encoder.call_with_cache": {"attention_mask": None, "cache": None, "index": None},
    "EncoderBlock": {"layer_index": 0},
    "EncoderBlock.call": {**BLOCK_CALL, "global_bias": None, "global_membership": None},
    "EtcEncoder.call": {
        **STACK_CALL,
        "global_inputs": None,
        "global_mask": None,
        "global_membership": None,
    },
    "FeedForward": {"intermediate_size": None},
    "FeedForward.call": {"residual": None, "training": None, "seed": None},
    "LinearHead.call": CALL,
    "PreNormEncoder.call": STACK_CALL,
    "PreNormEncoderBlock": {"layer_index": 0},
    "PreNormEncoderBlock.call": BLOCK_CALL,
    "PreNormFeedForward": {"activation_dropout": 0.0},
    "PreNormFeedForward.call": {"training": None, "seeds": None},
    "QuestionAnsweringHead.call": CALL,
    "ScaledEmbeddings.call": {"position_ids": None, "training": None},
    "VocabularyHead": {"use_bias": True},
    "Dense.call": CALL,
    "Dropout.call": {"training": False, "seed": None},
    "ReversibleEmbedding.call": {"reverse": False},
    "BigBirdModel": {"add_pooling_layer": True},
    "BigBirdModel.call": {
        "training": None,
        "output_hidden_states": False,
        "output_attentions": False,
    },
    "BigBirdForSentenceEmbedding": {
        "pooling_mode": "mean",
        "normalize": False,
        "max_seq_length": None,
        "prompt": None,
    },
    "lengthen": {"max_position_embeddings": 4096, **HUB},
}
# Of all models.
METHODS = {
    "call": CALL,
    "compile": {
        "optimizer": "auto",
        "loss": "auto",
        "loss_weights": None,
        "metrics": "auto",
        "weighted_metrics": "auto",
    },
    "export": {"format": "tf_saved_model", "verbose": None, "input_signature": None},
    "from_pretrained": {**HUB, "ignore_mismatched_sizes": False, "dtype": None},
    "push_to_hub": {"private": None, "token": None},
    "quantize": {"mode": None, "config": None, "filters": None},
    "save_pretrained": {"dtype": None},
    "enable_lora": {},
    "extend_positions": {},
}
ROOMS = (attention, layers, nn, models, checkpoints)
PUBLIC = {name: getattr(room, name) for room in ROOMS for name in room.__all__}


def defaults(function) -> dict:
    """Those of a function; of a constructor that is Keras' own, none of ours."""
    if not getattr(inspect.unwrap(function), "__module__", "").startswith("bigbird_tf"):
        return {}
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not EMPTY}


@pytest.mark.parametrize("name", PUBLIC)
def test_defaults(name):
    made = PUBLIC[name]
    if inspect.isfunction(made):
        assert defaults(made) == DEFAULTS.get(name, {})
        return
    constructor = made if not issubclass(made, keras.layers.Layer) else made.__init__
    assert defaults(constructor) == DEFAULTS.get(name, {})
    listed = {key.partition(".")[2]: key for key in DEFAULTS if key.startswith(f"{name}.")}
    methods = dict(METHODS) if name in models.__all__ else {"call": {}}
    methods |= {method: DEFAULTS[key] for method, key in listed.items()}
    for method, expected in methods.items():
        if hasattr(made, method):
            found = inspect.getattr_static(made, method)
            function = getattr(found, "__func__", found)
            assert defaults(function) == expected, method


def test_none_is_listed_in_vain():
    assert {key.partition(".")[0] for key in DEFAULTS} <= {*PUBLIC}
    for key in DEFAULTS:
        name, _, method = key.partition(".")
        assert not method or hasattr(PUBLIC[name], method), key


@pytest.mark.parametrize("config_class", [bb.BigBirdConfig, bb.BigBirdPegasusConfig])
def test_configs(config_class):
    assert defaults(inspect.getattr_static(config_class, "from_pretrained").__func__) == HUB
    assert defaults(config_class.pattern_spec) == {"layer_index": 0}

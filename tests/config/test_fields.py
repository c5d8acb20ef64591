"""Every field of both configs as data: its default, and the edges of what it takes."""

import dataclasses
import json

import numpy as np
import pytest

from bigbird_tf import hub
from bigbird_tf.config import (
    ACTIVATIONS,
    BigBirdConfig,
    BigBirdPegasusConfig,
    config_of_any_family,
)

# What `transformers` 5.24 has as defaults, written down; then what is ours.
BIG_BIRD = {
    "vocab_size": 50358,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu_new",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 4096,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "sep_token_id": 66,
    "attention_type": "block_sparse",
    "use_bias": True,
    "rescale_embeddings": False,
    "tie_word_embeddings": True,
    "block_size": 64,
    "num_random_blocks": 3,
    "classifier_dropout": None,
    "classifier_act": None,
    "is_decoder": False,
    "num_labels": 2,
    "id2label": None,
    "label2id": None,
    "problem_type": None,
    "pos_weight": None,
    "num_global_blocks": 2,
    "num_window_blocks": 3,
    "random_plan": "google",
    "inference_random_blocks": "seeded",
    "full_attention_up_to": None,
    "construction": "itc",
    "num_global_tokens": 0,
    "global_reads": "all",
    "position_embedding_type": "absolute",
    "relative_pos_max_distance": 12,
    "causal_attention_type": "original_full",
    "gradient_checkpointing": False,
    "extra": {},
}
PEGASUS = {
    "vocab_size": 96103,
    "d_model": 1024,
    "encoder_layers": 16,
    "decoder_layers": 16,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "activation_function": "gelu_new",
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "classifier_dropout": 0.0,
    "max_position_embeddings": 4096,
    "init_std": 0.02,
    "layer_norm_eps": 1e-5,
    "scale_embedding": True,
    "use_bias": False,
    "tie_word_embeddings": True,
    "normalize_before": True,
    "tie_encoder_decoder": False,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "decoder_start_token_id": 2,
    "is_encoder_decoder": True,
    "is_decoder": False,
    "num_labels": 2,
    "id2label": None,
    "label2id": None,
    "problem_type": None,
    "pos_weight": None,
    "attention_type": "block_sparse",
    "block_size": 64,
    "num_random_blocks": 3,
    "num_global_blocks": 2,
    "num_window_blocks": 3,
    "random_plan": "google",
    "inference_random_blocks": "seeded",
    "full_attention_up_to": None,
    "gradient_checkpointing": False,
    "extra": {},
}
DEFAULTS = {BigBirdConfig: BIG_BIRD, BigBirdPegasusConfig: PEGASUS}

PLANS = ("google", "transformers")
KINDS_OF_LABELS = ("single_label_classification", "multi_label_classification", "regression")
NAMES_OF_ACTIVATIONS = (
    "gelu_new", "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_python",
    "gelu_python_tanh", "gelu_pytorch_tanh", "hardswish", "laplace", "leaky_relu", "linear",
    "mish", "quick_gelu", "relu", "relu2", "relu6", "sigmoid", "silu", "sqrtsoftplus", "swish",
    "tanh",
)  # fmt: skip
# Of each kind of field: values that are kept, values that are refused, and what the error says.
POSITIVE = ((1, 7), (0, -1, 1.0, True, None), "a positive integer")
COUNT = ((0, 7), (-1, 0.0, False, None), "an integer, 0 or more")
COUNT_OR_NONE = ((None, 0, 7), (-1, 0.5), "an integer, 0 or more")
IDS = ((None, 0, (5, 0)), (-1, (1, -1), (1, None)), "an integer, 0 or more")
RATE = ((0.0, 0.999), (-1e-9, 1.0, 1, True, None, float("nan")), r"in \[0, 1\)")
RATE_OR_NONE = ((None, *RATE[0]), (-1e-9, 1.0, True), r"in \[0, 1\)")
NUMBER = ((1e-30, 2.5), (0.0, -1e-30, float("inf"), True, None), "a positive number")
FLAG = ((True, False), (1, 0, None, "True"), "True or False")


def one_of(*choices):
    return choices, ("other", *(() if None in choices else (None,))), "one of"


ACTIVATION = one_of(*NAMES_OF_ACTIVATIONS)
SHARED = {
    "vocab_size": POSITIVE,
    "max_position_embeddings": POSITIVE,
    "layer_norm_eps": NUMBER,
    # Without one, 0: there has to be one.
    "pad_token_id": ((0, 7), (-1, 1.0), "an integer, 0 or more"),
    "bos_token_id": COUNT_OR_NONE,
    "eos_token_id": IDS,
    "attention_type": one_of("block_sparse", "original_full", "simulated_sparse"),
    "use_bias": FLAG,
    "tie_word_embeddings": FLAG,
    "block_size": POSITIVE,
    "num_random_blocks": COUNT,
    "is_decoder": FLAG,
    "num_labels": POSITIVE,
    "id2label": ((None,), (5, [1]), "a dictionary or None"),
    "label2id": ((None,), (5, [1]), "a dictionary or None"),
    "problem_type": one_of(None, *KINDS_OF_LABELS),
    "pos_weight": ((None, 8.0, (0.5, 3.0)), (0.0, -1.0, True, (1.0, 0.0), (1.0,), ()), ""),
    "num_global_blocks": ((0, 1, (0, 2), (3, 0)), (-1, 1.0, (1,), (1, 1, 1), (1, -1)), ""),
    "num_window_blocks": ((1, 5, (0, 2), (3, 0)), (0, 2, (1,), (0, 0, 0), (-1, 0)), ""),
    "random_plan": one_of(*PLANS),
    "inference_random_blocks": one_of("seeded", "first_block"),
    "full_attention_up_to": COUNT_OR_NONE,
    "gradient_checkpointing": FLAG,
    "extra": (({}, {"a": [1]}), ([1], None, {"block_size": 1}, {"model_type": "x"}), ""),
}
EDGES = {
    BigBirdConfig: {
        **SHARED,
        "hidden_size": POSITIVE,
        "num_hidden_layers": COUNT,
        "num_attention_heads": POSITIVE,
        "intermediate_size": POSITIVE,
        "hidden_act": ACTIVATION,
        "hidden_dropout_prob": RATE,
        "attention_probs_dropout_prob": RATE,
        "type_vocab_size": POSITIVE,
        "initializer_range": NUMBER,
        "sep_token_id": COUNT_OR_NONE,
        "rescale_embeddings": FLAG,
        "classifier_dropout": RATE_OR_NONE,
        "classifier_act": one_of(None, *NAMES_OF_ACTIVATIONS),
        # What goes together: `test_global_tokens.py`.
        "construction": (("itc",), ("other", None), "one of 'itc', 'etc'"),
        "num_global_tokens": ((0,), (-1, 0.0, False, None), "an integer, 0 or more"),
        "global_reads": (("all",), ("other", None), "one of 'all', 'members'"),
        # Files that say none mean the first; what goes together: `test_positions.py`.
        "position_embedding_type": (
            ("absolute", "relative"),
            ("relative_key", 1),
            "must be 'absolute', a table of positions, or 'relative'",
        ),
        "relative_pos_max_distance": POSITIVE,
        "causal_attention_type": one_of("original_full", "block_sparse"),
    },
    BigBirdPegasusConfig: {
        **SHARED,
        "d_model": POSITIVE,
        "encoder_layers": COUNT,
        "decoder_layers": POSITIVE,
        "encoder_attention_heads": POSITIVE,
        "decoder_attention_heads": POSITIVE,
        "encoder_ffn_dim": POSITIVE,
        "decoder_ffn_dim": POSITIVE,
        "encoder_layerdrop": ((0.0,), (1e-9, 0.1, None), "must be 0"),
        "decoder_layerdrop": ((0.0,), (1e-9, 0.1, None), "must be 0"),
        "activation_function": ACTIVATION,
        "dropout": RATE,
        "attention_dropout": RATE,
        "activation_dropout": RATE,
        "classifier_dropout": RATE,
        "init_std": NUMBER,
        "scale_embedding": FLAG,
        "normalize_before": FLAG,
        "tie_encoder_decoder": FLAG,
        "decoder_start_token_id": COUNT,
        "is_encoder_decoder": FLAG,
    },
}
# With these, each field may be what it likes by itself.
FREE = {
    BigBirdConfig: {
        "hidden_size": 7,
        "num_attention_heads": 1,
        # Weights of labels are refused with other kinds.
        "problem_type": "multi_label_classification",
    },
    BigBirdPegasusConfig: {
        "problem_type": "multi_label_classification",
        "d_model": 7,
        "encoder_attention_heads": 1,
        "decoder_attention_heads": 1,
        "decoder_start_token_id": 0,
    },
}
CLASSES = pytest.mark.parametrize("config_class", DEFAULTS)


@CLASSES
def test_defaults(config_class):
    made = config_class()
    names = [field.name for field in dataclasses.fields(config_class)]
    assert names == list(DEFAULTS[config_class])
    found = {name: getattr(made, name) for name in names}
    assert found == DEFAULTS[config_class]
    assert {name: type(value) for name, value in found.items()} == {
        name: type(found["extra"]) if name == "extra" else type(value)
        for name, value in DEFAULTS[config_class].items()
    }


@CLASSES
def test_edges_of_each_field(config_class):
    assert {*EDGES[config_class]} == {*DEFAULTS[config_class]}
    for name, (kept, refused, message) in EDGES[config_class].items():
        for value in kept:
            made = config_class(**{**FREE[config_class], name: value})
            assert getattr(made, name) == value, (name, value)
            assert config_class.from_dict(made.to_dict()) == made
        for value in refused:
            with pytest.raises(ValueError, match=rf"`{name}` .*{message}"):
                config_class(**{**FREE[config_class], name: value})


@CLASSES
def test_sizes_that_must_fit_each_other(config_class):
    """Just so, and just not."""
    below = ["pad_token_id"]
    width, heads = "hidden_size", ["num_attention_heads"]
    if config_class is BigBirdPegasusConfig:
        below.append("decoder_start_token_id")
        width, heads = "d_model", ["encoder_attention_heads", "decoder_attention_heads"]
    free = FREE[config_class]
    for name in below:
        assert getattr(config_class(**{**free, "vocab_size": 9, name: 8}), name) == 8
        with pytest.raises(ValueError, match=rf"`{name}` must be below .*{name}=9, vocab_size=9"):
            config_class(**{**free, "vocab_size": 9, name: 9})
    for name in heads:
        made = config_class(**{**free, width: 12, name: 12})
        assert getattr(made, name) == 12
        with pytest.raises(ValueError, match=rf"multiple of `{name}`.*{width}=12, {name}=8"):
            config_class(**{**free, width: 12, name: 8})


@CLASSES
def test_each_field_reaches_the_pattern(config_class):
    fields = {
        "block_size": 8,
        "num_random_blocks": 2,
        "num_window_blocks": (1, 4),
        "num_global_blocks": (5, 7),
        "random_plan": "transformers",
        "inference_random_blocks": "first_block",
        "full_attention_up_to": 333,
        "max_position_embeddings": 67,
    }
    heads = {BigBirdConfig: {"num_attention_heads": 3, "hidden_size": 21}}.get(
        config_class, {"encoder_attention_heads": 3, "decoder_attention_heads": 7, "d_model": 21}
    )
    config = config_class(**fields, **heads)
    assert dataclasses.asdict(config.pattern_spec(6)) == {
        "num_heads": 3,
        "block_size": 8,
        "num_random_blocks": 2,
        "window_before": 1,
        "window_after": 4,
        "num_global_start": 5,
        "num_global_end": 7,
        "random_plan": "transformers",
        "inference_random_blocks": "first_block",
        "full_attention_up_to": 333,
        "max_length": 67,
        "seed": 6,
        "is_causal": False,
        # Of relative positions: `test_positions.py`.
        "relative_pos_max_distance": 0,
        "num_side_blocks": 0,
    }
    assert config.pattern_spec().seed == 0
    assert config.head_size == 7


def test_weights_of_labels():
    """They act on labels that stand by themselves alone, and there are as many."""
    labels = {"problem_type": "multi_label_classification", "num_labels": 3}
    for config_class in DEFAULTS:
        made = config_class(pos_weight=[1, 2.5, 8], **labels)
        assert made.pos_weight == (1.0, 2.5, 8.0)
        assert json.loads(json.dumps(made.to_dict()))["pos_weight"] == [1.0, 2.5, 8.0]
        assert made.replace(pos_weight=8).pos_weight == 8.0
        with pytest.raises(ValueError, match="`pos_weight` must be one number, or one for each"):
            made.replace(num_labels=4)
        for kind in (None, "regression", "single_label_classification"):
            with pytest.raises(ValueError, match="`pos_weight` is of labels that stand by"):
                config_class(pos_weight=8.0, problem_type=kind)


def test_activations():
    assert ACTIVATIONS == NAMES_OF_ACTIVATIONS


def test_padding_without_an_id_has_the_first():
    for config_class in DEFAULTS:
        assert config_class(pad_token_id=None).pad_token_id == 0


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        # Pairs that are what a number says are that number.
        ("num_window_blocks", (2, 2), 5),
        ("num_window_blocks", [0, 0], 1),
        ("num_window_blocks", (2, 1), (2, 1)),
        ("num_global_blocks", (0, 0), 0),
        ("num_global_blocks", (1, 0), 1),
        ("num_global_blocks", [2, 2], 4),
        ("num_global_blocks", (3, 2), 5),
        ("num_global_blocks", (3, 1), (3, 1)),
        ("num_global_blocks", (1, 2), (1, 2)),
        ("num_labels", np.int32(3), 3),
        ("layer_norm_eps", 1, 1.0),
    ],
)
def test_one_form_of_each_value(name, given, kept):
    found = getattr(BigBirdConfig(**{name: given}), name)
    assert (found, type(found)) == (kept, type(kept))


def test_all_options_of_the_hub_reach_it(tmp_path, monkeypatch):
    """And those alone: the others are fields."""
    asked = []
    config_class = BigBirdPegasusConfig
    config_class().save_pretrained(tmp_path)

    def find_file(name_or_path, filename, **options):
        asked.append((name_or_path, filename, options))
        return tmp_path / filename

    monkeypatch.setattr(hub, "find_file", find_file)
    options = {"revision": "v2", "cache_dir": "here", "token": "hf_x", "local_files_only": True}
    config = config_of_any_family("someone/model", **options, d_model=32)
    assert config == config_class(d_model=32)
    assert asked == [("someone/model", "config.json", options)] * 2


@CLASSES
def test_the_file_is_for_readers(tmp_path, config_class):
    """Sorted, a field a line, in UTF-8."""
    config = config_class(extra={"author": "Zoë"}, eos_token_id=[3, 1])
    config.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_bytes().decode("utf-8")
    fields = {**config.to_dict(), "model_type": config_class.model_type}
    assert text == json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert '\n  "author": "Zoë",\n' in text
    assert fields["eos_token_id"] == [3, 1]
    # Labels that nobody named are left to who reads it.
    assert not {"id2label", "label2id", "extra"} & {*fields}
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]

import json

import numpy as np
import pytest

from bigbird_tf import BigBirdConfig


def test_defaults_are_those_of_the_published_models():
    config = BigBirdConfig()
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (
        768,
        12,
        12,
    )
    assert (config.block_size, config.num_random_blocks, config.head_size) == (64, 3, 64)
    assert (config.attention_type, config.hidden_act) == ("block_sparse", "gelu_new")
    assert (config.vocab_size, config.sep_token_id, config.max_position_embeddings) == (
        50358,
        66,
        4096,
    )
    assert (config.random_plan, config.inference_random_blocks) == ("google", "seeded")


@pytest.mark.parity
def test_fields_and_defaults_of_transformers():
    from transformers import BigBirdConfig as Theirs

    theirs = Theirs().to_dict()
    ours = BigBirdConfig().to_dict()
    only_ours = {
        "num_global_blocks",
        "num_window_blocks",
        "construction",
        "num_global_tokens",
        "global_reads",
        "position_embedding_type",
        "relative_pos_max_distance",
        "random_plan",
        "inference_random_blocks",
        "full_attention_up_to",
        "causal_attention_type",
        "gradient_checkpointing",
        "classifier_act",
        "num_labels",
        "problem_type",
        "pos_weight",
    }
    for name, value in ours.items():
        if name in theirs:
            assert theirs[name] == value, name
        else:
            assert name in only_ours, name


@pytest.mark.parametrize(
    ("fields", "longest"),
    [
        ({}, 704),
        ({"block_size": 16, "num_random_blocks": 2}, 144),
        ({"num_random_blocks": 0, "num_window_blocks": 5, "num_global_blocks": 3}, 512),
        ({"num_random_blocks": 0, "num_window_blocks": (4, 1), "num_global_blocks": (0, 3)}, 576),
        ({"full_attention_up_to": 512}, 512),
        ({"full_attention_up_to": 0}, 128),
        ({"full_attention_up_to": 100, "num_global_blocks": 0}, 100),
    ],
)
def test_longest_full_attention(fields, longest):
    assert BigBirdConfig(**fields).longest_full_attention == longest


@pytest.mark.parametrize(
    "name",
    [
        "vocab_size",
        "hidden_size",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
        "block_size",
        "num_labels",
        "num_window_blocks",
    ],
)
@pytest.mark.parametrize("value", [0, -3, 2.0, "7", None, True])
def test_positive_integers(name, value):
    with pytest.raises(
        ValueError, match=rf"`{name}` must be a positive .*Received: {name}={value!r}"
    ):
        BigBirdConfig(**{name: value})


@pytest.mark.parametrize("name", ["num_hidden_layers", "num_random_blocks", "num_global_blocks"])
def test_integers(name):
    assert getattr(BigBirdConfig(**{name: 0}), name) == 0
    with pytest.raises(ValueError, match=rf"`{name}` must be an integer.*Received: {name}=-1"):
        BigBirdConfig(**{name: -1})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"hidden_size": 100, "num_attention_heads": 12},
            "`hidden_size` must be a multiple of `num_attention_heads`.*hidden_size=100.*heads=12",
        ),
        ({"num_window_blocks": 4}, "`num_window_blocks` must be odd.*num_window_blocks=4"),
        ({"pad_token_id": 50358}, "`pad_token_id` must be below `vocab_size`.*=50358"),
        ({"bos_token_id": -1}, "`bos_token_id` must be an integer, 0 or more"),
        ({"hidden_dropout_prob": 1.0}, r"`hidden_dropout_prob` must be in \[0, 1\).*1.0"),
        ({"hidden_dropout_prob": None}, "`hidden_dropout_prob` must be in"),
        ({"attention_probs_dropout_prob": -0.1}, "`attention_probs_dropout_prob` must be in"),
        ({"classifier_dropout": "0.1"}, "`classifier_dropout` must be in"),
        ({"initializer_range": 0}, "`initializer_range` must be a positive number"),
        ({"layer_norm_eps": -1e-12}, "`layer_norm_eps` must be a positive number"),
        ({"layer_norm_eps": float("nan")}, "`layer_norm_eps` must be a positive number"),
        ({"initializer_range": float("inf")}, "`initializer_range` must be a positive number"),
        ({"hidden_dropout_prob": False}, "`hidden_dropout_prob` must be in"),
        ({"use_bias": "no"}, "`use_bias` must be True or False. Received: use_bias='no'"),
        ({"is_decoder": None}, "`is_decoder` must be True or False"),
        ({"rescale_embeddings": 1}, "`rescale_embeddings` must be True or False"),
        ({"gradient_checkpointing": 2}, "`gradient_checkpointing` must be True or False"),
        ({"eos_token_id": [2, "x"]}, "`eos_token_id` must be an integer, 0 or more"),
        ({"sep_token_id": [2]}, "`sep_token_id` must be an integer, 0 or more"),
        ({"extra": [1]}, "`extra` must be a dictionary"),
        ({"extra": {"block_size": 8}}, "Received: 'block_size' in extra. Pass `block_size` beside"),
        ({"extra": {"shape": {1, 2}}}, "`extra` must be what JSON can hold"),
        ({"id2label": 5}, "`id2label` must be a dictionary or None. Received: id2label=5"),
        ({"label2id": ["no", "yes"]}, "`label2id` must be a dictionary or None"),
        ({"attention_type": "full"}, "`attention_type` must be one of 'block_sparse', .*'full'"),
        ({"random_plan": "hf"}, "`random_plan` must be one of 'google', 'transformers'"),
        ({"inference_random_blocks": None}, "`inference_random_blocks` must be one of"),
        ({"hidden_act": "swish2"}, "`hidden_act` must be one of 'gelu_new'"),
        ({"hidden_act": ["gelu"]}, "`hidden_act` must be one of"),
        ({"problem_type": "ranking"}, "`problem_type` must be one of None, 'single_label"),
        ({"full_attention_up_to": -1}, "`full_attention_up_to` must be an integer"),
        ({"num_labels": 3, "id2label": {0: "a"}}, "`num_labels` must be the number of labels"),
    ],
)
def test_impossible_values(fields, message):
    with pytest.raises(ValueError, match=message):
        BigBirdConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"position_embedding_type": "relative_key"},
            "`position_embedding_type` must be 'absolute'.*='relative_key'",
        ),
        (
            {"is_decoder": True, "add_cross_attention": True},
            "`add_cross_attention` must be False.*=True",
        ),
        ({"hidden_act": "xielu"}, "`hidden_act` must be one of 'gelu_new', .*='xielu'"),
        ({"tie_word_embeddings": 0}, "`tie_word_embeddings` must be True or False"),
    ],
)
def test_fields_of_a_file_that_would_not_be_obeyed(tmp_path, fields, message):
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=message):
        BigBirdConfig.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=message):
        BigBirdConfig().from_dict(fields)


def test_fields_of_a_file_that_say_what_is_so():
    extra = {"position_embedding_type": "absolute", "add_cross_attention": False}
    config = BigBirdConfig.from_dict(extra)
    assert {**config.to_dict(), **extra} == config.to_dict()
    # One is a field, and the other is kept beside them; none is what files of old have.
    assert config.extra == {"add_cross_attention": False}
    assert BigBirdConfig.from_dict({"position_embedding_type": None}) == BigBirdConfig()


def test_changed_to_something_impossible():
    with pytest.raises(ValueError, match=r"`block_size` must be a positive .*block_size=0"):
        BigBirdConfig().replace(block_size=0)


def test_labels():
    config = BigBirdConfig(id2label={"0": "no", "1": "yes", "2": "maybe"})
    assert config.num_labels == 3
    assert config.id2label == {0: "no", 1: "yes", 2: "maybe"}
    assert config.label2id == {"no": 0, "yes": 1, "maybe": 2}
    assert BigBirdConfig(label2id={"yes": 1, "no": 0}) == BigBirdConfig(
        id2label={0: "no", 1: "yes"}
    )
    assert BigBirdConfig.from_dict(config.to_dict()) == config
    # Names of another number of labels mean nothing.
    assert config.replace(num_labels=2).id2label is None
    assert config.replace(num_labels=3).id2label == config.id2label
    assert config.replace(num_hidden_layers=1).id2label == config.id2label
    assert config.replace(id2label=None).id2label is None
    assert config.replace(id2label=None).num_labels == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 1, "yes": 0}},
            "`label2id` must be the reverse of `id2label`.*One of them is enough",
        ),
        (
            {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0}},
            "`label2id` must be the reverse of `id2label`",
        ),
        ({"id2label": {0: "no", 2: "yes"}}, r"ids must be 0, 1, 2, … .* Received: \[0, 2\]"),
        ({"label2id": {"no": 1, "yes": 2}}, r"ids must be 0, 1, 2, … .* Received: \[1, 2\]"),
        ({"label2id": {"no": 0, "yes": 0}}, "`label2id` must have an id for each label"),
        ({"id2label": {0: "no", 1: "no"}}, "Labels must have different names.*'no', 'no'"),
        ({"id2label": {"a": "no"}}, "The ids in `id2label` must be integers"),
        ({"label2id": {"no": 0.5}}, "The ids in `label2id` must be integers"),
        ({"id2label": {}}, "The labels' ids must be 0, 1, 2"),
        ({"num_labels": 2, "label2id": {"a": 0}}, "num_labels=2, 1 labels.*The names are enough"),
        ({"num_labels": 2, "label2id": {"a": 0}}, "the number of labels in `label2id`"),
        ({"id2label": {"0": "no", 0: "yes"}}, "`id2label` must have a label for each id"),
    ],
)
def test_labels_that_contradict_each_other(fields, message):
    with pytest.raises(ValueError, match=message):
        BigBirdConfig(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}},
        {"label2id": {"a": 0, "b": 1, "c": 2}, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}},
    ],
)
def test_names_that_nobody_gave(fields):
    """`transformers` writes them beside names of one kind alone."""
    assert BigBirdConfig(**fields) == BigBirdConfig(id2label={0: "a", 1: "b", 2: "c"})


THREE = {0: "a", 1: "b", 2: "c"}


@pytest.mark.parametrize(
    ("file", "overrides", "expected"),
    [
        # The names decide how many there are; the file's number and names are of another task.
        ({"num_labels": 2}, {"id2label": THREE}, THREE),
        ({}, {"label2id": {"a": 0, "b": 1, "c": 2}}, THREE),
        ({"id2label": {"0": "x", "1": "y"}}, {"label2id": {"a": 0, "b": 1, "c": 2}}, THREE),
        ({"id2label": {"0": "x"}, "label2id": {"x": 0}}, {"id2label": THREE}, THREE),
        ({"label2id": {"a": 0, "b": 1, "c": 2}}, {}, THREE),
        # A stale number.
        ({"num_labels": 2, "id2label": {"0": "a", "1": "b", "2": "c"}}, {"num_labels": 3}, THREE),
        ({"num_labels": 2, "id2label": {"0": "a", "1": "b", "2": "c"}}, {"id2label": THREE}, THREE),
        ({"num_labels": 2, "id2label": {"0": "a", "1": "b", "2": "c"}}, {"num_labels": 2}, None),
        ({"id2label": ["a"]}, {"num_labels": 2}, None),
    ],
)
def test_labels_of_file_and_overrides(tmp_path, file, overrides, expected):
    (tmp_path / "config.json").write_text(json.dumps(file))
    loaded = BigBirdConfig.from_pretrained(tmp_path, **overrides)
    assert loaded.id2label == expected
    assert loaded.num_labels == (3 if expected else 2)


@pytest.mark.parametrize(
    ("file", "overrides"),
    [
        ({"hidden_act": "xielu"}, {"hidden_act": "gelu"}),
        ({"hidden_size": 100}, {"num_attention_heads": 10}),
        ({"pad_token_id": 50358}, {"vocab_size": 50359}),
        ({"num_window_blocks": 4}, {"num_window_blocks": 5}),
    ],
)
def test_overrides_mend_a_bad_file(tmp_path, file, overrides):
    (tmp_path / "config.json").write_text(json.dumps(file))
    (name,) = file
    with pytest.raises(ValueError, match=rf"config\.json is no config.*`{name}` must be.*replace"):
        BigBirdConfig.from_pretrained(tmp_path)
    loaded = BigBirdConfig.from_pretrained(tmp_path, **overrides)
    assert loaded == BigBirdConfig(**{**file, **overrides})


def test_numbers_of_numpy_are_kept_as_pythons():
    made = BigBirdConfig(
        vocab_size=np.int64(101), hidden_dropout_prob=np.float32(0.25), eos_token_id=(np.int32(2),)
    )
    assert made == BigBirdConfig(vocab_size=101, hidden_dropout_prob=0.25, eos_token_id=[2])
    assert json.loads(json.dumps(made.to_dict()))["eos_token_id"] == [2]


def test_sides_of_a_pattern_survive_json():
    made = BigBirdConfig(num_window_blocks=(2, 0), num_global_blocks=[1, 3])
    fields = json.loads(json.dumps(made.to_dict()))
    assert (fields["num_window_blocks"], fields["num_global_blocks"]) == ([2, 0], [1, 3])
    again = BigBirdConfig.from_dict(fields)
    assert again == made
    assert hash(again) == hash(made)
    spec = again.pattern_spec()
    assert (spec.window_before, spec.window_after) == (2, 0)
    assert (spec.num_global_start, spec.num_global_end) == (1, 3)


def test_file_round_trip(tmp_path):
    config = BigBirdConfig(
        hidden_size=42,
        num_attention_heads=3,
        id2label={0: "no", 1: "yes", 2: "both"},
        full_attention_up_to=512,
        layer_norm_eps=1e-6,
        extra={"some_other_field": {"nested": [1, None, "é"]}},
    )
    assert config.extra == {"some_other_field": {"nested": [1, None, "é"]}}
    config.save_pretrained(tmp_path / "new" / "folder")
    stored = json.loads((tmp_path / "new/folder/config.json").read_text())
    assert stored["model_type"] == "big_bird"
    assert stored["some_other_field"] == {"nested": [1, None, "é"]}
    loaded = BigBirdConfig.from_pretrained(tmp_path / "new/folder")
    assert loaded == config
    other = BigBirdConfig.from_pretrained(tmp_path / "new/folder", block_size=16, num_labels=2)
    assert (other.block_size, other.num_labels, other.hidden_size) == (16, 2, 42)


@pytest.mark.parity
def test_transformers_reads_ours_and_ours_reads_theirs(tmp_path):
    from transformers import BigBirdConfig as Theirs

    Theirs(hidden_size=42, num_attention_heads=3, num_labels=5).save_pretrained(tmp_path / "theirs")
    ours = BigBirdConfig.from_pretrained(tmp_path / "theirs")
    assert (ours.hidden_size, ours.num_labels) == (42, 5)
    BigBirdConfig(hidden_size=42, num_attention_heads=3, num_labels=5).save_pretrained(tmp_path)
    theirs = Theirs.from_pretrained(tmp_path)
    assert (theirs.hidden_size, theirs.num_labels, theirs.block_size) == (42, 5, 64)


def test_directory_without_config(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"has no 'config.json'.*model.safetensors"):
        BigBirdConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{not json", "JSON"),
        ("[1, 2]", "JSON"),
        ('{"model_type": "bert"}', r"config\.json is no config of ours.*model_type='bert'"),
        ('{"extra": [1]}', "`extra` must be a dictionary"),
        ('{"model_type": "big_bird", "block_size": 0}', "`block_size`"),
    ],
)
def test_config_files_that_are_something_else(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        BigBirdConfig.from_pretrained(tmp_path)

"""Forms in which BigBird-Pegasus' checkpoints come, and what is stored besides the weights."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

from bigbird_tf import (
    BigBirdPegasusForCausalLM,
    BigBirdPegasusForConditionalGeneration,
    BigBirdPegasusForSequenceClassification,
    BigBirdPegasusModel,
)
from bigbird_tf.checkpoints import transformers_format
from bigbird_tf.checkpoints.big_bird_names import BIG_BIRD_NAMES
from bigbird_tf.checkpoints.big_bird_pegasus_names import BIG_BIRD_PEGASUS_NAMES
from tests.contract import randomize, tiny_pegasus_config

WORDS = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
CLASSES = {
    "BigBirdPegasusForConditionalGeneration": BigBirdPegasusForConditionalGeneration,
    "BigBirdPegasusModel": BigBirdPegasusModel,
    "BigBirdPegasusForSequenceClassification": BigBirdPegasusForSequenceClassification,
    "BigBirdPegasusForCausalLM": BigBirdPegasusForCausalLM,
}


class Tensors(dict):
    """A checkpoint in memory."""

    source = "a file"

    def shape(self, name):
        return self[name].shape

    def dtype(self, name):
        return self[name].dtype.name


@pytest.fixture(scope="module")
def model():
    model = BigBirdPegasusForConditionalGeneration(tiny_pegasus_config())
    randomize(model)
    return model


@pytest.fixture(scope="module")
def target():
    return BigBirdPegasusForConditionalGeneration(tiny_pegasus_config())


@pytest.fixture(scope="module")
def tensors(model):
    return {name: e.read() for name, e in transformers_format.tensor_table(model).items()}


def load(target, tensors):
    """Loads without a warning, and returns the table's tensors."""
    randomize(target, seed=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transformers_format.load(target, Tensors(tensors))
    return {name: e.read() for name, e in transformers_format.tensor_table(target).items()}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("stored", [*((name,) for name in WORDS), WORDS[1:], WORDS])
def test_words_under_any_of_their_names(target, tensors, stored):
    words = tensors["model.shared.weight"]
    others = {name: array for name, array in tensors.items() if name != "model.shared.weight"}
    assert_same(load(target, {**others, **{f"model.{name}": words for name in stored}}), tensors)
    # As a checkpoint of the model without a head is: no prefix.
    names = {name.removeprefix("model."): array for name, array in others.items()}
    assert_same(load(target, {**names, **dict.fromkeys(stored, words)}), tensors)


def test_words_that_are_missing(target, tensors):
    others = {name: array for name, array in tensors.items() if name != "model.shared.weight"}
    with pytest.raises(ValueError, match=r"missing: model\.shared\.weight\.$"):
        load(target, others)


@pytest.mark.parametrize("name", WORDS)
def test_words_of_which_one_differs(target, tensors, name):
    words = tensors["model.shared.weight"]
    copies = {f"model.{other}": words for other in WORDS}
    other = {f"model.{name}": words + np.eye(*words.shape, dtype="float32")}
    with pytest.raises(ValueError, match=r"embed_tokens\.weight.* must be equal to model\.shared"):
        load(target, {**tensors, **copies, **other})


def test_a_bias_that_is_missing_is_zero_and_no_more(target, tensors):
    target.head.bias.assign(np.zeros(53))
    others = {name: array for name, array in tensors.items() if name != "final_logits_bias"}
    match = transformers_format.match_tensors(target, Tensors(others))
    assert (match.fresh, match.left_out, match.problems) == ([], [], [])
    assert set(match.fitting) == set(others)
    # All others are needed.
    for name in ("model.decoder.layers.0.fc1.bias", "model.encoder.layernorm_embedding.weight"):
        fewer = {other: array for other, array in tensors.items() if other != name}
        (problem,) = transformers_format.match_tensors(target, Tensors(fewer)).problems
        assert problem == f"missing: {name}"


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("name", CLASSES)
def test_what_is_stored_besides(name, is_tied, tmp_path):
    """Where words are not tied, theirs has a table for each stack, and reads one of its own."""
    model = CLASSES[name](tiny_pegasus_config(tie_word_embeddings=is_tied))
    randomize(model)
    model.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    table = transformers_format.tensor_table(model)
    prefix = "" if name == "BigBirdPegasusModel" else "model."
    if name == "BigBirdPegasusForCausalLM":
        expected = {"lm_head.weight"} if is_tied else set()
        words = stored["model.decoder.embed_tokens.weight"]
    else:
        expected = set() if is_tied else {f"{prefix}{other}" for other in WORDS[1:]}
        words = stored[f"{prefix}shared.weight"]
    assert set(stored) - set(table) == expected
    for other in expected:
        np.testing.assert_array_equal(stored[other], words)


def test_a_decoder_alone_of_its_own_kind(tmp_path):
    model = BigBirdPegasusForCausalLM(tiny_pegasus_config())
    randomize(model)
    model.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = BigBirdPegasusForCausalLM.from_pretrained(tmp_path)
    # Its decoder was a copy: still one matrix.
    assert loaded.config.tie_word_embeddings
    assert loaded.head.decoder is None
    for one, other in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


def test_tables():
    """What decides which names are missing, left out or copies: by family."""
    table = BIG_BIRD_PEGASUS_NAMES
    assert table.prefix == "model."
    assert table.backbone_parts == ("shared.", "encoder.", "decoder.")
    assert table.head_prefixes == (
        "lm_head.", "final_logits_bias", "classification_head.", "qa_outputs.",
    )  # fmt: skip
    assert table.decoder == "lm_head.weight"
    assert table.decoding_heads == (
        "BigBirdPegasusForConditionalGeneration", "BigBirdPegasusForCausalLM",
    )  # fmt: skip
    assert table.word_embeddings == tuple(f"model.{name}" for name in WORDS)
    assert table.zeros == {"final_logits_bias"}
    assert table.one_tensor == (*WORDS, *table.word_embeddings)
    table = BIG_BIRD_NAMES
    assert table.prefix == "bert."
    assert table.backbone_parts == ("embeddings.", "encoder.", "pooler.")
    of_positions = (
        "embeddings.position_embeddings.",
        "encoder.layer.0.attention.self.relative_embeddings",
        "encoder.layer.1.attention.self.relative_embeddings",
    )
    for name, has_table, parts in (
        ("global_embeddings", True, ("embeddings.global_embeddings.",)),
        ("global_embeddings", False, ()),
        ("position_embeddings", True, ()),
        ("position_embeddings", False, of_positions),
    ):
        tables = {"global_embeddings": None, "position_embeddings": object()}
        tables[name] = object() if has_table else None
        backbone = SimpleNamespace(
            embeddings=SimpleNamespace(**tables), encoder=SimpleNamespace(blocks=range(2))
        )
        assert table.optional_parts(backbone) == ("pooler.", *parts)
    assert table.head_prefixes == (
        "cls.predictions.", "cls.seq_relationship.", "classifier.", "qa_classifier.",
    )  # fmt: skip
    assert table.decoder == "cls.predictions.decoder.weight"
    assert table.decoding_heads == (
        "BigBirdForPreTraining", "BigBirdForMaskedLM", "BigBirdForCausalLM",
    )  # fmt: skip
    assert table.word_embeddings == ("bert.embeddings.word_embeddings.weight",)
    assert (table.zeros, table.one_tensor) == (frozenset(), ())


@pytest.mark.parametrize(
    ("table", "name", "is_weight"),
    [
        (BIG_BIRD_NAMES, "bert.embeddings.position_ids", False),
        (BIG_BIRD_NAMES, "embeddings.token_type_ids", False),
        (BIG_BIRD_NAMES, "position_ids", False),
        (BIG_BIRD_NAMES, "cls.predictions.decoder.weight", False),
        (BIG_BIRD_NAMES, "cls.predictions.decoder.bias", False),
        (BIG_BIRD_NAMES, "cls.predictions.bias", True),
        (BIG_BIRD_NAMES, "x.cls.predictions.decoder.bias", True),
        (BIG_BIRD_NAMES, "bert.embeddings.position_ids.weight", True),
        (BIG_BIRD_NAMES, "bert.my_position_ids", True),
        (BIG_BIRD_PEGASUS_NAMES, "model.shared.weight", False),
        (BIG_BIRD_PEGASUS_NAMES, "shared.weight", False),
        (BIG_BIRD_PEGASUS_NAMES, "model.decoder.embed_tokens.weight", False),
        (BIG_BIRD_PEGASUS_NAMES, "model.decoder.embed_positions.weight", True),
        (BIG_BIRD_PEGASUS_NAMES, "model.shared.weight_2", True),
        (BIG_BIRD_PEGASUS_NAMES, "model.unshared.weight", True),
    ],
)
def test_names_that_are_no_weights(table, name, is_weight):
    assert (table.no_weights.search(name) is None) == is_weight

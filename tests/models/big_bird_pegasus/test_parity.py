"""BigBird-Pegasus against live `transformers`."""

import numpy as np
import pytest

import bigbird_tf as bb
from tests.models import peer

pytestmark = pytest.mark.parity

# Short of full attention's limit, at it and beyond; padded inside or not; all plans.
LENGTHS = (97, 704, 1024, 1500, 3072)
VOCABULARY, START, PAD, END = 97, 2, 0, 1
# Of what the decoder reads.
WRITTEN = 11


def config_of(**fields) -> bb.BigBirdPegasusConfig:
    """A small config; blocks of 64 and three random ones, as the lengths are about them."""
    small = {
        "vocab_size": VOCABULARY,
        "d_model": 24,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 3,
        "encoder_ffn_dim": 37,
        "decoder_ffn_dim": 29,
        "dropout": 0.0,
        "attention_type": "block_sparse",
    }
    return bb.BigBirdPegasusConfig(**{**small, **fields})


def inputs_of(length, seed=0) -> dict[str, np.ndarray]:
    """A full document and one with padding; and what was written of each, the first padded."""
    rng = np.random.default_rng(seed + length)
    ids = rng.integers(3, VOCABULARY, (2, length))
    mask = np.arange(length) < np.array([[length], [length * 3 // 4 + 1]])
    written = rng.integers(3, VOCABULARY, (2, WRITTEN))
    written[:, 0] = START
    is_written = np.arange(WRITTEN) < np.array([[WRITTEN - 3], [WRITTEN]])
    return {
        "input_ids": np.where(mask, ids, PAD),
        "attention_mask": mask.astype(int),
        "decoder_input_ids": np.where(is_written, written, PAD),
        "decoder_attention_mask": is_written.astype(int),
    }


GENERATION = "BigBirdPegasusForConditionalGeneration"
HEADS = (
    GENERATION,
    "BigBirdPegasusModel",
    "BigBirdPegasusForSequenceClassification",
    "BigBirdPegasusForQuestionAnswering",
    "BigBirdPegasusForCausalLM",
)


def fields_of(name) -> dict:
    """Sequence classifiers have three labels; theirs of causal LM are never tied."""
    if name == "BigBirdPegasusForCausalLM":
        return {"tie_word_embeddings": False}
    return {"num_labels": 3} if "Sequence" in name else {}


def inputs_for(name, length) -> dict[str, np.ndarray]:
    """What a class reads; of the last one, all documents are of one length, as theirs asks for."""
    inputs = inputs_of(length)
    if name in (GENERATION, "BigBirdPegasusModel", "BigBirdPegasusForQuestionAnswering"):
        return inputs
    if "Sequence" in name:
        ends = inputs["attention_mask"].sum(axis=1) - 1
        inputs["input_ids"][[0, 1], ends] = END
        # The last of two counts.
        inputs["input_ids"][:, 41] = END
    return {key: inputs[key] for key in ("input_ids", "attention_mask")}


@pytest.mark.parametrize("name", HEADS)
def test_outputs(name, tmp_path):
    # A classifier's logits come from one state, and would be small.
    scale = 6.0 if "Sequence" in name else 3.0
    theirs = peer.make(name, config_of(**fields_of(name)), scale)
    is_decoder = name == "BigBirdPegasusForCausalLM"
    for random_blocks in ("seeded",) if is_decoder else ("seeded", "first_block"):
        ours = peer.ours_of(theirs, tmp_path, inference_random_blocks=random_blocks)
        # Decoders have no pattern of their own, and a model without a head that of all heads.
        few = is_decoder or name == "BigBirdPegasusModel"
        for length in (97, 1024) if few else LENGTHS:
            inputs = inputs_for(name, length)
            size = peer.assert_same_outputs(ours, theirs, inputs, random_blocks)
            # The outputs are not so small that anything would pass.
            assert size > (0.3 if length in (97, 1024) else 0.1)


@pytest.mark.parametrize("name", HEADS)
def test_ours_loads_there(name, tmp_path):
    plan = {"random_plan": "transformers", "inference_random_blocks": "first_block"}
    fields = {"num_labels": 3} if "Sequence" in name else {}
    ours = getattr(bb, name)(config_of(**plan, **fields))
    rng = np.random.default_rng(3)
    for weight in ours.weights:
        weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    ours.save_pretrained(tmp_path)
    theirs, report = peer.load(name, tmp_path)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not report.get(problem), problem
    peer.assert_same_outputs(ours, theirs, inputs_for(name, 773), "first_block")


def test_words_that_are_not_shared(tmp_path):
    """Not tied, theirs has a table of words for each stack; here there is one, or none loads."""
    theirs = peer.make(GENERATION, config_of(tie_word_embeddings=False))
    peer.save(theirs, tmp_path / "theirs")
    with pytest.raises(ValueError, match=r"embed_tokens.weight, .* must be equal to model"):
        getattr(bb, GENERATION).from_pretrained(tmp_path / "theirs")
    ours = getattr(bb, GENERATION)(
        config_of(
            tie_word_embeddings=False,
            random_plan="transformers",
            inference_random_blocks="first_block",
        )
    )
    ours.save_pretrained(tmp_path / "ours")
    theirs, report = peer.load(GENERATION, tmp_path / "ours")
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    peer.assert_same_outputs(ours, theirs, inputs_of(97), "first_block")


@pytest.mark.parametrize(
    "fields",
    [
        {"use_bias": True, "scale_embedding": False, "activation_function": "relu"},
        {"attention_type": "original_full", "decoder_layers": 1, "layer_norm_eps": 1e-5},
        {"block_size": 16, "num_random_blocks": 2, "d_model": 36, "encoder_layers": 3},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_other_configs(fields, tmp_path):
    name = GENERATION
    theirs = peer.make(name, config_of(**fields))
    ours = peer.ours_of(theirs, tmp_path, inference_random_blocks="first_block")
    assert peer.assert_same_outputs(ours, theirs, inputs_of(709), "first_block") > 1


def test_without_decoder_inputs(tmp_path):
    """Then the decoder reads the document, as theirs does."""
    name = GENERATION
    theirs = peer.make(name, config_of())
    ours = peer.ours_of(theirs, tmp_path, inference_random_blocks="first_block")
    inputs = {key: inputs_of(150)[key] for key in ("input_ids", "attention_mask")}
    assert peer.assert_same_outputs(ours, theirs, inputs, "first_block") > 1


@pytest.mark.parametrize("name", [name for name in HEADS if "CausalLM" not in name])
def test_copies_of_words_where_they_are_not_tied(name, tmp_path):
    """Whether or not a class has logits of pieces, theirs then wants words in both stacks."""
    plan = {"random_plan": "transformers", "inference_random_blocks": "first_block"}
    ours = getattr(bb, name)(config_of(tie_word_embeddings=False, **plan))
    ours.save_pretrained(tmp_path)
    theirs, report = peer.load(name, tmp_path)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not report.get(problem), problem
    peer.assert_same_outputs(ours, theirs, inputs_for(name, 97), "first_block")

"""What `generate` hands on to the compiled loop: every argument, each with a value of its own."""

import inspect

import keras
import numpy as np
import pytest

from bigbird_tf import BigBirdForCausalLM, BigBirdPegasusForConditionalGeneration
from bigbird_tf.models.big_bird_pegasus.summary_generation import (
    DEFAULTS,
    SummaryGeneration,
    complete_arguments,
)
from tests.contract import tiny_config, tiny_pegasus_config

IDS = np.array([[5, 9, 7], [8, 6, 4]], "int32")
ALWAYS = {
    "stop_token_ids": (9, 8),
    "num_return_sequences": 1,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_new_tokens": 0,
    "pad_token_id": 3,
}
RULES = {"repetition_penalty": 1.7, "no_repeat_ngram_size": 4, "min_new_tokens": 2}
BEAMS = {"num_beams": 5, "num_return_sequences": 3, "length_penalty": 0.6}
SAMPLING = {"temperature": 0.7, "top_k": 11, "top_p": 0.9, "num_return_sequences": 6}
# Arguments, what they become, and the seed.
CASES = [
    (RULES, RULES, None),
    # Numbers of NumPy would be tensors of a compiled loop.
    ({k: np.float64(v) if k[0] == "r" else np.int64(v) for k, v in RULES.items()}, RULES, None),
    (
        {**BEAMS, "early_stopping": "never"},
        {**BEAMS, "early_stopping": "never", "length_rule": "transformers"},
        None,
    ),
    (
        {**BEAMS, "length_rule": "google"},
        {**BEAMS, "early_stopping": False, "length_rule": "google"},
        None,
    ),
    ({**SAMPLING, "do_sample": True, "seed": 0}, SAMPLING, 0),
    (
        {"do_sample": True, "seed": 12},
        {"temperature": 1.0, "top_k": None, "top_p": None},
        12,
    ),
    ({"stop_token_ids": [7, 6]}, {"stop_token_ids": (7, 6)}, None),
    ({"stop_token_ids": []}, {"stop_token_ids": ()}, None),
    # Of sampling alone.
    ({"seed": 12}, {}, None),
]


def make(model_class, **fields):
    """A model whose loop writes down what it is called with."""
    ids = {"pad_token_id": 3, "eos_token_id": [9, 8]}
    if model_class is BigBirdForCausalLM:
        model = BigBirdForCausalLM(tiny_config(num_hidden_layers=0, **ids, **fields))
    else:
        own = {"encoder_layers": 0, "decoder_start_token_id": 6}
        model = model_class(tiny_pegasus_config(**ids, **own, **fields))
    model.calls = []

    def record(*tensors, **options):
        model.calls.append((tensors, options))
        return np.zeros((2, 1), "int32")

    model._compiled_decode = record
    return model


CLASSES = pytest.mark.parametrize(
    "model_class", [BigBirdForCausalLM, BigBirdPegasusForConditionalGeneration]
)


@CLASSES
def test_arguments(model_class):
    model = make(model_class)
    is_pegasus = model_class is not BigBirdForCausalLM
    for given, expected, seed in CASES:
        model.generate(IDS, 9, **given)
        (*_, found_seed), options = model.calls.pop()
        own = {"decoder_start_token_id": 6} if is_pegasus else {}
        assert options == {**ALWAYS, **own, "max_new_tokens": 9, **expected}, given
        assert {type(value) for value in options.values()} <= {
            int, float, str, bool, tuple, type(None)
        }  # fmt: skip
        assert (found_seed is None) == (seed is None), given
        if seed is not None:
            dtype = keras.backend.standardize_dtype(found_seed.dtype)
            assert (int(found_seed), dtype) == (seed, "int32")


def test_forced_ids():
    """A tuple of them, as ends have several."""
    model = make(BigBirdPegasusForConditionalGeneration)
    own = {"decoder_start_token_id": 6, "max_new_tokens": 2}
    for given, expected in (
        ({"forced_bos_token_id": 0}, {"forced_bos_token_id": (0,)}),
        (
            {"forced_bos_token_id": np.int64(4), "forced_eos_token_id": [9, 1]},
            {"forced_bos_token_id": (4,), "forced_eos_token_id": (9, 1)},
        ),
        ({"forced_eos_token_id": 52}, {"forced_eos_token_id": (52,)}),
    ):
        model.generate(IDS, 2, **given)
        assert model.calls.pop()[1] == {**ALWAYS, **own, **expected}
    for name in ("forced_bos_token_id", "forced_eos_token_id"):
        with pytest.raises(ValueError, match=rf"`{name}` must be an id of .*vocab_size=53"):
            model.generate(IDS, 2, **{name: 53})


@CLASSES
def test_a_seed_that_is_not_given_is_another_each_time(model_class):
    model = make(model_class)
    for _ in range(2):
        model.generate(IDS, 1, do_sample=True)
    first, second = (int(tensors[-1]) for tensors, _ in model.calls)
    assert first != second


def test_prompts():
    """Ids, mask and positions, in this order; the padding goes to the left."""
    model = make(BigBirdForCausalLM)
    model.generate({"input_ids": IDS, "attention_mask": np.array([[1, 1, 0], [1, 1, 1]])}, 2)
    ids, mask, positions, _ = (np.asarray(x).tolist() for x in model.calls[0][0])
    assert ids == [[7, 5, 9], [8, 6, 4]]
    assert mask == [[0, 1, 1], [1, 1, 1]]
    assert positions == [[0, 0, 1], [0, 1, 2]]


def test_documents():
    model = make(BigBirdPegasusForConditionalGeneration)
    model.generate({"input_ids": IDS, "attention_mask": np.array([[1, 1, 0], [1, 1, 1]])}, 2)
    ids, mask, _ = (np.asarray(x).tolist() for x in model.calls[0][0])
    assert ids == IDS.tolist()
    assert mask == [[1, 1, 0], [1, 1, 1]]


FORCED = ("forced_bos_token_id", "forced_eos_token_id")


def test_defaults():
    shared = {
        "do_sample": False,
        "temperature": 1.0,
        "top_k": None,
        "top_p": None,
        "length_rule": "transformers",
        "num_return_sequences": 1,
        "no_repeat_ngram_size": None,
        "min_new_tokens": None,
        "stop_token_ids": None,
        "tokenizer": None,
        "seed": None,
    }
    big_bird = {
        "max_new_tokens": 64,
        "num_beams": 1,
        "length_penalty": 1.0,
        "early_stopping": False,
        "repetition_penalty": 1.0,
    }
    for owner, own in (
        (BigBirdForCausalLM, big_bird),
        (SummaryGeneration, dict.fromkeys([*big_bird, *FORCED])),
    ):
        found = {
            name: parameter.default
            for name, parameter in inspect.signature(owner.generate).parameters.items()
            if parameter.default is not parameter.empty
        }
        assert found == {**shared, **own}


def test_defaults_of_summaries():
    assert DEFAULTS == {
        "max_new_tokens": 256,
        "num_beams": 1,
        "length_penalty": 1.0,
        "early_stopping": False,
        "no_repeat_ngram_size": 0,
        "repetition_penalty": 1.0,
        "min_new_tokens": 0,
        "forced_bos_token_id": None,
        "forced_eos_token_id": None,
    }


EXTRA = {
    "max_length": 31,
    "min_length": 12,
    "num_beams": 5,
    "length_penalty": 0.8,
    "early_stopping": True,
    "no_repeat_ngram_size": 3,
    "repetition_penalty": 1.2,
    "forced_bos_token_id": 4,
    "forced_eos_token_id": [1, 7],
}
# One less, since `transformers` counts the start token.
FROM_EXTRA = {**EXTRA, "max_new_tokens": 30, "min_new_tokens": 11}
del FROM_EXTRA["max_length"], FROM_EXTRA["min_length"]
GIVEN = {
    "max_new_tokens": 20,
    "min_new_tokens": 0,
    "num_beams": 2,
    "length_penalty": 0.0,
    "early_stopping": False,
    "no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 2,
}


@pytest.mark.parametrize(
    ("extra", "given", "expected"),
    [
        ({}, {}, DEFAULTS),
        (EXTRA, {}, FROM_EXTRA),
        # What is given counts, zeros too.
        (EXTRA, GIVEN, GIVEN),
        *(({}, {name: value}, {**DEFAULTS, name: value}) for name, value in GIVEN.items()),
        # The names of new tokens come before those of whole lengths.
        (
            {"max_length": 31, "max_new_tokens": 7, "min_length": 9, "min_new_tokens": 2},
            {},
            {**DEFAULTS, "max_new_tokens": 7, "min_new_tokens": 2},
        ),
        (dict.fromkeys(EXTRA), {}, DEFAULTS),
        ({"max_length": 2, "min_length": 0}, {}, {**DEFAULTS, "max_new_tokens": 1}),
        ({"min_length": 1}, {}, DEFAULTS),
        # What `generation_config.json` says, decides alone.
        ({"generation_config": EXTRA, "num_beams": 9, "max_length": 3}, {}, FROM_EXTRA),
        ({"generation_config": {}, **EXTRA}, {}, DEFAULTS),
        # The config's shortest length is of its own longest one.
        (EXTRA, {"max_new_tokens": 5}, {**FROM_EXTRA, "max_new_tokens": 5, "min_new_tokens": 5}),
        (EXTRA, {"max_new_tokens": 11}, {**FROM_EXTRA, "max_new_tokens": 11}),
        (
            EXTRA,
            {"max_new_tokens": 5, "min_new_tokens": 8},
            {**FROM_EXTRA, "max_new_tokens": 5, "min_new_tokens": 8},
        ),
    ],
    ids=str,
)
def test_what_the_config_says_of_summaries(extra, given, expected):
    config = tiny_pegasus_config(extra=extra)
    said = {**dict.fromkeys(DEFAULTS), **given}
    assert complete_arguments(said, config, False) == expected
    # Its beams are of the search alone; those that are asked for are for the caller to mend.
    is_given = "num_beams" in given
    drawn = {**expected, "num_beams": expected["num_beams"] if is_given else 1}
    assert complete_arguments(said, config, True) == drawn


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"max_length": 0}, "`max_length` must be a positive integer. Received: max_length=0"),
        ({"max_length": 1}, "`max_new_tokens` must be a positive .*max_new_tokens=0"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be a positive .*max_new_tokens=0"),
        ({"min_length": -1}, "`min_length` must be an integer, 0 or more"),
        ({"min_new_tokens": 0.5}, "`min_new_tokens` must be an integer, 0 or more"),
    ],
)
def test_lengths_of_a_config_that_are_impossible(extra, message):
    config = tiny_pegasus_config(extra=extra)
    with pytest.raises(ValueError, match=message):
        complete_arguments(dict.fromkeys(DEFAULTS), config, False)


def test_room_for_a_summary_to_the_token():
    model = make(BigBirdPegasusForConditionalGeneration, max_position_embeddings=13)
    model.generate(IDS, 13)
    with pytest.raises(ValueError, match=r"at most .*, 13. Received: max_new_tokens=14"):
        model.generate(IDS, 14)

"""Which arguments of `generate` reach what; the searches themselves only take notes."""

import numpy as np
import pytest
from keras import ops

from bigbird_tf.generation import decode as decode_module
from bigbird_tf.generation.decode import decode, repeat_rows
from bigbird_tf.generation.decoding_arguments import decoding_options

GIVEN = {
    "max_new_tokens": np.int64(9),
    "num_beams": 1,
    "num_return_sequences": np.int32(1),
    "temperature": 1.0,
    "top_k": None,
    "top_p": None,
    "length_penalty": np.float32(0.5),
    "early_stopping": "never",
    "length_rule": "transformers",
    "repetition_penalty": 2,
    "no_repeat_ngram_size": None,
    "min_new_tokens": np.int64(4),
}
ALWAYS = {
    "max_new_tokens": 9,
    "stop_token_ids": (3, 5),
    "num_return_sequences": 1,
    "repetition_penalty": 2.0,
    "no_repeat_ngram_size": 0,
    "min_new_tokens": 4,
}
BEAMS = {"length_penalty": 0.5, "early_stopping": "never", "length_rule": "transformers"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"no_repeat_ngram_size": np.int64(3)}, {"no_repeat_ngram_size": 3}),
        ({"min_new_tokens": None}, {"min_new_tokens": 0}),
        ({"num_beams": np.int64(2)}, {"num_beams": 2, **BEAMS}),
        (
            {"num_beams": 4, "num_return_sequences": 3},
            {"num_beams": 4, "num_return_sequences": 3, **BEAMS},
        ),
        ({"do_sample": True}, {"temperature": 1.0, "top_k": None, "top_p": None}),
        (
            {"do_sample": True, "temperature": 2, "top_k": np.int64(7), "top_p": 0.75},
            {"temperature": 2.0, "top_k": 7, "top_p": 0.75},
        ),
    ],
)
def test_options(changes, expected):
    """Those of one way of decoding alone, as Python's own numbers."""
    found = decoding_options(stop_token_ids=(3, 5), **{**GIVEN, **changes})
    assert found == {**ALWAYS, **expected}
    plain = (int, float, str, tuple, type(None))
    assert all(type(value) in plain for value in found.values())


def test_forced_ids_are_among_the_options_if_there_are_any():
    forced = {"forced_bos_token_id": np.int64(0), "forced_eos_token_id": [3, 4]}
    found = decoding_options(stop_token_ids=(), **{**GIVEN, **forced})
    assert found["forced_bos_token_id"] == (0,)
    assert found["forced_eos_token_id"] == (3, 4)
    for name, wrong in (("forced_bos_token_id", "2"), ("forced_eos_token_id", [1, -1])):
        with pytest.raises(ValueError, match=f"`{name}` must be an integer, 0 or more"):
            decoding_options(stop_token_ids=(), **{**GIVEN, name: wrong})


def test_options_are_checked():
    with pytest.raises(ValueError, match="`min_new_tokens` must be at most"):
        decoding_options(stop_token_ids=(), **{**GIVEN, "min_new_tokens": 10})


def test_rows_stand_beside_themselves():
    given = {"a": ops.convert_to_tensor([[1], [2]]), "b": (ops.convert_to_tensor([3, 4]),)}
    assert repeat_rows(given, 1) is given
    found = repeat_rows(given, 3)
    assert np.asarray(found["a"])[:, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert np.asarray(found["b"][0]).tolist() == [3, 3, 3, 4, 4, 4]


@pytest.fixture
def calls(monkeypatch):
    made = []

    def noted(name, result):
        def note(step, logits, cache, **options):
            made.append((name, step, np.asarray(logits), np.asarray(cache), options))
            return result

        monkeypatch.setattr(decode_module, name, note)

    noted("sample", "sampled")
    noted("beam_search", ("tokens", "scores"))
    return made


@pytest.mark.parametrize(
    ("options", "name", "rows"),
    [
        ({}, "sample", [0, 1]),
        ({"num_return_sequences": 3}, "sample", [0, 0, 0, 1, 1, 1]),
        # Beams repeat their rows themselves.
        ({"num_beams": 3, "num_return_sequences": 2, "length_penalty": 0.5}, "beam_search", [0, 1]),
    ],
)
def test_what_is_handed_on(calls, monkeypatch, options, name, rows):
    processors = []

    def make_processor(prompts, is_prompt, **settings):
        processors.append((np.asarray(prompts), np.asarray(is_prompt), settings))
        return "the processor"

    monkeypatch.setattr(decode_module, "make_processor", make_processor)
    found = decode(
        "the step",
        ops.convert_to_tensor([[0.0, 0.5], [1.0, 1.5]]),
        ops.convert_to_tensor([0, 1]),
        prompts=ops.convert_to_tensor([[7], [8]]),
        is_prompt=ops.convert_to_tensor([[0], [1]]),
        seed=11,
        pad_token_id=6,
        max_new_tokens=9,
        stop_token_ids=(3, 5),
        repetition_penalty=2.0,
        no_repeat_ngram_size=4,
        min_new_tokens=1,
        forced_bos_token_id=(2,),
        forced_eos_token_id=(3, 4),
        **options,
    )
    assert found == ("sampled" if name == "sample" else "tokens")
    [(called, step, logits, cache, settings)] = calls
    assert (called, step) == (name, "the step")
    assert logits[:, 0].tolist() == cache.tolist() == rows
    own = {"seed": 11} if name == "sample" else options
    shared = {"max_new_tokens": 9, "stop_token_ids": (3, 5), "pad_token_id": 6}
    assert settings == {**shared, **own, "process": "the processor"}
    [(prompts, is_prompt, settings)] = processors
    times = options.get("num_beams", options.get("num_return_sequences", 1))
    assert prompts[:, 0].tolist() == np.repeat([7, 8], times).tolist()
    assert is_prompt[:, 0].tolist() == np.repeat([0, 1], times).tolist()
    assert settings == {
        "max_new_tokens": 9, "stop_token_ids": (3, 5), "repetition_penalty": 2.0,
        "no_repeat_ngram_size": 4, "min_new_tokens": 1, "forced_bos_token_id": (2,),
        "forced_eos_token_id": (3, 4),
    }  # fmt: skip

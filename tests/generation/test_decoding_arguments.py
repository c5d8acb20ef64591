"""What just may be asked of decoding."""

import pytest

from bigbird_tf.generation import check_decoding


@pytest.mark.parametrize(
    "arguments",
    [
        {"min_new_tokens": 5, "max_new_tokens": 5},
        {"min_new_tokens": 0, "max_new_tokens": 1},
        {"num_beams": 3, "num_return_sequences": 3},
        {"do_sample": True, "top_p": 1.0, "top_k": 1, "temperature": 1e-9},
        {"do_sample": True, "num_return_sequences": 7},
        {"early_stopping": "never", "num_beams": 2},
        {"length_rule": "google", "num_beams": 2, "early_stopping": False},
        {"repetition_penalty": 1e-9, "no_repeat_ngram_size": 0},
    ],
)
def test_at_the_bound(arguments):
    check_decoding(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_new_tokens": 6, "max_new_tokens": 5}, "`min_new_tokens` must be at most"),
        ({"num_beams": 3, "num_return_sequences": 4}, "`num_return_sequences` must be at most"),
        ({"do_sample": True, "top_p": 1.0000001}, r"`top_p` must be in \(0, 1\]"),
        ({"do_sample": True, "top_p": 0.0}, r"`top_p` must be in \(0, 1\]"),
        ({"do_sample": True, "temperature": 0.0}, "`temperature` must be above 0"),
        ({"repetition_penalty": 0.0}, "`repetition_penalty` must be above 0"),
        ({"early_stopping": "always"}, "`early_stopping` must be True, False or 'never'"),
        ({"early_stopping": 1}, "`early_stopping` must be True, False or 'never'.*=1"),
        ({"early_stopping": None}, "`early_stopping` must be True, False or 'never'.*=None"),
        ({"length_rule": "gnmt"}, "`length_rule` must be one of 'transformers', 'google'.*gnmt"),
        ({"length_rule": "google", "early_stopping": True}, "run all steps.*early_stopping=True"),
        ({"num_beams": 2, "do_sample": True}, "Beams are not sampled"),
        ({"num_return_sequences": 2}, "Greedy decoding has one continuation"),
    ],
)
def test_beyond_it(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_decoding(**arguments)

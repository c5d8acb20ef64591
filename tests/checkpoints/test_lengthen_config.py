"""The shortest model that a checkpoint may become, and which of two names counts."""

import numpy as np
import pytest

from bigbird_tf.checkpoints.lengthen import _make_config, _rename


@pytest.mark.parametrize(
    ("settings", "longest"),
    [
        ({"model_type": "bert"}, 16),
        # RoBERTa's positions begin behind the id of padding, which is 1.
        ({"model_type": "roberta"}, 14),
        ({"model_type": "roberta", "pad_token_id": 3}, 12),
    ],
)
def test_as_many_positions_as_before(settings, longest):
    settings = {"max_position_embeddings": 16, **settings}
    assert _make_config(settings, None, longest, {}).max_position_embeddings == longest
    with pytest.raises(ValueError, match=rf"must be an integer, {longest} \(what the original"):
        _make_config(settings, None, longest - 1, {})


class Stored(dict):
    source = "a file"


@pytest.mark.parametrize("prefix", ["cls.predictions.", "lm_head."])
def test_the_decoder_s_bias_counts(prefix):
    """It is the one that `transformers` reads, whichever of the two is stored first."""
    kind = "bert" if prefix == "cls.predictions." else "roberta"
    decoder = {f"{prefix}decoder.bias": np.full(3, 2.0)}
    other = {f"{prefix}bias": np.full(3, 5.0)}
    for stored, expected in (
        (decoder, 2.0),
        ({**decoder, **other}, 2.0),
        ({**other, **decoder}, 2.0),
        (other, 5.0),
    ):
        # Names without the encoder's prefix would all be an encoder's, if none had it.
        stored = Stored({f"{kind}.embeddings.LayerNorm.bias": np.zeros(3), **stored})
        tensors, left_out = _rename(stored, kind, "ForMaskedLM")
        assert left_out == []
        np.testing.assert_array_equal(tensors["cls.predictions.bias"], np.full(3, expected))

"""The shortest model that a checkpoint may become: as long as it was."""

import pytest

from bigbird_tf.checkpoints.lengthen import _make_config


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

"""Where full attention ends, to the token: for lengths that are known, and for others."""

import keras
import pytest

from bigbird_tf.attention.pattern.pattern_at_length import is_sparse, is_sparse_when_run
from bigbird_tf.attention.pattern.pattern_spec import PatternSpec


def spec(**fields):
    """Blocks of 4 with one random block: enough of them from the eighth block on."""
    settings = {"num_heads": 2, "block_size": 4, "num_random_blocks": 1, "max_length": 61}
    return PatternSpec(**{**settings, **fields})


def both(settings, length, training=False):
    """Whether attention is sparse, as both functions tell."""
    known = is_sparse(settings, length, training)
    unknown = is_sparse_when_run(settings, keras.ops.convert_to_tensor(length, "int32"), training)
    return known, bool(unknown)


@pytest.mark.parametrize("limit", [32, 33, 34, 35, 36])
def test_the_limit_itself_is_full_and_the_next_token_is_not(limit):
    """Within a block, at its last token, and at its end."""
    settings = spec(full_attention_up_to=limit)
    for length in range(29, 41):
        assert both(settings, length) == (length > limit,) * 2, length


def test_the_rule_of_transformers():
    """(2 global + 3 window + 2 * 1 random) * 4 tokens."""
    for length, sparse in ((27, False), (28, False), (29, True)):
        assert both(spec(), length) == (sparse, sparse)


def test_all_blocks_global_is_full():
    for limit, longest in ((0, 20), (19, 20), (20, 20), (21, 21)):
        settings = spec(
            num_random_blocks=0, num_global_start=3, num_global_end=2, full_attention_up_to=limit
        )
        assert settings.longest_full_attention == longest
        for length in (19, 20, 21, 22):
            assert both(settings, length) == (length > longest,) * 2


def test_too_few_blocks_to_choose_from():
    settings = spec(num_random_blocks=3, full_attention_up_to=8)
    found = [both(settings, 4 * num_blocks) for num_blocks in range(3, 16)]
    assert all(known == unknown for known, unknown in found)
    assert {known for known, _ in found} == {False, True}


def test_training_decides_which_random_blocks_there_are():
    """All of them block 0 needs none to choose from; a draw does."""
    settings = spec(
        num_random_blocks=3, full_attention_up_to=8, inference_random_blocks="first_block"
    )
    assert both(settings, 16) == (True, True)
    assert both(settings, 16, training=True) == (False, False)


def test_the_longest_sequence_and_its_last_block():
    """61 tokens are 16 blocks; what a caller has padded to whole blocks is not longer."""
    for length in (61, 64):
        assert both(spec(), length) == (True, True)
    with pytest.raises(Exception, match=r"`max_length`.*max_length=61"):
        is_sparse_when_run(spec(), keras.ops.convert_to_tensor(65, "int32"))
    assert both(spec(max_length=64), 64) == (True, True)

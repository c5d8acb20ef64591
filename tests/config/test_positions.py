"""What a config says of positions."""

import pytest

from bigbird_tf import BigBirdConfig, BigBirdPegasusConfig
from bigbird_tf.attention import PatternSpec

RELATIVE = {"position_embedding_type": "relative", "num_random_blocks": 0}


def test_pattern_of_relative_positions():
    assert BigBirdConfig(relative_pos_max_distance=7).pattern_spec().side_blocks is None
    spec = BigBirdConfig(**RELATIVE, relative_pos_max_distance=7).pattern_spec(2)
    assert (spec.relative_pos_max_distance, spec.num_side_blocks, spec.side_blocks) == (7, 0, 0)
    etc = {"construction": "etc", "num_global_tokens": 70, "num_global_blocks": (1, 0)}
    spec = BigBirdConfig(**RELATIVE, **etc).pattern_spec(2)
    assert (spec.relative_pos_max_distance, spec.num_side_blocks, spec.num_global_start) == (
        *(12, 2, 3),
    )
    # A causal pattern has none of it.
    causal = PatternSpec(num_heads=1, relative_pos_max_distance=5, is_causal=True)
    assert causal == PatternSpec(num_heads=1, is_causal=True)


def test_a_file_with_relative_positions(tmp_path):
    config = BigBirdConfig(**RELATIVE, relative_pos_max_distance=24)
    config.save_pretrained(tmp_path)
    assert BigBirdConfig.from_pretrained(tmp_path) == config


def test_what_the_window_must_reach():
    """Distances are told apart in the window; where nothing else is read, it may be shorter."""
    etc = {**RELATIVE, "construction": "etc", "num_global_tokens": 9, "block_size": 16}
    message = r"1 blocks of 16 tokens here.*relative_pos_max_distance=17. Widen `num_window_blocks`"
    with pytest.raises(ValueError, match=message):
        BigBirdConfig(**{**etc, "num_random_blocks": 1}, relative_pos_max_distance=17)
    BigBirdConfig(**{**etc, "num_random_blocks": 1}, relative_pos_max_distance=16)
    BigBirdConfig(**etc, relative_pos_max_distance=17)


def test_not_of_the_other_family():
    with pytest.raises(TypeError, match="position_embedding_type"):
        BigBirdPegasusConfig(position_embedding_type="relative")

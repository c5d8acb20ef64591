import dataclasses
import json
import pickle

import pytest

from bigbird_tf import BigBirdConfig, BlockSparseAttention
from bigbird_tf.attention import PatternSpec


def test_of_layer_and_config_are_one():
    config = BigBirdConfig(
        num_attention_heads=6, block_size=16, num_random_blocks=2, num_window_blocks=5,
        num_global_blocks=3, random_plan="transformers", inference_random_blocks="first_block",
        full_attention_up_to=100, max_position_embeddings=512,
    )  # fmt: skip
    spec = config.pattern_spec(7)
    assert dataclasses.astuple(spec) == (
        6, 16, 2, 1, 2, 2, 2, "transformers", "first_block", 100, 512, 7, False, 0, 0,
    )  # fmt: skip
    assert BlockSparseAttention(key_dim=4, **spec.arguments).spec == spec
    assert PatternSpec.from_arguments(**spec.arguments) == spec


def test_is_a_key_and_does_not_change():
    spec = PatternSpec(num_heads=2, seed=3)
    assert {spec: 1}[pickle.loads(pickle.dumps(spec))] == 1
    assert spec != dataclasses.replace(spec, seed=4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.seed = 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_heads", 0),
        ("block_size", 2.0),
        ("num_global_start", -1),
        ("num_global_end", True),
        ("window_before", -1),
        ("window_after", None),
        ("num_random_blocks", -2),
        ("random_plan", "numpy"),
        ("inference_random_blocks", None),
        ("full_attention_up_to", -1),
        ("max_length", 0),
        ("seed", -1),
        ("relative_pos_max_distance", -1),
        ("num_side_blocks", 0.0),
    ],
)
def test_impossible_values(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must be .*Received: {name}={value!r}"):
        PatternSpec(**{"num_heads": 2, name: value})


def test_an_even_window_has_no_middle():
    with pytest.raises(ValueError, match=r"`num_window_blocks` must be odd.*num_window_blocks=4"):
        PatternSpec.from_arguments(num_heads=1, num_window_blocks=4)


def test_longest_full_attention():
    assert PatternSpec(num_heads=1).longest_full_attention == 11 * 64
    spec = PatternSpec(num_heads=1, window_before=4, window_after=0, num_random_blocks=0)
    assert spec.longest_full_attention == 7 * 64
    assert dataclasses.replace(spec, full_attention_up_to=5).longest_full_attention == 2 * 64


def test_ends_of_short_sequences():
    spec = PatternSpec(num_heads=1, num_global_start=2, num_global_end=2)
    assert [spec.num_global_at(n) for n in (1, 2, 3, 9)] == [(1, 0), (2, 0), (2, 1), (2, 2)]
    assert [spec.num_blocks(length) for length in (1, 64, 65)] == [1, 1, 2]


@pytest.mark.parametrize(
    "sides",
    [
        {"window_before": 2, "window_after": 0},
        {"num_global_start": 2, "num_global_end": 0},
        {"num_global_start": 1, "num_global_end": 2},
    ],
)
def test_arguments_say_both_sides(sides):
    spec = PatternSpec(num_heads=2, **sides)
    # As JSON has them: lists.
    arguments = json.loads(json.dumps(spec.arguments))
    assert PatternSpec.from_arguments(**arguments) == spec
    assert isinstance(arguments["num_window_blocks"], list) == ("window_before" in sides)
    assert isinstance(arguments["num_global_blocks"], list) == ("window_before" not in sides)


def test_pairs_that_a_number_says_become_the_number():
    spec = PatternSpec.from_arguments(
        num_heads=2, num_window_blocks=(2, 2), num_global_blocks=[2, 1]
    )
    assert spec == PatternSpec.from_arguments(num_heads=2, num_window_blocks=5, num_global_blocks=3)
    assert spec.arguments["num_window_blocks"] == 5
    assert spec.arguments["num_global_blocks"] == 3


@pytest.mark.parametrize("name", ["num_window_blocks", "num_global_blocks"])
@pytest.mark.parametrize(
    ("value", "message"),
    [((1,), "a number or two"), ((1, 2, 3), "a number or two"), ((-1, 0), "0 or more")],
)
def test_impossible_pairs(name, value, message):
    with pytest.raises(ValueError, match=rf"`{name}` must be .*{message}.*Received: {name}="):
        PatternSpec.from_arguments(num_heads=1, **{name: value})

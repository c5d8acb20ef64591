import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigbird_tf.attention.pattern.pattern_spec import PatternSpec
from bigbird_tf.attention.pattern.random_blocks import draw_random_blocks
from tests.attention.transformers_random_blocks import drawn_by_transformers

COMMITTED = Path(__file__).parents[2] / "data/random_blocks.npz"


def draw(num_blocks: int, num_heads: int, num_random_blocks: int, **settings) -> np.ndarray:
    spec = PatternSpec.from_arguments(
        num_heads=num_heads, num_random_blocks=num_random_blocks, **settings
    )
    return draw_random_blocks(spec, num_blocks)


def settings_of(name: str) -> dict:
    """Reads `google_length1024_block16_rand3_heads2_seed0` and the like."""
    numbers = {key: int(value) for key, value in re.findall(r"([a-z]+)(\d+)", name)}
    return {
        "num_blocks": numbers["length"] // numbers["block"],
        "num_heads": numbers["heads"],
        "num_random_blocks": numbers["rand"],
        "block_size": numbers["block"],
        "seed": numbers["seed"],
        "random_plan": name.split("_")[0] if "_max" in name else "google",
        "max_length": numbers.get("max", 4096),
    }


def test_tables_of_the_originals():
    with np.load(COMMITTED) as tables:
        assert len([name for name in tables if name.startswith("google_")]) == 95
        assert len([name for name in tables if name.startswith("transformers_")]) == 14
        for name, table in tables.items():
            drawn = draw(**settings_of(name))
            assert drawn.dtype == np.int32
            np.testing.assert_array_equal(drawn, table, err_msg=name)


def test_the_whole_grid_of_google(google_fixtures):
    with np.load(google_fixtures / "pattern/rand_attn.npz") as tables:
        assert len(tables) == 280
        for name, table in tables.items():
            np.testing.assert_array_equal(draw(**settings_of(name)), table, err_msg=name)
    raises = json.loads((google_fixtures / "pattern/raises.json").read_text())
    assert len(raises) == 13
    for name in raises:
        with pytest.raises(ValueError, match="too short for its random blocks"):
            draw(**settings_of(name))


@pytest.mark.parity
@pytest.mark.parametrize(
    ("length", "block_size", "num_random", "longest"),
    [
        (1024, 64, 3, 4096),
        (2048, 64, 3, 4096),
        (2048, 64, 3, 2048),
        (3072, 64, 3, 4096),
        (4096, 64, 3, 4096),
        (1024, 16, 2, 2048),
        (3072, 32, 3, 3072),
        (4096, 64, 3, 8192),
        (768, 64, 3, 4096),
        (592, 16, 3, 1024),
        (1216, 64, 1, 4096),
        (1024, 128, 1, 1024),
        (1024, 64, 3, 1024),
    ],
)
def test_live_transformers(length, block_size, num_random, longest):
    caught = drawn_by_transformers(length, block_size, num_random, longest)
    for seed, table in enumerate(caught):
        ours = draw(
            length // block_size,
            2,
            num_random,
            block_size=block_size,
            seed=seed,
            random_plan="transformers",
            max_length=longest,
        )
        np.testing.assert_array_equal(ours, table)


def test_repeats_of_the_last_block_at_length_1024():
    """A row in five lists the last, global block once more, as in the originals."""
    tables = [draw(16, 12, 3, block_size=64, seed=seed) for seed in range(12)]
    repeats = np.mean([(table == 15).any(axis=-1).mean() for table in tables])
    assert 0.17 < repeats < 0.23


def test_plans_differ_only_at_2048():
    def differs(num_blocks):
        google, theirs = (
            draw(num_blocks, 3, 2, random_plan=plan) for plan in ("google", "transformers")
        )
        return not np.array_equal(google, theirs)

    assert [n for n in range(10, 65) if differs(n)] == [32]


def test_global_random_state_is_neither_read_nor_changed():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    first = draw(17, 2, 3, seed=3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(6)
    np.testing.assert_array_equal(draw(17, 2, 3, seed=3), first)
    assert not np.array_equal(draw(17, 2, 3, seed=4), first)


def ends(num_global, num_blocks):
    spec = PatternSpec.from_arguments(num_heads=1, num_global_blocks=num_global)
    return spec.num_global_at(num_blocks)


@given(
    num_blocks=st.integers(1, 23),
    num_heads=st.integers(1, 3),
    num_random=st.integers(0, 4),
    window=st.sampled_from([1, 3, 5, 7]),
    num_global=st.integers(0, 4),
    seed=st.integers(0, 11),
)
def test_other_patterns_draw_what_a_row_does_not_read_anyway(
    num_blocks, num_heads, num_random, window, num_global, seed
):
    if (window, num_global) == (3, 2):
        return
    left, right = ends(num_global, num_blocks)
    rows = range(left, num_blocks - right)
    free = [{b for b in rows if abs(b - row) > window // 2} for row in rows]
    settings = {
        "num_window_blocks": window,
        "num_global_blocks": num_global,
        "seed": seed,
    }
    if num_random > 1 and any(len(blocks) not in (1, *range(num_random, 99)) for blocks in free):
        with pytest.raises(ValueError, match="too short"):
            draw(num_blocks, num_heads, num_random, **settings)
        return
    if num_random == 1 and not all(free):
        with pytest.raises(ValueError, match="too short"):
            draw(num_blocks, num_heads, num_random, **settings)
        return
    table = draw(num_blocks, num_heads, num_random, **settings)
    assert table.shape == (num_heads, len(rows), num_random)
    for head in table:
        for blocks, allowed in zip(head, free, strict=True):
            assert set(blocks.tolist()) <= allowed
            # A single block to choose from fills all slots.
            assert len(set(blocks.tolist())) == min(num_random, len(allowed))


@pytest.mark.parametrize(
    ("num_global", "num_blocks", "split"),
    [
        (0, 5, (0, 0)),
        (1, 5, (1, 0)),
        (2, 5, (1, 1)),
        (3, 5, (2, 1)),
        (4, 3, (2, 1)),
        (2, 1, (1, 0)),
    ],
)
def test_split_of_global_blocks(num_global, num_blocks, split):
    assert ends(num_global, num_blocks) == split


def test_windows_need_not_be_symmetric():
    spec = PatternSpec(num_heads=2, window_before=3, window_after=0, num_random_blocks=2, seed=1)
    table = draw_random_blocks(spec, 12)
    for row in range(10):
        allowed = {b for b in range(1, 11) if not row + 1 - 3 <= b <= row + 1}
        assert set(table[:, row].ravel().tolist()) <= allowed
    # What comes after a block may be drawn, which a symmetric window would not allow.
    assert (table[:, :, :] == np.arange(2, 12)[None, :, None]).any()


def test_as_many_positions_as_tokens():
    """What the live `transformers` draws for 1,024 tokens where it has 1,024 positions."""
    tables = {
        0: [[5, 4, 6, 6, 4, 6], [5, 6, 6, 2, 5, 5]],
        1: [[6, 4, 1, 2, 3, 4], [6, 5, 6, 2, 4, 3]],
    }
    settings = {"block_size": 128, "random_plan": "transformers"}
    for seed, table in tables.items():
        drawn = draw(8, 2, 1, seed=seed, max_length=1024, **settings)
        np.testing.assert_array_equal(drawn[..., 0], table)
    # 897 positions are eight blocks, too, and 896 only seven.
    draw(8, 2, 1, max_length=897, **settings)
    with pytest.raises(ValueError, match=r"Received: max_length=896, .*1024 tokens"):
        draw(8, 2, 1, max_length=896, **settings)


def test_transformers_plan_needs_a_table_that_is_long_enough():
    with pytest.raises(
        ValueError, match=r"`max_length` must be .* Received: max_length=2048, .*4096 tokens"
    ):
        draw(64, 2, 3, random_plan="transformers", max_length=2048)

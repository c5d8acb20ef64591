import sys

import numpy as np
import pytest

from bigbird_tf.attention import BlockPattern
from bigbird_tf.attention.pattern.pattern_figure import draw_pattern
from bigbird_tf.attention.pattern.pattern_report import (
    kinds_of_blocks,
    path_lengths,
    report_pattern,
)


def build(num_blocks=11, num_heads=3, **settings):
    defaults = {"block_size": 5, "num_random_blocks": 1, "seed": 2}
    return BlockPattern.build(num_blocks, num_heads, **{**defaults, **settings})


class TestKinds:
    def test_by_hand(self):
        """Without random blocks: a frame of global ones around three diagonals."""
        assert kinds_of_blocks(build(6, num_random_blocks=0)).tolist() == [
            [1, 1, 1, 1, 1, 1],
            [1, 2, 2, 0, 0, 1],
            [1, 2, 2, 2, 0, 1],
            [1, 0, 2, 2, 2, 1],
            [1, 0, 0, 2, 2, 1],
            [1, 1, 1, 1, 1, 1],
        ]

    def test_causal_by_hand(self):
        assert kinds_of_blocks(build(5, num_random_blocks=0, is_causal=True)).tolist() == [
            [1, 0, 0, 0, 0],
            [1, 2, 0, 0, 0],
            [1, 2, 2, 0, 0],
            [1, 0, 2, 2, 0],
            [1, 0, 0, 2, 2],
        ]

    @pytest.mark.parametrize(
        "settings",
        [{}, {"num_window_blocks": 5}, {"num_global_blocks": 3}, {"is_causal": True}],
    )
    def test_read_is_what_the_pattern_lists(self, settings):
        pattern = build(13, **settings)
        listed = pattern.to_dense_mask() > 0
        for head in range(3):
            np.testing.assert_array_equal(kinds_of_blocks(pattern, head) > 0, listed[head])
        np.testing.assert_array_equal(kinds_of_blocks(pattern) > 0, listed.any(axis=0))

    def test_no_such_head(self):
        with pytest.raises(ValueError, match=r"`head` must be from 0 to 2.*Received: head=3"):
            kinds_of_blocks(build(), head=3)


class TestPathLengths:
    def test_line(self):
        """On a line of 4 the distances are 1, 2, 3, 1, 2, 1, both ways."""
        distance = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
        assert path_lengths(distance <= 1) == (10 / 6, 3.0)

    def test_direction_counts(self):
        """A ring that is read one way: the distances from each of 5 blocks are 1 to 4."""
        reads = np.roll(np.eye(5, dtype=bool), 1, axis=1)
        assert path_lengths(reads) == (2.5, 4.0)

    def test_out_of_reach(self):
        assert path_lengths(np.eye(3, dtype=bool)) == (np.inf, np.inf)

    def test_the_past_alone(self):
        """On a line of 4 that is read one way: 1 three times, 2 twice, 3."""
        reads = np.eye(4, dtype=bool) | np.eye(4, k=-1, dtype=bool)
        assert path_lengths(reads, is_causal=True) == (10 / 6, 3.0)
        assert path_lengths(reads) == (np.inf, np.inf)
        assert path_lengths(np.eye(3, dtype=bool), is_causal=True) == (np.inf, np.inf)

    def test_single_block(self):
        assert path_lengths(np.ones((1, 1), bool)) == (0.0, 0.0)


class TestReport:
    def test_by_hand(self):
        """6 blocks of 5 tokens, no random ones, 3 heads of size 7."""
        report = report_pattern(build(6, num_random_blocks=0), block_size=5, head_size=7)
        assert report.num_tokens == 30
        assert report.key_blocks == (4, 4.5, 5)
        # Two global rows of 6, and 4, 5, 5, 4.
        assert report.share_of_full == 30 / 36
        assert report.flops == 3 * 30 * 25 * 7 * 4
        assert report.full_flops == 3 * 36 * 25 * 7 * 4
        assert report.score_bytes == 3 * 30 * 25 * 4
        assert report.full_score_bytes == 3 * 36 * 25 * 4
        assert report.path_lengths["window"] == report.path_lengths["window + random"]
        assert report.path_lengths["window"] == (70 / 30, 5.0)
        assert report.path_lengths["window + global"] == report.path_lengths["all"]
        # All but (1,3) (1,4) (2,4) and back are one step apart, these two.
        assert report.path_lengths["all"] == (36 / 30, 2.0)

    def test_causal_by_hand(self):
        """5 blocks, no query reads everything: 1, 2, 3, 3 and 3 of them."""
        report = report_pattern(build(5, num_random_blocks=0, is_causal=True), 5, head_size=7)
        assert report.key_blocks == (1, 12 / 5, 3)
        assert report.share_of_full == 12 / 25
        assert report.path_lengths["window"] == (20 / 10, 4.0)
        # 3 → 1 and 4 → 1 take two and three; 4 → 2 two; all others one.
        assert report.path_lengths["all"] == (14 / 10, 3.0)

    def test_random_blocks_bring_tokens_together(self):
        pattern = BlockPattern.build(64, 12, block_size=64, seed=0)
        paths = report_pattern(pattern, 64, 64, head=0).path_lengths
        assert paths["window"] == (65 / 3, 63.0)
        # Not further: at this length Google's plan draws from the first 1024 tokens only, so that
        # what is behind them is reached by windows.
        assert paths["window + random"][0] < 0.7 * paths["window"][0]
        assert 47 < paths["window + random"][1] < 63
        assert paths["all"][1] == 2.0
        assert paths["all"][0] < paths["window + global"][0]

    def test_repeats_cost_as_much(self):
        """In the first-block form all random slots list block 0 once more."""
        pattern = build(13, num_random_blocks=3, first_block=True)
        report = report_pattern(pattern, 5, 7)
        assert report.key_blocks[2] == 5
        assert report.share_of_full == (2 * 13 + 11 * 8 - 2) / 169

    def test_global_blocks_only(self):
        assert report_pattern(build(2, num_random_blocks=0), 5, 7).key_blocks == (2, 2.0, 2)


class TestFigure:
    @pytest.mark.parametrize("head", [None, 1])
    def test_draws_in_the_colours_of_the_kinds(self, tmp_path, head):
        image = pytest.importorskip("matplotlib.image")
        pattern = build(11, num_random_blocks=2)
        picture = image.imread(draw_pattern(pattern, tmp_path / "pattern.png", head))
        colours = {
            tuple(c) for c in (picture[::3, ::3, :3] * 255).round().astype(int).reshape(-1, 3)
        }
        assert {(0x4C, 0x72, 0xB0), (0x55, 0xA8, 0x68), (0xDD, 0x84, 0x52)} <= colours

    def test_of_all_heads_a_block_is_darker_the_more_read_it(self, tmp_path):
        image = pytest.importorskip("matplotlib.image")
        pattern = build(11, num_random_blocks=2)
        picture = image.imread(draw_pattern(pattern, tmp_path / "pattern.png"))[..., :3]
        orange = np.array([0xDD, 0x84, 0x52]) / 255
        reads = pattern.to_dense_mask().astype(bool).sum(axis=0)
        is_random = kinds_of_blocks(pattern) == 3
        drawn = {tuple(c) for c in (picture[::2, ::2] * 255).round().astype(int).reshape(-1, 3)}
        for count in set(reads[is_random]):
            strength = 0.2 + 0.8 * count / reads[is_random].max()
            colour = (255 * (1 - strength * (1 - orange))).round().astype(int)
            assert any(np.abs(np.subtract(colour, c)).max() <= 1 for c in drawn), count
        assert len(set(reads[is_random])) > 1

    def test_unknown_format(self, tmp_path):
        pytest.importorskip("matplotlib")
        with pytest.raises(ValueError, match="xyz"):
            draw_pattern(build(), tmp_path / "pattern.xyz")

    def test_without_matplotlib(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.colors", None)
        with pytest.raises(ImportError, match="Drawing needs matplotlib: pip install matplotlib"):
            draw_pattern(build(), tmp_path / "pattern.png")
        assert not list(tmp_path.iterdir())

"""`bigbird-tf pattern`."""

import json


def test_prints_and_draws(run, tmp_path):
    outcome = run("pattern", "-o", tmp_path / "pattern.png", "--head", 3)
    assert outcome.code == 0
    assert "4096 tokens" in outcome.out
    assert (tmp_path / "pattern.png").read_bytes().startswith(b"\x89PNG")


def test_global_tokens_beside_the_sequence(run):
    """55 tokens are eleven blocks of 5, and 13 global tokens three more."""
    options = "--length", 55, "--block-size", 5, "--random", 0, "--json"
    report = json.loads(run("pattern", *options, "--global-tokens", 13).out)
    assert report["num_tokens"] == 70
    # Three rows of 14; eleven of the three and a window of 3, cut off at both ends.
    assert report["share_of_full"] == (3 * 14 + 11 * 6 - 2) / 14**2
    assert report["path_lengths"]["all"][1] == 2.0
    both = json.loads(run("pattern", *options, "--global-tokens", 13, "--global", "1,0").out)
    assert both["share_of_full"] == (4 * 14 + 10 * 7 - 2) / 14**2


def test_json(run):
    outcome = run("pattern", "--length", 55, "--block-size", 5, "--random", 0, "--json")
    report = json.loads(outcome.out)
    assert report["num_tokens"] == 55
    # Two rows of 11 and nine of 5, but for the two beside the ends.
    assert report["share_of_full"] == (2 * 11 + 9 * 5 - 2) / 121
    assert report["path_lengths"]["window"] == [4.0, 10.0]


def test_out_of_reach_is_null(run):
    sizes = ["--length", 6, "--block-size", 2, "--random", 0, "--window", 1, "--global", 0]
    report = json.loads(run("pattern", *sizes, "--json").out)
    assert report["path_lengths"]["all"] == [None, None]

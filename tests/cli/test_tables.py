"""A report in a form that JSON can hold."""

import json

from bigbird_tf.attention import BlockPattern
from bigbird_tf.attention.pattern.pattern_report import report_pattern
from bigbird_tf.cli.tables import report_as_json


def as_json(num_blocks, **settings):
    pattern = BlockPattern.build(num_blocks, 2, block_size=4, num_random_blocks=0, **settings)
    text = json.dumps(report_as_json(report_pattern(pattern, 4, 7)), allow_nan=False)
    return json.loads(text)


def test_one_block_is_at_no_distance_from_itself():
    report = as_json(1)
    assert report["num_tokens"] == 4
    assert set(map(tuple, report["path_lengths"].values())) == {(0.0, 0.0)}


def test_what_cannot_be_reached_is_null():
    paths = as_json(3, num_window_blocks=1, num_global_blocks=1)["path_lengths"]
    assert paths["window"] == [None, None]
    # By the global block all are two layers apart, and one from it: 4 of 6 pairs are 1, 2 are 2.
    assert paths["all"] == [(4 * 1 + 2 * 2) / 6, 2.0]

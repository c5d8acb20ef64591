import sys

import numpy as np
import pytest

from bigbird_tf.preprocessing import evaluate_rouge

REFERENCES = ["the eleven birds sing", "walls of stone\nthe river flows"]
SUMMARIES = ["the bird sings", "the rivers flow\nstone and grass"]


def test_by_hand():
    """The stemmer makes birds and sings one with bird and sing."""
    found = evaluate_rouge(REFERENCES[:1], SUMMARIES[:1])
    # Three of four, and three of three; "bird sing" of three pairs and of two.
    expected = {"rouge1": 100 * 6 / 7, "rouge2": 40.0, "rougeLsum": 100 * 6 / 7}
    assert found == pytest.approx(expected)


def test_lines_are_sentences():
    """In whatever order the lines are; as one sentence it would be three words in a row."""
    found = evaluate_rouge(REFERENCES[1:], SUMMARIES[1:])
    # the, river, flow and stone: four of six, both ways.
    assert found["rougeLsum"] == pytest.approx(100 * 4 / 6)
    lines = [texts[1].replace("\n", " ") for texts in (REFERENCES, SUMMARIES)]
    assert evaluate_rouge(lines[:1], lines[1:])["rougeLsum"] == pytest.approx(100 * 3 / 6)


def test_means_over_summaries():
    both = evaluate_rouge(REFERENCES, SUMMARIES)
    each = [evaluate_rouge([a], [b]) for a, b in zip(REFERENCES, SUMMARIES, strict=True)]
    for name, value in both.items():
        assert value == pytest.approx((each[0][name] + each[1][name]) / 2)
    assert evaluate_rouge(np.array(REFERENCES), np.array(SUMMARIES)) == both
    assert evaluate_rouge(REFERENCES[:1], [""])["rouge1"] == 0


@pytest.mark.parametrize(
    ("references", "summaries", "error", "message"),
    [
        ([], [], ValueError, "one at least. Received: 0 summaries, 0 references"),
        (["a", "b"], ["a"], ValueError, "Received: 1 summaries, 2 references"),
        ("a", ["a"], TypeError, "`references` must be a list of strings. Received: 'a'"),
        (["a"], [None], TypeError, "`summaries` must be a list of strings"),
    ],
)
def test_bad_input(references, summaries, error, message):
    with pytest.raises(error, match=message):
        evaluate_rouge(references, summaries)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(ImportError, match=r"pip install 'bigbird-tf\[rouge\]'"):
        evaluate_rouge(["a"], ["a"])

import json
import re

import numpy as np
import pytest

from bigbird_tf.preprocessing import AnswerCalibration
from examples.docs_qa import calibrate, console
from examples.docs_qa.calibrate import Asked, Item, ask, choose_items, fit, reliability
from examples.docs_qa.dataset import encode_split
from examples.docs_qa.questions import Split
from examples.docs_qa.questions import ask as questions_of
from tests.examples.help_pages import library


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def asked():
    """Answers that are right as often as a weight of 0.4 and a bias of -0.7 say."""
    rng = np.random.default_rng(3)
    odds = rng.uniform(-6, 12, 20_003)
    return Asked(odds, rng.random(odds.shape) < sigmoid(0.4 * odds - 0.7))


def test_fit_finds_what_the_answers_were_made_by(asked):
    calibration = fit(asked, keep=0.8)
    assert calibration.weight == pytest.approx(0.4, abs=0.02)
    assert calibration.bias == pytest.approx(-0.7, abs=0.05)
    confidence = sigmoid(calibration.weight * asked.odds + calibration.bias)
    kept = np.mean(confidence[asked.right] >= calibration.threshold)
    assert 0.8 <= kept < 0.82
    with pytest.raises(ValueError, match="right answers and wrong ones"):
        fit(Asked(np.ones(3), np.ones(3, bool)), keep=0.8)


def test_reliability(asked):
    error, rows = reliability(asked, AnswerCalibration(0.4, -0.7), bins=4)
    assert error < 0.01
    assert sum(row["answers"] for row in rows) == len(asked.odds)
    for row in rows:
        assert row["right"] == pytest.approx(row["confidence"], abs=0.03)
    assert reliability(asked, AnswerCalibration())[0] > 0.1
    # By hand: two of four right with confidence 1/2; all wrong with 0.9.
    by_hand = Asked(np.array([0, 0, 0, 0, np.log(9)]), np.array([1, 0, 1, 0, 0], bool))
    error, rows = reliability(by_hand, AnswerCalibration())
    assert error == pytest.approx(0.9 / 5)
    assert [row["answers"] for row in rows] == [4, 1]


def test_questions_with_an_answer_and_without(tokenizer):
    pages = library()
    questions = [question for page in pages for question in questions_of(page, set())]
    encoded = encode_split(Split([], {page.module: page for page in pages}, questions), tokenizer)
    items = choose_items(encoded, answered=13, absent=5)
    assert [item.answer is None for item in items] == [False] * 13 + [True] * 5
    for item in items[:13]:
        assert item.answer in item.context
    for item in items[13:]:
        assert item.question.removeprefix("class of ") not in item.context


def test_odds_are_those_before_the_calibration_that_was_used():
    used = AnswerCalibration(0.5, -1.0)
    odds = {"a": 3.0, "b": -2.0, "c": 100.0}

    def predictor(records):
        confidence = float(used(np.float32(odds[records[0]["question"]])))
        return [{"answer": "The Bird", "confidence": confidence}]

    items = [Item("a", "x", "bird"), Item("b", "x", "stone"), Item("c", "x", None)]
    found = ask(predictor, items, used)
    np.testing.assert_allclose(found.odds[:2], [3.0, -2.0], rtol=1e-4)
    assert np.isfinite(found.odds[2])
    assert found.right.tolist() == [True, False, False]


def test_main_writes_the_config(tokenizer, tmp_path, monkeypatch):
    """Everything but the model: what it is asked, and what becomes of its confidences."""

    class Guesser:
        def __init__(self, checkpoint, **options):
            assert options["confidence_threshold"] == 0.0

        def __call__(self, records):
            """Sure of names that the page has, but for every third."""
            (record,) = records
            name = record["question"]
            place = re.search(rf"{name}\(.*\n\s+(.*)", record["context"])
            sure = sum(map(ord, name)) % 3 > 0
            answer = place[1] if place and sure else "NAME"
            return [{"answer": answer, "confidence": 0.97 if sure else 0.6}]

    packages = {"train": [], "validation": ["ant", "bee", "cow", "dog", "elk"], "test": []}
    packages["test"] = ["fox", "gnu", "hen", "ibis", "jay"]
    config = {"docs_qa_packages": packages, "hidden_size": 7}
    (tmp_path / "config.json").write_text(json.dumps(config))
    tokenizer.save_pretrained(tmp_path)
    monkeypatch.setattr(calibrate, "Predictor", Guesser)
    # What renders pages in other processes; the function around it is the real one.
    monkeypatch.setattr(console, "load_pages", lambda *args, **kwargs: (library(), 0))
    calibrate.main(tmp_path, tmp_path, answered=20, absent=6, keep=0.9, write=True)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["hidden_size"] == 7
    calibration = AnswerCalibration(**written["answer_calibration"])
    assert calibration.threshold > 0

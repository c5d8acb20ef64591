import numpy as np
import pytest
import tensorflow as tf

from examples.docs_qa.dataset import encode_split
from examples.docs_qa.evaluate import Evaluation, View, choose_questions, evaluate
from examples.docs_qa.plotting import plot_accuracy, score_by_range
from examples.docs_qa.questions import Split, ask
from tests.examples.help_pages import library

LENGTH = 251


@pytest.fixture(scope="module")
def encoded(tokenizer):
    pages = library()
    questions = [question for p in pages for question in ask(p, set())]
    return encode_split(Split([], {p.module: p for p in pages}, questions), tokenizer)


class Oracle:
    """Points at the right answer of every question, beginning a number of pieces too late."""

    def __init__(self, encoded, off=0):
        self.spans = {}
        for index in range(len(encoded)):
            name = encoded.names[index]
            key = name[name >= 0].astype(np.int32).tobytes()
            span = encoded.context_start()[index] + encoded.answers[index]
            self.spans[key] = span + np.array([off, 0])
        self.sep = encoded.special_ids[1]

    def __call__(self, inputs, training):
        assert training is False
        logits = tf.numpy_function(self._logits, [inputs["input_ids"]], [tf.float32, tf.float32])
        for tensor in logits:
            tensor.set_shape(inputs["input_ids"].shape)
        return dict(zip(("start_logits", "end_logits"), logits, strict=True))

    def _logits(self, ids):
        logits = np.zeros((2, *ids.shape), np.float32)
        for row, pieces in enumerate(ids):
            span = self.spans[pieces[1 : list(pieces).index(self.sep)].tobytes()]
            for which in (0, 1):
                if span[which] < ids.shape[1]:
                    logits[which, row, span[which]] = 9.0
        return logits[0], logits[1]


def test_right_answers_score_all(encoded, tokenizer):
    questions = choose_questions(encoded, length=LENGTH, count=11)
    sizes = []
    found = evaluate(
        Oracle(encoded), tokenizer, encoded, questions, view=View(LENGTH), on_batch=sizes.append
    )
    assert found.predictions == [encoded.questions[index].answer for index in questions]
    assert found.summary() == {"questions": 11, "exact_match": 100.0, "f1": 100.0}
    assert sizes == [4, 4, 3]
    answers = encoded.answers[questions, 0]
    np.testing.assert_array_equal(found.positions, encoded.context_start()[questions] + answers)


def test_what_is_cut_off_is_not_found(encoded, tokenizer):
    questions = choose_questions(encoded, length=LENGTH)[:20]
    found = evaluate(Oracle(encoded), tokenizer, encoded, questions, view=View(131))
    reachable = np.isin(questions, encoded.answered_within(131))
    assert 0 < reachable.sum() < len(questions)
    np.testing.assert_array_equal(found.exact[reachable], 1.0)
    np.testing.assert_array_equal(found.exact[~reachable], 0.0)
    assert found.f1[~reachable].max() < 1.0


def test_half_right_answers_score_half(encoded, tokenizer):
    questions = choose_questions(encoded, length=LENGTH, count=9)
    found = evaluate(Oracle(encoded, off=4), tokenizer, encoded, questions, view=View(LENGTH))
    assert found.exact.max() == 0.0
    assert 0.3 < found.f1.mean() < 1.0


def test_time_limits_the_number_of_questions(encoded, tokenizer):
    questions = choose_questions(encoded, length=LENGTH)
    found = evaluate(
        Oracle(encoded), tokenizer, encoded, questions, view=View(LENGTH), batch_size=3, seconds=0.0
    )
    assert len(found.predictions) == len(found.exact) == len(found.positions) == 3


def test_no_questions(encoded, tokenizer):
    with pytest.raises(ValueError, match="`questions` must not be empty"):
        evaluate(Oracle(encoded), tokenizer, encoded, [], view=View(LENGTH))


def test_questions_are_drawn_by_seed(encoded):
    first = choose_questions(encoded, length=LENGTH, count=20, seed=1)
    np.testing.assert_array_equal(first, choose_questions(encoded, length=LENGTH, count=20, seed=1))
    assert not np.array_equal(first, choose_questions(encoded, length=LENGTH, count=20, seed=2))
    everything = choose_questions(encoded, length=LENGTH)
    assert sorted(everything) == list(encoded.answered_within(LENGTH))


def test_windows_slide_over_what_the_long_input_holds(encoded, tokenizer):
    questions = choose_questions(encoded, length=LENGTH)[:20]
    seen = []

    class Recorder(Oracle):
        def _logits(self, ids):
            seen.append(ids)
            return super()._logits(ids)

    evaluate(Recorder(encoded), tokenizer, encoded, questions, view=View(67, up_to=LENGTH))
    assert {ids.shape[1] for ids in seen} == {67}
    assert sum(map(len, seen)) > len(questions)
    index = max(questions, key=lambda q: len(encoded.pages[encoded.page_of[q]]))
    seen.clear()
    evaluate(Recorder(encoded), tokenizer, encoded, [index], view=View(67, up_to=131))
    last_piece = 131 - 2 - encoded.context_start()[index]
    start = encoded.page_starts[encoded.page_of[index]]
    (windows,) = seen
    real = windows[-1][windows[-1] != tokenizer.pad_token_id]
    assert real[-2] == encoded.pieces[start + last_piece]


def test_views_have_names():
    assert str(View(4096)) == "the first 4,096 pieces"
    assert str(View(512, up_to=4096)) == "512 pieces, sliding over 4,096"


WHOLE = View(4096)


def evaluation(positions, exact, f1, kinds=None, distances=None, view=WHOLE):
    count = len(positions)
    return Evaluation(
        view=view,
        kinds=np.array(kinds or ["sentence"] * count),
        positions=np.array(positions),
        distances=np.array(distances or [7] * count),
        predictions=[""] * count,
        exact=np.array(exact),
        f1=np.array(f1),
    )


def test_summaries_by_kind_and_distance():
    found = evaluation(
        [5, 6, 7, 8],
        [1.0, 0.0, 1.0, 0.0],
        [1.0, 0.5, 1.0, 0.25],
        ["sentence", "class", "class", "sentence"],
        [3, 600, 512, 511],
    )
    assert found.summary() == {"questions": 4, "exact_match": 50.0, "f1": 68.75}
    assert found.summary("class") == {"questions": 2, "exact_match": 50.0, "f1": 75.0}
    assert found.summary("class", min_distance=513)["exact_match"] == 0.0
    assert found.summary("sentence", min_distance=512)["questions"] == 0
    assert found.summary("sentence", min_distance=512)["f1"] is None
    assert found.to_dict() == {
        "view": "the first 4,096 pieces",
        "sentence": {"questions": 2, "exact_match": 50.0, "f1": 62.5},
        "class": {"questions": 2, "exact_match": 50.0, "f1": 75.0},
        "class_far": {"questions": 2, "exact_match": 50.0, "f1": 75.0},
    }


def test_scores_by_range():
    kinds = ["sentence", "sentence", "sentence", "sentence", "class"]
    found = evaluation([0, 9, 10, 29, 3], [1.0, 0.0, 0.0, 1.0, 1.0], [1, 0.5, 0.2, 1, 1], kinds)
    ranges = score_by_range(found, found.positions, (0, 10, 20, 29), "sentence")
    near, middle, far = ranges
    assert near == (2, 50.0, 75.0)
    assert middle == (1, 0.0, pytest.approx(20.0))
    assert far[0] == 0
    assert np.isnan(far[1:]).all()
    assert score_by_range(found, found.distances, (0, 10), "class") == [(1, 100.0, 100.0)]


def test_the_picture_is_a_png(tmp_path):
    kinds, distances = ["sentence", "class", "sentence"], [3, 900, 4]
    places = [3, 700, 2000]
    whole = evaluation(places, [1.0, 1.0, 0.0], [1.0, 1.0, 0.4], kinds, distances)
    cut = evaluation(places, [1.0, 0.0, 0.0], [1.0, 0.0, 0.1], kinds, distances, View(512))
    path = plot_accuracy([whole, cut], tmp_path / "new" / "picture.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 5000

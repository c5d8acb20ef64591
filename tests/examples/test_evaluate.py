import numpy as np
import pytest
import tensorflow as tf

from examples.docs_qa.dataset import encode_split
from examples.docs_qa.evaluate import (
    FAR,
    Evaluation,
    Reader,
    View,
    choose_questions,
    evaluate,
)
from examples.docs_qa.plotting import plot_accuracy, plot_learning, score_by_range
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
    reader = Reader(Oracle(encoded), tokenizer, View(LENGTH))
    (found,) = evaluate([reader], encoded, questions, on_batch=sizes.append)
    assert found.predictions == [encoded.questions[index].answer for index in questions]
    assert found.summary() == {"questions": 11, "exact_match": 100.0, "f1": 100.0}
    assert sizes == [4, 4, 3]
    answers = encoded.answers[questions, 0]
    np.testing.assert_array_equal(found.positions, encoded.context_start()[questions] + answers)


def test_what_is_cut_off_is_not_found(encoded, tokenizer):
    questions = choose_questions(encoded, length=LENGTH)[:20]
    (found,) = evaluate([Reader(Oracle(encoded), tokenizer, View(131))], encoded, questions)
    reachable = np.isin(questions, encoded.answered_within(131))
    assert 0 < reachable.sum() < len(questions)
    np.testing.assert_array_equal(found.exact[reachable], 1.0)
    np.testing.assert_array_equal(found.exact[~reachable], 0.0)
    assert found.f1[~reachable].max() < 1.0


def test_half_right_answers_score_half(encoded, tokenizer):
    questions = choose_questions(encoded, length=LENGTH, count=9)
    reader = Reader(Oracle(encoded, off=4), tokenizer, View(LENGTH))
    (found,) = evaluate([reader], encoded, questions)
    assert found.exact.max() == 0.0
    assert 0.3 < found.f1.mean() < 1.0


class Counting:
    """A reader that gives each question's index for an answer."""

    def __init__(self, view):
        self.view = view
        self.batches = []

    def answer(self, encoded, questions):
        self.batches.append(list(questions))
        return [str(index) for index in questions]


def test_time_limits_the_number_of_questions_and_all_are_asked_the_same(encoded):
    questions = choose_questions(encoded, length=LENGTH)
    first, second = Counting(View(LENGTH)), Counting(View(131))
    looks = iter([False, True])
    found = evaluate([first, second], encoded, questions, batch_size=3, is_over=lambda: next(looks))
    assert first.batches == second.batches == [list(questions[:3]), list(questions[3:6])]
    for evaluation in found:
        np.testing.assert_array_equal(evaluation.asked, questions[:6])
        assert evaluation.predictions == [str(index) for index in questions[:6]]
    assert [evaluation.view for evaluation in found] == [View(LENGTH), View(131)]


def test_one_batch_is_asked_in_any_case(encoded):
    (found,) = evaluate(
        [Counting(View(LENGTH))], encoded, range(9), batch_size=4, is_over=lambda: True
    )
    assert len(found.predictions) == len(found.exact) == len(found.positions) == 4


def test_no_questions(encoded, tokenizer):
    with pytest.raises(ValueError, match="`questions` must not be empty"):
        evaluate([Counting(View(LENGTH))], encoded, [])


def test_questions_of_groups_come_in_turns(encoded):
    groups = ("class_near", "sentence")
    found = choose_questions(encoded, length=LENGTH, groups=groups)
    kinds = [encoded.questions[index].kind for index in found]
    count = kinds.count("class")
    assert 1 < count < len(kinds) / 4
    for turn in range(count):
        assert sorted(kinds[2 * turn : 2 * turn + 2]) == ["class", "sentence"]
    assert sorted(found) == list(encoded.answered_within(LENGTH))
    only = choose_questions(encoded, length=LENGTH, groups=("class_near",), count=2)
    assert [encoded.questions[index].kind for index in only] == ["class"] * 2


def test_the_right_window_holds_the_evidence(encoded, tokenizer):
    """Where a window slides, it is one of many; here, there is no other."""
    questions = choose_questions(encoded, length=LENGTH)
    apart = encoded.context_start() + encoded.distances() + 8
    within = questions[apart[questions] <= 67]
    assert len(within) > 0
    asked = []
    preprocessed = Reader(Oracle(encoded), tokenizer, View(67, up_to=LENGTH, chosen=True))
    real = preprocessed._preprocessor.make_windows
    preprocessed._preprocessor.make_windows = lambda names, pages: (
        asked.extend(pages.numpy()) or real(names, pages)
    )
    answers = preprocessed.answer(encoded, within[:4])
    assert len(answers) == len(asked)
    for index, text in zip(within[:4], asked, strict=True):
        question = encoded.questions[index]
        assert question.answer in text.decode()
        assert question.name in text.decode()
        assert len(tokenizer.tokenize(text.decode())) + encoded.context_start()[index] < 67


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

    evaluate([Reader(Recorder(encoded), tokenizer, View(67, up_to=LENGTH))], encoded, questions)
    assert {ids.shape[1] for ids in seen} == {67}
    assert sum(map(len, seen)) > len(questions)
    index = max(questions, key=lambda q: len(encoded.pages[encoded.page_of[q]]))
    seen.clear()
    evaluate([Reader(Recorder(encoded), tokenizer, View(67, up_to=131))], encoded, [index])
    last_piece = 131 - 2 - encoded.context_start()[index]
    start = encoded.page_starts[encoded.page_of[index]]
    (windows,) = seen
    real = windows[-1][windows[-1] != tokenizer.pad_token_id]
    assert real[-2] == encoded.pieces[start + last_piece]


def test_views_have_names():
    assert str(View(4096)) == "the first 4,096 pieces"
    assert str(View(512, up_to=4096)) == "512 pieces, sliding over 4,096"
    assert str(View(512, up_to=4096, chosen=True)) == "the right 512 of 4,096 pieces"


WHOLE = View(4096)


def evaluation(positions, exact, f1, kinds=None, distances=None, view=WHOLE):
    count = len(positions)
    return Evaluation(
        view=view,
        asked=np.arange(count) + 70,
        kinds=np.array(kinds or ["sentence"] * count),
        positions=np.array(positions),
        distances=np.array(distances or [7] * count),
        predictions=[""] * count,
        exact=np.array(exact),
        f1=np.array(f1),
    )


def test_summaries_by_group():
    found = evaluation(
        [5, 6, 7, 8],
        [1.0, 0.0, 1.0, 0.0],
        [1.0, 0.5, 1.0, 0.25],
        ["sentence", "class", "class", "sentence"],
        [3, 600, 512, 511],
    )
    assert found.summary() == {"questions": 4, "exact_match": 50.0, "f1": 68.75}
    assert FAR == 512
    assert found.summary("class_far") == {"questions": 2, "exact_match": 50.0, "f1": 75.0}
    assert found.summary("signature") == {"questions": 0, "exact_match": None, "f1": None}
    near = found.only(np.array([0, 1]))
    assert list(near.asked) == [70, 71]
    assert near.to_dict() == {
        "view": "the first 4,096 pieces",
        "sentence": {"questions": 1, "exact_match": 100.0, "f1": 100.0},
        "class_near": {"questions": 0, "exact_match": None, "f1": None},
        "class_far": {"questions": 1, "exact_match": 0.0, "f1": 50.0},
        "signature": {"questions": 0, "exact_match": None, "f1": None},
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


def test_the_picture_of_learning_is_a_png(tmp_path):
    curves = {"shipped weights": [(0.1, 5.0), (0.2, 3.0)], "random weights": []}
    path = plot_learning({"before": (0.0, 7), "after": (80.0, 7)}, curves, tmp_path / "l.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    nothing = plot_learning({"before": (0.0, 7)}, {"shipped weights": []}, tmp_path / "n.png")
    assert nothing.stat().st_size > 5000

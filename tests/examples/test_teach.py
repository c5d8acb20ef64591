import keras
import numpy as np
import pytest

from examples.docs_qa.dataset import encode_split
from examples.docs_qa.questions import KINDS, SIGNATURE, Split, ask
from examples.docs_qa.teach import FitBudget, Lesson, Teacher, lesson_dataset, make_examples
from examples.docs_qa.train import build_model
from tests.examples.help_pages import library

LESSON = Lesson(length=97, batch_size=5, learning_rate=0.1, final_learning_rate=0.02)
TINY = {
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 17,
    "block_size": 8,
    "num_random_blocks": 1,
    "max_position_embeddings": 97,
}


@pytest.fixture(scope="module")
def encoded(tokenizer):
    pages = library()
    questions = [q for page in pages for q in ask(page, set(), (*KINDS, SIGNATURE))]
    return encode_split(Split([], {page.module: page for page in pages}, questions), tokenizer)


class Clock:
    """Time that stands still unless somebody moves it."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_examples_are_texts_with_their_answers(encoded, tokenizer):
    lesson = Lesson(length=193)
    examples = make_examples(encoded, lesson)
    assert examples == make_examples(encoded, lesson)
    places = []
    for _, text, answer, start in examples:
        assert text.encode()[start:].startswith(answer.encode())
        assert len(tokenizer.tokenize(text)) < 193
        places.append(start / len(text.encode()))
    assert min(places) < 0.1
    assert max(places) > 0.7
    asked = [question for question, *_ in examples]
    new = [question for question in asked if question.startswith("signature of ")]
    # Every new question once, and as many old ones.
    everything = [q.text for q in encoded.questions if q.kind == SIGNATURE]
    assert set(new) == set(everything)
    assert len(everything) <= len(new) <= len(everything) + 1
    assert len(asked) - len(new) == pytest.approx(len(new), abs=1)
    assert sum(question.startswith("class of ") for question in asked) > 5


def test_examples_can_be_fewer_and_are_drawn_by_seed(encoded):
    fewer = Lesson(length=193, max_examples=8)
    assert len(make_examples(encoded, fewer)) == 8
    other = Lesson(length=193, max_examples=8, seed=1)
    assert make_examples(encoded, fewer) != make_examples(encoded, other)


def test_nothing_to_teach(tokenizer):
    pages = library()
    questions = [question for page in pages for question in ask(page, set())]
    split = encode_split(Split([], {page.module: page for page in pages}, questions), tokenizer)
    with pytest.raises(ValueError, match="questions of the group 'signature'"):
        make_examples(split, LESSON)


def test_labels_are_the_answers(encoded, tokenizer):
    examples = make_examples(encoded, LESSON)
    answers = {"".join(answer.split()) for _, _, answer, _ in examples}
    seen = 0
    for x, y in lesson_dataset(examples, tokenizer, LESSON).take(8):
        assert x["input_ids"].shape == (5, 97)
        for ids, start, end in zip(x["input_ids"], y["start_logits"], y["end_logits"], strict=True):
            assert 0 < start <= end
            text = tokenizer.detokenize(ids[start : end + 1]).numpy().decode()
            seen += "".join(text.split()) in answers
    assert seen > 30  # Some have letters that the vocabulary lacks.


@pytest.fixture
def model(tokenizer):
    return build_model(tokenizer.vocab_size, tokenizer.sep_token_id, **TINY)


class Slow(keras.callbacks.Callback):
    """Moves the clock: by much in the first step, which traces the graph, then by a second."""

    def __init__(self, clock, first):
        super().__init__()
        self.clock = clock
        self.first = first

    def on_train_batch_begin(self, batch, logs=None):
        self.clock.now += self.first if batch == 0 else 1.0


def run_steps(model, clock, *, first, seconds, latest):
    """Goes through steps as `fit` does, without computing."""
    model.compile()
    budget = FitBudget(LESSON, seconds=seconds, latest=latest, clock=clock)
    budget.set_model(model)
    slow = Slow(clock, first)
    rates = []
    model.stop_training = False
    while not model.stop_training:
        slow.on_train_batch_begin(len(rates))
        budget.on_train_batch_begin(len(rates))
        rates.append(float(model.optimizer.learning_rate))
        budget.on_train_batch_end(len(rates) - 1, {"loss": 1.0})
    return budget, rates


def test_tracing_does_not_count_as_training(model):
    clock = Clock()
    budget, rates = run_steps(model, clock, first=500, seconds=30, latest=10**6)
    assert len(rates) == 31
    assert budget.trained == 30
    assert [step["seconds"] for step in budget.curve] == list(range(1, 31))
    # It warms up, and then falls with the time.
    np.testing.assert_allclose(rates[:3], [0.01, 0.02 * (1 - 0.8 / 30), 0.03 * (1 - 1.6 / 30)])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.02)


def test_but_there_is_a_last_moment(model):
    clock = Clock()
    budget, rates = run_steps(model, clock, first=500, seconds=30, latest=610)
    assert len(rates) == 11
    assert budget.trained == 10
    budget, rates = run_steps(model, Clock(), first=500, seconds=30, latest=200)
    assert len(rates) == 1
    assert budget.trained == 0


def test_without_seconds_there_is_one_step(model):
    _, rates = run_steps(model, Clock(), first=3, seconds=0, latest=10**6)
    assert len(rates) == 1


@pytest.mark.slow
def test_a_lesson_teaches(model, encoded, tokenizer):
    lesson = Lesson(
        turns=("signature",), length=97, batch_size=8, learning_rate=0.02, final_learning_rate=5e-3
    )
    clock = Clock()
    dataset = lesson_dataset(make_examples(encoded, lesson), tokenizer, lesson)
    before = [np.array(weight) for weight in model.trainable_weights]
    teacher = Teacher(model, lesson, clock=clock)
    teacher.trace(dataset)
    train_step = model.train_function
    for one, other in zip(before, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    report = teacher.teach(dataset, seconds=20, latest=10**6, callbacks=[Slow(clock, 99.0)])
    assert report["steps"] == 21
    assert report["examples"] == 21 * 8
    assert report["seconds"] == 20
    assert report["curve"][-1]["loss"] < 0.9 * report["curve"][0]["loss"]
    assert report["loss"] == pytest.approx(report["curve"][-1]["loss"])
    after = [np.array(weight) for weight in model.trainable_weights]
    assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    # Once more, from random weights: nothing is left of the first time.
    teacher.forget(seed=5)
    forgotten = [np.array(weight) for weight in model.trainable_weights]
    again = teacher.teach(dataset, seconds=0, latest=10**6)
    assert model.train_function is train_step
    assert again["steps"] == 1
    assert again["loss"] > report["curve"][-1]["loss"]
    assert int(model.optimizer.iterations) == 1
    teacher.forget(seed=5)
    for one, other in zip(forgotten, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(not np.array_equal(one, other) for one, other in zip(forgotten, after, strict=True))

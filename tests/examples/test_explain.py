import numpy as np
import pytest
from rich.console import Console

from examples.docs_qa.dataset import encode_split
from examples.docs_qa.evaluate import Evaluation, View
from examples.docs_qa.explain import (
    ask_in_words,
    excerpt,
    name_page,
    pick_examples,
    print_example,
    why_windows_fail,
)
from examples.docs_qa.questions import KINDS, SIGNATURE, Question, Split, ask
from tests.examples.help_pages import KIWI, ZEBRA


@pytest.fixture(scope="module")
def encoded(tokenizer):
    questions = [q for page in (ZEBRA, KIWI) for q in ask(page, set(), (*KINDS, SIGNATURE))]
    return encode_split(Split([], {p.module: p for p in (ZEBRA, KIWI)}, questions), tokenizer)


def index_of(encoded, text):
    return next(i for i, question in enumerate(encoded.questions) if question.text == text)


def test_questions_in_words():
    assert ask_in_words("sentence", "dedent") == "What does dedent do?"
    assert ask_in_words("class", "fill") == "Whose method is fill?"
    assert ask_in_words(SIGNATURE, "fill") == "How is fill called?"
    assert name_page("json.decoder") == "the help page of json.decoder"
    assert name_page("digest 3") == "a digest of several classes (no. 3)"


def test_an_excerpt_has_what_it_takes_to_answer(encoded, tokenizer):
    index = index_of(encoded, "class of egg_rows")
    lines = excerpt(encoded, index, margin=0)
    assert lines[0].startswith("…")
    assert lines[1] == "    class Egg(builtins.object)"
    assert lines[3] == "     |  egg_rows(self)"
    assert lines[2::2] == [line for line in lines[2::2] if line.startswith("…")]
    # What is left out is counted.
    text = KIWI.text
    between = text[text.index("\n     |  Egg(rows)") : text.index("\n     |  egg_rows(self)")]
    pieces = len(tokenizer.tokenize(between))
    assert abs(int(lines[2].split()[1]) - pieces) <= 2


def test_an_excerpt_shows_neighbours(encoded):
    lines = excerpt(encoded, index_of(encoded, "draw_stripe"))
    assert lines[1:4] == [
        "FUNCTIONS",
        "    draw_stripe(canvas, start=(0, 0))",
        "        Draw one stripe on a canvas!",
    ]


def test_examples_say_who_is_right_and_markup_is_text(encoded):
    console = Console(record=True, width=110)
    index = index_of(encoded, "signature of draw_stripe")
    print_example(
        console,
        encoded,
        index,
        [("before", "Opens [red]."), ("after", "draw_stripe(canvas,\n start=(0, 0))"), ("no", "")],
    )
    told = console.export_text()
    assert "How is draw_stripe called? (in the help page of zebra.stripes)" in told
    assert "the model is given: signature of draw_stripe" in told
    assert "expected: draw_stripe(canvas, start=(0, 0))" in told
    assert "before: Opens [red].  wrong" in told
    assert "after: draw_stripe(canvas, start=(0, 0))  right" in told
    assert "no: (no answer)  wrong" in told


def evaluation(exact):
    kinds = np.array(["sentence", "class", "class", "class"])
    return Evaluation(
        view=View(4096),
        asked=np.arange(4),
        kinds=kinds,
        positions=np.arange(4),
        distances=np.array([5, 7, 900, 8]),
        predictions=[""] * 4,
        exact=np.array(exact),
        f1=np.array(exact),
    )


def test_why_windows_fail_is_told_with_numbers():
    told = why_windows_fail(
        evaluation([1.0, 1.0, 1.0, 1.0]),
        evaluation([1.0, 0.0, 0.0, 0.0]),
        evaluation([1.0, 1.0, 0.0, 0.0]),
    )
    assert "(long input 100%, sliding 100%, right window 100%)" in told
    assert "near (long input 100%, sliding 0%, right window 50%)" in told
    assert "away (long input 100%, sliding 0%, right window 0%)" in told
    assert "There were but 1, 2, 1 such questions" in told
    nobody = evaluation([1.0, 1.0, 1.0, 1.0]).only(slice(0, 1))
    assert "away (long input -, sliding -, right window -)" in why_windows_fail(*[nobody] * 3)


def test_examples_are_the_first_of_each_group():
    found = evaluation([0.0, 0.0, 1.0, 1.0])
    assert pick_examples(found, ("class_near", "class_far", "signature", "sentence")) == [1, 2, 0]


def test_a_question_knows_its_place():
    question = Question("m", SIGNATURE, "f", 4, "f(x)", 4, 8)
    assert question.text == "signature of f"
    assert question.name_end == 5

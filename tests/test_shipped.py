"""The models that come with the package, and what `saved_models/` has of them."""

import argparse
import json
import pydoc
import re
import textwrap

import numpy as np
import pytest
import tensorflow as tf

import bigbird_tf as bb
from bigbird_tf.hub import shipped_models
from bigbird_tf.preprocessing import AnswerCalibration
from bigbird_tf.serving.warmup import WARMUP_FILE
from tests.conftest import ROOT
from tests.serving.allowed_ops import TENSORFLOW_OPS, TEXT_OPS
from tests.serving.saved_graphs import ops_of

NAME = "bigbird-docs-qa-mini"
EXPORT = ROOT / "saved_models" / "qa" / "1"


@pytest.fixture(scope="module")
def page():
    text = pydoc.render_doc(textwrap, renderer=pydoc.plaintext)
    return text.partition("\n\n")[2]  # A title of two lines comes first.


@pytest.fixture(scope="module")
def served():
    return tf.saved_model.load(str(EXPORT))


QUESTIONS = {
    "dedent": "Remove any common leading whitespace from every line in `text`.",
    "class of fix_sentence_endings": "TextWrapper",
}


def test_size_and_card():
    folder = shipped_models()[NAME]
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 15 * 2**20
    card = (folder / "README.md").read_text(encoding="utf-8")
    for word in ("Data", "Recipe", "Seed", "Numbers", "Limits"):
        assert f"## {word}" in card
    known = json.loads((folder / "config.json").read_text())["docs_qa_packages"]
    sides = [set(known[side]) for side in ("train", "validation", "test")]
    assert all(sides)
    assert sum(map(len, sides)) == len(set.union(*sides))


def test_a_directory_of_that_name_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = bb.BigBirdConfig(hidden_size=24, num_attention_heads=3, vocab_size=97)
    config.save_pretrained(NAME)
    assert bb.BigBirdConfig.from_pretrained(NAME).hidden_size == 24


def test_it_loads_by_name_and_the_export_is_the_same_model(served, page):
    model = bb.BigBirdForQuestionAnswering.from_pretrained(NAME)
    tokenizer = bb.BigBirdTokenizer.from_pretrained(NAME)
    inputs = tokenizer(["dedent"], [page[:3000]], max_length=1024)
    expected = model(inputs)
    found = served.signatures["from_ids"](
        **{name: tf.cast(value, tf.int32) for name, value in inputs.items()}
    )
    is_real = inputs["attention_mask"].numpy() * inputs["token_type_ids"].numpy() == 1
    for name, logits in expected.items():
        np.testing.assert_allclose(found[name][is_real], logits[is_real], atol=1e-3)


def test_the_export_answers(served, page):
    ask = served.signatures["serving_default"]
    for question, answer in QUESTIONS.items():
        found = ask(question=tf.constant([question]), context=tf.constant([page]))
        assert " ".join(found["answer"].numpy()[0].decode().split()) == answer
        assert 0.4 <= float(found["confidence"][0]) <= 1


FOX = "The dog barks at the moon. The fox sleeps. The river is cold in winter."
PARIS = (
    "Paris is the capital and largest city of France, with an estimated population of 2,048,472 "
    "residents in January 2025. Since the 17th century, Paris has been one of the world's major "
    "centres of finance, diplomacy, commerce, culture, fashion, and gastronomy."
)
NOT_AT_HOME = {
    FOX: ("Who sleeps?", "What does the fox do?", "Where is the river?", "fox", "class of sleep"),
    PARIS: ("What is the capital of France?", "How many residents has Paris?", "class of Paris"),
}


@pytest.mark.parametrize("context", NOT_AT_HOME)
def test_the_export_refuses_where_it_is_not_at_home(served, context):
    questions = NOT_AT_HOME[context]
    inputs = {
        "question": tf.constant(questions),
        "context": tf.constant([context] * len(questions)),
    }
    found = served.signatures["serving_default"](**inputs)
    assert set(found["answer"].numpy()) == {b""}
    assert np.all(found["confidence"] > 0.6)
    # What it would have said is at least made of whole words: no "ass" of "grass".
    spans = served.signatures["n_best"](**inputs)["answer"].numpy().flatten()
    assert any(spans)
    for span in filter(None, spans):
        begins = re.match(r"\w", span.decode()) and r"(?<!\w)"
        ends = re.search(r"\w$", span.decode()) and r"(?!\w)"
        assert re.search(f"{begins or ''}{re.escape(span.decode())}{ends or ''}", context)


def test_the_export_refuses_what_it_is_unsure_of(served):
    """Of a page that it reads wrongly, and was not trained with."""
    page = pydoc.render_doc(argparse, renderer=pydoc.plaintext).partition("\n\n")[2]
    questions = ["add_argument", "parse_args"]
    found = served.signatures["serving_default"](
        question=tf.constant(questions), context=tf.constant([page] * len(questions))
    )
    assert found["answer"].numpy().tolist() == [b"", b""]


def test_its_calibration():
    config = bb.BigBirdConfig.from_pretrained(NAME)
    calibration = AnswerCalibration.of_config(config)
    assert 0 < calibration.threshold < 1
    card = (shipped_models()[NAME] / "README.md").read_text(encoding="utf-8")
    assert f"{calibration.threshold}" in card


def test_the_export_has_allowed_ops_only():
    assert ops_of(EXPORT) - TENSORFLOW_OPS - TEXT_OPS == set()


def test_the_export_has_warmup_requests():
    records = list(tf.data.TFRecordDataset(str(EXPORT / WARMUP_FILE)))
    assert len(records) == 3

"""Heads with a `WordPieceTokenizer`: strings in, answers out."""

import keras
import pytest
import tensorflow as tf

import bigbird_tf as bb
from bigbird_tf.serving import make_servable
from tests.preprocessing.tokenizers.test_word_piece_tokenizer import VOCABULARY
from tests.serving.conftest import small_config

CONTEXT = "The  birds sing, café 猫猫 the bird"


@pytest.fixture(scope="module")
def tokenizer():
    mask = {"content": "[MASK]", "lstrip": True, "special": True}
    return bb.WordPieceTokenizer(VOCABULARY, added_tokens=[mask])


def make(cls, tokenizer):
    keras.utils.set_random_seed(29)
    return cls(small_config(**{"vocab_size": 41, **tokenizer.config_fields}))


def test_fill_mask(tokenizer):
    """Pieces that go on with a word stand right behind it, others behind a space."""
    model = make(bb.BigBirdForMaskedLM, tokenizer)
    best = tokenizer.vocab_size
    fill = make_servable(model, tokenizer, num_best=best).signatures()["serving_default"]
    found = fill(text=tf.constant(["The\n[MASK] sing", "no mask", "[MASK]"]))
    assert found["tokens"].shape == (3, 1, best)
    pairs = zip(found["tokens"][0, 0].numpy(), found["filled"][0, 0].numpy(), strict=True)
    filled = {token.decode(): text.decode() for token, text in pairs}
    assert filled["the"] == "The\nthe sing"
    assert filled["s"] == "Thes sing"
    assert filled["猫"] == "The\n猫 sing"
    assert found["filled"][2, 0, 0].numpy() == found["tokens"][2, 0, 0].numpy()


def test_question_answering_saved_and_loaded(tokenizer, tmp_path):
    """Answers are parts of the document as it is written; the vocabulary is an asset."""
    model = make(bb.BigBirdForQuestionAnswering, tokenizer)
    options = {"max_question_length": 11, "no_answer_threshold": None}
    folder = bb.export_saved_model(model, tmp_path / "qa", tokenizer, **options)
    assert (folder / "assets/vocab.txt").read_text().split("\n")[:-1] == VOCABULARY
    ask = tf.saved_model.load(str(folder)).signatures["n_best"]
    found = ask(question=tf.constant(["the birds"]), context=tf.constant([CONTEXT]))
    answers = [answer.decode() for answer in found["answer"][0].numpy() if answer]
    assert answers
    words = {"The", "birds", "sing", ",", "café", "猫", "the", "bird"}
    for answer in answers:
        assert answer in CONTEXT
        assert answer == answer.strip()
        assert any(answer.startswith(word) for word in words)


def test_generation(tokenizer):
    """Without a begin or an end of its own, `[CLS]` begins and the limit ends."""
    model = make(bb.BigBirdForCausalLM, tokenizer)
    text = model.generate(["the birds", "café"], 5, tokenizer=tokenizer)
    ids = tf.ragged.constant([[2, 5, 6, 7], [2, 10]])
    expected = tokenizer.detokenize(model.generate(ids, 5))
    assert text.numpy().tolist() == expected.numpy().tolist()

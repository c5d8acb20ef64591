"""What the signatures of summaries compute, against `generate`; and the command's Predictor."""

import json

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import BigBirdPegasusForConditionalGeneration
from bigbird_tf.preprocessing import BigBirdTokenizer, evaluate_rouge
from bigbird_tf.serving import SummarizationServable, export_saved_model, make_servable
from bigbird_tf.serving.predictor import Predictor
from bigbird_tf.serving.summary_evaluation import evaluate_summarization
from tests.contract import randomize
from tests.preprocessing.conftest import train_vocabulary
from tests.serving.conftest import MAX_LENGTH, TEXTS, small_pegasus_config

BEAMS = {"num_beams": 3, "num_return_sequences": 2, "no_repeat_ngram_size": 2}


@pytest.fixture(scope="module")
def model(pegasus_tokenizer):
    model = BigBirdPegasusForConditionalGeneration(
        small_pegasus_config(**pegasus_tokenizer.config_fields)
    )
    randomize(model)
    return model


@pytest.fixture(scope="module")
def tokenizer(pegasus_tokenizer):
    return pegasus_tokenizer


@pytest.fixture(scope="module")
def folder(model, tokenizer, tmp_path_factory):
    return export_saved_model(model, tmp_path_factory.mktemp("summaries"), tokenizer)


def cut(tokenizer, text):
    """A document as it is read, and how many of its pieces are not."""
    ids = tokenizer.tokenize(text).numpy().tolist()
    kept = ids[: MAX_LENGTH - 1]
    return np.array([[*kept, tokenizer.eos_token_id]]), len(ids) - len(kept)


@pytest.mark.slow
def test_equals_generate(model, tokenizer, folder):
    """By what the config says: three beams of seven tokens."""
    run = tf.saved_model.load(str(folder)).signatures
    found = run["serving_default"](text=tf.constant(TEXTS))
    assert found["tokens"].shape == (len(TEXTS), 7)
    counts = []
    for i, text in enumerate(TEXTS):
        ids, num_cut = cut(tokenizer, text)
        expected = model.generate(ids)
        np.testing.assert_array_equal(found["tokens"][i], expected[0])
        if num_cut == 0:
            assert found["summary"][i] == model.generate(text, tokenizer=tokenizer)
        counts.append(num_cut)
        alone = run["from_ids"](
            input_ids=tf.constant(ids, tf.int32), attention_mask=tf.ones(ids.shape, tf.int32)
        )
        np.testing.assert_array_equal(alone["tokens"], expected)
    assert found["num_cut"].numpy().tolist() == counts
    assert max(counts) > 0
    assert found["summary"].shape == (len(TEXTS),)
    none = run["serving_default"](text=tf.zeros([0], tf.string))
    assert none["tokens"].shape == (0, 7)


@pytest.mark.slow
def test_options(model, tokenizer, tmp_path):
    options = {"max_new_tokens": 5, "stop_token_ids": [], "generation": BEAMS}
    folder = export_saved_model(model, tmp_path, tokenizer, too_long="refuse", **options)
    run = tf.saved_model.load(str(folder)).signatures["serving_default"]
    found = run(text=tf.constant(TEXTS[:3]))
    assert found["tokens"].shape == (3, 2, 5)
    for i, text in enumerate(TEXTS[:3]):
        expected = model.generate(text, 5, stop_token_ids=[], tokenizer=tokenizer, **BEAMS)
        assert found["summary"][i].numpy().tolist() == expected.numpy().tolist()
    assert run(text=tf.zeros([0], tf.string))["tokens"].shape == (0, 2, 5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 60 pieces"):
        run(text=tf.constant(["short", "bird " * 99]))


def test_the_config_completes_what_is_checked(model, tokenizer):
    servable = SummarizationServable(model, tokenizer, generation={"num_return_sequences": 3})
    # Three beams of seven tokens for each document.
    assert servable.tokens_besides == 21
    sampled = SummarizationServable(model, tokenizer, generation={"do_sample": True})
    assert sampled.tokens_besides == 7


@pytest.mark.slow
def test_predictor(model, tokenizer, folder, tmp_path):
    """The command's `predict`, on what was saved and on what was exported."""
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    records = [{"text": text} for text in TEXTS[1:3]]
    exported = Predictor(folder)(records)
    pretrained = Predictor(tmp_path)
    assert pretrained(records) == exported
    assert sorted(exported[0]) == pretrained.output_names == ["num_cut", "summary", "tokens"]
    # The command's `evaluate`, on the same.
    file = tmp_path / "test.jsonl"
    lines = [{"document": text, "summary": "eleven birds"} for text in TEXTS[1:3]]
    file.write_text("\n".join(map(json.dumps, lines)))
    scores, summaries = evaluate_summarization(pretrained, file, batch_size=2)
    assert summaries == [outputs["summary"] for outputs in exported]
    assert scores == evaluate_rouge(["eleven birds"] * 2, summaries)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"too_long": "window"}, "`too_long` must be one of 'cut', 'refuse'"),
        ({"generation": {"num_beam": 2}}, "`generation` takes arguments.*Received: num_beam"),
        ({"generation": {"num_beams": 2, "num_return_sequences": 3}}, "at most `num_beams`"),
        ({"max_new_tokens": MAX_LENGTH + 1}, "`max_new_tokens` must be at most"),
    ],
    ids=str,
)
def test_bad_options(model, tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        make_servable(model, tokenizer, **options).signatures()


def test_other_tokenizers(model):
    with pytest.raises(TypeError, match="`tokenizer` must be a `PegasusTokenizer`"):
        SummarizationServable(model, BigBirdTokenizer(train_vocabulary()))

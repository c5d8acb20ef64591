"""SavedModels of models with global tokens beside the sequence."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.preprocessing import QuestionAnsweringPreprocessor, decode_answers
from bigbird_tf.serving import export_saved_model, make_servable
from tests.contract import randomize
from tests.serving.conftest import MAX_LENGTH, TEXTS, small_config

ETC = {"construction": "etc", "num_global_tokens": 18, "num_random_blocks": 0}


@pytest.mark.slow
def test_question_and_paragraphs(tokenizer, tmp_path):
    """Strings in, answers out: those of the preprocessor, the model and the decoder in Python."""
    model = models.BigBirdForQuestionAnswering(small_config(**ETC, global_reads="members"))
    randomize(model)
    options = {"max_question_length": 11, "max_paragraphs": 7}
    path = export_saved_model(
        model, tmp_path / "qa", tokenizer, construction="etc", max_answer_length=9, **options
    )
    loaded = tf.saved_model.load(str(path))
    preprocessor = QuestionAnsweringPreprocessor(
        tokenizer, max_length=MAX_LENGTH, construction="etc", **options
    )
    question, context = "who sings?", TEXTS[3].replace(" Zürich", "\nZürich")
    answer = loaded.signatures["serving_default"](
        question=tf.constant([question]), context=tf.constant([context])
    )
    x, windows = preprocessor.make_windows(question, context)
    assert len(windows["example"]) > 2
    logits: dict[str, list] = {"start_logits": [], "end_logits": []}
    for row in range(len(windows["example"])):
        length = -(-int(tf.reduce_sum(x["attention_mask"][row])) // 4) * 4
        one = {k: v[row : row + 1, :length] if v.shape[1] > 18 else v[row : row + 1]
               for k, v in x.items()}  # fmt: skip
        outputs = model(one)
        from_ids = loaded.signatures["from_ids"](
            **{name: one[name] for name in one if name != "question_lengths"}
        )
        for name, rows in logits.items():
            np.testing.assert_allclose(from_ids[name], outputs[name], rtol=0, atol=1e-4)
            value = outputs[name][0]
            rows.append(tf.pad(value, [[0, MAX_LENGTH - value.shape[0]]]))
    expected = decode_answers(
        tf.stack(logits["start_logits"]), tf.stack(logits["end_logits"]), windows, context,
        max_answer_length=9,
    )  # fmt: skip
    assert answer["answer"][0] == expected["answer"]
    np.testing.assert_allclose(answer["score"][0], expected["score"], rtol=1e-4)


@pytest.mark.slow
def test_learned_tokens(tokenizer, tmp_path):
    """They are part of the model: signatures are those of any."""
    model = models.BigBirdForSequenceClassification(small_config(**ETC))
    randomize(model)
    path = export_saved_model(model, tmp_path / "labels", tokenizer)
    loaded = tf.saved_model.load(str(path))
    for text in TEXTS[1:3]:
        x = tokenizer([text], max_length=MAX_LENGTH, pad_to_multiple_of=4)
        logits = loaded.signatures["from_ids"](**x)["logits"]
        np.testing.assert_allclose(logits, model(x), rtol=0, atol=1e-5)


def test_what_no_servable_can_know(tokenizer):
    members = small_config(**ETC, global_reads="members")
    model = models.BigBirdForSequenceClassification(members)
    with pytest.raises(ValueError, match="question answering, with construction='etc'"):
        make_servable(model, tokenizer)
    model = models.BigBirdForQuestionAnswering(members)
    with pytest.raises(ValueError, match=r"max_paragraphs=64, config\.num_global_tokens=18"):
        make_servable(model, tokenizer, construction="etc")


@pytest.mark.slow
def test_keras_export_takes_the_membership(tmp_path):
    model = models.BigBirdModel(small_config(**ETC, global_reads="members"))
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    ids = np.arange(66, dtype=np.int32).reshape(2, 33)
    x = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": 0 * ids,
         "global_membership": ids % 5 - 1}  # fmt: skip
    np.testing.assert_allclose(
        loaded.serve(x)["global_hidden_state"], model(x)["global_hidden_state"], rtol=0, atol=1e-5
    )

"""What question answering's signatures compute, against the Python decoder."""

import json

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.preprocessing import (
    AnswerCalibration,
    QuestionAnsweringPreprocessor,
    decode_answers,
)
from bigbird_tf.serving import make_servable
from tests.serving.conftest import MAX_LENGTH, TEXTS, small_config

pytestmark = pytest.mark.slow


class TestQuestionAnswering:
    @pytest.mark.parametrize("family", ["BigBird", "BigBirdPegasus"])
    def test_equals_the_python_decoder(self, exported, family):
        qa = exported(f"{family}ForQuestionAnswering")
        preprocessor = QuestionAnsweringPreprocessor(
            qa.tokenizer,
            max_length=MAX_LENGTH,
            padding="longest",
            pad_to_multiple_of=4,
            max_question_length=11,
        )
        questions = [f"who sings {i}?" for i in range(len(TEXTS))]
        best = qa.run(question=questions, context=TEXTS)
        n_best = qa.run("n_best", question=questions, context=TEXTS)
        num_windows = []
        for i, (question, context) in enumerate(zip(questions, TEXTS, strict=True)):
            x, windows = preprocessor.make_windows(question, context)
            num_windows.append(len(windows["example"]))
            # Each window by itself, at its own length.
            logits = {"start_logits": [], "end_logits": []}
            for row in range(num_windows[-1]):
                length = -(-int(tf.reduce_sum(x["attention_mask"][row])) // 4) * 4
                outputs = qa.model({k: v[row : row + 1, :length] for k, v in x.items()})
                for name, rows in logits.items():
                    value = outputs[name][0]
                    rows.append(tf.pad(value, [[0, x["input_ids"].shape[1] - value.shape[0]]]))
            for outputs, count in ((best, None), (n_best, 3)):
                expected = decode_answers(
                    tf.stack(logits["start_logits"]),
                    tf.stack(logits["end_logits"]),
                    windows,
                    context,
                    max_answer_length=9,
                    num_best=count,
                )
                for name, value in expected.items():
                    actual = outputs[name][i]
                    if name == "score":
                        # What is not there sorts last, by a number that JSON can hold.
                        value = np.maximum(value, np.finfo(np.float32).min)
                    if name in ("score", "no_answer_score", "confidence"):
                        np.testing.assert_allclose(actual, value, rtol=1e-4, atol=1e-4)
                    else:
                        np.testing.assert_array_equal(actual, value, err_msg=name)
        assert max(num_windows) > 3
        np.testing.assert_array_equal(n_best["answer"][:, 0], best["answer"])

    def test_fillers_are_json_and_sort_last(self, exported):
        found = exported("BigBirdForQuestionAnswering").run(
            "n_best", question=["who?", "who?"], context=["bird", ""]
        )
        # Of three: a word and "no answer"; "no answer" alone.
        assert [[bool(answer) for answer in row].count(True) for row in found["answer"]] == [1, 0]
        for scores, real in zip(found["score"], (2, 1), strict=True):
            assert scores[:real].min() > -1e6
            assert np.all(scores[real:] == np.finfo(np.float32).min)
            written = json.dumps(scores.tolist(), allow_nan=False)
            assert np.all(np.array(json.loads(written), np.float32) == scores)
        np.testing.assert_array_equal(found["confidence"][:, 2], 0.0)

    def test_calibration_and_threshold_of_the_config(self, tokenizer):
        def servable(calibration, **options):
            extra = {} if calibration is None else {"answer_calibration": calibration}
            model = models.BigBirdForQuestionAnswering(small_config(extra=extra))
            return make_servable(model, tokenizer, **options)

        plain = servable(None)
        assert (plain.calibration, plain.no_answer_threshold) == (None, 0.0)
        assert plain.confidence_threshold == 0.0
        fields = {"weight": 0.5, "bias": 0.1, "threshold": 0.4}
        calibrated = servable(fields)
        assert calibrated.calibration == AnswerCalibration(**fields)
        assert (calibrated.confidence_threshold, calibrated.no_answer_threshold) == (0.4, None)
        other = servable(fields, confidence_threshold=0, no_answer_threshold=1.0)
        assert (other.confidence_threshold, other.no_answer_threshold) == (0, 1.0)
        with pytest.raises(ValueError, match=r"`threshold` must be a number in \[0, 1\)"):
            servable({"threshold": 2})
        with pytest.raises(ValueError, match=r"`confidence_threshold`.*confidence_threshold=1"):
            servable(fields, confidence_threshold=1)
        with pytest.raises(ValueError, match="`no_answer_threshold` must be a number, None or"):
            servable(fields, no_answer_threshold="never")

    def test_offsets_are_bytes_of_the_context(self, exported):
        context = "日本語 naïve café Zürich привет " * 2
        found = exported("BigBirdForQuestionAnswering").run(
            "n_best", question=["猫?"], context=[context]
        )
        for answer, start, end in zip(
            *(found[k][0] for k in ("answer", "start", "end")), strict=True
        ):
            assert context.encode()[start:end] == answer

    def test_question_longer_than_the_window(self, exported):
        found = exported("BigBirdForQuestionAnswering").run(
            question=["who sings " * 500], context=["A bird sings."]
        )
        assert found["end"][0] <= len("A bird sings.")

    def test_batches_of_different_size(self, exported):
        with pytest.raises(tf.errors.InvalidArgumentError, match="of one batch size"):
            exported("BigBirdForQuestionAnswering").run(question=["a", "b"], context=["c"])

    def test_ten_thousand_documents(self, exported):
        """More than one step holds, nothing lost, and all in their order."""
        documents = [f"bird {i}" for i in range(10007)]
        found = exported("BigBirdForQuestionAnswering").run(
            "n_best", question=["who?"] * len(documents), context=documents
        )
        assert found["answer"].shape == (10007, 3)
        for i in range(0, 10007, 97):
            start, end = found["start"][i, 0], found["end"][i, 0]
            assert documents[i].encode()[start:end] == found["answer"][i, 0]

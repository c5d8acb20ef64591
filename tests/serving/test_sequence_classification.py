"""What sequence classification's signatures compute, against the model."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.serving import make_servable
from bigbird_tf.serving.predictor import Predictor
from tests.serving.conftest import LABELS, SHORT, TEXTS, encode, small_config

pytestmark = pytest.mark.slow


BOTH = pytest.mark.parametrize(
    "name", ["BigBirdForSequenceClassification", "BigBirdPegasusForSequenceClassification"]
)


class TestSequenceClassification:
    @BOTH
    def test_equals_the_model(self, exported, name):
        classifier = exported(name)
        found = classifier.run(text=SHORT)
        others = ["stone", "", "x"]
        pairs = classifier.run("pair", text=["", *SHORT[:2]], text_pair=others)
        cases = [(found, i, text, None) for i, text in enumerate(SHORT)]
        cases += [(pairs, i, ["", *SHORT[:2]][i], pair) for i, pair in enumerate(others)]
        for outputs, i, text, pair in cases:
            logits = classifier.model(encode(classifier, text, pair))[0]
            expected = tf.nn.softmax(logits).numpy()
            order = np.argsort(-expected)
            np.testing.assert_allclose(outputs["probabilities"][i], expected[order], rtol=1e-4)
            assert outputs["labels"][i].tolist() == [LABELS[k].encode() for k in order]

    @BOTH
    def test_long_texts_average_their_windows(self, exported, name):
        classifier = exported(name)
        servable = make_servable(classifier.model, classifier.tokenizer)
        text = TEXTS[3]
        windows = servable.text_windows(tf.constant([text]))
        logits = []
        for row in range(len(windows.lengths)):
            inputs = windows.fill(tf.constant([row]))[0]
            inputs = {key: inputs[key] for key in servable.input_names}
            logits.append(classifier.model(inputs)[0])
        assert len(logits) > 3
        expected = np.sort(tf.nn.softmax(np.mean(logits, axis=0)))[::-1]
        found = classifier.run(text=[text])["probabilities"][0]
        np.testing.assert_allclose(found, expected, rtol=1e-4)

    def test_predictor(self, exported, tmp_path):
        """The command's, of what was saved and of what was exported."""
        classifier = exported("BigBirdPegasusForSequenceClassification")
        classifier.model.save_pretrained(tmp_path)
        classifier.tokenizer.save_pretrained(tmp_path)
        records = [{"text": text} for text in SHORT]
        found = [Predictor(folder)(records) for folder in (tmp_path, classifier.folder)]
        for mine, other in zip(*found, strict=True):
            assert mine["labels"] == other["labels"]
            np.testing.assert_allclose(mine["probabilities"], other["probabilities"], rtol=1e-5)

    @pytest.mark.parametrize("kind", ["regression", "multi_label_classification"])
    def test_other_problems(self, tokenizer, kind):
        model = models.BigBirdForSequenceClassification(small_config(problem_type=kind))
        servable = make_servable(model, tokenizer)
        outputs = servable.signatures()["serving_default"](text=tf.constant(SHORT))
        for i, text in enumerate(SHORT):
            logits = model(encode(servable, text))[0].numpy()
            if kind == "regression":
                assert sorted(outputs) == ["values"]
                np.testing.assert_allclose(outputs["values"][i], logits, rtol=1e-4, atol=1e-5)
            else:
                expected = np.sort(tf.sigmoid(logits))[::-1]
                np.testing.assert_allclose(outputs["probabilities"][i], expected, rtol=1e-4)

    def test_labels_without_names(self, tokenizer):
        config = small_config(id2label=None, num_labels=3)
        servable = make_servable(models.BigBirdForSequenceClassification(config), tokenizer)
        assert servable.labels == ["LABEL_0", "LABEL_1", "LABEL_2"]

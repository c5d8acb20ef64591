"""What multiple choice's signatures compute, against the model."""

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.conftest import SHORT, encode

pytestmark = pytest.mark.slow


class TestMultipleChoice:
    def test_equals_the_model(self, exported):
        head = exported("BigBirdForMultipleChoice")
        choices = [["eleven", "a river house"], ["", "bird"], ["x y z", "stone"]]
        found = head.run(text=SHORT, choices=choices)
        for i, text in enumerate(SHORT):
            logits = []
            for choice in choices[i]:
                inputs = encode(head, text, choice)
                logits.append(float(head.model({k: v[:, None] for k, v in inputs.items()})[0, 0]))
            np.testing.assert_allclose(
                found["probabilities"][i], tf.nn.softmax(logits), rtol=1e-4, atol=1e-6
            )
            assert found["choice"][i] == np.argmax(logits)
            assert found["answer"][i] == choices[i][np.argmax(logits)].encode()

    def test_no_choices(self, exported):
        with pytest.raises(tf.errors.InvalidArgumentError, match="`choices` must have one"):
            exported("BigBirdForMultipleChoice").run(text=["a"], choices=np.zeros((1, 0), "S1"))

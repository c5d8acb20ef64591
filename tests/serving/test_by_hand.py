"""What servables make of a model's outputs, in small cases by hand, without an export."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.serving import make_servable
from tests.serving.conftest import small_config


@pytest.mark.parametrize(
    ("labels", "begins", "ends"),
    [
        # Single words of BILOU and of BIOES, beside their own and an outside label.
        (("O", "B-x", "I-x", "L-x", "U-x"), [0, 1, 0, 0, 1], [0, 0, 0, 1, 1]),
        (("O", "B-x", "I-x", "E-x", "S-x"), [0, 1, 0, 0, 1], [0, 0, 0, 1, 1]),
        (("O", "B-x", "M-x", "E-x", "S-x"), [0, 1, 0, 0, 1], [0, 0, 0, 1, 1]),
        (("O", "B-x", "I-x"), [0, 1, 0], [0, 0, 0]),
    ],
)
def test_tags_of_each_scheme(tokenizer, labels, begins, ends):
    config = small_config(num_hidden_layers=0, id2label=dict(enumerate(labels)))
    made = make_servable(models.BigBirdForTokenClassification(config), tokenizer)
    kinds, kind_of_label, found_begins, found_ends = made._kinds()
    assert kinds == ["x"]
    assert kind_of_label == [-1, *[0] * (len(labels) - 1)]
    assert [int(value) for value in found_begins] == begins
    assert [int(value) for value in found_ends] == ends


def test_the_mean_is_over_all_tokens_of_a_text(tokenizer):
    """[CLS] and [SEP] among them, and no padding."""
    model = models.BigBirdModel(small_config(num_hidden_layers=0))
    texts = ["the bird", "", "river stone house on eleven"]
    found = make_servable(model, tokenizer)._embed(tf.constant(texts))
    for row, text in enumerate(texts):
        hidden = np.array(model(tokenizer([text]))["last_hidden_state"])[0]
        np.testing.assert_allclose(found["mean"][row], hidden.mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["cls"][row], hidden[0], rtol=1e-4, atol=1e-5)

"""What signatures of all heads have in common."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.serving import make_servable
from tests.serving.conftest import small_config

TEXT, OTHER = "the river sings", "eleven birds walks"


@pytest.mark.parametrize(
    ("name", "signature", "inputs"),
    [
        pytest.param(
            "BigBirdForQuestionAnswering",
            "serving_default",
            {"question": [TEXT], "context": [OTHER]},
            marks=pytest.mark.slow,
        ),
        ("BigBirdForSequenceClassification", "pair", {"text": [TEXT], "text_pair": [OTHER]}),
        (
            "BigBirdForMultipleChoice",
            "serving_default",
            {"text": [TEXT], "choices": [[OTHER, TEXT]]},
        ),
    ],
)
def test_one_token_type(name, signature, inputs, tokenizer):
    """A model with one token type, as `lengthen` makes of RoBERTa, takes pairs of texts."""
    config = small_config(num_hidden_layers=0, type_vocab_size=1)
    servable = make_servable(getattr(models, name)(config), tokenizer)
    outputs = servable.signatures()[signature](
        **{key: tf.constant(value) for key, value in inputs.items()}
    )
    numbers = [value for value in outputs.values() if value.dtype == tf.float32]
    assert numbers
    for value in numbers:
        assert np.isfinite(value).all()
    ids = tf.constant([[7, 4, 9, 4]] * 2)
    ids = ids[None] if name == "BigBirdForMultipleChoice" else ids
    from_ids = servable.signatures()["from_ids"]
    first, second = (
        from_ids(input_ids=ids, attention_mask=ids * 0 + 1, token_type_ids=ids * 0 + types)
        for types in (0, 1)
    )
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key])

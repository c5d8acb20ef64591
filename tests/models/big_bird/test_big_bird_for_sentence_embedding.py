from typing import ClassVar

import numpy as np
import pytest

from bigbird_tf import BigBirdForSentenceEmbedding, BigBirdModel
from tests.contract import BATCH, WIDTH, mask_of, random_ids, tiny_config
from tests.model_contract import ModelContract


class TestContract(ModelContract):
    model_class = BigBirdForSentenceEmbedding
    config_fields: ClassVar[dict] = {"num_hidden_layers": 1}
    # The encoder's 5 + 16.
    trainable_weights = 21
    # The pooler is in the published form, and not read.
    other_weights = 2
    states = 1 + 3
    # The encoder's with pooler.
    parameters = 5452

    def labels(self):
        return np.random.default_rng(5).normal(size=(BATCH, WIDTH))

    def compile_arguments(self):
        return {"loss": "mse"}


@pytest.mark.parametrize("mode", ["mean", "max", "cls"])
def test_pooled_is_the_encoders_output(mode):
    model = TestContract.make(pooling_mode=mode, normalize=True)
    ids, mask = random_ids(), mask_of()
    hidden = np.asarray(
        BigBirdModel.call(model, {"input_ids": ids, "attention_mask": mask})["last_hidden_state"]
    )
    rows = [row[:n] for row, n in zip(hidden, mask.sum(1), strict=True)]
    pool = {"mean": lambda x: x.mean(0), "max": lambda x: x.max(0), "cls": lambda x: x[0]}[mode]
    expected = np.stack([pool(row) / np.linalg.norm(pool(row)) for row in rows])
    found = model({"input_ids": ids, "attention_mask": mask})
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"pooling_mode": "lasttoken"}, "`pooling_mode` must be one of 'mean', .*'lasttoken'"),
        ({"normalize": 1}, "`normalize` must be True or False"),
        ({"max_seq_length": 0}, "`max_seq_length` must be a positive integer"),
        ({"prompt": 7}, "`prompt` must be a string or None. Received: prompt=7"),
    ],
)
def test_impossible_options(options, match):
    with pytest.raises(ValueError, match=match):
        BigBirdForSentenceEmbedding(tiny_config(num_hidden_layers=0), **options)

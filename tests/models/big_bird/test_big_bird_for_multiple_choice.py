from typing import ClassVar

import numpy as np
import pytest

from bigbird_tf import BigBirdForMultipleChoice
from tests.contract import BATCH, LENGTH, assert_close, mask_of, random_ids
from tests.model_contract import ModelContract

CHOICES = 3


class TestContract(ModelContract):
    model_class = BigBirdForMultipleChoice
    config_fields: ClassVar[dict] = {"num_hidden_layers": 1}
    # The encoder's 5 + 16, the pooler's 2, and a dense layer.
    trainable_weights = 21 + 2 + 2
    # The encoder's, and the head's.
    states = 4 + 1
    # The encoder's with pooler, and 21 + 1.
    parameters = 5452 + 22

    def inputs(self):
        shape = (BATCH, CHOICES, LENGTH)
        lengths = (37, 30, 33, 35, 31, 37)
        types = np.broadcast_to(np.arange(LENGTH) > 11, shape)
        return {
            "input_ids": random_ids(batch=BATCH * CHOICES).reshape(shape),
            "attention_mask": mask_of(lengths).reshape(shape),
            "token_type_ids": types.astype(np.int32),
        }

    def labels(self):
        return np.array([2, 0])

    def unread_by_loss(self):
        # The same number more for all choices changes nothing.
        return (*super().unread_by_loss(), "classifier/dense/bias")

    def test_choices_are_scored_one_by_one(self, shared_model):
        inputs = self.inputs()
        expected = shared_model(inputs)
        assert expected.shape == (BATCH, CHOICES)
        order = [2, 0, 1]
        permuted = {name: value[:, order] for name, value in inputs.items()}
        assert_close(shared_model(permuted), np.asarray(expected)[:, order])
        alone = {name: value[1:, 1:2] for name, value in inputs.items()}
        assert_close(shared_model(alone), np.asarray(expected)[1:, 1:2])

    def test_positions_may_be_given_once_for_the_batch(self, shared_model):
        positions = np.broadcast_to(np.arange(LENGTH, dtype="int32")[::-1], (1, CHOICES, LENGTH))
        inputs = self.inputs()
        once = shared_model({**inputs, "position_ids": positions})
        full = np.repeat(positions, BATCH, axis=0)
        assert_close(shared_model({**inputs, "position_ids": full}), once)
        assert np.abs(np.asarray(once) - np.asarray(shared_model(inputs))).max() > 1e-3

    def test_one_text_without_choices(self, shared_model):
        with pytest.raises(ValueError, match=r"\(batch, choices, length\).*\(2, 37\)"):
            shared_model(random_ids())

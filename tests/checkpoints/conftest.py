"""A small model, and what it is saved as."""

import pytest

from bigbird_tf.models import (
    BigBirdForSequenceClassification,
)
from tests.contract import randomize, tiny_config


@pytest.fixture
def model():
    model = BigBirdForSequenceClassification(tiny_config(num_labels=3))
    randomize(model)
    return model


@pytest.fixture
def saved(model, tmp_path):
    """A saved model's directory."""
    model.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"
